"""Words of a study, of data and of figures are words on the page: never markup, script or template."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_page import curves_table, render, study, study_values, write_files

from uprung.figures.style import new_figure, save
from uprung.report.interactive import interactive_curves
from uprung.report.results import read_results
from uprung.report.svg import inline_png, inline_svg

HARMLESS = "plain words"
HOSTILE = [
    "<script>bad()</script>",
    '"><img src=x onerror=bad()>',
    "' onload='bad()",
    "</title></style></svg><script>bad()</script>",
    "<!-- <svg onload=bad()>",
    "]]><script>bad()</script>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt; &#60;script&#62;",
    "javascript:bad()",
]


class Elements(HTMLParser):
    """Counts elements and names of attributes; collects text and values of attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: Counter[tuple[str, ...]] = Counter()
        self.words = ""
        self.feed(str(html))  # else `Markup` would escape what is added to it
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag, *(name for name, _ in attrs)] += 1
        self.words += "".join(f"{value}\n" for _, value in attrs)

    def handle_endtag(self, tag: str) -> None:
        self.found["/" + tag] += 1

    def handle_comment(self, data: str) -> None:
        self.found["comment"] += 1

    def handle_data(self, data: str) -> None:
        self.words += data


def same_elements(make: Callable[[str], str], words: str) -> Elements:
    """Assert that a page with hostile words has the elements of one with harmless words; return what is in it."""
    hostile, harmless = Elements(make(words)), Elements(make(HARMLESS))
    assert hostile.found == harmless.found
    assert not [name for names in hostile.found for name in names[1:] if name.startswith("on")]
    assert "49" not in hostile.words or "49" in harmless.words
    return hostile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_files(folder)
    return folder


def poison(folder: Path, words: str) -> None:
    """Put words into every place of the tables that comes from data or from a study."""

    def edit(name: str, **changes: Any) -> None:
        path = folder / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    for name in ("lo", "hi"):
        edit(
            f"frames/{name}/manifest",
            label_scale=words,
            left_out={words: 4, "element Pr": 3},
            rejected=[{"frame_id": words, "reason": words}] * 3,
            sources={words: "cd" * 32},
            parts=[{"file": words, "rows": 40, "sha256": "ab" * 32}],
        )
    split = json.loads((folder / "split/manifest.json").read_text())
    split["excluded"] = [{"fidelity": "hi", "frame_id": words, "reason": words}]
    edit("split/manifest", **split)
    edit("pairs/dimers/manifest", unpaired_low=[words])
    edit("analysis/dimers/summary", importance=words)
    for card in folder.glob("runs/**/card.yaml"):
        facts = {"versions": {"torch": words}, "hardware": {"cores": 2, "processor": words}}
        card.write_text(json.dumps(json.loads(card.read_text()) | facts))
    curves = curves_table()
    curves["reason"] = curves["reason"].where(curves["reason"] == "", words)
    curves.to_csv(folder / "scaling/curves.csv", index=False)
    softening = pd.read_csv(folder / "softening/far/softening.csv")
    for column in ("material", "reason"):
        if column in softening:
            softening[column] = words
    softening.to_csv(folder / "softening/far/softening.csv", index=False)
    figure, (axis,) = new_figure(width=12, height=6)
    axis.plot([0, 1], [0, 1], "o", label=words)
    axis.set(xlabel=words, ylabel=words, title=words, xticks=[0, 1], yticks=[0, 1])  # else words move the ticks
    axis.legend()
    save(figure, folder / "figures/parity")


def words_of_study(words: str) -> dict[str, Any]:
    values = study_values()
    for name, arm in values["arms"].items():
        arm["label"] = f"{words} {name}"  # labels of two arms differ
    values["report"] = {"title": words, "abstract": words, "limits": [words]}
    values["pairs"]["dimers"]["note"] = words
    values["fidelities"]["lo"]["functional"], values["fidelities"]["hi"]["functional"] = words, words + " hi"
    return values | {"command": f"snakemake --configfile {words}"}


@pytest.mark.parametrize("words", [HOSTILE[0], HOSTILE[3], HOSTILE[6]])
def test_words_of_studies_and_data_stay_words(folder: Path, words: str) -> None:
    def make(these: str) -> str:
        poison(folder, these)
        return render(read_results(folder, study()), **words_of_study(these))

    found = same_elements(make, words)
    assert found.words.count(words) >= 10
    assert found.found[("script",)] == 1


@pytest.mark.parametrize("words", HOSTILE)
def test_names_of_given_points_stay_words(words: str) -> None:
    """Arms and budgets of a table of one's own are any text."""

    def make(these: str) -> str:
        curves = curves_table().replace({"scratch": these})
        nothing = pd.DataFrame(columns=["target", "chosen", "arm", "n", "mae", "low", "high"])
        labels = {these: these, "swap": "swap", "keep": "keep"}
        name = f"explore-{these}-energy"
        return interactive_curves(curves, nothing, labels, target="energy", x_label=these, name=name)

    assert words in same_elements(make, words).words


@pytest.mark.parametrize("words", HOSTILE)
def test_what_is_said_about_a_figure_stays_words(words: str) -> None:
    svg = '<svg width="10pt" height="10pt"><path id="a"/></svg>'
    same_elements(lambda these: inline_svg(svg, prefix="p", alt=these), words)
    same_elements(lambda these: inline_png(b"png", alt=these), words)
