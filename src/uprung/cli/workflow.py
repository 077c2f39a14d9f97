"""Run the workflow of the package in the working folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from uprung.config.load import StudyError, find_file, load_study
from uprung.config.points import PointsStudy
from uprung.config.strict_yaml import places
from uprung.config.study import Study
from uprung.job.files import why_not_writable
from uprung.job.stages import STAGES, with_rules
from uprung.job.workflow import workflow_folder
from uprung.models.registry import contradictions

DEMO = "config/demo.yaml"


def run(study: str | None, *, cores: str, options: Sequence[str] = ()) -> int:
    """Run a study and say where its report is.

    Args:
        study: the study file; None for the demo.
        cores: how many cores, or `all`.
        options: for Snakemake, targets among them.

    Returns:
        The exit status: 0 where all is done.

    Raises:
        StudyError: the study file asks for something that is not allowed, or the working folder cannot be written.
    """
    known = loaded(checked(study))
    name = known.study
    elsewhere = _given(("--directory", "-d"), options)
    if not elsewhere and (why := why_not_writable(Path("results", name).absolute())):
        raise StudyError(f"{why}; start it in a folder of your own")
    arguments = [*("--snakefile", str(workflow_folder() / "Snakefile")), *with_rules(options, rules_of(known))]
    if study is not None:
        arguments += ["--configfile", study]
    if not _given(("--cores", "-c", "--jobs", "-j", "--workflow-profile"), options):
        arguments += ["--cores", cores]
    if sys.stderr.isatty() and not _given(("--logger", "-n", "--dry-run", "--dryrun", "--lint", "--summary"), options):
        arguments += ["--logger", "uprung"]
    status = snakemake(arguments)
    report = Path("results", name, "report.html")
    plain = not any(option.startswith("-n") or option.startswith("--dry") for option in options)
    if status == 0 and plain and report.is_file():
        print(f"report: {report}\nmodels: {report.parent / 'models/index.csv'}")
    elif status and plain:
        print(
            f"uprung: the study {name} is not complete; each job above names its log. What is done stays: the same "
            "command goes on from there",
            file=sys.stderr,
        )
    return status


def rules_of(study: Study | PointsStudy) -> set[str]:
    """Return the rules behind the stages that a study has."""
    points = {"fit_laws", "write_points_report"}
    if isinstance(study, PointsStudy):
        return points
    physics, absent = study.tests.physics, {"write_points_report"}
    if physics is None:
        absent |= {*STAGES["physics"]}
    elif physics.repair is None:
        absent.add("repair_physics")
    return {rule for rules in STAGES.values() for rule in rules} - absent


def snakemake(arguments: Sequence[str]) -> int:
    """Be Snakemake for some arguments; return its exit status."""
    from snakemake.cli import main  # takes a second

    sys.argv = ["snakemake", *arguments]  # rules look at the options of the command line
    try:
        main(list(arguments))
    except SystemExit as ended:
        if isinstance(ended.code, str):  # the rules say in a line why they stop; an exit prints it, a return does not
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def checked(study: str | None) -> Path:
    """Return the path of a study file; raises StudyError where there is none."""
    if study is None:
        return workflow_folder() / DEMO
    if not Path(study).is_file():
        raise StudyError(f"{study}: there is no such study file; `uprung new low.xyz high.xyz -o {study}` writes one")
    return Path(study)


def loaded(file: Path) -> Study | PointsStudy:
    """Return a study whose keys, options and files have been checked.

    Raises:
        StudyError: with every problem, each with file, line and what is allowed.
    """
    where = os.path.relpath(file)
    from snakemake.common.configfile import load_configfile  # takes a second

    found = places(file, where)
    study = load_study(load_configfile(file), where=where, places=found, contradictions=contradictions)
    folders = (Path.cwd(), workflow_folder())
    if isinstance(study, PointsStudy):
        find_file(study.points, folders, key=f"{where}: points")
        return study
    sets = study.tests.softening.sets
    for section, named in (("fidelities", study.fidelities), ("tests.softening.sets", sets)):
        for name, entry in named.items():
            for source in entry.sources:
                find_file(source.file, folders, key=f"{where}: {section}.{name}")
    return study


def _given(names: Sequence[str], options: Sequence[str]) -> bool:
    return any(option.split("=")[0] in names for option in options)
