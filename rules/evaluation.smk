"""Tables and figures of all runs: learning curves, where networks err, what they forget, which layers move."""

# learns from the target's labels alone
SCRATCHES = [name for name, arm in STUDY.arms.items() if is_scratch(arm)]
SCRATCH = next(iter(SCRATCHES), None)
YARDSTICKS = {"yardsticks": "<results>/scaling/yardsticks.csv"}
TEST_NOISE = {"materials": "<results>/scaling/materials.parquet"}
BOOTSTRAP = STUDY.scaling.bootstrap
SEVERAL_BUDGETS = len(STUDY.budgets) > 1
# arms of a family differ in the network that they start from alone: (family, network) of each
OWN_NETWORKS = list(STUDY.pretraining)
NETWORKS = {
    name: [str(without(arm, "init", "references", "label")), arm.init]
    for name, arm in STUDY.arms.items()
    if arm.init in STUDY.pretraining
}
LAWS = STUDY.scaling.laws
FUNCTIONAL = STUDY.fidelities[STUDY.high].functional.replace("r2SCAN", "r²SCAN")
X_LABEL = f"labelled {FUNCTIONAL} structures in training"
PUBLISHED = (
    {"published": find_file("data/paper/scaling_points.csv", FOLDERS, key="data")}
    if STUDY.scaling.show_published
    else {}
)

# networks before any training; an architecture without a checkpoint has none
TESTED_NETWORKS = [name for name, checkpoint in STUDY.networks.items() if checkpoint not in CARDS]
STARTS = [name for name in dict.fromkeys(map(starting_network, STUDY.arms)) if name]


rule evaluate_untouched:
    input:
        graphs=lambda w: graphs_of(STUDY.high, card_of_network(w.pretrained)),
        split="<results>/split/split.parquet",
        initial=lambda w: pretrained_here(w.pretrained),
        references=lambda w: [
            f"<results>/references/{reference_of(arm)}/n{size}/seed{seed}.csv"
            for arm, size, seed in started(w.pretrained)
            if reference_of(arm)
        ],
    output:
        "<results>/untouched/{pretrained}.parquet",
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        gpu=GPU,
    params:
        **({"own": lambda w: own_contents(checkpoint_of_network(w.pretrained))} if OWN_CHECKPOINTS else {}),
        high=STUDY.high,
        model=lambda w: checkpoint_of_network(w.pretrained),
        runs=lambda w: [[*run, bool(reference_of(run[0]))] for run in started(w.pretrained)],
        targets=STUDY.transfer.targets,
        device=DEVICE,
        threads=STUDY.training.threads,
    message:
        "Testing network {wildcards.pretrained} before training"
    script:
        "../scripts/evaluate_untouched.py"


rule yardsticks:
    input:
        low=f"<results>/frames/{STUDY.low}/manifest.json",
        high=f"<results>/frames/{STUDY.high}/manifest.json",
        split="<results>/split/split.parquet",
        pairs=f"<results>/pairs/{STUDY.transfer.pair}/pairs.parquet",
        orders=expand("<results>/split/order/seed{seed}.parquet", seed=STUDY.seeds),
    output:
        "<results>/scaling/yardsticks.csv",
    params:
        sizes=SIZES,
        seeds=STUDY.seeds,
        names=[STUDY.low, STUDY.high],
        labels=[STUDY.fidelities[name].energy for name in (STUDY.low, STUDY.high)],
        targets=STUDY.transfer.targets,
    message:
        "Solving the test without a network"
    script:
        "../scripts/yardsticks.py"


rule collect_curves:
    input:
        metrics=expand("{run}/metrics.json", run=[*RUNS, *LONGER_RUNS]),
        predictions=expand("{run}/predictions.parquet", run=[*RUNS, *LONGER_RUNS]),
        history=expand("{run}/history.csv", run=[*RUNS, *LONGER_RUNS]),
        untouched=expand("<results>/untouched/{network}.parquet", network=STARTS),
    output:
        curves="<results>/scaling/curves.csv",
        second="<results>/scaling/second_budget.csv",
        history="<results>/scaling/history.csv",
        materials="<results>/scaling/materials.parquet",
    params:
        n_runs=len(RUNS),
        fidelity=STUDY.high,
        targets=STUDY.transfer.targets,
        falling=STUDY.scaling.falling,
        settled=STUDY.scaling.settled,
        budgets=[*STUDY.budgets],
        bootstrap=STUDY.scaling.bootstrap,
    message:
        "Collecting the learning curves of {params.n_runs} runs"
    script:
        "../scripts/collect_curves.py"


