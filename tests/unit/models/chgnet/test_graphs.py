from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter

import numpy as np
import pytest
from ase.build import bulk
from chgnet.graph import CrystalGraphConverter
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Element, Lattice, Structure

from uprung.models.chgnet.graphs import IsolatedAtomError, build_graph
from uprung.models.chgnet.store import graphs_of, open_store, write_store
from uprung.models.interface import Geometry

PROTOTYPES = {  # structure -> formula for ASE, range of a (Å)
    "sc": ("Po", 2.0, 3.6),
    "fcc": ("Cu", 3.2, 5.9),
    "bcc": ("Fe", 2.4, 4.4),
    "hcp": ("Mg", 2.3, 3.8),
    "diamond": ("C", 3.5, 6.2),
    "rocksalt": ("NaCl", 4.0, 6.4),
    "cesiumchloride": ("CsCl", 2.5, 4.4),
    "zincblende": ("ZnS", 3.6, 6.4),
    "wurtzite": ("ZnS", 2.6, 4.2),
    "fluorite": ("CaF2", 4.4, 6.2),
}


def _random_crystal(rng: np.random.Generator, kind: int) -> Structure:
    """One-atom cells to 40-atom supercells, perturbed, strained, skewed, unwrapped, or a pair in a box."""
    elements = [str(Element.from_Z(int(z))) for z in rng.choice(np.arange(1, 95), 40)]
    if kind % 8 == 7:
        box = np.diag(rng.uniform(12, 18, 3)) + np.tril(rng.normal(size=(3, 3)), -1)
        direction = rng.normal(size=3)
        pair = np.array([np.zeros(3), direction / np.linalg.norm(direction) * rng.uniform(0.7, 5.9)])
        return Structure(box, elements[:2], pair + rng.uniform(-30, 30, 3), coords_are_cartesian=True)
    name = list(PROTOTYPES)[rng.integers(len(PROTOTYPES))]
    formula, low, high = PROTOTYPES[name]
    cubic = kind % 4 == 2 and name not in ("hcp", "wurtzite", "sc", "bcc", "cesiumchloride")
    atoms = bulk(formula, name, a=rng.uniform(low, high), cubic=cubic)
    lattice = atoms.cell.array @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3)))
    crystal = Structure(lattice, elements[: len(atoms)], atoms.get_scaled_positions())
    if kind % 8 == 3:
        repeats = [r for r in itertools.product(range(1, 4), repeat=3) if np.prod(r) * len(crystal) <= 40]
        crystal.make_supercell(repeats[rng.integers(len(repeats))], to_unit_cell=False)
    frac, lattice = crystal.frac_coords, crystal.lattice.matrix
    frac = frac + rng.normal(scale=0.08, size=frac.shape) @ np.linalg.inv(lattice)
    if kind % 8 == 4:  # the same crystal in a skewed cell
        skew = np.eye(3) + np.triu(rng.integers(-2, 3, (3, 3)), 1)
        lattice, frac = skew @ lattice, frac @ np.linalg.inv(skew)
    if kind % 3 == 1:
        frac = frac + rng.integers(-3, 4, frac.shape)
    return Structure(lattice, crystal.species, frac)


def _ours(crystal: Structure) -> tuple[Counter, Counter]:
    """Directed edges (i, j, image) and angles as pairs of them, as multisets."""
    graph = build_graph(crystal.frac_coords, crystal.lattice.matrix)
    directed = []
    for (i, j), image in zip(graph.edge.tolist(), graph.image.astype(int), strict=True):
        directed += [(i, j, *image), (j, i, *-image)]
    return Counter(directed), Counter((directed[a], directed[b]) for a, b in graph.angle.tolist())


def _stock(crystal: Structure, converter: CrystalGraphConverter) -> tuple[Counter, Counter]:
    graph = converter(crystal)
    images = graph.neighbor_image.numpy().astype(int)
    directed = [(*nodes, *image) for nodes, image in zip(graph.atom_graph.tolist(), images, strict=True)]
    angles = [(directed[row[2]], directed[row[4]]) for row in graph.bond_graph.tolist()]
    return Counter(directed), Counter(angles)


