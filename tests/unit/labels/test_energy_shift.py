from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from ase.data import atomic_numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from uprung.frames.flat import composition_fractions
from uprung.labels.correlation import correlation, correlation_by_element, pearson_interval
from uprung.labels.energy_shift import element_shift, formation_importance, referenced
from uprung.labels.fidelity import BOND_FORCE, FidelityLabels, bond_force, force_mask

DATA = Path(__file__).parents[3] / "data"
GPA = 160.21766


class Pairs(NamedTuple):
    Z: np.ndarray
    offsets: np.ndarray
    X: np.ndarray
    low: FidelityLabels
    high: FidelityLabels
    groups: np.ndarray

    def correlation(self, **options) -> pd.DataFrame:
        return correlation(self.X, self.offsets, self.low, self.high, self.groups, **options)


@pytest.fixture(scope="module")
def dimers() -> Pairs:
    with gzip.open(DATA / "diatomics" / "diatomics-dft.json.gz") as file:
        curves = json.load(file)
    Z, sides = [], {"PBE": [], "r2SCAN": []}
    for name in sorted(set(curves["PBE"]) & set(curves["r2SCAN"])):
        number = atomic_numbers[name.split("-")[0]]
        at = {xc: {round(r, 3): i for i, r in enumerate(curves[xc][name]["distances"])} for xc in sides}
        if 58 <= number <= 71 or number > 83:
            continue
        for distance in sorted(set(at["PBE"]) & set(at["r2SCAN"])):
            Z.append(number)
            for xc, points in sides.items():
                curve, i = curves[xc][name], at[xc][distance]
                points.append((curve["energies"][i] / 2, curve["forces"][i], curve["magmoms"][i]))
    offsets = 2 * np.arange(len(Z) + 1)
    bond = np.tile([1.0, 0.0, 0.0], (len(Z), 1))

    def labels(points: list) -> FidelityLabels:
        forces = np.array([force for _, force, _ in points]).reshape(-1, 3)
        moments = np.array([moment for *_, moment in points], dtype=float).ravel()
        scalars = {BOND_FORCE: bond_force(forces, offsets, bond)}
        return FidelityLabels(np.array([e for e, *_ in points]), forces, magmom=moments, scalars=scalars)

    X = composition_fractions(np.repeat(Z, 2), offsets)
    return Pairs(np.array(Z), offsets, X, labels(sides["PBE"]), labels(sides["r2SCAN"]), np.array(Z))


@pytest.fixture(scope="module")
def solids() -> Pairs:
    sides: dict[str, dict[str, dict]] = {"PBE": {}, "r2SCAN": {}}
    with gzip.open(DATA / "solids" / "solids.jsonl.gz", "rt") as lines:
        for record in map(json.loads, lines):
            sides[record["xc"]][record["id"]] = record
    both = sorted(set(sides["PBE"]) & set(sides["r2SCAN"]))
    sizes = [len(sides["PBE"][key]["numbers"]) for key in both]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    Z = np.concatenate([sides["PBE"][key]["numbers"] for key in both])

    def labels(records: dict[str, dict]) -> FidelityLabels:
        return FidelityLabels(
            np.array([records[key]["energy"] for key in both]) / sizes,
            np.concatenate([records[key]["forces"] for key in both]),
            np.array([records[key]["stress"] for key in both]) * GPA,
        )

    groups = np.array([sides["PBE"][key]["material"] for key in both])
    return Pairs(Z, offsets, composition_fractions(Z, offsets), labels(sides["PBE"]), labels(sides["r2SCAN"]), groups)


def table_of(pairs: Pairs, **options) -> pd.DataFrame:
    return pairs.correlation(**options).set_index(["subset", "quantity"])


