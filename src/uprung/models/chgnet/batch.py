"""A batch of crystals as tensors on one device: atoms, bond vectors, angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from uprung.job.devices import send
from uprung.models.chgnet.graphs import PackedArrays


@dataclass(frozen=True)
class PackedBatch:
    """B structures with A atoms, U undirected edges (S of them short, first) and T angles, on one device.

    ``numbers`` (A,) atomic numbers; ``owner`` (A,) structure of an atom; ``n_atoms`` (B,); ``volume`` (B,) in Å³;
    ``vector`` (U, 3) in Å, centre minus neighbour; ``edge_owner`` (U,); ``centre`` and ``neighbour`` (2U,) atoms of
    the directed edges, which are the undirected ones followed by their reverses; ``angle_centre`` (T,) atom,
    ``angle_first`` and ``angle_second`` (T,) short edges; ``angle_sign`` (T,) +1 where both or none of the two
    vectors point to the common atom, else -1.
    """

    numbers: Tensor
    owner: Tensor
    n_atoms: Tensor
    volume: Tensor
    vector: Tensor
    edge_owner: Tensor
    centre: Tensor
    neighbour: Tensor
    n_short: int
    angle_centre: Tensor
    angle_first: Tensor
    angle_second: Tensor
    angle_sign: Tensor

    @classmethod
    def from_arrays(
        cls,
        arrays: PackedArrays,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> PackedBatch:
        """Tensors of a packed batch; bond vectors are computed in float64 and then rounded to ``dtype``.

        The volume is |det(lattice)|: chgnet takes the signed triple product of the lattice vectors
        and so returns stresses of the wrong sign for left-handed cells.
        """
        i, j = arrays.edge.T
        lattice = arrays.lattice
        position = np.einsum("ak,akl->al", arrays.frac, lattice[arrays.owner])
        shift = np.einsum("uk,ukl->ul", arrays.image, lattice[arrays.edge_owner])
        vector = position[i] - position[j] - shift

        def integer(array: np.ndarray) -> Tensor:
            return send(torch.from_numpy(np.ascontiguousarray(array)), device)

        def real(array: np.ndarray) -> Tensor:
            return send(torch.from_numpy(np.ascontiguousarray(array)), device, dtype)

        return cls(
            numbers=integer(arrays.numbers),
            owner=integer(arrays.owner),
            n_atoms=integer(arrays.n_atoms),
            volume=real(np.abs(np.linalg.det(lattice))),
            vector=real(vector),
            edge_owner=integer(arrays.edge_owner),
            centre=integer(np.concatenate([i, j])),
            neighbour=integer(np.concatenate([j, i])),
            n_short=arrays.n_short,
            angle_centre=integer(arrays.angle_centre),
            angle_first=integer(arrays.angle_first),
            angle_second=integer(arrays.angle_second),
            angle_sign=real(arrays.sign_first * arrays.sign_second),
        )