def _close_to_a_cutoff(crystal: Structure) -> bool:
    distance = crystal.get_neighbor_list(6.001)[3]
    return any(np.abs(distance - cutoff).min() < 1e-6 for cutoff in (3.0, 6.0))


def test_same_graph_as_chgnet_on_320_varied_structures():
    rng = np.random.default_rng(20240601)
    converter = CrystalGraphConverter(atom_graph_cutoff=6, bond_graph_cutoff=3)
    compared, without_angles, self_images = 0, 0, 0
    for kind in range(330):
        crystal = _random_crystal(rng, kind)
        if _close_to_a_cutoff(crystal):
            continue
        edges, angles = _ours(crystal)
        stock_edges, stock_angles = _stock(crystal, converter)
        assert edges == stock_edges, f"edges of structure {kind}"
        assert angles == stock_angles, f"angles of structure {kind}"
        compared += 1
        without_angles += not angles
        self_images += any(i == j for i, j, *_ in edges)
    assert compared >= 320
    assert without_angles >= 20
    assert self_images >= 100


def test_short_edges_come_first_and_angles_are_sorted():
    crystal = _random_crystal(np.random.default_rng(3), 3)
    frac, lattice = crystal.frac_coords, crystal.lattice.matrix
    graph = build_graph(frac, lattice)
    i, j = graph.edge.T
    length = np.linalg.norm((frac[i] - frac[j] - graph.image) @ lattice, axis=1)
    assert 0 < graph.n_short < len(graph.edge)
    assert (length[: graph.n_short] < 3).all()
    assert ((length[graph.n_short :] >= 3) & (length < 6 + 1e-9)[graph.n_short :]).all()
    assert (np.diff(graph.angle[:, 0]) >= 0).all()
    centre = graph.edge.reshape(-1)
    assert (centre[graph.angle[:, 0]] == centre[graph.angle[:, 1]]).all()
    assert graph.edge.dtype == graph.angle.dtype == np.int32
    assert graph.image.dtype == np.int8


def test_simple_cubic_has_the_known_counts():
    graph = build_graph(np.zeros((1, 3)), 2.9 * np.eye(3))
    # Shells of the cubic lattice at 1, √2, √3, 2 (2 × 2.9 Å < 6 Å): 6 + 12 + 8 + 6 directed edges.
    assert len(graph.edge) == (6 + 12 + 8 + 6) // 2
    assert graph.n_short == 3
    assert len(graph.angle) == 6 * 5


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shift=st.lists(st.floats(-20, 20), min_size=3, max_size=3),
    atom_cutoff=st.floats(3.0, 5.0),
)
def test_brute_force_agrees(seed: int, shift: list[float], atom_cutoff: float):
    rng = np.random.default_rng(seed)
    lattice = 3.4 * np.eye(3) + rng.normal(scale=0.4, size=(3, 3))
    frac = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]) + rng.normal(scale=0.03, size=(2, 3)) + shift
    cells = np.array(list(itertools.product(range(-6, 7), repeat=3)))
    wrapped = np.floor(frac)
    expected, margin = set(), 1.0
    for i, j in itertools.product(range(2), repeat=2):
        images = cells + (wrapped[i] - wrapped[j]).astype(int)
        distance = np.linalg.norm((frac[i] - frac[j] - images) @ lattice, axis=1)
        margin = min(margin, np.abs(distance - atom_cutoff).min())
        inside = (distance < atom_cutoff) & (distance > 1e-6)
        expected |= {(i, j, *image) for image in images[inside].tolist()}
    if {i for i, *_ in expected} != {0, 1}:
        with pytest.raises(IsolatedAtomError):
            build_graph(frac, lattice, atom_cutoff=atom_cutoff, bond_cutoff=2.8)
    elif margin > 1e-6:
        graph = build_graph(frac, lattice, atom_cutoff=atom_cutoff, bond_cutoff=2.8)
        found = set()
        for (i, j), image in zip(graph.edge.tolist(), graph.image.astype(int), strict=True):
            found |= {(i, j, *image.tolist()), (j, i, *(-image).tolist())}
        assert found == expected


