"""Graphs of a whole data set on one device, from which batches are made there.

Bond vectors are computed once instead of at every step, and a step sends a table of one row per structure instead of
its graph. Memory: 20 bytes per undirected edge in float32 and 16 per angle.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uprung.job.devices import send
from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.store import Graphs

_CHUNK = 1024  # structures that are prepared at once
_COUNTED = ("atom", "short", "long", "angle")


class ResidentGraphs:
    """Graphs on a device; `pack` gives the batches of `PackedBatch.from_arrays`, number by number."""

    def __init__(self, graphs: Graphs, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        """Compute the vectors of all graphs and send everything to a device."""
        self.device = torch.device(device)
        self.counts = np.stack([graphs.n_atoms, graphs.n_short, graphs.n_edges - graphs.n_short, graphs.n_angles], 1)
        self._starts = np.cumsum(self.counts, axis=0) - self.counts
        parts: dict[str, list[Tensor]] = {}
        for begin in range(0, len(graphs), _CHUNK):
            rows = np.arange(begin, min(begin + _CHUNK, len(graphs)))
            for name, values in _local(PackedBatch.from_arrays(graphs.pack(rows), dtype=dtype), self.counts[rows]):
                parts.setdefault(name, []).append(values.to(self.device))
        self._data = {name: torch.cat(values) for name, values in parts.items()}

    def pack(self, rows: NDArray[np.int64]) -> PackedBatch:
        """Return some structures as one batch, in their order; ValueError if empty."""
        if not len(rows):
            raise ValueError("a batch needs at least one row")
        counts, totals = self.counts[rows], self.counts[rows].sum(0)
        offsets = np.cumsum(counts, axis=0) - counts
        # the only thing that is sent: where each structure begins in the data and in the batch, and how much it has
        table = send(torch.from_numpy(np.stack([self._starts[rows], offsets, counts])), self.device)
        which = torch.arange(len(rows), device=self.device)
        index, owner = {}, {}
        for k, name in enumerate(_COUNTED):
            start, offset, count = table[:, :, k]
            total = int(totals[k])
            # with the output's size at hand, the host does not wait for the device to count
            owner[name] = torch.repeat_interleave(which, count, output_size=total)
            within = torch.arange(total, device=self.device) - torch.index_select(offset, 0, owner[name])
            index[name] = torch.index_select(start, 0, owner[name]) + within

        def taken(kind: str, name: str, plus: str | None = None) -> Tensor:
            values = torch.index_select(self._data[f"{kind}/{name}"], 0, index[kind])
            if plus is None:
                return values
            return values.long() + torch.index_select(table[1, :, _COUNTED.index(plus)], 0, owner[kind])

        first, second = (torch.cat([taken(kind, end, "atom") for kind in ("short", "long")]) for end in ("i", "j"))
        return PackedBatch(
            numbers=taken("atom", "numbers").long(),
            owner=owner["atom"],
            n_atoms=table[2, :, 0],
            volume=torch.index_select(self._data["volume"], 0, send(torch.from_numpy(rows), self.device)),
            vector=torch.cat([taken("short", "vector"), taken("long", "vector")]),
            edge_owner=torch.cat([owner["short"], owner["long"]]),
            centre=torch.cat([first, second]),
            neighbour=torch.cat([second, first]),
            n_short=int(totals[1]),
            angle_centre=taken("angle", "centre", "atom"),
            angle_first=taken("angle", "first", "short"),
            angle_second=taken("angle", "second", "short"),
            angle_sign=taken("angle", "sign").to(self._data["volume"].dtype),
        )


def _local(batch: PackedBatch, counts: NDArray[np.int64]) -> list[tuple[str, Tensor]]:
    """Return the arrays of a batch on the CPU with atoms and edges counted within their structure."""
    atoms, shorts = (torch.from_numpy(np.cumsum(counts[:, k]) - counts[:, k]) for k in (0, 1))
    n, s = len(batch.vector), batch.n_short
    i, j = ((ends[:n] - atoms[batch.edge_owner]).int() for ends in (batch.centre, batch.neighbour))
    of_angle = batch.edge_owner[batch.angle_first]
    edges = {"i": i, "j": j, "vector": batch.vector}
    return [
        ("atom/numbers", batch.numbers.to(torch.uint8)),
        ("volume", batch.volume),
        *((f"short/{name}", values[:s]) for name, values in edges.items()),
        *((f"long/{name}", values[s:]) for name, values in edges.items()),
        ("angle/centre", (batch.angle_centre - atoms[of_angle]).int()),
        ("angle/first", (batch.angle_first - shorts[of_angle]).int()),
        ("angle/second", (batch.angle_second - shorts[of_angle]).int()),
        ("angle/sign", batch.angle_sign.to(torch.int8)),
    ]
