"""Learning curves from the tests of all runs."""

# learns from the target's labels alone
SCRATCH = next(
    (
        name
        for name, arm in STUDY.arms.items()
        if arm.init == "random" and not arm.delta and not arm.replay
    ),
    None,
)
ARM_LABELS = {name: arm.label or name for name, arm in STUDY.arms.items()}
TEST_NOISE = {"resamples": "<results>/scaling/resamples.parquet"}
SEVERAL_BUDGETS = len(STUDY.budgets) > 1
LAWS = STUDY.scaling.laws
FUNCTIONAL = STUDY.fidelities[STUDY.high].functional.replace("r2SCAN", "r²SCAN")
X_LABEL = f"labelled {FUNCTIONAL} structures in training"
PUBLISHED = (
    {"published": find_file("data/paper/scaling_points.csv", FOLDERS, key="data")}
    if STUDY.scaling.show_published
    else {}
)


rule collect_curves:
    input:
        metrics=expand("{run}/metrics.json", run=RUNS),
        predictions=expand("{run}/predictions.parquet", run=RUNS),
        history=expand("{run}/history.csv", run=RUNS),
    output:
        curves="<results>/scaling/curves.csv",
        history="<results>/scaling/history.csv",
        resamples="<results>/scaling/resamples.parquet",
    log:
        "<results>/logs/scaling/curves.log",
    benchmark:
        "<results>/benchmarks/scaling/curves.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        n_runs=len(RUNS),
        fidelity=STUDY.high,
        targets=STUDY.transfer.targets,
        falling=STUDY.scaling.falling,
        bootstrap=STUDY.scaling.bootstrap,
    message:
        "Collecting the learning curves of {params.n_runs} runs"
    script:
        "../scripts/collect_curves.py"


rule plot_convergence:
    input:
        "<results>/scaling/history.csv",
    output:
        svg=report(
            "<results>/figures/convergence.svg",
            category="Scaling",
            labels={"figure": "convergence"},
        ),
        png="<results>/figures/convergence.png",
    log:
        "<results>/logs/scaling/convergence.log",
    benchmark:
        "<results>/benchmarks/scaling/convergence.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
    message:
        "Drawing the validation errors along the runs"
    script:
        "../scripts/plot_convergence.py"


# Error after training against error before it says something where networks were pretrained differently.
INITS = {name: arm.init for name, arm in STUDY.arms.items() if arm.init != "random"}
SEVERAL_NETWORKS = len(set(INITS.values())) > 1


rule plot_before_after:
    input:
        "<results>/scaling/history.csv",
    output:
        table="<results>/scaling/before_after.csv",
        svg=report(
            "<results>/figures/before-after.svg",
            category="Scaling",
            labels={"figure": "error after and before training"},
        ),
        png="<results>/figures/before-after.png",
    log:
        "<results>/logs/scaling/before_after.log",
    benchmark:
        "<results>/benchmarks/scaling/before_after.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        inits=INITS,
        targets=STUDY.transfer.targets,
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
    message:
        "Drawing errors after training against errors before it"
    script:
        "../scripts/plot_before_after.py"
