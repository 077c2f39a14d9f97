"""Python that the rules share: the validated study, file look-up, slices of the study for params."""

import gc
import os
import re
import sys
from functools import partial
from inspect import isfunction, signature
from pathlib import Path

from snakemake.common import overwrite_function_params
from snakemake.io import strip_wildcard_constraints


def elsewhere(entries):
    """Return the entries of a search path without the working folder: files beside the data are no modules."""
    return [entry for entry in entries if os.path.realpath(entry) != os.getcwd()]


# the folder of this workflow, which another one may use as a module
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent

if {*"{}"} & {*str(ROOT)}:
    sys.exit(
        f"uprung: Snakemake takes the braces in the path of this checkout for wildcards: {ROOT}\n"
        "        move it to a path without them"
    )

# in a checkout beside the Snakefile; in an installed package around it
SRC = str(ROOT / "src" if (ROOT / "src").is_dir() else ROOT.parents[1])
sys.path[:] = [SRC, *elsewhere(sys.path)]
GIVEN = os.getenv("PYTHONPATH", "").split(os.pathsep)
# Scripts run in interpreters of their own, on this machine or on a cluster node: this is how they find uprung.
os.environ |= {
    "PYTHONPATH": os.pathsep.join(dict.fromkeys([SRC, *elsewhere(GIVEN)])),
    "PYTHONUTF8": "1",  # whatever the locale: files, names and logs are UTF-8
    "PYTHONSAFEPATH": "1",  # nor does `python -m` put the working folder first
    # glibc hands large blocks back to the system after every step otherwise, and page faults dominate CPU training
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_ARENA_MAX": "1",  # it does so for all threads but the first one in any case, unless they share its memory
}

# planning makes millions of objects that stay; looking for garbage among them took an eighth of its time
gc.disable()

from uprung.job.contents import contents
from uprung.job.files import size_token, why_not_writable
from uprung.job.made import others, refusal
from uprung.job.stages import forced_stages, refusal_to_force
from uprung.job.parent import PARENT, name_of_process
from uprung.config.arms import CHECKPOINT
from uprung.config.base import plain
from uprung.config.load import StudyError, find_file, load_study
from uprung.config.runs import longer_budgets, longer_runs, tuned_arms, tuned_at
from uprung.config.strict_yaml import places
from uprung.job.fingerprint import REGISTRY, closure, code_digest, keep, recall
from uprung.report.captions import FIGURES, LAW_FIGURES, figures_of
from uprung.report.catalogue import FILES, LAWS as LAW_FILES, POINTS as POINTS_FILES
from uprung.report.catalogue import expanded, fields_of
from uprung.models.registry import CARDS, contradictions
from uprung.softening.models import model_of
from uprung.training.planning import run_memory, run_minutes
from uprung.training.tuning import with_rate

if workflow.is_main_process and (why := why_not_writable(Path(".snakemake").absolute())):
    sys.exit(
        f"uprung: {why.partition(';')[0]}; start it in a folder of your own, where its "
        f"results go:\n        snakemake --cores all --snakefile {ROOT / 'Snakefile'}"
    )

os.environ[PARENT] = name_of_process()  # a job ends when this process has ended

CONFIG_FILE = workflow.overwrite_configfiles[-1] if workflow.overwrite_configfiles else "config/demo.yaml"
FOLDERS = (Path.cwd(), ROOT)

