"""Names of a study file become paths: whatever is accepted stays inside the study's folder, the rest is refused."""

from __future__ import annotations

import copy
import re
import string
from functools import reduce
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from uprung.config.base import LONGEST_NAME
from uprung.config.load import StudyError, load_study
from uprung.config.points import PointsStudy
from uprung.job.files import size_token

ROOT = Path(__file__).parents[3]
DEMO = load_study(yaml.safe_load((ROOT / "config/demo.yaml").read_text())).model_dump(mode="json")
STUDY: dict[str, Any] = {**DEMO, "pretraining": {"own": {"steps": 10}}}
STUDY["tests"]["softening"]["snapshots"] = {"hot": {"structures": "some.extxyz"}}
#: Sections whose keys are names.
SECTIONS = (
    *("fidelities", "pairs", "references", "arms", "budgets", "pretraining"),
    *("tests.softening.sets", "tests.softening.snapshots"),
)
HOSTILE = [
    *(
        "../../etc",
        "..",
        ".",
        "a/b",
        "/etc/passwd",
        "a b",
        " a",
        "a ",
        "",
        "a\nb",
        "a\n",
        "a\tb",
        "a\x00b",
        "~",
        "~root",
    ),
    *(
        "a\\b",
        "C:a",
        "-a",
        "--cores",
        "a-",
        "a--b",
        "a_b",
        "a.b",
        ".hidden",
        "a{b}",
        "{arm}",
        "<results>",
        "a*",
        "$HOME",
    ),
    *("$(id)", "`id`", "a;b", "a|b", "a&b", "'", '"', "%2e%2e", "naïve", "４", "á", "аrm", "\u202eabc", "\ud800", "😀"),
    *("x" * (LONGEST_NAME + 1), "x" * 100_000),
]
ALLOWED = f"letters and digits (a-z, A-Z, 0-9), parts joined by single hyphens, at most {LONGEST_NAME} characters"


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(StudyError) as caught:
        load_study(data, where="study.yaml")
    return str(caught.value)


def with_key(section: str, name: str) -> dict[str, Any]:
    """Return the study with one more entry of a section, under this name."""
    study = copy.deepcopy(STUDY)
    entries: Any = study
    for key in section.split("."):
        entries = entries[key]
    entries[name] = copy.deepcopy(next(iter(entries.values())))
    entries[name].pop("label", None)  # that of another arm
    return study


def test_the_study_is_accepted_as_it_is() -> None:
    load_study(STUDY)
    for section in SECTIONS:
        load_study(with_key(section, "another-one2"))


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_the_name_of_a_study_is_refused(name: str) -> None:
    message = refusal(STUDY | {"study": name})
    assert message.startswith("study.yaml: study: ")
    assert ALLOWED in message
    assert len(message) < 400
    points = {"study": name, "points": "my.csv"}
    assert ALLOWED in refusal(points)


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_a_name_in_a_section_is_refused_with_its_key(section: str, name: str) -> None:
    line = next(line for line in refusal(with_key(section, name)).splitlines() if ALLOWED in line)
    assert line.startswith(f"study.yaml: {section}.")
    assert line.isprintable() or "\ud800" in name
    assert len(line) < 500


@pytest.mark.parametrize("name", [5, True, None, ["a"], {"a": 1}, 1.5])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    assert "study.yaml: study: " in refusal(STUDY | {"study": name})


@pytest.mark.parametrize(
    "size",
    [
        "../1",
        "1/2%",
        "/1",
        "1 ",
        "４００",
        "٣%",
        "1" * 16,
        "0." + "0" * 20 + "1%",
        "1%%",
        "all/..",
        "",
        "n1",
        -1,
        1.5,
    ],
)
def test_a_size_that_is_none_is_refused(size: object) -> None:
    assert re.match(r"study\.yaml: sizes\.0: .* is not a size: give ", refusal(STUDY | {"sizes": [size]}))


@pytest.mark.parametrize("seed", ["../1", "a", -1, 2**32, 10**300, 1.5, None, "４x"])
def test_a_seed_that_is_none_is_refused(seed: object) -> None:
    assert "study.yaml: seeds.0: " in refusal(STUDY | {"seeds": [seed]})
    changed = copy.deepcopy(STUDY)
    changed["pretraining"]["own"]["seed"] = seed
    assert "study.yaml: pretraining.own.seed: " in refusal(changed)


TEXTS = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="./~-%\\ ab01", max_size=12),
    st.text(alphabet=string.ascii_letters + string.digits + "-", max_size=70),
)


def paths(study: Any) -> list[str]:
    """Return paths of the kinds that rules make of a study's names."""
    found = [f"results/{study.study}/report.html"]
    if isinstance(study, PointsStudy):
        return found
    top = f"results/{study.study}"
    for section in SECTIONS:
        entries = reduce(getattr, section.split("."), study)
        found += [f"{top}/{section}/{name}/x.csv" for name in entries]
    found += [
        f"{top}/logs/runs/{budget}/{arm}/n{size_token(size)}/seed{seed}/train.log"
        for budget in study.budgets
        for arm in study.arms
        for size in study.sizes
        for seed in study.seeds
    ]
    return found + [f"{top}/figures/softening-{name}-correction.svg" for name in study.tests.softening.sets]


def inside(path: str, study: str) -> bool:
    """Return whether a path stays in the study's folder, whatever it is resolved with, and can exist."""
    parts = PurePosixPath(path).parts
    resolved = Path("/base", path).resolve()
    return (
        parts[:2] == ("results", study)
        and path == str(PurePosixPath(path))
        and resolved.is_relative_to(Path("/base/results", study))
        and len(resolved.parts) == len(parts) + 2
        and path.isascii()
        and not re.search(r"[\s{}<>*?$`'\"\\]", path)
        and max(map(len, parts)) <= 255
        and len(path) < 1000
    )


@settings(deadline=None, max_examples=60)
@given(
    names=st.lists(TEXTS, min_size=9, max_size=9),
    size=st.one_of(TEXTS, st.integers()),
    seed=st.one_of(TEXTS, st.integers()),
)
def test_what_is_accepted_stays_in_the_folder_of_the_study(names: list[str], size: object, seed: object) -> None:
    """Every name on its own: one that is refused is left out, so that all that are accepted are looked at."""
    for k, name in enumerate(names):
        changes = [STUDY | {"study": name}] if k == 0 else [with_key(SECTIONS[k - 1], name)]
        changes += [STUDY | {"sizes": [size]}, STUDY | {"seeds": [seed]}] if k == 0 else []
        for data in changes:
            try:
                study = load_study(data)
            except StudyError:
                continue
            assert [path for path in paths(study) if not inside(path, study.study)] == []


def test_the_property_can_fail() -> None:
    for path in ("results/../x", "results/a/../../x", "/results/a/x", "results/b/x", "results/a//x", "results/a/x y"):
        assert not inside(path, "a")
    assert inside("results/a/x", "a")


def test_a_size_in_a_path_has_no_percent_sign() -> None:
    assert [size_token(size) for size in ("0.1%", "100", "all")] == ["0.1pct", "100", "all"]
