"""CHGNet on a whole batch of structures at once: the functions of the stock model, in far fewer operations.

The model is a network of the 0.3.0 architecture (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)), ours or an ordinary
``chgnet.model.CHGNet``, whose live parameters are used, so that gradients reach them.
The mathematics is that of chgnet 0.4.2; what differs is the order of the work:

* energy is a function of the undirected bond vectors v = x_i - x_j alone. One derivative G = dE/dv gives the forces
  (-G on the centre, +G on the neighbour) and the stress (sum of v ⊗ G over the volume);
* the first linear layer of each gated MLP, on a concatenation of atom, bond and angle features, is split by input,
  applied per atom, per undirected bond or per angle, and only then gathered; core and gate share one product; what
  follows has first and second derivatives of its own (`uprung.models.chgnet.gated_mlp`);
* bond convolution and angle update touch short bonds only, because nothing else has angles; the last angle update
  is left out, because nothing reads it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.gated_mlp import gate
from uprung.models.chgnet.gather import gathered, messages
from uprung.models.chgnet.network import Network
from uprung.models.chgnet.supported import check_supported

if TYPE_CHECKING:
    from chgnet.model import CHGNet

EV_PER_A3_IN_GPA = 160.21766208  # the constant of chgnet, so that both give the same stress


@dataclass(frozen=True)
class Prediction:
    """``energy`` (B,) eV/atom with and ``energy_gnn`` without reference energies; ``forces`` (A, 3) eV/Å; ``stress``
    (B, 3, 3) GPa, tension positive; ``magmom`` (A,) μB, absolute. None where not asked for."""

    energy: Tensor
    energy_gnn: Tensor
    forces: Tensor | None
    stress: Tensor | None
    magmom: Tensor | None


def packed_forward(
    model: Network | CHGNet,
    batch: PackedBatch,
    *,
    forces: bool = True,
    stress: bool = True,
    magmom: bool = True,
    create_graph: bool,
    shift: Tensor | None = None,
    references: Tensor | None = None,
) -> Prediction:
    """Return energies, forces, stresses and moments of a batch, as `model(graphs, task)` of chgnet gives them.

    Args:
        model: with the architecture of the 0.3.0 checkpoint.
        batch: the structures.
        forces: whether to return forces.
        stress: whether to return stresses.
        magmom: whether to return moments.
        create_graph: keep what a loss on forces or stresses needs to be differentiated with respect to the parameters;
            otherwise all results are detached.
        shift: (64,) added to the embedding of every atom, for the other one of two fidelities.
        references: (94,) eV/atom in place of those of the model, likewise.

    Raises:
        UnsupportedModelError: another architecture.
    """
    check_supported(model)
    derivative = forces or stress
    with torch.set_grad_enabled(create_graph or derivative):
        vector = batch.vector.detach().requires_grad_(derivative)
        site_energy, moment = _network(model, batch, vector, magmom, create_graph, shift)
        total = _sum_rows(site_energy, batch.owner, len(batch.n_atoms))
        force, virial_stress = None, None
        if derivative:
            (gradient,) = torch.autograd.grad(total.sum(), vector, create_graph=create_graph)
            if forces:
                force = _forces(batch, gradient)
            if stress:
                outer = batch.vector[:, :, None] * gradient[:, None, :]
                virial = _sum_rows(outer.view(-1, 9), batch.edge_owner, len(batch.n_atoms)).view(-1, 3, 3)
                virial_stress = virial * (EV_PER_A3_IN_GPA / batch.volume)[:, None, None]
        energy_gnn = total / batch.n_atoms
        weight = model.composition_model.fc.weight.view(-1) if references is None else references
        energy = energy_gnn + _reference_energy(weight, batch)
    prediction = Prediction(energy, energy_gnn, force, virial_stress, moment)
    return prediction if create_graph else _detached(prediction)


def forces_by_element(model: Network | CHGNet, batch: PackedBatch) -> list[tuple[Tensor, Tensor]]:
    """Return forces by the element of the atoms whose site energies they are the gradients of.

    One backward pass for the first element of every structure, one for the second of those that have two, and so on:
    structures do not feel each other.

    Returns:
        Per pass (B,) atomic numbers, 0 for a structure without so many elements, and (A, 3) forces in eV/Å, detached;
        their sum is the forces of `packed_forward`.

    Raises:
        UnsupportedModelError: another architecture than that of the 0.3.0 checkpoint.
    """
    check_supported(model)
    pairs, of_atom = torch.unique(torch.stack([batch.owner, batch.numbers]), dim=1, return_inverse=True)
    first = torch.searchsorted(pairs[0].contiguous(), torch.arange(len(batch.n_atoms), device=pairs.device))
    rank = torch.arange(len(pairs[0]), device=pairs.device) - first[pairs[0]]
    found = []
    with torch.enable_grad():
        vector = batch.vector.detach().requires_grad_()
        site_energy, _ = _network(model, batch, vector, False, False, None)
        for k in range(int(rank.max()) + 1):
            own = site_energy[rank[of_atom] == k].sum()
            (gradient,) = torch.autograd.grad(own, vector, retain_graph=True)
            number = batch.n_atoms.new_zeros(len(batch.n_atoms))
            number[pairs[0][rank == k]] = pairs[1][rank == k].to(number.dtype)
            found.append((number, _forces(batch, gradient)))
    return found


def _forces(batch: PackedBatch, gradient: Tensor) -> Tensor:
    """Forces (A, 3) from the derivative of an energy with respect to the bond vectors."""
    n = len(batch.vector)
    force = torch.zeros_like(batch.vector[:1]).expand(len(batch.numbers), 3)
    force = force.index_add(0, batch.centre[:n], gradient, alpha=-1)
    return force.index_add(0, batch.neighbour[:n], gradient)


def _detached(prediction: Prediction) -> Prediction:
    values: dict[str, Any] = {
        name: value if value is None else value.detach() for name, value in vars(prediction).items()
    }
    return Prediction(**values)


def _reference_energy(weight: Tensor, batch: PackedBatch) -> Tensor:
    """Mean elemental reference energy of each structure, (B,) in eV/atom."""
    per_atom = torch.index_select(weight, 0, batch.numbers - 1)
    return _sum_rows(per_atom, batch.owner, len(batch.n_atoms)) / batch.n_atoms


def _sum_rows(rows: Tensor, owner: Tensor, n_owner: int) -> Tensor:
    """Sum of the rows of each owner, (n_owner, ...)."""
    return rows.new_zeros((n_owner, *rows.shape[1:])).index_add(0, owner, rows)


def _network(
    model: Network | CHGNet, batch: PackedBatch, vector: Tensor, magmom: bool, trained: bool, shift: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Site energies (A,) in eV without reference energies, and absolute magnetic moments (A,) if asked for.

    Only if ``trained`` do derivatives reach the parameters of the gated MLPs, which would be computed in vain else.
    """
    length = torch.linalg.vector_norm(vector, dim=1, keepdim=True)
    encoder = model.bond_basis_expansion
    basis = _radial_basis(encoder.rbf_expansion_ag, length)
    weight = F.linear(basis, model.bond_weights_ag.weight)
    has_angles = len(batch.angle_first) > 0
    if has_angles:
        s = batch.n_short
        short_basis = _radial_basis(encoder.rbf_expansion_bg, length[:s])
        bond_weight = F.linear(short_basis, model.bond_weights_bg.weight)
        angle = _angle_embedding(model, batch, vector[:s] / length[:s])
    bond = F.linear(basis, model.bond_embedding.weight)
    embedding = model.atom_embedding.embedding.weight
    atom = torch.index_select(embedding if shift is None else embedding + shift, 0, batch.numbers - 1)
    last = len(model.atom_conv_layers) - 1
    with torch.set_grad_enabled(trained):
        atom_gates = _gated([layer.twoBody_atom for layer in model.atom_conv_layers], trained)
        if has_angles:
            bond_gates = _gated([layer.twoBody_bond for layer in model.bond_conv_layers], trained)
            angle_gates = _gated([layer.twoBody_bond for layer in model.angle_layers[:-1]], trained)
    moment = None
    for index, layer in enumerate(model.atom_conv_layers):
        if index == last and magmom:
            moment = model.site_wise(atom).view(-1).abs()
        atom = _atom_conv(atom_gates[index], layer.mlp_out, batch, atom, bond, weight)
        if has_angles and index < last:
            mlp_out = model.bond_conv_layers[index].mlp_out
            short = _bond_conv(bond_gates[index], mlp_out, batch, atom, bond[:s], angle, bond_weight)
            bond = torch.cat([short, bond[s:]])
            if index < last - 1:
                gated = angle_gates[index]
                angle = angle + gated(_angle_input(gated, batch, atom, short, angle))
    norm = model.readout_norm
    return model.mlp(F.layer_norm(atom, (64,), norm.weight, norm.bias)).view(-1), moment


