"""What runs again after one change: what hangs on it, and nothing else. By dry runs in copies of the finished study."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from workplace import Workplace

Change = Callable[[Workplace], object]

REPORT = {"write_report": 1}
DRAWN = {"plot_scaling": 1, **REPORT}
LAWS = {"fit_laws": 1, **DRAWN}
CURVES = {"collect_curves": 1, "plot_convergence": 1, "plot_training": 1, **LAWS}  # histories are drawn, too
TESTED = {"index_models": 1, "collect_errors": 1, **CURVES}
TRAINED = {"train_run": 9, "evaluate_run": 9, **TESTED}
ANALYSED = {"analyse_shift": 1, "plot_shift": 1, **REPORT}
COMPARED = {"compare_references": 1, "plot_comparison": 1}
# n = 0, and what needs no network
MEASURED = {"evaluate_untouched": 1, "yardsticks": 1}
REFERENCED = {
    **MEASURED,
    **{"predict_pretrained": 1, "evaluate_pretrained": 1, "fit_reference": 6, "plot_references": 1},
    **COMPARED,
    **TRAINED,
}
SPLIT = {"split": 1, "order": 1, "sizes": 1, "build_graphs": 2, **REFERENCED}
FULL = {"frames": 2, "pairs": 1, "analyse_shift": 1, "plot_shift": 1, **SPLIT}

TRAINING = "src/uprung/training/loop.py"
DATA = "data/diatomics/diatomics-dft.json.gz"


def code(file: str) -> Change:
    """Return an edit that changes what a module of the library defines."""
    return lambda place: append(place.folder / file, "\n\nANOTHER_NUMBER = 1\n")


def swap(file: str, old: str, new: str) -> Change:
    """Return a replacement of a text that occurs once in a file."""
    return lambda place: place.edit(file, old, new)


def together(*changes: Change) -> Change:
    """Return several changes as one."""
    return lambda place: [change(place) for change in changes]


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def words(place: Workplace) -> None:
    """Change a docstring and add a comment, in the library and in a script."""
    path = place.folder / TRAINING
    path.write_text(path.read_text().replace('"""', '"""Other words first. ', 1) + "\n# a remark\n")
    append(place.folder / "scripts/train.py", "# a remark\n")


def touch(*files: str) -> Change:
    """Return a change of the time of change alone."""
    return lambda place: [os.utime(place.folder / file) for file in files]


def study(**changes: object) -> Change:
    """Return a change of options of the micro study, given as section__key or key."""

    def change(place: Workplace) -> None:
        def put(content: dict) -> None:
            for name, value in changes.items():
                *sections, key = name.split("__")
                part = content
                for section in sections:
                    part = part.setdefault(section, {})
                part[key] = value

        place.configure(put)

    return change


def tracked(place: Workplace) -> None:
    """Ask for MLflow; an empty package stands for it where it is not installed, since nothing runs."""
    (place.folder / "src/mlflow.py").touch()
    place.configure(lambda content: content.update(tracking={"mlflow": {"tracking_uri": "sqlite:///runs.db"}}))


def older(place: Workplace) -> None:
    """Replace the data file by another release with an earlier time of change, as `cp -p` and `unzip` do."""
    path = place.folder / DATA
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\n"))
    os.utime(path, (1e9, 1e9))


CHANGES: dict[str, tuple[Change, dict[str, int]]] = {
    # what reruns nothing, several changes at once
    "times of change": (
        touch("scripts/train.py", TRAINING, "rules/training.smk", "tests/workflow/micro.yaml", DATA),
        {},
    ),
    "words": (
        together(
            words,
            swap(TRAINING, "step %d of %d  %svalidation", "step %d (%d): %svalidation"),
            swap(TRAINING, "give `split` other shares", "choose other shares"),
        ),
        {},
    ),
    "what no result depends on": (
        together(
            code("src/uprung/job/files.py"),
            swap(
                "src/uprung/config/arms.py",  # another option of an arm, off by default
                "    label: str = Field(",
                '    unused: bool = Field(default=False, description="Not used.")\n    label: str = Field(',
            ),
            study(resources__memory_mb=2500, resources__minutes=9),
            tracked,
        ),
        {},
    ),
    # code
    "code of a script": (code("scripts/train.py"), TRAINED),
    "how tables are written": (code("src/uprung/frames/intake.py"), FULL),
    "how frames are sampled": (code("src/uprung/datasets/splits.py"), SPLIT),
    "code of the training": (code(TRAINING), TRAINED),
    "code of the evaluation": (
        code("src/uprung/evaluation/errors.py"),
        {"evaluate_run": 9, "evaluate_pretrained": 1, "evaluate_untouched": 1, **TESTED},
    ),
    "code of the curves": (code("src/uprung/scaling/curves.py"), CURVES),
    "code of the laws": (code("src/uprung/laws/power.py"), LAWS),
    "code of a figure": (code("src/uprung/figures/scaling.py"), DRAWN),
    "code of the network": (
        # the code of an architecture has one fingerprint, so that its graphs are built anew as well
        code("src/uprung/models/chgnet/packed.py"),
        {
            **{"build_graphs": 2, "predict_pretrained": 1, "evaluate_pretrained": 1, "fit_reference": 3},
            **{"plot_references": 1, "evaluate_untouched": 1, **TRAINED},
        },
    ),
    "code of the reference fits": (
        code("src/uprung/atomref/references.py"),
        {
            **{"evaluate_pretrained": 1, "fit_reference": 6, "plot_references": 1, **COMPARED, **MEASURED, **TRAINED},
            **{"analyse_shift": 1, "plot_shift": 1},  # the shift is a fit of references, too
        },
    ),
    "code of the comparison of references": (code("src/uprung/atomref/compare.py"), {**COMPARED, **REPORT}),
    "code of an estimator": (
        code("src/uprung/atomref/huber.py"),  # no run is tested with an estimator: only its table of references is read
        {"fit_reference": 6, "plot_references": 1, **COMPARED, **MEASURED, **TRAINED, "train_run": 6},
    ),
    # options
    "learning rate": (study(training__learning_rate=5e-4), TRAINED),
    "batch size": (study(training__batch_size=16), TRAINED),
    "force limit of the analysis": (
        study(analysis__force_limit=5.0),
        {"analyse_shift": 1, "plot_shift": 1, **REPORT},
    ),
    "resamples of the curves": (study(scaling__bootstrap=200), {**COMPARED, **CURVES}),
    "one more reference": (
        study(references={"robust": {"labels": "target", "estimator": "huber"}}),
        {**COMPARED, **REPORT},
    ),
    "another law": (study(scaling__laws={"law": "shifted"}), LAWS),
    "published points": (study(scaling__show_published=True), DRAWN),
    "title": (study(report__title="Another title"), REPORT),
    "label of an arm": (
        study(arms__scratch__label="from scratch"),
        {"collect_errors": 1, "plot_convergence": 1, "plot_training": 1, **DRAWN},
    ),
    "key of the split": (study(split__key="another"), {**SPLIT}),
    # jobs
    "one more seed": (
        study(seeds=[0, 1]),
        {
            **{"order": 1, "sizes": 1, "fit_reference": 6, "train_run": 9, "evaluate_run": 9},
            **COMPARED,
            **MEASURED,
            **TESTED,
        },
    ),
    "one more size": (
        study(sizes=[60, 120, 180, 240]),
        {
            **{"sizes": 1, "fit_reference": 2, "plot_references": 1, "train_run": 3, "evaluate_run": 3},
            **COMPARED,
            **MEASURED,
            **TESTED,
        },
    ),
    "one more size and another learning rate": (
        study(sizes=[60, 120, 180, 240], training__learning_rate=5e-4),
        {
            **{"sizes": 1, "fit_reference": 2, "plot_references": 1},
            **COMPARED,
            **MEASURED,
            **TRAINED,
            **{"train_run": 12, "evaluate_run": 12},
        },
    ),
    "one size less": (study(sizes=[60, 120]), {"sizes": 1, "plot_references": 1, **COMPARED, **MEASURED, **TESTED}),
    "one arm less": (
        lambda place: place.configure(lambda content: content["arms"].pop("checkpoint-ref")),
        {**TESTED, "evaluate_untouched": 1},
    ),
    # data
    "an older release of the data": (older, FULL),
    "another selection": (study(transfer__select__max_force=8.0), SPLIT),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reruns_what_hangs_on_it(finished: Workplace, name: str) -> None:
    change, expected = CHANGES[name]
    change(finished)
    assert finished.planned() == expected


def test_everything_runs_at_first(fresh: Workplace) -> None:
    assert fresh.planned() == FULL