rule plot_convergence:
    input:
        "<results>/scaling/history.csv",
    output:
        svg=figure("convergence"),
        png="<results>/figures/convergence.png",
    log:
        "<results>/logs/scaling/convergence.log",
    params:
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
    message:
        "Drawing the validation errors along the runs"
    script:
        "../scripts/plot_convergence.py"


# Error after training against error before it says something where networks were pretrained differently.
INITS = {name: STUDY.start_of(name) for name, arm in STUDY.arms.items() if arm.init != "random"}


rule plot_before_after:
    input:
        "<results>/scaling/history.csv",
    output:
        table="<results>/scaling/before_after.csv",
        svg=figure("before-after"),
        png="<results>/figures/before-after.png",
    params:
        inits=INITS,
        targets=STUDY.transfer.targets,
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
    message:
        "Drawing errors after training against errors before it"
    script:
        "../scripts/plot_before_after.py"


PARITY = [target for target in ("force", "stress") if target in STUDY.transfer.targets]
ERROR_FIGURES = ["errors-force", "parity", *(f"parity-{target}" for target in PARITY), "worst-structures"]


rule collect_errors:
    input:
        errors=expand("{run}/errors.csv", run=RUNS),
        metrics=expand("{run}/metrics.json", run=RUNS),
        predictions=expand("{run}/predictions.parquet", run=RUNS),
        components=expand("{run}/components.parquet", run=RUNS),
        frames=f"<results>/frames/{STUDY.high}/manifest.json",
    output:
        table="<results>/errors/errors.csv",
        worst="<results>/errors/worst.csv",
        force=figure("errors-force"),
        parity=figure("parity"),
        components=[figure(f"parity-{target}") for target in PARITY],
        structures=figure("worst-structures"),
        png=expand("<results>/figures/{figure}.png", figure=ERROR_FIGURES),
    log:
        "<results>/logs/errors.log",
    params:
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
        seeds={name: (arm.seeds or STUDY.seeds)[0] for name, arm in STUDY.arms.items()},
        components=PARITY,
        target=STUDY.transfer.targets[0],
    message:
        "Collecting where the networks err"
    script:
        "../scripts/collect_errors.py"


rule evaluate_pretrained:
    input:
        split="<results>/split/split.parquet",
        source=lambda w: source_graphs(STUDY.tests.forgetting.frames, card_of_network(w.pretrained)),
        initial=lambda w: pretrained_here(w.pretrained),
    output:
        "<results>/forgetting/{pretrained}.json",
    wildcard_constraints:
        pretrained=one_of(STUDY.networks),
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        gpu=GPU,
    params:
        **({"own": lambda w: own_contents(checkpoint_of_network(w.pretrained))} if OWN_CHECKPOINTS else {}),
        low=STUDY.low,
        model=lambda w: checkpoint_of_network(w.pretrained),
        frames=STUDY.tests.forgetting.frames,
        targets=STUDY.transfer.targets,
        device=DEVICE,
        threads=STUDY.training.threads,
    message:
        "Testing {params.model} as it is on {params.low}"
    script:
        "../scripts/evaluate_pretrained.py"


rule plot_training:
    input:
        metrics=expand("{run}/metrics.json", run=RUNS),
        history="<results>/scaling/history.csv",
        pretrained=expand(
            "<results>/forgetting/{network}.json",
            network=TESTED_NETWORKS if STUDY.tests.forgetting.frames else [],
        ),
    output:
        table="<results>/forgetting/forgetting.csv",
        forgetting=figure("forgetting"),
        dynamics=figure("dynamics"),
        png=expand("<results>/figures/{figure}.png", figure=["forgetting", "dynamics"]),
    log:
        "<results>/logs/forgetting/figures.log",
    params:
        targets=STUDY.transfer.targets,
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
    message:
        "Drawing what the networks forgot and how they moved"
    script:
        "../scripts/plot_training.py"


rule forgetting:
    """Errors at the source fidelity of every run, with figures."""
    input:
        "<results>/forgetting/forgetting.csv",
        "<results>/figures/forgetting.svg",
