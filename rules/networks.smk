"""Which network and which architecture a job loads, and where their files and inputs are."""

from functools import cache

from uprung.config.architectures import comparisons, is_scratch
from uprung.job.environments import marked, missing
from uprung.job.extras import lacking
from uprung.models.chosen import card_in

# rules whose jobs load networks; the Snakefile fills it
LOADING = set()


def check_environments():
    """Stop before the first job when packages are missing that planned jobs need."""
    by_conda = any("conda" in str(method).lower() for method in workflow.deployment_settings.deployment_method)
    named = (
        [] if POINTS else [*SOFTENING.models, *PHYSICS_MODELS, *(entry.model for entry in SOFTENING.snapshots.values())]
    )
    cards = [] if POINTS else [*ARCHITECTURES.values(), *(card_in(STUDY, name) for name in named)]
    rules = {job.rule.name for job in workflow.dag.needrun_jobs()}
    packages = [card.packages[0] for card in cards if not card.environment] if rules & LOADING else []
    why = missing(dict.fromkeys(card.environment for card in cards)) or lacking(sorted(rules), packages)
    if why and not by_conda:
        sys.exit(f"uprung: {why}")


def cards_of(architectures, wildcards):
    """Return the architectures that a job loads by name."""
    if "model" in wildcards.keys():
        return [card_in(STUDY, wildcards.model)]
    if "snapshots" in wildcards.keys():
        return [card_in(STUDY, SOFTENING.snapshots[wildcards.snapshots].model)]
    if "arm" in wildcards.keys():
        return [card_of_arm(wildcards.arm)]
    if "pretrained" in wildcards.keys():
        return [card_of_network(wildcards.pretrained)]
    if "architecture" in wildcards.keys():
        return [CARDS[wildcards.architecture]]
    return [CARDS[name] for name in architectures]


def environment_of(architectures, wildcards):
    """Return the environment of its own that a job runs in, '' for the usual one, as where it loads several."""
    cards = cards_of(architectures, wildcards)
    return cards[0].environment if len(cards) == 1 else ""


# many jobs have the same
digest_once = cache(code_digest)


def code_of(file, architectures, wildcards):
    """Return the fingerprint of the code behind a job: its script, the architecture that it loads, its environment."""
    modules = dict.fromkeys(card.module for card in cards_of(architectures, wildcards))
    return marked(digest_once(file, *modules), environment_of(architectures, wildcards))


def conda_of(architectures, wildcards):
    """Return the conda file of a job with networks, as a path from this folder."""
    return f"../envs/{environment_of(architectures, wildcards) or 'training'}.yaml"


def for_each_job(of_job, *arguments):
    """Return a function of a job's wildcards for Snakemake, or its value where jobs cannot differ: one architecture.

    With thousands of jobs the calls are a tenth of the time of planning.
    """
    alike = not POINTS and arguments[-1] == [ARCHITECTURE.name] and all(card is ARCHITECTURE for card in every_card())
    return of_job(*arguments, {}) if alike else partial(of_job, *arguments)


@cache
def every_card():
    """Return the architectures of all networks that jobs of the study load."""
    tested = [*SOFTENING.models, *PHYSICS_MODELS, *(entry.model for entry in SOFTENING.snapshots.values())]
    networks = [*STUDY.networks, *STUDY.pretraining]
    return [*ARCHITECTURES.values(), *map(card_of_network, networks), *(card_in(STUDY, name) for name in tested)]


def card_of_arm(arm):
    """Return the architecture of an arm."""
    return card_in(STUDY, STUDY.checkpoint_of(arm))


def checkpoint_of_network(network):
    """Return the checkpoint behind a pretrained network; those that the study pretrains are of its own architecture."""
    return STUDY.networks.get(network, STUDY.architecture)


def card_of_network(network):
    """Return the architecture of a pretrained network."""
    return card_in(STUDY, checkpoint_of_network(network))


def reach_of(*cards):
    """Return what the networks of some architectures can compute: a cutoff, and the elements that one does not know."""
    known = frozenset.intersection(*(card.elements for card in cards))
    return [min(card.cutoff for card in cards), sorted({*range(1, 95)} - known)]


def evalset_graphs_of(wildcards):
    """Return the inputs of a model's architecture."""
    return EVALSET_GRAPHS.format(evalset=wildcards.evalset, architecture=card_in(STUDY, wildcards.model).name)


def graphs_of(fidelity, card):
    """Return the store of a fidelity's inputs and labels; other architectures than the study's own have folders."""
    below = "" if card.name == ARCHITECTURE.name else f"{card.name}/"
    return f"<results>/graphs/{below}{fidelity}/manifest.json"


def source_graphs(needed, card):
    """Return the graph store of the source fidelity where it is needed."""
    return [graphs_of(STUDY.low, card)] if needed else []


def pretrained_here(network):
    """Return the file of a network that this study pretrains or the user gives; none for a published checkpoint."""
    if network in STUDY.pretraining:
        return [f"<results>/pretraining/{network}/model.pth.tar"]
    return own_file(checkpoint_of_network(network))


def networks_of_teachers(wildcards):
    """Return name -> file or published checkpoint of the teachers of an arm."""
    results = f"results/{STUDY.study}"
    return {
        name: next((each.replace("<results>", results) for each in pretrained_here(name)), checkpoint_of_network(name))
        for name in STUDY.arms[wildcards.arm].replay.teachers
    }


def contents_of_teachers(wildcards):
    """Return what the files of the user among the teachers of an arm hold."""
    return [own_contents(checkpoint_of_network(name)) for name in STUDY.arms[wildcards.arm].replay.teachers]


def initial_of(wildcards):
    """Return the file that an arm begins at; none for a published checkpoint and for random weights alone."""
    arm = STUDY.arms[wildcards.arm]
    if arm.init in STUDY.pretraining:
        return pretrained_here(arm.init)
    return [] if is_scratch(arm) else own_file(STUDY.checkpoint_of(wildcards.arm))


def own_file(checkpoint):
    """Return the file of a checkpoint of the user."""
    return [OWN_CHECKPOINTS[checkpoint]] if checkpoint in OWN_CHECKPOINTS else []


def own_contents(checkpoint):
    """Return what the file of a checkpoint of the user holds, for params; nothing for a published one."""
    return contents(own_file(checkpoint))


if not POINTS:
    ARCHITECTURE = card_in(STUDY, STUDY.architecture)
    ARCHITECTURES = {card.name: card for card in map(card_of_arm, STUDY.arms)}
    OTHERS = {name: card for name, card in ARCHITECTURES.items() if name != ARCHITECTURE.name}
    # arms held against others, where there are several architectures
    COMPARED = comparisons(STUDY)
