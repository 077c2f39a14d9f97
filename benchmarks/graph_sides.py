"""The sides that `graphs.py` compares, each made in a process of its own: they build graphs, or read built ones."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from sides import highest, memory, reset_peak

if TYPE_CHECKING:
    from pymatgen.core import Structure

ATOM_CUTOFF, BOND_CUTOFF = 6.0, 3.0  # Å, those of chgnet's released models
CHUNK = 16  # structures that a worker of the stock side converts at a time
BATCH = 16  # structures read at a time

Count = dict[str, int]  # structures, undirected edges, angles, rejected structures


@cache
def structures_of(name: str, first: int | None) -> list[Structure]:
    """Return the structures of a set, or only its first ones."""
    from sets import SETS  # imported here because the sides that read need no pymatgen

    structures: list[Structure] = SETS[name]().structures[:first]
    return structures


# ----------------------------------------------------------------------------------------------- sides that build


def workers_after(task: Callable[[], int], processes: int) -> list[int]:
    """Run a task in every worker process and return their process ids; none where the work stays in this process.

    joblib keeps its workers; `write_store` asks with the same options, so it gets these.
    """
    pids: set[int] = set()
    for _ in range(100):
        if processes == 1 or len(pids) == processes:
            return sorted(pids)
        pids |= set(Parallel(n_jobs=processes, max_nbytes=None, batch_size=1)([delayed(task)()] * processes))
    raise RuntimeError(f"of {processes} workers only {len(pids)} answered")


class Builder:
    """A side that builds all graphs of a set with workers that are warm: imports, structures and code are there."""

    def __init__(self, set_name: str, first: int | None, processes: int, folder: str) -> None:
        self.set_name, self.first, self.processes, self.folder = set_name, first, processes, folder
        self.structures = structures_of(set_name, first)
        self.warm_up()()
        self.workers = workers_after(self.warm_up(), processes)
        self.rehearse()

    def warm_up(self) -> Callable[[], int]:
        """Return a task, for this process and for its workers, that prepares for building and returns its process."""
        raise NotImplementedError

    def rehearse(self) -> Count:
        """Do the work once, so that the first timed run finds memory and files as the others do."""
        raise NotImplementedError

    def timed(self, work: Callable[[], Count]) -> dict[str, Any]:
        """Return the seconds that the work took, the peak memory of a process in MiB, and what was built."""
        pids = [os.getpid(), *self.workers]
        reset_peak(pids)
        began = time.perf_counter()
        count = work()
        seconds = time.perf_counter() - began
        peak = highest(memory("VmHWM", pid) for pid in pids)
        if workers_after(self.warm_up(), self.processes) != self.workers:
            raise RuntimeError("joblib replaced its workers during the run, so that it includes their start")
        return {"seconds": seconds, "peak_mib": peak, "work": {"structures": len(self.structures), **count}}


class Stock(Builder):
    """Chgnet's converter, called as chgnet's data sets call it, on chunks of structures in parallel."""

    def warm_up(self) -> Callable[[], int]:
        return partial(_warm_stock, self.set_name, self.first)

    def rehearse(self) -> Count:
        return self._all(self.folder)

    def convert(self) -> dict[str, Any]:
        """Build the graphs and drop them."""
        return self.timed(partial(self._all, None))

    def save(self) -> dict[str, Any]:
        """Build the graphs; each goes into a file of its own, by chgnet's own method."""
        return self.timed(partial(self._all, self.folder))

    def _all(self, folder: str | None) -> Count:
        rows = range(len(self.structures))
        if self.processes == 1:
            return _convert(self.set_name, self.first, rows, folder)
        counts = Parallel(n_jobs=self.processes, max_nbytes=None, batch_size=1)(
            delayed(_convert)(self.set_name, self.first, rows[start : start + CHUNK], folder)
            for start in range(0, len(rows), CHUNK)
        )
        return {name: sum(count[name] for count in counts) for name in counts[0]}


@cache
def _converter() -> Any:
    from chgnet.graph import CrystalGraphConverter

    converter = CrystalGraphConverter(atom_graph_cutoff=ATOM_CUTOFF, bond_graph_cutoff=BOND_CUTOFF)
    if converter.algorithm != "fast":
        raise RuntimeError("chgnet is installed without its C extension; the comparison would not be fair")
    return converter