def test_isolated_atom_is_an_error_here_as_in_chgnet():
    frac, lattice = np.array([[0, 0, 0], [0.1, 0, 0], [0.5, 0.5, 0.5]]), 20 * np.eye(3)
    with pytest.raises(IsolatedAtomError, match=r"1 of 3 atoms have no neighbour .*first: atom 2"):
        build_graph(frac, lattice)
    with pytest.raises(ValueError, match="isolated"):
        CrystalGraphConverter(atom_graph_cutoff=6, bond_graph_cutoff=3)(Structure(lattice, ["H"] * 3, frac))
    with pytest.raises(IsolatedAtomError):
        build_graph(np.zeros((1, 3)), 9 * np.eye(3))


@pytest.mark.parametrize(
    ("frac", "lattice", "message"),
    [
        (np.zeros((0, 3)), np.eye(3), "frac must be"),
        (np.zeros((2, 3)), 4 * np.eye(3), "same place"),
        (np.zeros((1, 3)), np.zeros((3, 3)), "no volume"),
        (np.full((1, 3), np.nan), np.eye(3), "finite"),
        (np.array([[0, 0, 0], [300.5, 0.5, 0.5]]), 3 * np.eye(3), "127 cells"),
    ],
)
def test_bad_structures_are_named(frac: np.ndarray, lattice: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        build_graph(frac, lattice)


# ------------------------------------------------------------------------------------------------- the store


@pytest.fixture(scope="module")
def crystals() -> list[Structure]:
    rng = np.random.default_rng(7)
    found = [_random_crystal(rng, kind) for kind in range(40)]
    found[11] = Structure(Lattice.cubic(9), ["Xe"], [[0, 0, 0]])  # isolated
    return found


def _named(crystals: list[Structure]) -> tuple[list[str], list[Geometry]]:
    geometries = [Geometry(np.array(c.atomic_numbers), c.frac_coords, c.lattice.matrix) for c in crystals]
    return [f"frame-{k}" for k in range(len(crystals))], geometries


@pytest.fixture(scope="module")
def folder(crystals, tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "store"
    write_store(path, *_named(crystals))
    return path


def test_manifest_counts_rejects_and_hashes(folder, crystals):
    manifest = json.loads((folder / "manifest.json").read_text())
    store = open_store(folder)
    assert manifest["counts"]["structures"] == len(store) == len(crystals) - 1
    assert manifest["counts"]["rejected"] == 1
    [(key, reason)] = manifest["rejected"]
    assert key == "frame-11"
    assert "no neighbour within 6 Å" in reason
    assert manifest["counts"]["edges"] == store.n_edges.sum()
    assert {f"{name}.npy" for name in manifest["arrays"]} == {file.name for file in folder.glob("*.npy")}
    for name, entry in manifest["arrays"].items():
        content = (folder / f"{name}.npy").read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"])


def _rows_of(store, numbers: tuple[int, ...]) -> list[int]:
    return [store.keys.tolist().index(f"frame-{k}") for k in numbers]


def test_pack_holds_the_graph_of_every_structure(folder, crystals):
    store = open_store(folder)
    packed = store.pack(_rows_of(store, (30, 7, 4, 15, 7, 0)))
    assert packed.n_atoms.sum() == len(packed.numbers) == len(packed.owner)
    assert (packed.short == np.arange(packed.n_short)).all()
    first_atom = np.cumsum(packed.n_atoms) - packed.n_atoms
    for b, k in enumerate((30, 7, 4, 15, 7, 0)):
        crystal = crystals[k]
        atoms = packed.owner == b
        assert packed.numbers[atoms].tolist() == list(crystal.atomic_numbers)
        np.testing.assert_array_equal(packed.frac[atoms], crystal.frac_coords)
        np.testing.assert_array_equal(packed.lattice[b], crystal.lattice.matrix)
        mine = packed.edge_owner == b
        directed = {}
        for u in np.flatnonzero(mine):
            (i, j), image = packed.edge[u] - first_atom[b], packed.image[u]
            directed[u, 1], directed[u, -1] = (i, j, *image), (j, i, *-image)
        angles = Counter(
            (directed[p, s], directed[q, t])
            for p, s, q, t in zip(
                packed.angle_first, packed.sign_first, packed.angle_second, packed.sign_second, strict=True
            )
            if mine[p]
        )
        assert (Counter(directed.values()), angles) == _ours(crystal)
    centres = packed.edge[packed.angle_first, np.where(packed.sign_first > 0, 0, 1)]
    assert (centres == packed.angle_centre).all()
    assert max(packed.angle_first.max(), packed.angle_second.max()) < packed.n_short


def test_graphs_in_memory_are_those_of_the_store(folder, crystals):
    store, rows = open_store(folder), (30, 7, 4, 15, 7, 0)
    _, geometries = _named([crystals[k] for k in rows])
    memory = graphs_of(geometries)
    assert (memory.costs() == store.costs()[_rows_of(store, rows)]).all()
    one, other = store.pack(_rows_of(store, rows)), memory.pack(np.arange(len(rows)))
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)
        assert np.asarray(values).dtype == np.asarray(getattr(other, name)).dtype, name
    with pytest.raises(IsolatedAtomError):
        graphs_of(_named(crystals[10:12])[1])
    with pytest.raises(ValueError, match="atomic numbers must be 1 to 94"):
        graphs_of([geometries[0]._replace(numbers=geometries[0].numbers * 0 + 95)])


def test_pack_without_any_angle(folder):
    store = open_store(folder)
    rows = np.flatnonzero(store.n_angles == 0)[:3]
    packed = store.pack(rows)
    assert len(rows) == 3
    assert packed.angle_first.shape == packed.angle_centre.shape == packed.sign_second.shape == (0,)


def test_costs_and_keys(folder):
    store = open_store(folder)
    assert (store.costs() == store.n_edges + store.n_angles).all()
    assert store.keys.tolist() == [f"frame-{k}" for k in range(40) if k != 11]
    with pytest.raises(ValueError, match="non-empty"):
        store.pack([])


def test_arrays_are_mapped_not_read(folder):
    store = open_store(folder)
    base = values = store._data["edge"].whole()
    while isinstance(base, np.ndarray) and base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert not values.flags.writeable


def test_result_does_not_depend_on_the_number_of_processes(crystals, tmp_path):
    many = (crystals * 4)[:130]  # more than one chunk
    seen: list[int] = []
    one = write_store(tmp_path / "one", *_named(many), progress=seen.append)
    two = write_store(tmp_path / "two", *_named(many), processes=2)
    assert one == two
    assert sum(seen) == len(many)


def test_bad_input_is_refused_and_bad_rows_are_listed(crystals, tmp_path):
    keys, (heavy, short, fine) = _named(crystals[:3])
    with pytest.raises(ValueError, match="unique"):
        write_store(tmp_path / "a", ["x", "x", "y"], [heavy, short, fine])
    with pytest.raises(ValueError, match="differ in length"):
        write_store(tmp_path / "a", keys, [heavy, short])
    with pytest.raises(ValueError, match="processes must be at least 1, not 0"):
        write_store(tmp_path / "a", keys, [heavy, short, fine], processes=0)
    heavy, short = heavy._replace(numbers=heavy.numbers * 0 + 95), short._replace(numbers=short.numbers[:0])
    manifest = write_store(tmp_path / "b", keys, [heavy, short, fine])
    assert [key for key, _ in manifest["rejected"]] == keys[:2]
    assert len(open_store(tmp_path / "b")) == 1


def test_unfinished_store_is_refused(crystals, tmp_path):
    write_store(tmp_path, *_named(crystals[:2]))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"manifest\.json is missing"):
        open_store(tmp_path)