class TestRealLabels:
    def test_dimers_below_10_ev_per_angstrom(self, dimers):
        table = table_of(dimers).loc["|F_low| < 10 eV/Å"]
        raw, relative = table.loc["energy raw"], table.loc["energy referenced"]
        assert raw["n_structures"] == relative["n_structures"] == 2309
        assert len(set(dimers.Z[force_mask(dimers.low.forces, dimers.offsets)])) == 69
        assert raw["pearson"] == pytest.approx(0.2447, abs=5e-5)
        assert relative["pearson"] == pytest.approx(0.9755, abs=5e-5)
        assert relative["rmsd"] == pytest.approx(0.145, abs=5e-4)
        # 0.9643 is the force along the bond, one number per dimer: the x component of the second atom.
        force = table.loc[BOND_FORCE]
        assert force["pearson"] == pytest.approx(0.9643, abs=5e-5)
        assert force["mae"] == pytest.approx(0.325, abs=5e-4)
        assert force["slope_origin"] == pytest.approx(0.956, abs=5e-4)
        assert force["n_values"] == 2309
        # All components: both atoms with opposite signs, and about two thirds of the numbers zero by symmetry.
        components = table.loc["force components"]
        assert components["n_values"] == 6 * 2309
        assert components["pearson"] == pytest.approx(0.9633, abs=5e-5)
        assert components["mae"] == pytest.approx(force["mae"] / 3, rel=1e-3)
        assert components["share_zero"] == pytest.approx(0.653, abs=5e-4)

    def test_all_dimers_are_dominated_by_the_wall(self, dimers):
        table = table_of(dimers).loc["all"]
        assert table.loc["energy raw", "n_structures"] == 3436
        assert table.loc["energy raw", "pearson"] == pytest.approx(0.696, abs=5e-4)
        assert table.loc["energy referenced", "pearson"] == pytest.approx(0.9998, abs=5e-5)
        assert table.loc[BOND_FORCE, "pearson"] == pytest.approx(0.9999, abs=5e-5)

    def test_absent_and_missing_labels_are_counted(self, dimers):
        table = table_of(dimers)
        for subset, n in (("all", 3436), ("|F_low| < 10 eV/Å", 2309)):
            stress = table.loc[(subset, "stress components")]
            assert stress["n_values"] == stress["n_structures"] == 0
            assert stress["n_missing"] == 9 * n
            assert np.isnan(stress["pearson"])
            assert table.loc[(subset, "energy raw"), "n_excluded"] == 3436 - n

    def test_solids(self, solids):
        table = table_of(solids).loc["all"]
        assert table.loc["energy raw", "n_structures"] == 528
        assert table.loc["energy raw", "pearson"] == pytest.approx(0.3941, abs=5e-5)
        assert table.loc["energy referenced", "pearson"] == pytest.approx(0.9968, abs=5e-5)
        force = table.loc["force components"]
        assert force["pearson"] == pytest.approx(0.99982, abs=5e-6)
        assert force["slope"] == pytest.approx(1.0086, abs=5e-5)
        assert force["mae"] == pytest.approx(0.0235, abs=5e-5)
        stress = table.loc["stress components"]
        assert stress["pearson"] == pytest.approx(0.9964, abs=5e-5)
        assert stress["mae"] == pytest.approx(0.702, abs=5e-4)
        assert stress["n_values"] == 9 * 528
        intervals = table.dropna(subset="pearson")
        assert (intervals["pearson_low"] < intervals["pearson"]).all()
        assert (intervals["pearson"] < intervals["pearson_high"]).all()

    def test_shift_of_dimers(self, dimers):
        keep = force_mask(dimers.low.forces, dimers.offsets)
        low, high = dimers.low.energy[keep], dimers.high.energy[keep]
        table = element_shift(dimers.X[keep], low, high, dimers.groups[keep]).set_index("Z")
        assert len(table) == 69
        assert table["n_structures"].sum() == 2309
        for Z in (1, 26, 83):  # one element per structure: the shift is a mean
            assert table.loc[Z, "shift"] == pytest.approx((high - low)[dimers.Z[keep] == Z].mean())
        assert (table["n_groups"] == 1).all()
        assert table["stderr"].isna().all()
        assert (table["stderr_structures"] > 0).all()
        np.testing.assert_allclose(table["shift"], table["high_reference"] - table["low_reference"], atol=1e-9)

    def test_shift_of_solids_follows_the_independent_one_of_vasp(self, solids):
        table = element_shift(solids.X, solids.low.energy, solids.high.energy, solids.groups).set_index("Z")
        assert len(table) == 44
        assert table["determined"].all()
        # Elemental silicon with VASP: −3.35 eV/atom.
        assert table.loc[14, "shift"] == pytest.approx(-3.3, abs=0.1)
        single = [39, 55, 73]  # Y, Cs, Ta: one material
        assert table.loc[single, "stderr"].isna().all()
        assert (table["stderr"].drop(single) > 0).all()
        assert table["stderr"].median() > table["stderr_structures"].median()

    def test_by_element(self, dimers):
        keep = force_mask(dimers.low.forces, dimers.offsets)
        table = correlation_by_element(dimers.X, dimers.offsets, dimers.low, dimers.high, keep=keep)
        assert table["Z"].nunique() == 69
        energy = table[table["quantity"] == "energy referenced"].set_index("element")
        assert energy["n_structures"].sum() == 2309
        assert (energy["n_excluded"] == 3436 - 2309).all()
        iron = keep & (dimers.Z == 26)
        expected = np.corrcoef(dimers.low.energy[iron], dimers.high.energy[iron])[0, 1]
        assert energy.loc["Fe", "pearson"] == pytest.approx(expected)

    def test_by_element_takes_structures_of_one_element_only(self, solids):
        table = correlation_by_element(solids.X, solids.offsets, solids.low, solids.high)
        energy = table[table["quantity"] == "energy referenced"]
        single = int(((solids.X > 0).sum(axis=1) == 1).sum())
        assert energy["n_structures"].sum() == single
        assert (energy["n_excluded"] == 528 - single).all()

    def test_importance_is_refused_for_elemental_data(self, dimers):
        sites = np.diff(dimers.offsets)
        table = formation_importance(dimers.X, dimers.low.energy, dimers.high.energy, sites)
        assert table.empty
        assert list(table)[:3] == ["Z", "element", "importance"]
        assert "single element" in table.attrs["reason"]

    def test_importance_of_solids(self, solids):
        table = formation_importance(solids.X, solids.low.energy, solids.high.energy, np.diff(solids.offsets))
        assert table["importance"].sum() == pytest.approx(1)
        assert set(table["reference"]) == {"fitted"}
        mixed = (solids.X > 0).sum(axis=1) > 1
        assert (table["n_excluded"] == (~mixed).sum()).all()
        assert table["n_atoms"].sum() == np.diff(solids.offsets)[mixed].sum()


