from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from factories import make_frame, table_of

from uprung.datasets.store import Dataset
from uprung.evaluation.error_tables import FORCE_RANGES, compound_kinds, error_table, mean_errors_by
from uprung.models.data import open_dataset, write_dataset

ROWS = np.array([2, 0, 1])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    frames = table_of(
        [
            make_frame("a", Z=(14, 8), energy=-4.0, forces=np.array([[0.5, 0, 0], [-0.5, 0, 0]])),
            make_frame("b", Z=(14, 14), energy=-6.0, forces=np.array([[2.0, 0, 0], [-2.0, 0, 0]])),
            make_frame("c", Z=(3, 8), energy=-2.0, forces=None),
        ]
    )
    folder = tmp_path_factory.mktemp("graphs")
    write_dataset(frames, frames.label("energy"), folder, name="chgnet")
    return open_dataset(folder / "manifest.json")


@pytest.fixture(scope="module")
def table(dataset: Dataset) -> pd.DataFrame:
    """Energies 0.1, 0.2, 0.4 eV/atom too high; forces at 80 % of their size."""
    labels = dataset.labels(ROWS)
    predicted = {"energy": labels.energy + np.array([0.1, 0.2, 0.4]), "force": np.nan_to_num(0.8 * labels.forces)}
    return mean_errors_by(error_table(predicted, dataset, ROWS, ["energy", "force"]), [])


def value(table: pd.DataFrame, by: str, key: str, target: str) -> pd.Series:
    found = table[(table["by"] == by) & (table["key"] == key) & (table["target"] == target)]
    assert len(found) == 1
    return found.iloc[0]


def test_an_energy_counts_for_every_element_in_the_structure(table: pd.DataFrame) -> None:
    assert value(table, "element", "3", "energy")["mae"] == pytest.approx(0.1)
    assert value(table, "element", "8", "energy")["mae"] == pytest.approx(0.15)  # rows c and a
    assert value(table, "element", "14", "energy")["mae"] == pytest.approx(0.3)  # a and b
    assert value(table, "element", "8", "energy")["n"] == 2


def test_forces_count_for_the_atom_they_act_on(table: pd.DataFrame) -> None:
    assert value(table, "element", "8", "force")["mae"] == pytest.approx(0.1 / 3)  # per component, two are zero
    assert value(table, "element", "14", "force")["mae"] == pytest.approx((0.1 + 0.4 + 0.4) / 9)
    assert not len(table[(table["key"] == "3") & (table["target"] == "force")]), "frame c has no forces"


def test_ranges_of_the_force_and_the_slope_of_a_soft_network(table: pd.DataFrame) -> None:
    small, large = value(table, "force", "0.3", "force"), value(table, "force", "1.0", "force")
    assert (small["n"], large["n"]) == (6, 6)
    assert (small["mae"], large["mae"]) == (pytest.approx(0.1 / 3), pytest.approx(0.4 / 3))
    assert small["slope"] == large["slope"] == pytest.approx(0.8)
    assert set(table.loc[table["by"] == "force", "key"]) <= {str(lower) for lower in FORCE_RANGES}


def test_sums_of_runs_are_averaged_over_values_and_not_over_runs(dataset: Dataset) -> None:
    labels = dataset.labels(ROWS)
    runs = [
        error_table({"energy": labels.energy[:k] + shift}, dataset, ROWS[:k], ["energy"]).assign(seed=k)
        for k, shift in ((3, 0.1), (1, 0.5))
    ]
    both = mean_errors_by(pd.concat(runs), [])
    assert value(both, "element", "8", "energy")["mae"] == pytest.approx((0.1 + 0.1 + 0.5) / 3)
    apart = mean_errors_by(pd.concat(runs), ["seed"])
    assert set(apart["seed"]) == {1, 3}


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ((26,), "element"),
        ((8,), "element"),
        ((12, 8), "oxide"),
        ((12, 8, 9), "halide"),
        ((3, 16), "chalcogenide"),
        ((31, 7), "nitride"),
        ((31, 15), "pnictide"),
        ((22, 6), "carbide or organic"),
        ((22, 1), "hydride"),
        ((12, 14), "boride or silicide"),
        ((13, 28), "intermetallic"),
    ],
)
def test_kinds_of_compounds(elements: tuple[int, ...], kind: str) -> None:
    X = np.zeros((1, 94))
    X[0, np.array(elements) - 1] = 1 / len(elements)
    assert compound_kinds(X).tolist() == [kind]


def test_every_value_is_counted_once_per_kind(dataset: Dataset) -> None:
    labels = dataset.labels(ROWS)
    found = error_table({"energy": labels.energy, "force": labels.forces}, dataset, ROWS, ["energy", "force"])
    for target, total in (("energy", 3), ("force", 12)):
        for by in ("kind", "force") if target == "force" else ("kind",):
            assert found[(found["by"] == by) & (found["target"] == target)]["n"].sum() == total
