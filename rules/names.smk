"""Names of a study that trains: sizes, references, wildcards, and what a run asks of a scheduler."""

from uprung.training.planning import run_memory, run_minutes

SIZES = {
    size_token(size): size for size in STUDY.sizes
}  # path token -> size as the user wrote it
DEVICE = STUDY.training.device
ARCHITECTURE = card_of(STUDY.architecture)

if STUDY.tracking.missing():
    sys.exit(
        f"uprung: runs cannot be tracked as {CONFIG_FILE} asks\n{STUDY.tracking.missing()}"
    )


def reference_of(arm):
    """Return the name of the reference fit of an arm, or None when it keeps the checkpoint's."""
    return STUDY.arms[arm].fit


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


def pretrained_here(network):
    """Return the file of a network that this study pretrains; none for shipped checkpoints and random weights."""
    here = network in STUDY.pretraining
    return [f"<results>/pretraining/{network}/model.pth.tar"] if here else []


def is_joint(arm):
    """Return whether an arm trains one network for both fidelities."""
    return STUDY.arms[arm].fidelities == "joint"


def memory_of_run(wildcards, input, attempt):
    """Return the memory to ask for, MB: more for more structures, and for a retry."""
    size = SIZES[wildcards.size]
    return attempt * run_memory(STUDY.resources.memory_mb, input.order, size)


def memory_of_pretraining(wildcards, input, attempt):
    """Return the memory to ask for, MB: more for more structures, and for a retry."""
    size = STUDY.pretraining[wildcards.network].size
    return attempt * run_memory(STUDY.resources.memory_mb, input.order, size)


def minutes_of_run(wildcards, input, attempt):
    """Return the run time to ask for: less for a small size where epochs decide, more for a retry."""
    epochs = STUDY.budgets[wildcards.budget].epochs is not None
    limit = (STUDY.resources.minutes, input.order, SIZES[wildcards.size], SIZES.values())
    return attempt * run_minutes(*limit, epochs=epochs)


wildcard_constraints:
    fidelity=one_of(STUDY.fidelities),
    pair=one_of(STUDY.pairs),
    reference=one_of(STUDY.references),
    budget=one_of(STUDY.budgets),
    arm=one_of(STUDY.arms),
    size=one_of(SIZES),
    seed=one_of(STUDY.seeds),
    evalset=one_of(SOFTENING.sets),
    model=one_of(SOFTENING.models),
    network=one_of(STUDY.pretraining),
    pretrained=one_of(["pretrained", *STUDY.pretraining]),