class TestComposition:
    def test_fractions(self):
        X = composition_fractions([11, 17, 8, 8, 22], [0, 2, 5])
        assert X.shape == (2, 94)
        assert X[0, [10, 16]] == pytest.approx([0.5, 0.5])
        assert X[1, [7, 21]] == pytest.approx([2 / 3, 1 / 3])
        np.testing.assert_allclose(X.sum(axis=1), 1)

    @pytest.mark.parametrize(
        ("Z", "offsets", "match"),
        [([0, 1], [0, 2], "from 0 to 1"), ([95], [0, 1], "allowed are"), ([1, 1], [0, 0, 2], "at least one")],
    )
    def test_bad_input(self, Z, offsets, match):
        with pytest.raises(ValueError, match=match):
            composition_fractions(Z, offsets)


class TestForces:
    def test_mask_uses_the_largest_force_of_any_atom(self):
        forces = [[6, 6, 6], [0, 0, 0], [0, 9.9, 0], [0, 0, 1], [np.nan, 0, 0], [0, 0, 0]]
        assert list(force_mask(forces, [0, 2, 4, 6])) == [False, True, False]
        assert list(force_mask(np.ravel(forces), [0, 2, 4, 6], limit=11)) == [True, True, False]

    def test_force_along_the_bond_is_minus_the_derivative(self):
        bond = np.array([[1.0, 2.0, 2.0]])
        forces = np.array([[-1, -2, -2], [1, 2, 2]]) * 0.5
        assert bond_force(forces, [0, 2], bond) == pytest.approx([1.5])  # repulsive
        assert np.isnan(bond_force(np.ones((3, 3)), [0, 3], bond)[0])


