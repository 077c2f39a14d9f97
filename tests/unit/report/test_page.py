"""The page holds what the tables say, is one file, and asks the network for nothing."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from uprung import scaling
from uprung.config.laws import Laws
from uprung.config.study import Study
from uprung.evaluation.forgetting import forgetting_table
from uprung.evaluation.yardsticks import COLUMNS
from uprung.figures.style import new_figure, save
from uprung.labels.correlation import correlation
from uprung.labels.energy_shift import element_shift
from uprung.labels.fidelity import FidelityLabels
from uprung.report import svg
from uprung.report.captions import figures_of
from uprung.report.catalogue import FILES, expanded
from uprung.report.results import StudyResults, read_results
from uprung.report.sections import shift
from uprung.report.study_page import study_page
from uprung.scaling import crossovers, data_multiplier, fit_curves, laws_table
from uprung.scaling.settled import second_budgets
from uprung.softening.slopes import Forces, softening_table

FIGURES = ["energy", "labels", "shift", "elements", "importance"]


COMMAND = "snakemake --cores all --configfile small.yaml"


def study_values(**changes: Any) -> dict[str, Any]:
    """Return the content of a study file."""
    low, high = ({"functional": name, "sources": [{"format": "mlearn", "file": "x"}]} for name in ("PBE", "r2SCAN"))
    values = {
        "study": "small",
        "report": {"title": "A <small> study & more", "abstract": "Why.", "limits": ["It is made up"]},
        "fidelities": {"lo": low, "hi": high},
        "tests": {"softening": {"sets": {"far": low, "far-hi": high}}},
        "pairs": {"dimers": {"low": "lo", "high": "hi", "note": "two atoms"}},
        "transfer": {"pair": "dimers", "targets": ["energy", "force"]},
        "arms": {
            "scratch": {"init": "random", "references": "target", "label": "from <nothing>"},
            "swap": {"references": "target"},
            "keep": {"references": "checkpoint", "trainable": "readout"},
        },
        "sizes": [100, 200, 400, 800],
        "seeds": [0, 1],
        "budgets": {"quick": {"steps": 30}},
        "split": {"group": "frame", "draw": "frame"},
    }
    return values | changes


def study(**changes: Any) -> Study:
    return Study.model_validate(study_values(**changes))


def curves_table() -> pd.DataFrame:
    rows = []
    slopes = {"scratch": (50, 0.9), "swap": (2, 0.4), "keep": (9, 0.1)}
    for arm, (prefactor, exponent) in slopes.items():
        for size in (100, 200, 400, 800):
            for seed in (0, 1):
                for target in ("energy", "force"):
                    for population, n_test in (("all", 60), ("covered", 50)):
                        good = arm != "keep"
                        row = {"budget": "quick", "arm": arm, "size": str(size), "n_frames": size, "seed": seed}
                        row |= {"n_materials": 9, "fidelity": "hi", "target": target, "population": population}
                        row |= {"n_test": n_test, "mae": prefactor * size**-exponent * (1 + 0.02 * seed)}
                        row |= {
                            "baseline": 0.6,
                            "val_ratio": 0.4 if good else 1.3,
                            "converged": good,
                            "reason": "" if good else "still falling; worse",
                        }
                        rows.append(row)
    return pd.DataFrame(rows)


def second_of(curves: pd.DataFrame) -> pd.DataFrame:
    """Return what a second budget changes in a table of curves: 4 % everywhere."""
    again = curves.assign(budget="quickx2", steps=2000, mae=1.04 * curves["mae"])
    return second_budgets(pd.concat([curves.assign(steps=1000), again]), share=0.1).query("budget == 'quick'")


def yardsticks_of(curves: pd.DataFrame) -> pd.DataFrame:
    """Return one yardstick that goes with a table of curves."""
    runs = curves[curves["arm"] == "swap"][["size", "n_frames", "seed", "target", "population", "n_test"]]
    return runs.assign(yardstick="shift", mae=0.5).reindex(columns=list(COLUMNS))


def errors_of(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a breakdown of errors that goes with a table of curves."""
    runs = curves[["budget", "arm", "size"]].drop_duplicates()
    keys = [
        ("kind", "oxide", "energy"),
        ("element", "8", "energy"),
        ("element", "14", "energy"),
        ("force", "0.1", "force"),
    ]
    parts = [runs.assign(by=by, key=key, target=target, n=40, mae=0.0456, slope=0.9) for by, key, target in keys]
    return pd.concat(parts)