try:
    PLACES = {}  # file and line of every key
    for each in workflow.overwrite_configfiles or [ROOT / "config/demo.yaml"]:
        PLACES |= places(each, os.path.relpath(each))
    STUDY = load_study(
        config,
        where=os.path.relpath(CONFIG_FILE),
        places=PLACES,
        contradictions=contradictions,
    )
    POINTS = getattr(STUDY, "points", None)  # a table of given points: nothing is trained
    SOFTENING = None if POINTS else STUDY.tests.softening
    PHYSICS = None if POINTS else STUDY.tests.physics
    REPAIR = PHYSICS.repair if PHYSICS else None
    # the key of their files as the study file has it
    FIDELITIES = "data" if isinstance(config.get("data"), dict) else "fidelities"
    SOURCES = {
        name: [find_file(s.file, FOLDERS, key=f"{CONFIG_FILE}: {FIDELITIES}.{name}") for s in fidelity.sources]
        for name, fidelity in ({} if POINTS else STUDY.fidelities).items()
    }
    if POINTS:
        POINTS = find_file(POINTS, FOLDERS, key="points")
    EVALSET_SOURCES = {
        name: [find_file(s.file, FOLDERS, key=f"{CONFIG_FILE}: tests.softening.sets.{name}") for s in evalset.sources]
        for name, evalset in ({} if POINTS else SOFTENING.sets).items()
    }
    OWN_CHECKPOINTS = {
        name: find_file(own.file, FOLDERS, key=f"{CONFIG_FILE}: checkpoints.{name}")
        for name, own in ({} if POINTS else STUDY.checkpoints).items()
    }
    PHYSICS_SOURCES = {
        name: [find_file(file, FOLDERS, key=f"{CONFIG_FILE}: tests.physics.sets.{name}") for file in entry.files]
        for name, entry in (PHYSICS.sets if PHYSICS else {}).items()
    }
    PRETRAINING_MATERIALS = [
        find_file(file, FOLDERS, key=f"{CONFIG_FILE}: transfer.pretraining_materials")
        for file in ([] if POINTS else [STUDY.transfer.pretraining_materials])
        if file
    ]
except StudyError as error:
    sys.exit(f"uprung: the study file needs a correction before anything can run\n{error}")

STUDY_FILES = [os.path.relpath(f) for f in workflow.overwrite_configfiles or [CONFIG_FILE]]
COMMAND = f"snakemake --cores all --configfile {' '.join(STUDY_FILES)}"
# the script finds them beside its own library; here, a change of them writes the page again
PAGE_LOOK = [
    find_file(f"{os.path.relpath(SRC, ROOT)}/uprung/report/{name}", FOLDERS, key="report")
    for name in ("page.html.j2", "style.css")
]


# with these, old results are not taken for current ones, or a person says that they are
ANEW = r"--forceall|--touch|-[nqpFt]*[Ft][nqpFt]*|--unlock|--delete-all-output|--lint"


def one_of(names):
    """Return a regular expression that matches these names only, nothing when there are none."""
    return "|".join(map(str, names)) or "(?!)"


def without(section, *keys):
    """Return a section of the study for params, without keys that do not decide the result."""
    return {key: value for key, value in plain(section).items() if key not in keys}


def arm_options(arm):
    """Return what decides the training of an arm, with the labels that it trains on where these are not all."""
    options = without(STUDY.arms[arm], "architecture", "label", "seeds", "labels")
    labels = STUDY.labels_of(arm)
    return options if labels == list(STUDY.transfer.targets) else {**options, "labels": labels}


def figure(name):
    """Return a figure of the catalogue as an output, with its place in Snakemake's own report."""
    entry, names = FIGURES[name], {key: f"{{{key}}}" for key in fields_of(name)}
    labels = {**names, "figure": entry.about}
    svg = f"<results>/figures/{name}.svg"
    return report(svg, category=entry.category, labels=labels)


def look_for_jobs_when_one_ends():
    """Let Snakemake choose jobs when one ends, and at no other time, unless the user limits jobs per time span.

    Its default limit, 100 jobs a second, makes every choice start a timer for the next one a second later (9.27). Each
    job that ends adds such a chain, for ever: after 200 jobs Snakemake starts 200 threads a second.
    """
    limit = getattr(workflow.scheduler, "job_rate_limiter", None)
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


