"""Tables and figures are declared once: what the stages write, what the page shows and what the docs list agree."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from test_page import render, study, study_values, write_files

from uprung.config.short import presets
from uprung.report.captions import FIGURES, as_markdown, figures_of
from uprung.report.catalogue import FILES, expanded
from uprung.report.results import read_results

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_files(folder)
    return folder


def test_columns_of_names_and_sentences_are_declared(folder: Path) -> None:
    for entry in FILES.values():
        for file in expanded(entry.file, study()) if entry.read and entry.file.endswith(".csv") else []:
            table = pd.read_csv(folder / file, keep_default_na=False)
            words = {
                column
                for column in table.select_dtypes("object")
                if pd.to_numeric(table[column].replace({"True": 1, "False": 0, "": 0}), errors="coerce").isna().any()
            }
            assert words <= set(entry.text), file


def test_every_declared_figure_and_linked_file_is_on_the_page(folder: Path) -> None:
    page = render(read_results(folder, study()))
    for name in figures_of(study()):
        assert f'id="figure-{name}"' in page or name.endswith("-sizes"), name  # one size has no curve
    for entry in FILES.values():
        for file in expanded(entry.file, study()):
            assert (f'href="{file}"' in page) == entry.linked, file


def test_figures_that_compare_need_something_to_compare() -> None:
    physics = {"physics", "physics-ratios", "physics-mixing", "physics-phonons", "physics-repair"}
    assert not {"budgets", "before-after", "holes", *physics} & set(figures_of(study()))
    assert "parity-stress" in figures_of(study(transfer={"pair": "dimers", "targets": ["energy", "stress"]}))
    assert "parity-force" not in figures_of(study(transfer={"pair": "dimers", "targets": ["energy", "stress"]}))
    network = {"own": {"steps": 10}}
    arms = study_values()["arms"] | {"own": {"init": "own", "references": "target"}}
    more = study(pretraining=network, arms=arms, budgets={"quick": {"steps": 30}, "long": {"epochs": 5}})
    assert {"budgets", "before-after"} <= set(figures_of(more))
    assert "holes" in figures_of(study(tests={"holes": {}}))
    sets = presets()["physics"]
    assert physics & set(figures_of(study(tests={"physics": {"sets": sets["volumes"]}}))) == {
        "physics",
        "physics-ratios",
    }
    every = {"sets": sets["volumes"] | sets["mixing"] | sets["phonons"]}
    assert physics - set(figures_of(study(tests={"physics": every}))) == {"physics-repair"}
    pools = {name: entry for name, entry in presets()["sets"]["solids"].items() if name == "solids-pbe"}
    repaired = {"softening": {"sets": pools}, "physics": {**every, "repair": {"pools": ["solids-pbe"]}}}
    assert physics <= set(figures_of(study(tests=repaired)))
    assert set(FIGURES) - {"parity-stress", "budgets", "before-after", "holes", *physics} == {
        name.replace("dimers", "{pair}").replace("far-hi", "{evalset}").replace("far", "{evalset}")
        for name in figures_of(study())
    }


def test_a_size_with_a_percent_sign_has_the_folder_that_rules_give_it() -> None:
    values = {"sizes": ["0.5%"], "split": {"group": "material", "draw": "material"}}
    assert expanded(FILES["cards"].file, study(**values))[0] == "runs/quick/scratch/n0.5pct/seed0/card.yaml"


def test_the_list_in_the_docs_is_up_to_date() -> None:
    assert (DOCS / "results.md").read_text() == as_markdown(), "run `make schema`"