def worst_of(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the structures with the largest errors, as of `uprung.evaluation.worst`."""
    rows = pd.DataFrame({"rank": [1, 2], "frame_id": ["far", "near"], "formula": ["O2", "SiO2"], "nsites": [2, 3]})
    arms = pd.DataFrame({"arm": list(dict.fromkeys(curves["arm"]))})
    return rows.merge(arms, how="cross").assign(target="energy", error=0.25, worst_of="swap")


def metrics_of(curves: pd.DataFrame) -> list[dict[str, Any]]:
    """Return metrics of runs that go with a table of curves."""
    found = []
    for keys, run in curves.groupby(["budget", "arm", "size", "seed"]):
        errors = {t: {"mae": float(part["mae"].iloc[0])} for t, part in run.groupby("target")}
        source = {"frames": 30, "raw": {"energy": {"mae": 2.0, "frames": 30}, "force": {"mae": 0.1, "frames": 30}}}
        source |= {"rereferenced": {"energy": {"mae": 0.0123}}, "unseen": 2}
        metrics = {"kept": "last", "n_train": int(keys[2]), "last": {"all": errors}, "source": source}
        found.append(metrics | {"run": dict(zip(("budget", "arm", "size", "seed"), keys, strict=True))})
    return found


def softening_of(*slopes: float) -> pd.DataFrame:
    """Return the softening of two checkpoints, and of an arm that is like the second, on four made-up materials."""
    rng = np.random.default_rng(0)
    label = rng.normal(size=(80, 3))
    frame = np.arange(80) // 2
    material = np.array(["A", "B", "C", "D"], dtype=object)[frame // 10]
    found = []
    for slope in slopes:
        predicted = slope * label + rng.normal(scale=0.05, size=label.shape)
        forces = Forces(label, predicted, frame, material, np.full(80, "all", dtype=object))
        found.append(softening_table(forces, resamples=100, seed=0))
    nothing = {"budget": "", "arm": "", "size": "", "seed": -1, "n_frames_trained": np.nan}
    run = {"model": "run", "budget": "quick", "arm": "swap", "n_frames_trained": 800, "size": "800"}
    parts = [found[0].assign(model="chgnet-0.3.0", **nothing), found[1].assign(model="chgnet-r2scan", **nothing)]
    return pd.concat([*parts, *(found[1].assign(seed=seed, **run) for seed in (0, 1))])


def corrections_of(*methods: str) -> pd.DataFrame:
    """Return corrections of a checkpoint and of an arm; the arm's is told by the figure alone."""
    rows = [
        {"model": model, "method": method, "material": material, "shots": k, "draws": 50 if method == "number" else 3}
        | {"mae_ratio": ratio / (1 + (method != "number")), "slope_after": 0.96, "reason": ""}
        | {"mae_to_number": 1.0 if method == "number" else 0.5}
        for model in ("chgnet-0.3.0", "run")
        for method in methods
        for k in (1, 10)
        for material, ratio in (("A", 0.8), ("B", 0.9), ("C", 1.1))
    ]
    return pd.DataFrame(rows)


def write_files(folder: Path) -> None:
    """Write the files of a tiny study."""
    import json

    rng = np.random.default_rng(0)
    n = 40
    Z = np.repeat([1, 6, 8, 14], n // 4)
    X = np.zeros((n, 94))
    X[np.arange(n), Z - 1] = 1
    low, noise = rng.normal(size=n), rng.normal(scale=0.01, size=n)
    high = low - 0.3 * Z + noise
    groups = np.array([f"m{z}" for z in Z])
    forces = rng.normal(size=(2 * n, 3))
    offsets = 2 * np.arange(n + 1)
    agreement = correlation(
        X,
        offsets,
        FidelityLabels(low, forces),
        FidelityLabels(high, forces + 0.01),
        groups,
        n_bootstrap=100,
        limit=10.0,
    )
    curves = curves_table()
    found = scaling.law_tables(curves, Laws(extrapolate=[5000.0, 1500.0]), scratch="scratch")
    tables = {
        "split/sizes": pd.DataFrame(
            {"size": ["100", "100"], "seed": [0, 1], "n_frames": 100, "n_units": 100, "n_materials": [8, 9]}
        ).assign(n_elements=4),
        "analysis/dimers/correlation": agreement,
        "analysis/dimers/shift": element_shift(X, low, high, groups),
        "references/references": pd.DataFrame(
            {"Z": [1, 6], "element": ["H", "C"], "value": [-3.0, -8.0], "stderr": [0.01, 0.2], "n_structures": [3, 0]}
        ).assign(origin=["fit", "prior"], estimator="least-squares", reference="target", size="100"),
        "atomref/summary": pd.DataFrame(
            {
                "reference": ["target", "ridge"],
                "estimator": ["least-squares", "ridge"],
                "scope": "subset",
                "size": "100",
            }
        )
        .assign(
            n_frames=100,
            population="all",
            n_test=60,
            n_groups=60,
            n_seeds=2,
            mae=[0.5, 0.4],
            ratio=[1.0, 0.8],
            ratio_low=0.7,
        )
        .assign(ratio_high=0.9, mae_min=0.3, mae_max=0.6, mae_low=0.3, mae_high=0.6),
        "scaling/curves": curves,
        **{f"scaling/{name}": table for name, table in found.items()},
        "scaling/second_budget": second_of(curves),
        "scaling/yardsticks": yardsticks_of(curves),
        "errors/errors": errors_of(curves),
        "errors/worst": worst_of(curves),
        "softening/far/softening": softening_of(0.9, 0.7),
        "softening/far-hi/softening": softening_of(0.85, 0.65),
        "softening/far/correction": corrections_of("number", "training"),
        "softening/far-hi/correction": corrections_of("number"),
        "forgetting/forgetting": forgetting_table(metrics_of(curves), ["energy", "force"]),
    }
    for name, table in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / f"{name}.csv", index=False)
    manifest = {
        "label_scale": "VASP, made up",
        "read": 50,
        "left_out": {"element Ce": 4, "element Pr": 3},
        "rejected": [{"frame_id": "x", "reason": "energy is NaN"}] * 3,
        "written": 40,
        "labels": {"energy": 40, "energy_free": 0, "forces": 40, "stress_gpa": 0, "magmom": 40},
        "elements": {"1": 10, "6": 10, "8": 10, "14": 10},
        "parts": [{"file": "part-00000.parquet", "rows": 40, "sha256": "ab" * 32}],
        "energy_label": "energy",
        "sources": {"data.json.gz": "cd" * 32},
    }
    counts = [{"fidelity": f, "split": s, "frames": 10, "groups": 10} for f in ("lo", "hi") for s in ("train", "test")]
    excluded = [{"fidelity": "hi", "frame_id": "a", "reason": "force above 10 eV/Å"}]
    jsons = {
        "frames/lo/manifest": manifest,
        "frames/hi/manifest": manifest,
        "softening/far/frames/manifest": manifest | {"left_out": {}, "read": 43},
        "softening/far/left_out": {
            "frames": 40,
            "left_out": [{"frame_id": "y", "reason": "an atom without neighbours"}],
        },
        "softening/far-hi/frames/manifest": manifest | {"left_out": {}, "read": 40, "rejected": []},
        "softening/far-hi/left_out": {"frames": 40, "left_out": []},
        "pairs/dimers/manifest": {
            "match": "geometry",
            "pairs": 38,
            "warnings": [],
            "unpaired_low": ["a"],
            "unpaired_high": [],
        },
        "split/manifest": {
            "counts": [*counts, {"fidelity": "hi", "split": "excluded", "frames": 1, "groups": 1}],
            "excluded": excluded,
            "pretraining": {"test_materials": 40, "in_pretraining": None},
        },
        "analysis/dimers/summary": {"importance": ""},
        "card": {
            "wall_seconds": 90.0,
            "resumed": 1,
            "steps": 30,
            "options": {"recipe": {"batch_size": 32, "clip_norm": None, "weights": {"energy": 3.0, "stress": 0.1}}},
            "versions": {"torch": "2.13"},
            "hardware": {"cores": 2},
        },
    }
    card = jsons.pop("card")
    for name, content in jsons.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(content))
    for file in expanded(FILES["cards"].file, study()):
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_text(json.dumps(card))
    for name in figures_of(study()):
        figure, (axis,) = new_figure(width=2, height=1)
        axis.plot([0, 1], [0, 1], "o")
        save(figure, folder / "figures" / name)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    folder = tmp_path_factory.mktemp("study")
    write_files(folder)
    return read_results(folder, study())


