"""What the page says of a repair with few labels, and of properties after a transfer, follows from intervals alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_page import study

from uprung.config.short import presets
from uprung.figures.repair import repair as figure
from uprung.figures.style import save
from uprung.physics.repair import COLUMNS, NUMBER, TRAINING, UNTOUCHED
from uprung.physics.repair_tables import repair_table
from uprung.physics.transfer import transfer_table
from uprung.report.blocks import Cell, Details, Picture, Sentences, Table
from uprung.report.sections.repair import _short, section
from uprung.report.sections.transfer import after_transfer

PRESETS = presets()["physics"]
SETS = {
    name: PRESETS[name][name] for name in ("volumes", "own-elastic-constants", "own-elastic-constants-r2scan", "mixing")
}
TESTS = {
    "softening": {"sets": {"solids-pbe": presets()["sets"]["solids"]["solids-pbe"]}},
    "physics": {"sets": SETS, "repair": {"pools": ["solids-pbe"], "shots": [1, 5], "draws": 4}},
}


def values(name: str, quantity: str, scales: dict[tuple[str, int], float], materials: int) -> pd.DataFrame:
    parts = []
    x = np.linspace(100, 200, materials)
    noise = 1 + 0.02 * np.cos(np.arange(materials))
    for (way, shots), scale in scales.items():
        for draw in range(1 if way == UNTOUCHED else 4):
            table = pd.DataFrame({"reference": x, "untouched": 0.8 * x * noise, "predicted": scale * x * noise})
            about = {"way": way, "shots": shots, "draw": draw, "set": name, "quantity": quantity, "unit": "GPa"}
            parts.append(table.assign(**about, material=[f"m{k}" for k in range(materials)], key="", reason=""))
    return pd.concat(parts).reindex(columns=COLUMNS)


def table() -> pd.DataFrame:
    better = {(UNTOUCHED, 0): 0.8, (NUMBER, 1): 1.01, (NUMBER, 5): 1.0, (TRAINING, 1): 0.6, (TRAINING, 5): 0.99}
    found = pd.concat(
        [
            values("own-elastic-constants", "C11", better, 6),
            values("own-elastic-constants", "C44", better, 2),
            values("volumes", "volume per atom", {(UNTOUCHED, 0): 0.8, (NUMBER, 1): 0.8, (NUMBER, 5): 0.8}, 6),
        ]
    )
    kinds = {"own-elastic-constants": "elastic-constants", "volumes": "volumes"}
    found = found.assign(model="chgnet-0.3.0", pool="solids-pbe", functional="PBE", test=found["set"].map(kinds))
    return repair_table(found, resamples=200, seed=0, tolerance=0.1, shared=True)


def results(folder: Path) -> Any:
    save(figure(table()), folder / "physics-repair")
    return SimpleNamespace(
        physics={"repair": table()}, figures={"physics-repair": folder / "physics-repair.svg"}, softening={}
    )


def test_the_section_answers_per_property(tmp_path: Path) -> None:
    blocks = list(section(study(tests=TESTS), results(tmp_path)))
    (found,) = [block.sentences for block in blocks if isinstance(block, Sentences)]
    assert "no value is judged with a structure of its own composition" in found[0]
    number = next(line for line in found if "one number:" in line)
    assert number.startswith(
        "chgnet-0.3.0, PBE, k = 1, one number: one label is enough: C11 (own-elastic-constants, 0.80"
    )
    assert "not settled: 2 of 3 properties, 1 of them without an interval" in number
    trained = next(line for line in found if "fine-tuning:" in line)
    assert "worse: C11" in trained
    assert any("No pool has labels of the functional of own-elastic-constants-r2scan" in line for line in found)
    assert any("by one number alone" in line and "volumes" in line for line in found)
    (shown,) = [block for block in blocks if isinstance(block, Table)]
    assert [list(row[:4]) for row in shown.rows] == [
        ["C11", "own-elastic-constants", "chgnet-0.3.0", "one number"],
        ["C11", "own-elastic-constants", "chgnet-0.3.0", "fine-tuning"],
        ["volume per atom", "volumes", "chgnet-0.3.0", "one number"],
    ]
    assert shown.rows[0][4] == Cell("0.80", "to be repaired")
    assert shown.rows[0][6].note == "enough"  # type: ignore[union-attr]
    (details,) = [block for block in blocks if isinstance(block, Details)]
    assert len(details.tables[0].rows) == 10  # type: ignore[union-attr]
    assert [block.name for block in blocks if isinstance(block, Picture)] == ["physics-repair"]


@pytest.mark.parametrize(
    ("reading", "short"),
    [
        ("one label is enough", "enough"),
        ("better, but 5 labels are not enough", "better, not enough"),
        ("better, not settled whether enough", "better, enough?"),
        ("worse", "worse"),
        ("not settled", "not settled"),
    ],
)
def test_a_column_that_names_k_has_the_reading_without_it(reading: str, short: str) -> None:
    assert _short(reading) == short


def test_labels_of_the_same_composition_are_named_so(tmp_path: Path) -> None:
    physics = {**TESTS["physics"], "repair": {"pools": ["solids-pbe"], "labels": "same"}}
    (said,) = [
        block.sentences
        for block in section(study(tests={**TESTS, "physics": physics}), results(tmp_path))
        if isinstance(block, Sentences)
    ]
    assert "all labels are of the composition that is judged, none of a structure that it is judged on" in said[0]


def test_nothing_is_said_where_the_repair_is_off() -> None:
    assert list(section(study(), SimpleNamespace())) == []
    assert list(section(study(tests={"physics": {"sets": SETS}}), SimpleNamespace())) == []


def test_the_figure_has_a_panel_per_property_and_both_functionals_in_it() -> None:
    own = table()
    other = own.assign(functional="r2SCAN", set=own["set"] + "-r2scan")
    drawn = figure(pd.concat([own, other], ignore_index=True))
    panels = [axis for axis in drawn.axes if axis.get_visible()]
    titles = ["C11\n(own-elastic-constants, -r2scan)", "C44\n(own-elastic-constants, -r2scan)"]  # volumes do not move
    assert [axis.get_title() for axis in panels] == titles
    assert len(panels[0].containers) == 4
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("chgnet-0.3.0, PBE", "chgnet-0.3.0, r²SCAN", "one number", "fine-tuned", "no interval")
    ]
    drawn.draw_without_rendering()
    (text,) = figure(own[own["way"] == UNTOUCHED]).axes[0].texts
    assert text.get_text().startswith("no ")


def network(scale: float, **about: Any) -> pd.DataFrame:
    x = np.linspace(10, 30, 12)
    own = pd.DataFrame({"reference": x, "predicted": scale * x + 0.01 * (-1.0) ** np.arange(12)})
    kind = {"set": "own-paths", "quantity": "unrelaxed barrier", "unit": "eV", "key": ""}
    return own.assign(**kind, material=[f"m{k}" for k in range(12)], **about)


def slopes() -> pd.DataFrame:
    rows = [
        {"model": model, "budget": budget, "arm": arm, "size": size, "seed": seed, "material": material, "slope": slope}
        for model, budget, arm, size, seed, slope in [
            *(("chgnet-0.3.0", "", "", "", -1, 0.9), ("chgnet-r2scan", "", "", "", -1, 0.5)),
            *(("run", "quick", "keep", "800", 0, 0.6), ("run", "quick", "keep", "800", 1, 0.8)),
        ]
        for material in ("Li", "Si", "all materials")
    ]
    return pd.DataFrame(rows).assign(subset="all")


def test_an_arm_is_said_to_soften_by_its_interval() -> None:
    start = network(0.95, model="chgnet-0.3.0", budget="", arm="", size="", seed=-1)
    run = {"model": "run", "budget": "quick", "size": "800", "seed": 0}
    found = pd.concat([start, network(0.8, arm="keep", **run), network(0.95, arm="alike", **run)])
    own = transfer_table(found, dict.fromkeys(["keep", "alike"], "chgnet-0.3.0"), resamples=200, seed=0)
    blocks = list(after_transfer(own, {"far": slopes()}, {"keep": "Kept"}, "quick"))
    (said,) = [block.sentences for block in blocks if isinstance(block, Sentences)]
    assert said == [
        "Kept, n = 800, against chgnet-0.3.0, of 1 property with an interval: ratios fall for unrelaxed barrier "
        "(own-paths, 0.95 to 0.80); errors rise for unrelaxed barrier (own-paths, 1.00 to 4.00).",
        "alike, n = 800, against chgnet-0.3.0, of 1 property with an interval: no change is settled by its interval.",
        "Median slope of the forces on far before and after: Kept, n = 800, 0.90 to 0.70.",
    ]
    assert list(after_transfer(own, {}, {}, "another")) == []
    few = transfer_table(found[found["material"].isin(["m0", "m1"])], {"keep": "chgnet-0.3.0"}, resamples=200, seed=0)
    (line,) = next(block for block in after_transfer(few, {}, {}, "quick") if isinstance(block, Sentences)).sentences
    assert line.endswith("no property has the three materials that an interval needs.")