def _convert(set_name: str, first: int | None, rows: Sequence[int], folder: str | None) -> Count:
    """Build the graphs of some rows of a set.

    A worker has the structures already and keeps the graphs, so nothing but rows and counts goes between processes.
    """
    structures, count = structures_of(set_name, first), {"edges": 0, "angles": 0, "rejected": 0}
    for row in rows:
        try:
            graph = _converter()(structures[row], graph_id=str(row))
        except ValueError:  # an isolated atom
            count["rejected"] += 1
            continue
        if folder is not None:
            graph.save(save_dir=folder)
        count["edges"] += len(graph.undirected2directed)
        count["angles"] += len(graph.bond_graph)
    return count


def _warm_stock(set_name: str, first: int | None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        _convert(set_name, first, range(min(3, len(structures_of(set_name, first)))), folder)
    return _let_others_work()


class Uprung(Builder):
    """`uprung.models.chgnet.store.write_store`, from pymatgen structures to the store on disk."""

    def warm_up(self) -> Callable[[], int]:
        return _warm_uprung

    def rehearse(self) -> Count:
        return build_store(self.structures, self.folder, self.processes)

    def store(self) -> dict[str, Any]:
        """Build the store."""
        return self.timed(self.rehearse)


def build_store(structures: Sequence[Structure], folder: str | Path, processes: int) -> Count:
    """Write a graph store of pymatgen structures."""
    from uprung.models.chgnet.store import write_store
    from uprung.models.interface import Geometry

    manifest = write_store(
        folder,
        [str(row) for row in range(len(structures))],
        [Geometry(np.array(s.atomic_numbers), s.frac_coords, s.lattice.matrix) for s in structures],
        atom_cutoff=ATOM_CUTOFF,
        bond_cutoff=BOND_CUTOFF,
        processes=processes,
    )
    return {name: manifest["counts"][name] for name in ("edges", "angles", "rejected")}


def _warm_uprung() -> int:
    from pymatgen.core import Structure

    with tempfile.TemporaryDirectory() as folder:
        build_store([Structure(3 * np.eye(3), ["Fe"], [[0, 0, 0]])] * 3, folder, 1)
    return _let_others_work()


def _let_others_work() -> int:
    """Wait so long that a second task goes to another worker; return the process id."""
    time.sleep(0.05)
    return os.getpid()


# ------------------------------------------------------------------------------------------------ sides that read


class Reader:
    """A side that reads graphs which lie on disk.

    `read` and `open` return seconds and the growth of private memory in MiB.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.prepare()

    def prepare(self) -> None:
        """Import what the side needs."""
        raise NotImplementedError

    def at_hand(self) -> Any:
        """Return an object from which any graph can be had at once."""
        raise NotImplementedError

    def batches(self) -> Iterator[Any]:
        """Yield all graphs in batches, none of which is kept."""
        raise NotImplementedError

    def open(self) -> dict[str, Any]:
        """Make all graphs available; memory while they are."""
        before, began = memory("RssAnon"), time.perf_counter()
        held = self.at_hand()
        seconds, after = time.perf_counter() - began, memory("RssAnon")
        del held
        return {"seconds": seconds, "private_mib": _growth(before, [after])}

    def read(self) -> dict[str, Any]:
        """Read every graph once; memory after the batch with which it was largest."""
        before, after, began = memory("RssAnon"), [], time.perf_counter()
        for _ in self.batches():
            after.append(memory("RssAnon"))
        return {"seconds": time.perf_counter() - began, "private_mib": _growth(before, after)}


def _growth(before: float | None, after: Sequence[float | None]) -> float | None:
    top = highest(after)
    return None if before is None or top is None else max(top - before, 0.0)


class StockFiles(Reader):
    """One file per graph, loaded as chgnet's `GraphData` does."""

    def prepare(self) -> None:
        from chgnet.graph import CrystalGraph

        self.load = CrystalGraph.from_file
        self.files = sorted(map(str, Path(self.folder).glob("*.pt")))
        self.load(self.files[0])

    def at_hand(self) -> Any:
        return [self.load(file) for file in self.files]

    def batches(self) -> Iterator[Any]:
        for start in range(0, len(self.files), BATCH):
            yield [self.load(file) for file in self.files[start : start + BATCH]]


class UprungStore(Reader):
    """The graph store: mapped, and packed into batches."""

    def prepare(self) -> None:
        from uprung.models.chgnet.store import open_store

        self.open_store = open_store

    def at_hand(self) -> Any:
        return self.open_store(self.folder)

    def batches(self) -> Iterator[Any]:
        store = self.open_store(self.folder)
        for start in range(0, len(store), BATCH):
            yield store.pack(np.arange(start, min(start + BATCH, len(store))))