class TestCorrelation:
    @staticmethod
    def made_up(seed: int = 0, n: int = 60) -> Pairs:
        rng = np.random.default_rng(seed)
        Z = rng.choice([3, 8, 14, 26], 2 * n)
        offsets = 2 * np.arange(n + 1)
        X = composition_fractions(Z, offsets)
        energy, forces = rng.normal(size=n), rng.normal(size=(2 * n, 3))
        low = FidelityLabels(X @ rng.normal(size=94) + energy, forces, rng.normal(size=(n, 3, 3)))
        high = FidelityLabels(X @ (-np.arange(94.0)) + 1.1 * energy, 1.1 * forces, low.stress + 1)
        return Pairs(Z, offsets, X, low, high, rng.integers(0, 12, n))

    def test_exact_relations_are_found(self):
        table = table_of(self.made_up()).loc["all"]
        for quantity in ("energy referenced", "force components"):
            assert table.loc[quantity, "pearson"] == pytest.approx(1)
            assert table.loc[quantity, ["slope", "slope_origin"]].tolist() == pytest.approx([1.1, 1.1])
        assert table.loc["stress components", ["slope", "mae", "rmsd"]].tolist() == pytest.approx([1, 1, 1])
        assert table.loc["energy raw", "pearson"] < 0.9

    def test_missing_values_are_masked_and_counted(self):
        pairs = self.made_up()
        forces, energy = pairs.low.forces.copy(), pairs.high.energy.copy()
        forces[0, 1] = np.nan
        energy[3] = np.nan
        low, high = FidelityLabels(pairs.low.energy, forces), FidelityLabels(energy, pairs.high.forces)
        table = table_of(pairs._replace(low=low, high=high)).loc["all"]
        assert table.loc["force components", ["n_values", "n_missing"]].tolist() == [359, 1]
        assert table.loc["energy referenced", ["n_values", "n_missing"]].tolist() == [59, 1]
        assert table.loc["energy referenced", "pearson"] == pytest.approx(1)
        assert table.loc["stress components", "n_missing"] == 540

    def test_seed_decides_the_interval_and_nothing_else(self):
        pairs = self.made_up()
        first, again, other = (pairs.correlation(seed=seed) for seed in (1, 1, 2))
        pd.testing.assert_frame_equal(first, again)
        assert not first["pearson_low"].equals(other["pearson_low"])
        assert first["pearson"].equals(other["pearson"])

    def test_saturated_references_have_no_correlation(self):
        X = composition_fractions([3, 8, 14], [0, 1, 2, 3])
        low, high = FidelityLabels(np.array([1.0, 2.0, 4.0])), FidelityLabels(np.array([2.0, 3.0, 9.0]))
        table = correlation(X, [0, 1, 2, 3], low, high, np.arange(3)).set_index("quantity")
        assert np.isnan(table.loc["energy referenced", "pearson"])
        assert np.isfinite(table.loc["energy raw", "pearson"])

    def test_grouped_values_widen_the_interval(self):
        rng = np.random.default_rng(0)
        centre = rng.normal(size=(30, 2))
        groups = np.repeat(np.arange(30), 40)
        a, b = (centre[groups] + 0.1 * rng.normal(size=(1200, 2))).T
        grouped = pearson_interval(a, b, groups, 400, np.random.default_rng(1))
        single = pearson_interval(a, b, np.arange(1200), 400, np.random.default_rng(1))
        assert grouped[0] == pytest.approx(np.corrcoef(a, b)[0, 1])
        assert grouped[2] - grouped[1] > 3 * (single[2] - single[1])

    def test_interval_of_independent_values_agrees_with_fisher(self):
        rng = np.random.default_rng(0)
        a = rng.normal(size=2000)
        b = 0.6 * a + 0.8 * rng.normal(size=2000)
        r, low, high = pearson_interval(a, b, np.arange(2000), 2000, rng)
        fisher = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / np.sqrt(1997))
        assert [low, high] == pytest.approx(fisher, abs=0.005)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 40))
def test_referencing_removes_any_elemental_shift(seed, n):
    rng = np.random.default_rng(seed)
    X = composition_fractions(rng.integers(1, 12, 3 * n), 3 * np.arange(n + 1))
    y = rng.normal(size=n)
    shifted = y + X @ rng.normal(0, 50, 94)
    np.testing.assert_allclose(referenced(X, shifted), referenced(X, y), atol=1e-8)


class TestImportance:
    @staticmethod
    def oxides(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        Z = np.array([[a, b, c] for a, b, c in zip(*rng.choice([3, 8, 9, 14, 22, 26], (3, 300)), strict=True)])
        return composition_fractions(Z.ravel(), 3 * np.arange(301)), np.full(300, 3)

    def test_finds_the_element_that_matters(self):
        rng = np.random.default_rng(0)
        X, sites = self.oxides(rng)
        elements = {"elements_low": np.full(94, -1.0), "elements_high": np.full(94, -3.0)}
        high = X @ np.full(94, -2.0) - 0.7 * (X[:, 7] > 0.5) + 0.001 * rng.normal(size=300)
        table = formation_importance(X, np.zeros(300), high, sites, **elements).set_index("element")
        assert table["importance"].idxmax() == "O"
        assert table.loc["O", "importance"] > 0.9
        assert set(table["reference"]) == {"elemental"}

    def test_structures_without_a_known_reference_are_counted(self):
        rng = np.random.default_rng(0)
        X, sites = self.oxides(rng)
        low = np.full(94, -1.0)
        low[25] = np.nan
        difference = rng.normal(size=300)
        table = formation_importance(X, np.zeros(300), difference, sites, elements_low=low, elements_high=np.zeros(94))
        expected = (X[:, 25] > 0) | ((X > 0).sum(axis=1) == 1)
        assert (table["n_excluded"] == expected.sum()).all()
        assert "Fe" not in set(table["element"])

    def test_one_sided_references_are_refused(self):
        X, sites = self.oxides(np.random.default_rng(0))
        with pytest.raises(ValueError, match="both fidelities"):
            formation_importance(X, np.zeros(300), np.zeros(300), sites, elements_low=np.zeros(94))

    def test_nothing_to_explain(self):
        X, sites = self.oxides(np.random.default_rng(0))
        table = formation_importance(X, np.zeros(300), X @ np.arange(94.0), sites)
        assert table.empty
        assert "fewer than two" in table.attrs["reason"]