def _radial_basis(rbf: Any, length: Tensor) -> Tensor:
    """Bessel functions times the polynomial cutoff, (n, num_radial), of lengths (n, 1)."""
    cut = rbf.smooth_cutoff
    x = length / cut.cutoff
    envelope = 1 + x**cut.p * (cut.a + x * (cut.b + x * cut.c))
    envelope = torch.where(x < 1, envelope, torch.zeros_like(x))
    frequencies: Tensor = rbf.frequencies
    scale: Tensor = rbf.norm_const * envelope / length
    return torch.sin(frequencies * (length * rbf.inv_cutoff)) * scale


_FOURIER_CONSTANT = float(1 / torch.sqrt(torch.tensor([2]))) / math.sqrt(math.pi)  # rounded as chgnet does


def _angle_embedding(model: Network | CHGNet, batch: PackedBatch, unit: Tensor) -> Tensor:
    """Embedded Fourier series of the angles, (T, 64), from unit vectors of the short bonds (S, 3)."""
    first = torch.index_select(unit, 0, batch.angle_first)
    second = torch.index_select(unit, 0, batch.angle_second)
    cosine = (first * second).sum(dim=1) * batch.angle_sign * (1 - 1e-6)
    fourier = model.angle_basis_expansion.fourier_expansion
    phase = torch.outer(torch.acos(cosine), fourier.frequencies)
    waves = torch.cat([torch.sin(phase), torch.cos(phase)], dim=1)
    weight = model.angle_embedding.weight
    return F.linear(waves, weight[:, 1:] / math.sqrt(math.pi), weight[:, 0] * _FOURIER_CONSTANT)


