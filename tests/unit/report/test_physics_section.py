"""What the page says of properties follows from the tables; nothing is said where the test is off."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from test_page import study

from uprung.config.short import presets
from uprung.figures.style import new_figure, save
from uprung.physics.tables import summary
from uprung.report.blocks import Definitions, Details, Picture, Sentences, Table
from uprung.report.captions import figures_of
from uprung.report.sections.physics import section

PRESETS = presets()["physics"]
TESTS = {"physics": {"sets": PRESETS["volumes"] | PRESETS["mixing"]}}


def results(folder: Path, soft: float) -> Any:
    parts = []
    for model, budget, arm, size, seed, scale in [
        ("chgnet-0.3.0", "", "", "", -1, 1.0),
        ("run", "quick", "keep", "800", 0, soft),
    ]:
        x = np.linspace(10, 30, 12)
        about = {"model": model, "budget": budget, "arm": arm, "size": size, "seed": seed}
        table = pd.DataFrame({"reference": x, "predicted": scale * x + 0.01 * (-1.0) ** np.arange(12)})
        table = table.assign(set="volumes", quantity="volume per atom", unit="Å³", converged=True, reason="", x=np.nan)
        parts.append(table.assign(material=[f"m{k}" for k in range(12)], key="", **about))
    values = pd.concat(parts, ignore_index=True)
    values.loc[0, ["predicted", "converged", "reason"]] = [np.nan, False, "the volume became 9 times the first one"]
    values.loc[1, "converged"] = False
    tables = {"values": values, "summary": summary(values, resamples=200, seed=0)}
    names = [name for name in figures_of(study(tests=TESTS)) if name.startswith("physics")]
    for name in names:
        save(new_figure()[0], folder / name)
    return SimpleNamespace(physics=tables, figures={name: folder / f"{name}.svg" for name in names})


def test_the_section_reads_from_findings_to_reasons(tmp_path: Path) -> None:
    blocks = list(section(study(tests=TESTS), results(tmp_path, 0.9)))
    (found,) = [block.sentences for block in blocks if isinstance(block, Sentences)]
    keep = next(line for line in found if line.startswith("keep, n = 800, seed 0"))
    assert "volume per atom (volumes, 0.90) lies below 1" in keep
    untouched = next(line for line in found if line.startswith("chgnet-0.3.0"))
    assert "none differs from 1" in untouched
    assert any(line.startswith("1 value is missing") for line in found)
    assert any(line.startswith("Behind 1 value a relaxation") for line in found)
    (about,) = [block.entries for block in blocks if isinstance(block, Definitions)]
    assert about["volumes"][0].startswith("PBE; cell and atoms relaxed")
    assert "Hubbard U" in about["volumes"][1]
    assert "name no functional" in about["mixing"][1]
    assert [block.name for block in blocks if isinstance(block, Picture)] == [
        "physics-ratios",
        "physics",
        "physics-mixing",
    ]
    (table,) = [block for block in blocks if isinstance(block, Table)]
    assert [row[2] for row in table.rows] == ["chgnet-0.3.0", "keep, n = 800, seed 0"]
    assert table.rows[0][7] == "1 / 1"
    (details,) = [block for block in blocks if isinstance(block, Details)]
    assert details.tables[0].rows == [["volumes", "m0", "chgnet-0.3.0", "the volume became 9 times the first one"]]


def test_a_network_with_high_values_is_said_to_have_them(tmp_path: Path) -> None:
    blocks = list(section(study(tests=TESTS), results(tmp_path, 1.1)))
    (found,) = [block.sentences for block in blocks if isinstance(block, Sentences)]
    assert any("lies above 1" in line and "below" not in line for line in found)


def test_nothing_is_said_where_the_test_is_off() -> None:
    assert list(section(study(), SimpleNamespace())) == []


def test_many_sets_and_many_ratios_stay_readable(tmp_path: Path) -> None:
    tests = {"physics": {"sets": dict.fromkeys("abcdefghi", PRESETS["volumes"]["volumes"])}}
    given = results(tmp_path, 0.9)
    (low,) = [row for _, row in given.physics["summary"].query("model == 'run'").iterrows()]
    ratios = {name: 0.9 - 0.01 * k for k, name in enumerate("abcdefghi")}
    rows = [dict(low) | {"set": name, "ratio": ratio, "ratio_high": 0.95} for name, ratio in ratios.items()]
    given.physics["summary"] = pd.DataFrame(rows)
    blocks = list(section(study(tests=tests), given))
    (found,) = [block.sentences for block in blocks if isinstance(block, Sentences)]
    keep = next(line for line in found if line.startswith("keep"))
    assert "volume per atom (i, 0.82)" in keep  # the farthest from 1 is the first
    assert "(c, 0.88)" not in keep
    assert keep.endswith("and 3 more lie below 1.")
    folded = {block.summary: block.tables for block in blocks if isinstance(block, Details)}
    assert any(
        isinstance(part, Definitions)
        for part in folded["The 9 sets: how each is tested, and what is not verified about it"]
    )
    assert any(isinstance(part, Table) for part in folded["Ratios and errors of every network in every set"])
    assert not any(isinstance(block, Definitions | Table) for block in blocks)
