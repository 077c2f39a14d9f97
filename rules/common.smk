"""Python that the rules share: the validated study, file look-up, slices of the study for params."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "src"))
# Scripts run in interpreters of their own, on this machine or on a cluster node: this is how they find uprung.
os.environ |= {
    "PYTHONPATH": os.pathsep.join(
        dict.fromkeys([*sys.path[:1], *os.getenv("PYTHONPATH", "").split(os.pathsep)])
    ),
    # glibc hands large blocks back to the system after every step otherwise, and page faults dominate CPU training
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
}

from uprung.job.files import why_not_writable
from uprung.job.parent import PARENT, name_of_process
from uprung.config.load import StudyError, find_file, load_study, size_token
from uprung.job.provenance import code_digest
from uprung.models.registry import card_of, contradictions

os.environ[PARENT] = name_of_process()  # a job ends when this process has ended

CONFIG_FILE = (
    workflow.overwrite_configfiles[-1]
    if workflow.overwrite_configfiles
    else "config/demo.yaml"
)
FOLDERS = (Path.cwd(), Path(workflow.basedir))

try:
    STUDY = load_study(
        config, where=os.path.relpath(CONFIG_FILE), contradictions=contradictions
    )
    POINTS = getattr(
        STUDY, "points", None
    )  # a table of given points: nothing is trained
    SOFTENING = None if POINTS else STUDY.tests.softening
    SOURCES = {
        name: [
            find_file(s.file, FOLDERS, key=f"{CONFIG_FILE}: fidelities.{name}")
            for s in fidelity.sources
        ]
        for name, fidelity in ({} if POINTS else STUDY.fidelities).items()
    }
    if POINTS:
        POINTS = find_file(POINTS, FOLDERS, key="points")
    EVALSET_SOURCES = {
        name: [
            find_file(s.file, FOLDERS, key=f"{CONFIG_FILE}: tests.softening.sets.{name}")
            for s in evalset.sources
        ]
        for name, evalset in ({} if POINTS else SOFTENING.sets).items()
    }
    PRETRAINING_MATERIALS = [
        find_file(file, FOLDERS, key=f"{CONFIG_FILE}: transfer.pretraining_materials")
        for file in ([] if POINTS else [STUDY.transfer.pretraining_materials])
        if file
    ]
except StudyError as error:
    sys.exit(
        f"uprung: the study file needs a correction before anything can run\n{error}"
    )


if not POINTS:
    config["seeds"] = STUDY.seeds  # as scripts read them; the study file may give their number


def one_of(names):
    """Return a regular expression that matches these names only, nothing when there are none."""
    return "|".join(map(str, names)) or "(?!)"


def part(section):
    """Return a section of the study as plain values, for params: a change of it, and of nothing else, reruns."""
    return section.model_dump(mode="json", by_alias=True)


def check_results():
    """Stop before the first job when results cannot be written."""
    why = why_not_writable(Path("results") / STUDY.study)
    if why:
        sys.exit(f"uprung: {why}")