@dataclass(frozen=True)
class _Gated:
    """Parameters of one gated MLP, core and gate together: the first linear layer (128, inputs) and (128,), the
    second (2, 64, 64) and (2, 1, 64) where there is one, and the affine part of layer norm (2, 1, 64); and whether
    features are all that it is differentiated by, once."""

    first: Tensor
    first_bias: Tensor
    second: Tensor | None
    second_bias: Tensor | None
    scale: Tensor
    shift: Tensor
    once: bool

    def __call__(self, hidden: Tensor) -> Tensor:
        """What follows the first linear layer: (n, 64) from its output (n, 128)."""
        return gate(hidden, self.second, self.second_bias, self.scale, self.shift, once=self.once)


def _gated(mlps: list[Any], trained: bool) -> list[_Gated]:
    """Gather the parameters of equal gated MLPs, in a few operations for all of them."""
    n = len(mlps)
    halves = [half for mlp in mlps for half in (mlp.mlp_core.layers, mlp.mlp_gate.layers)]
    norms = [norm for mlp in mlps for norm in (mlp.bn1, mlp.bn2)]
    linear = [[layer for layer in half if isinstance(layer, nn.Linear)] for half in halves]
    columns = [
        torch.cat([layers[0].weight for layers in linear]).view(n, 128, -1).unbind(0),
        torch.cat([layers[0].bias for layers in linear]).view(n, 128).unbind(0),
        [None] * n,
        [None] * n,
        torch.cat([norm.weight for norm in norms]).view(n, 2, 1, 64).unbind(0),
        torch.cat([norm.bias for norm in norms]).view(n, 2, 1, 64).unbind(0),
        [not trained] * n,
    ]
    if len(linear[0]) == 2:
        columns[2] = torch.cat([layers[1].weight for layers in linear]).view(n, 2, 64, 64).unbind(0)
        columns[3] = torch.cat([layers[1].bias for layers in linear]).view(n, 2, 1, 64).unbind(0)
    return [_Gated(*values) for values in zip(*columns, strict=True)]


def _atom_conv(gated: _Gated, mlp_out: Any, batch: PackedBatch, atom: Tensor, bond: Tensor, weight: Tensor) -> Tensor:
    """Atom features after one convolution; ``bond`` and ``weight`` are (U, 64)."""
    from_centre, from_bond, from_neighbour = torch.split(gated.first, 64, dim=1)
    of_atoms = [F.linear(atom, from_centre, gated.first_bias), F.linear(atom, from_neighbour)]
    hidden = gathered(F.linear(bond, from_bond), of_atoms, [batch.centre, batch.neighbour])
    total = messages(gated(hidden), weight, None, batch.centre, len(atom))
    return torch.addmm(atom, total, mlp_out.layers[1].weight.t())


def _angle_input(gated: _Gated, batch: PackedBatch, atom: Tensor, short: Tensor, angle: Tensor) -> Tensor:
    """First linear layer on [first bond, second bond, angle, centre], (T, 128)."""
    from_first, from_second, from_angle, from_centre = torch.split(gated.first, 64, dim=1)
    tables = [F.linear(short, from_first), F.linear(short, from_second), F.linear(atom, from_centre)]
    return gathered(
        F.linear(angle, from_angle, gated.first_bias),
        tables,
        [batch.angle_first, batch.angle_second, batch.angle_centre],
    )


def _bond_conv(
    gated: _Gated, mlp_out: Any, batch: PackedBatch, atom: Tensor, short: Tensor, angle: Tensor, weight: Tensor
) -> Tensor:
    """Features of the short bonds (S, 64) after one bond convolution with bond weights (S, 64)."""
    given = gated(_angle_input(gated, batch, atom, short, angle))
    # The weight of the first bond is common to all terms of its sum.
    total = messages(given, weight, batch.angle_second, batch.angle_first, len(short)) * weight
    return torch.addmm(short, total, mlp_out.layers[1].weight.t())
