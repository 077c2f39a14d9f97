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

from uprung.study_file import StudyError, find_file, load_study, size_token
from uprung.provenance import code_digest

CONFIG_FILE = (
    workflow.overwrite_configfiles[-1]
    if workflow.overwrite_configfiles
    else "config/demo.yaml"
)
FOLDERS = (Path.cwd(), Path(workflow.basedir))

try:
    STUDY = load_study(config, where=os.path.relpath(CONFIG_FILE))
    SOURCES = {
        name: [
            find_file(s.file, FOLDERS, key=f"{CONFIG_FILE}: fidelities.{name}")
            for s in fidelity.sources
        ]
        for name, fidelity in STUDY.fidelities.items()
    }
    EVALSET_SOURCES = {
        name: [
            find_file(s.file, FOLDERS, key=f"{CONFIG_FILE}: evalsets.{name}")
            for s in evalset.sources
        ]
        for name, evalset in STUDY.evalsets.items()
    }
    PRETRAINING_MATERIALS = [
        find_file(file, FOLDERS, key=f"{CONFIG_FILE}: transfer.pretraining_materials")
        for file in [STUDY.transfer.pretraining_materials]
        if file
    ]
except StudyError as error:
    sys.exit(
        f"uprung: the study file needs a correction before anything can run\n{error}"
    )

SIZES = {
    size_token(size): size for size in STUDY.sizes
}  # path token -> size as the user wrote it
DEVICE = STUDY.training.device


def one_of(names):
    """Return a regular expression that matches these names only, nothing when there are none."""
    return "|".join(map(str, names)) or "(?!)"


def part(section):
    """Return a section of the study as plain values, for params: a change of it, and of nothing else, reruns."""
    return section.model_dump(mode="json", by_alias=True)


def reference_of(arm):
    """Return the name of the reference fit of an arm, or None when it keeps the checkpoint's."""
    return STUDY.arms[arm].atomref.fit


def reference_input(wildcards):
    """Return the reference table of a run's arm, none for `from: checkpoint`."""
    name = reference_of(wildcards.arm)
    return (
        [f"<results>/references/{name}/n{wildcards.size}/seed{wildcards.seed}.csv"]
        if name
        else []
    )


def element_manifests(*references):
    """Return the frames that hold the elemental energies of some references, one file per fidelity."""
    return [
        f"<results>/frames/{fidelity}/manifest.json"
        for fidelity in element_fidelities(*references)
    ]


def element_fidelities(*references):
    """Return the fidelities that some references take elemental energies from."""
    named = [STUDY.references[name].elements for name in references]
    return list(dict.fromkeys(name for name in named if name))


def source_graphs(needed):
    """Return the graph store of the source fidelity where it is needed."""
    return [f"<results>/graphs/{STUDY.low}/manifest.json"] if needed else []


def is_joint(arm):
    """Return whether an arm trains one network for both fidelities."""
    return STUDY.arms[arm].fidelities == "joint"


wildcard_constraints:
    fidelity=one_of(STUDY.fidelities),
    pair=one_of(STUDY.pairs),
    reference=one_of(STUDY.references),
    budget=one_of(STUDY.budgets),
    arm=one_of(STUDY.arms),
    size=one_of(SIZES),
    seed=one_of(STUDY.seeds),
    evalset=one_of(STUDY.evalsets),
    model=one_of(STUDY.softening.models),
