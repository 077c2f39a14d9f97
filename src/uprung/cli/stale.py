"""Results of runs that a study no longer plans: listed, and removed when asked.

A run is stale when its budget, arm, size or seed is no longer in the study file. With it go what was made from it alone
(its softening, its properties, its test), its logs, events, resume states and checksums. Nothing else is touched: a
file below a stale run is removed only if a job of uprung wrote it, its content is still that of its checksum, and the
study file does not name it as data or checkpoint.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from uprung.cli.workflow import checked, loaded
from uprung.config.points import PointsStudy
from uprung.config.runs import longer_runs, tuned_arms, tuned_at
from uprung.config.study import Study
from uprung.job.checksums import FOLDER as CHECKSUMS
from uprung.job.checksums import is_unchanged
from uprung.job.files import file_name, size_token
from uprung.job.made import FOLDER as MADE
from uprung.training.events import PREFIX

#: What lies beside results under the same names, and which of its files uprung writes.
_BESIDE: dict[str, str] = {
    CHECKSUMS: r".*\.json",
    "logs": r".*\.log",
    "benchmarks": r".*\.tsv",
    "tensorboard": rf"{re.escape(PREFIX)}.*",
    "state": r"last\.(ckpt|ckpt\.tmp|previous|lock)|[0-9a-f]{16,}\.json",
}
# `seed1` is no beginning of `seed10`, nor `rate0.001` of `rate0.0015`
_RUN = r"(?P<budget>[^/]+)/(?P<arm>[^/]+)/n(?P<size>[^/]+)/seed(?P<seed>\d+)(?=[-./]|$)"
_RATE = r"rate(?P<rate>[0-9.e+-]+?)(?=/|\.(?!\d)|$)"
_TRIAL = rf"(?P<arm>[^/]+)/n(?P<size>[^/]+)/seed(?P<seed>\d+)/(?P<budget>[^/]+)/{_RATE}"
_KINDS = {
    "run": rf"(?:|softening/[^/]+/|physics/)runs/{_RUN}",
    "trial of a learning rate": rf"tune/{_TRIAL}",
    "learning rate of an arm": r"tune/(?P<arm>[A-Za-z0-9-]+)(?=\.)",
    "pseudo-labels": r"teachers/(?P<arm>[A-Za-z0-9-]+)(?=[./]|$)",
    "Fisher information": r"fisher/(?P<arm>[A-Za-z0-9-]+)(?=[./]|$)",
    "holes of an arm": r"holes/arms/(?P<arm>[A-Za-z0-9-]+)(?=\.)",
    "pretrained network": r"pretraining/(?P<network>[A-Za-z0-9-]+)(?=[./]|$)",
}


@dataclass
class Stale:
    """What is left of a run, or of what was made for an arm.

    Attributes:
        name: kind and name, as `run steps20/scratch/n60/seed0`.
        files: what can be removed, relative to the folder of the study.
        kept: files that uprung did not write, that are not what it wrote, or that the study file names.
    """

    name: str
    files: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)


def stale(study: Study, results: Path) -> list[Stale]:
    """Return what a study no longer plans, by name.

    Args:
        study: the study as it is now.
        results: its folder, `results/<study>`.
    """
    planned, named_in_study, found = _planned(study), _files_of(study), dict[str, Stale]()
    for path in _files(results):
        named = _name_of(path.as_posix())
        if named is None or planned[named[0]](named[1]):
            continue
        entry = found.setdefault(f"{named[0]} {named[1]}", Stale(f"{named[0]} {named[1]}"))
        place = (results / path).resolve()
        used = any(place == file or file in place.parents for file in named_in_study)
        (entry.files if _is_ours(results, path) and not used else entry.kept).append(path)
    return [found[name] for name in sorted(found)]


def remove_files(entries: list[Stale], results: Path) -> None:
    """Remove the files of stale runs, the notes of how they were made, and folders that are empty then."""
    for path in (path for entry in entries for path in entry.files):
        (results / path).unlink(missing_ok=True)
        (results / MADE / f"{file_name(path.as_posix())}.json").unlink(missing_ok=True)
        for folder in (results / path).parents:
            if folder == results or any(folder.iterdir()):
                break
            folder.rmdir()


def in_words(entries: list[Stale], results: Path, *, removed: bool, study: str) -> str:
    """Return the list as it is printed; `study` is the study file."""
    if not entries:
        return f"{results}: every run is one that {study} plans"
    lines = list[str]()
    for entry in entries:
        size = 0 if removed else sum((results / path).stat().st_size for path in entry.files)
        lines.append(f"  {entry.name}: {len(entry.files)} files" + ("" if removed else f", {size / 1e6:.1f} MB"))
        lines += [f"    kept, named in the study or not as uprung wrote it: {results / path}" for path in entry.kept]
    head = f"{results}: {'removed' if removed else 'no longer planned by'}{'' if removed else f' {study}'}:"
    tail = [] if removed else [f"nothing was removed; to remove them: uprung stale {study} --remove"]
    return "\n".join([head, *lines, *tail])


def _files_of(study: Study) -> set[Path]:
    """Return the files and folders that a study file names: any of its words that is one."""

    def words(value: object) -> Iterator[str]:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        yield from ([value] if isinstance(value, str) else (word for each in inside for word in words(each)))

    return {
        Path(word).resolve() for word in words(study.model_dump(mode="json")) if "/" in word and Path(word).exists()
    }


def _files(results: Path) -> Iterator[Path]:
    """Yield the files below a folder, relative to it; links are not followed."""
    for folder, inside, names in os.walk(results):  # Path.walk is of Python 3.12
        inside[:] = sorted(name for name in inside if not Path(folder, name).is_symlink())
        yield from (Path(folder, name).relative_to(results) for name in sorted(names))


def _name_of(path: str) -> tuple[str, str] | None:
    """Return kind and name of what a file belongs to; None where it belongs to no run and no arm."""
    beside, _, rest = path.partition("/")
    rest = rest if beside in _BESIDE else path
    for kind, pattern in _KINDS.items():
        if met := re.match(pattern, rest):
            parts = met.groupdict()
            if kind == "run":
                return kind, "{budget}/{arm}/n{size}/seed{seed}".format(**parts)
            if "rate" in parts:
                return kind, "{arm}/n{size}/seed{seed}/{budget}/rate{rate}".format(**parts)
            return kind, next(iter(parts.values()))
    return None


def _planned(study: Study) -> dict[str, Callable[[str], bool]]:
    """Return kind -> whether the study plans a name of it."""
    runs = {f"{r.budget}/{r.arm}/n{size_token(r.size)}/seed{r.seed}" for r in [*study.runs, *longer_runs(study)]}
    tuned = set(tuned_arms(study))
    rates = study.tune.learning_rates if study.tune else []
    trials = {
        f"{arm}/n{size_token(tuned_at(study))}/seed{seed}/{next(iter(study.budgets))}/rate{rate:g}"
        for arm in tuned
        for seed in (study.arms[arm].seeds or study.seeds)[:1]
        for rate in rates
    }
    pulled = {name for name, arm in study.arms.items() if arm.ewc}
    searched = set(study.arms) if study.tests.holes else set[str]()
    names = {
        "run": runs,
        "trial of a learning rate": trials,
        "learning rate of an arm": tuned,
        "pseudo-labels": {name for name, arm in study.arms.items() if arm.replay and arm.replay.teachers},
        "Fisher information": pulled,
        "holes of an arm": searched,
        "pretrained network": set(study.pretraining),
    }
    return {kind: known.__contains__ for kind, known in names.items()}


def _is_ours(results: Path, path: Path) -> bool:
    """Return whether a job wrote a file, and it is still what the job wrote."""
    if (results / path).is_symlink():
        return False
    beside = path.parts[0]
    if beside in _BESIDE:
        return re.fullmatch(_BESIDE[beside], path.name) is not None
    record = results / CHECKSUMS / path.parent / f"{path.name}.json"
    try:
        return is_unchanged(results / path, json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def stale_here(study: str, *, remove: bool) -> str:
    """List what a study no longer plans of its results in the working folder, and remove it when asked.

    Args:
        study: the study file.
        remove: whether it is removed.

    Returns:
        The list.

    Raises:
        StudyError: the study file asks for something that is not allowed.
        ValueError: a study that trains nothing; Snakemake is at work here.
    """
    found = loaded(checked(study))
    if isinstance(found, PointsStudy):
        raise ValueError(f"{study}: a study of given points has no runs")
    results = Path("results", found.study)
    if remove and any(path.is_file() for path in Path(".snakemake/locks").glob("*")):
        raise ValueError(
            "Snakemake is at work in this folder, or was killed in it: wait, or `snakemake --unlock` first"
        )
    entries = stale(found, results)
    if remove:
        remove_files(entries, results)
    return in_words(entries, results, removed=remove, study=study)