def render(results: StudyResults, command: str = COMMAND, **changes: Any) -> str:
    return study_page(study(**changes), results, command=command)


def test_doubts_about_the_labels_stand_first(results: StudyResults) -> None:
    pair = {**results.pairs["dimers"], "warnings": ["38 of 38 pairs have the same energy in both fidelities"]}
    told = {"geometries": 2, "frames": 5, "more_than_ev_per_atom": 1e-3, "frame_ids": [["a", "b"], ["c", "d", "e"]]}
    frames = {**results.frames, "lo": {**results.frames["lo"], "same_geometry_other_energy": told}}
    words = Reader(render(replace(results, pairs={"dimers": pair}, frames=frames))).text
    first = "Pair dimers: 38 of 38 pairs have the same energy in both fidelities."
    second = "Fidelity lo has 2 geometries with energies that are more than 1 meV/atom apart; its manifest names them."
    agreement = shift.pair_findings(study(), results, "dimers")[0]
    assert words.index("Summary") < words.index(first) < words.index(second) < words.index(agreement)
    assert shift.doubts(results) == []


class Reader(HTMLParser):
    """Collects ids, references, tags and the visible text of a page."""

    VOID = frozenset(["meta", "img", "br", "hr", "link", "input"])

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[tuple[str, str, str]] = []
        self.tags: Counter[str] = Counter()
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name in ("href", "src", "xlink:href"):
                self.targets.append((tag, name, str(value)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title", "script"):
            self.text += data + " "


@pytest.fixture(scope="module")
def html(results: StudyResults) -> str:
    return render(results)


def test_page_is_well_formed_and_self_contained(html: str) -> None:
    reader = Reader(html)
    assert reader.open == []
    assert max(Counter(reader.ids).values()) == 1
    assert reader.tags["script"] == 1
    assert "fetch(" not in html
    assert "http" not in html[html.index("<script>") : html.index("</script>")]
    assert reader.tags["link"] == 0
    inside = {f"#{name}" for name in reader.ids}
    for tag, name, value in reader.targets:
        if value.startswith("#"):
            assert value in inside
        else:
            assert (tag, name) == ("a", "href")
            assert not re.match(r"[a-z]+:|/", value), "only paths relative to the page"
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    assert all(f"#{name}" in inside for name in re.findall(r"url\(#([^)]*)\)", html))


def test_figures_have_captions_and_text_for_those_who_do_not_see_them(html: str) -> None:
    reader = Reader(html)
    assert reader.tags["figure"] == reader.tags["figcaption"]
    assert html.count('class="picture"') == len(FIGURES) + 20
    named = re.findall(r'<svg[^>]*role="img" aria-label="[^"]{20,}"', html)
    decoration = re.findall(r'<svg[^>]*aria-hidden="true"', html)
    assert len(named) + len(decoration) == reader.tags["svg"]


def test_every_run_can_be_pointed_at_and_says_what_it_is(html: str, results: StudyResults) -> None:
    covered = results.curves[results.curves["population"] == "covered"]
    titles = re.findall(r'<path data-run tabindex="0"[^>]*><title>([^<]*)</title>', html)
    assert len(titles) == len(covered)
    assert "swap: n = 400, seed 1, 186 meV/atom" in titles
    assert sum("not in laws: still falling; worse" in title for title in titles) == int((~covered["converged"]).sum())


def sentences_of(html: str, section: str) -> list[str]:
    """Return the sentences of a section's lists, and the answer at the top."""
    (inside,) = re.findall(rf'<section id="{section}"(.*?)</section>', html, re.DOTALL)
    return ["".join(found) for found in re.findall(r"<li>(.*?)</li>|<p>(.*?)</p>", inside, re.DOTALL)]


def test_findings_say_what_the_summary_does_not(html: str) -> None:
    short, findings = sentences_of(html, "short"), sentences_of(html, "meaning")
    assert any(text.startswith("At the largest size (n = 800) the lowest energy error") for text in short)
    assert len(findings) > 5
    assert not set(short) & set(findings)


def test_captions_of_tables(html: str) -> None:
    tables = re.findall(r'<figure class="table">(.*?)</figure>', html, re.DOTALL)
    assert len(tables) == Reader(html).tags["table"]
    # a caption above the part that scrolls is read without scrolling
    assert all(re.match(r'\s*<figcaption>.+</figcaption>\s*<div class="tools"></div>', each) for each in tables)


def test_page_says_what_the_study_file_and_the_tables_say(html: str) -> None:
    text = re.sub(r"\s+", " ", Reader(html).text)
    for expected in (
        "A <small> study & more",
        "7 structures of excluded elements (Ce, Pr)",
        "3 structures rejected: energy is NaN",
        "the test is an interpolation along known curves",
        "force above 10 eV/Å",
        "from <nothing> overtakes swap between n = 400 and 800 (in every seed)",
        "fitted to target energies",
        "on all test structures is that of ridge, 0.400 eV/atom (target: 0.500)",
        "trains readout only",
        "It is made up.",
        "24 training runs with 720 optimiser steps took 36 min of wall time",
        "24 runs resumed",
        "cdcdcdcd",
        "snakemake --cores all --configfile small.yaml",
        "converged points at 0 distinct size(s); a power law needs 3",
        "by kind of compound in meV/atom, n = 800, all seeds together",
        "oxide 40 values",
        "Si 40 values",
        "on 30 held-out frames of lo in meV/atom, minus a fit linear in composition",
        "2 frames with elements in no training frame left out.",
        "12.3 raw 2,000",
        "24 training runs: 3 arms, 4 training-set sizes and 2 seeds.",
    ):
        assert expected in text
    assert "weights.stress" not in text, "not a target of this study"
    assert re.search(r"n = 100, 200, 400, 800 still falling", text), "both reasons of an unconverged run are listed"
    assert re.search(r"n = 100, 200, 400, 800 worse", text)


def test_another_study_gets_other_words(results: StudyResults) -> None:
    split = {"group": "chemical_system", "draw": "material"}
    text = Reader(render(results, split=split)).text
    assert "interpolation along known curves" not in text
    assert "by a keyed hash of their chemical system" in text
    nothing = replace(results, split=results.split | {"excluded": []})
    assert "No frame was excluded" in Reader(render(nothing)).text


def test_share_of_test_materials_that_pretraining_has_seen(results: StudyResults, html: str) -> None:
    assert "Whether chgnet-0.3.0 was pretrained on the test materials is unknown" in Reader(html).text
    known = replace(results, split=results.split | {"pretraining": {"test_materials": 40, "in_pretraining": 30}})
    assert "30 of 40 test materials (75 %) were in the pretraining set" in Reader(render(known)).text


def test_study_without_scratch_arm_is_a_page_too(results: StudyResults) -> None:
    arms = {name: arm for name, arm in study_values()["arms"].items() if name != "scratch"}
    curves = results.curves[results.curves["arm"] != "scratch"]
    fits = fit_curves(curves)
    laws = laws_table(fits)
    without = replace(
        results,
        curves=curves,
        laws=laws,
        crossover=crossovers(curves, fits, scratch=None),
        multiplier=data_multiplier(curves, scratch=None),
    )
    text = Reader(render(without, arms=arms)).text
    assert "pretraining has nothing to be compared with" in text
    assert "overtakes" not in text


def test_svg_ids_of_two_figures_do_not_collide() -> None:
    source = (
        '<?xml version="1.0"?><!DOCTYPE svg><svg width="72pt" height="36pt" viewBox="0 0 72 36">'
        '<metadata>http://example.org</metadata><defs><style type="text/css">*{x: y}</style><clipPath id="p1"/></defs>'
        '<g id="figure_1" clip-path="url(#p1)"/><use xlink:href="#p1"/><text>id="p1"</text></svg>'
    )
    one, two = (str(svg.inline_svg(source, prefix=name, alt='5 < 6 & "x"')) for name in ("a", "b"))
    ids = [re.findall(r'\sid="([^"]+)"', text) for text in (one, two)]
    assert ids == [["a-p1", "a-figure_1"], ["b-p1", "b-figure_1"]]
    assert 'clip-path="url(#a-p1)"' in one
    assert 'xlink:href="#a-p1"' in one
    assert 'aria-label="5 &lt; 6 &amp; &#34;x&#34;"' in one
    assert "<style" not in one
    assert "example.org" not in one
    assert 'width="72pt"' not in one
    assert 'viewBox="0 0 72 36"' in one


def test_large_svg_goes_in_as_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure, _ = new_figure(width=1, height=1)
    save(figure, tmp_path / "dots")
    monkeypatch.setattr(svg, "LARGEST", 10)
    markup = str(svg.inline_figure(tmp_path / "dots.svg", alt="dots"))
    assert markup.startswith('<img alt="dots" src="data:image/png;base64,iVBOR')
    (tmp_path / "dots.png").unlink()
    with pytest.raises(ValueError, match=r"dots\.png is missing"):
        svg.inline_figure(tmp_path / "dots.svg", alt="dots")


def test_softening_is_told_with_what_it_does_not_prove(results: StudyResults) -> None:
    text = " ".join(Reader(render(results)).text.split())
    assert "On far (PBE labels) chgnet-r2scan is softer than chgnet-0.3.0 in 4 of 4 materials" in text
    assert "chgnet-0.3.0 on far, chgnet-r2scan on far-hi" in text
    assert "chgnet-r2scan: over 4 materials the median slope is 0.7" in text
    assert "Hypotheses that this table cannot tell apart" in text
    # the slope of all forces stands with its interval
    assert re.search(r"100 % 100–100 % 0\.69\d 0\.69\d to 0\.70\d", text)
    assert "arms at n = 800, mean over 2 seeds" in text


def test_frames_that_are_not_tested_are_told(results: StudyResults) -> None:
    text = " ".join(Reader(render(results)).text.split())
    told = (
        "4 of 43 structures are not tested: 3 structures rejected: energy is NaN; 1 structure left out: an atom without"
    )
    assert told in text
    assert text.count("are not tested") == 1  # all of far-hi are


def test_every_method_of_correction_is_told_with_its_draws(results: StudyResults) -> None:
    text = " ".join(Reader(render(results)).text.split())
    assert (
        "chgnet-0.3.0, fitted to 10 structures of a material: one number multiplies the MAE by 0.90 (median "
        "over 3 materials, 0.80 to 1.10; 50 draws) and brings the median slope to 0.96; fine-tuning multiplies the MAE "
        "by 0.45 (median over 3 materials, 0.40 to 0.55; 3 draws) and brings the median slope to 0.96; that is 0.50 of "
        "the MAE after one number on the same draws." in text
    )
    assert text.count("the whole network is trained on the labelled structures") == 1  # far-hi has the number alone


def test_the_words_about_many_networks_are_opened_by_a_reader(results: StudyResults) -> None:
    table = results.softening["far"]
    more = [table[table["model"] == "chgnet-r2scan"].assign(model=name) for name in ("one", "two")]
    page = render(replace(results, softening=results.softening | {"far": pd.concat([table, *more])}))
    folded = page.index("<details><summary>Every network in words</summary>")
    assert folded < page.index("two: over 4 materials the median slope") < page.index("</details>", folded)
    assert "Every network in words" not in render(results)


def test_stiff_checkpoints_have_no_hypotheses_about_softness(results: StudyResults) -> None:
    table = softening_of(0.7, 0.9)
    text = render(replace(results, softening={"far": table, "far-hi": table}))
    assert "softer than chgnet-0.3.0 in 0 of 4 materials" in text
    assert "Hypotheses" not in text


def test_only_the_table_of_energies_by_element_counts_a_structure_several_times(html: str) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, re.DOTALL)
    counted = [caption for caption in captions if "An energy counts for every element" in caption]
    assert len(counted) == 1
    assert "energy by element" in counted[0]


def test_without_evaluation_sets_there_is_no_section(results: StudyResults) -> None:
    text = render(replace(results, softening={}))
    assert "Softening" not in text