def remember_parameters(rule):
    """Note what the functions of a rule take, which Snakemake (9.27) else looks up anew for every job."""
    for function in (*rule.input, *rule.params):
        if isfunction(function) and not hasattr(function, "_overwrite_params"):
            overwrite_function_params(function, signature(function).parameters)


def check_results():
    """Stop before the first job when results cannot be written."""
    why = why_not_writable(Path("results") / STUDY.study)
    if why:
        sys.exit(f"uprung: {why}")


def log_of(rule):
    """Return the log for a rule without one, named after its first output, or after the folder of a manifest."""
    results, study, product = strip_wildcard_constraints(rule.output[0]).split("/", 2)
    name = re.sub(r"(/manifest)?\.[^./]*$", "", product)
    return f"{results}/{study}/logs/{name}.log"


def benchmark_of(rule):
    """Return the table of time and memory of a rule, named after its log."""
    results, study, _, name = strip_wildcard_constraints(rule.log[0]).split("/", 3)
    return f"{results}/{study}/benchmarks/{name.removesuffix('.log')}.tsv"


def searched(arm):
    """Return the runs of an arm whose networks are searched."""
    last = STUDY.sizes[-1]
    return [run for run in STUDY.runs if run.arm == arm and (HOLES.runs == "all" or run.size == last)]


def refuse_results_of_another_study():
    """Stop when results that Snakemake does not remember were made otherwise than the study asks for.

    It is asked when the Snakefile is read, since nothing else of it is called when there is nothing to be done.
    """
    anew = any(re.fullmatch(ANEW, option) for option in sys.argv)
    if workflow.is_main_process and not anew:
        runs = [
            f"{run}/model.pth.tar".replace("<results>", f"results/{STUDY.study}")
            for run in ([] if POINTS else [*RUNS, *LONGER_RUNS])
        ]
        rules = list(workflow.rules)
        found = others(STUDY.study, rules, runs)
        if found:
            sys.exit(f"uprung: {refusal(STUDY.study, rules, found)}")


def refuse_forced_stages():
    """Stop where a stage is forced by name: it has no job of its own, and Snakemake would say that nothing is to be done."""
    stages = forced_stages(sys.argv[1:]) if workflow.is_main_process else []
    if stages:
        sys.exit(f"uprung: {refusal_to_force(stages, [rule.name for rule in workflow.rules])}")


def folder_of(below, run):
    """Return the folder of a run."""
    size = size_token(run.size)
    return f"{below}/{run.budget}/{run.arm}/n{size}/seed{run.seed}"


def reference_of(arm):
    """Return the name of the reference fit of an arm, or None when it keeps the checkpoint's."""
    name = STUDY.arms[arm].references
    return None if name == CHECKPOINT else name


def reference_input(wildcards):
    """Return the reference table of a run's arm, none for `references: checkpoint`."""
    name = reference_of(wildcards.arm)
    return [f"<results>/references/{name}/n{wildcards.size}/seed{wildcards.seed}.csv"] if name else []


def importance_of(wildcards):
    """Return the Fisher information that an arm is pulled by, none for an arm without `ewc`."""
    return [f"<results>/fisher/{wildcards.arm}/importance.pt"] if STUDY.arms[wildcards.arm].ewc else []


def agreed_of(wildcards):
    """Return the pseudo-labels of the teachers of an arm, none for an arm without."""
    replay = STUDY.arms[wildcards.arm].replay
    return [f"<results>/teachers/{wildcards.arm}/labels.pt"] if replay and replay.teachers else []


def element_manifests(*references):
    """Return the frames that hold the elemental energies of some references, one file per fidelity."""
    return [f"<results>/frames/{fidelity}/manifest.json" for fidelity in element_fidelities(*references)]


def element_fidelities(*references):
    """Return the fidelities that some references take elemental energies from."""
    named = [STUDY.references[name].elements for name in references]
    return list(dict.fromkeys(name for name in named if name))


def is_joint(arm):
    """Return whether an arm trains one network for both fidelities."""
    return STUDY.arms[arm].fidelities == "joint"


def starting_network(arm):
    """Return the network whose errors an arm starts from, None for random weights."""
    return STUDY.start_of(arm)


def started(network):
    """Return (arm, size, seed) of the runs that start from a network; once for all budgets."""
    found = ((run.arm, size_token(run.size), run.seed) for run in STUDY.runs)
    return [run for run in dict.fromkeys(found) if starting_network(run[0]) == network]


def memory_of_run(wildcards, input, attempt):
    """Return the memory to ask for, MB: more for more structures, and for a retry."""
    size = SIZES[wildcards.size]
    return attempt * run_memory(STUDY.resources.memory_mb, input.order, size)


def memory_of_pretraining(wildcards, input, attempt):
    """Return the memory to ask for, MB: more for more structures, and for a retry."""
    size = STUDY.pretraining[wildcards.network].size
    return attempt * run_memory(STUDY.resources.memory_mb, input.order, size)


def minutes_of_run(wildcards, input, attempt):
    """Return the run time to ask for: less for a small size where epochs decide, more for a retry or more steps."""
    epochs = BUDGETS[wildcards.budget].epochs is not None
    attempt *= 1 if wildcards.budget in STUDY.budgets else STUDY.longer.times
    limit = (
        STUDY.resources.minutes,
        input.order,
        SIZES[wildcards.size],
        SIZES.values(),
    )
    return attempt * run_minutes(*limit, epochs=epochs)


if not POINTS:
    # as scripts read them; the study file may give their number
    config["seeds"] = STUDY.seeds
    SIZES = {size_token(size): size for size in STUDY.sizes}  # path token -> size as the user wrote it
    DEVICE = STUDY.training.device
    GPU = 1 if DEVICE == "cuda" else 0

    if STUDY.tracking.missing():
        sys.exit(f"uprung: runs cannot be tracked as {CONFIG_FILE} asks\n{STUDY.tracking.missing()}")
    RUN = "{budget}/{arm}/n{size}/seed{seed}"
    BUDGETS = STUDY.budgets | longer_budgets(STUDY)
    RUNS = [folder_of("<results>/runs", run) for run in STUDY.runs]
    LONGER_RUNS = [folder_of("<results>/runs", run) for run in longer_runs(STUDY)]
    RECIPE = plain(STUDY.training)
    ARM_LABELS = {name: STUDY.label_of(name) for name in STUDY.arms}

    # with trained networks, the one that they start from stands beside them
    PHYSICS_MODELS = PHYSICS.tested(STUDY.architecture) if PHYSICS else []
    PHYSICS_NETWORKS = [
        *(f"<results>/physics/models/{model}" for model in PHYSICS_MODELS),
        *(
            folder_of("<results>/physics/runs", run)
            for run in STUDY.runs
            if PHYSICS and run.size in {"none": [], "largest": STUDY.sizes[-1:], "all": STUDY.sizes}[PHYSICS.runs]
        ),
    ]
    PHYSICS_FIGURES = {
        output: name
        for output, name in {
            "parity": "physics",
            "ratios": "physics-ratios",
            "mixing": "physics-mixing",
            "phonons": "physics-phonons",
        }.items()
        if name in figures_of(STUDY)
    }

    wildcard_constraints:
        fidelity=one_of(STUDY.fidelities),
        pair=one_of(STUDY.pairs),
        reference=one_of(STUDY.references),
        budget=one_of(BUDGETS),
        arm=one_of(STUDY.arms),
        rate=r"[0-9.e+-]+",
        size=one_of(SIZES),
        seed=one_of(STUDY.seeds),
        evalset=one_of(SOFTENING.sets),
        model=one_of(dict.fromkeys([*SOFTENING.models, *PHYSICS_MODELS])),
        network=one_of(STUDY.pretraining),
        pretrained=one_of([*STUDY.networks, *STUDY.pretraining]),
