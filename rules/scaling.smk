"""Learning curves, laws, crossovers and multipliers from the tests of all runs."""

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


rule collect_curves:
    input:
        metrics=expand("{run}/metrics.json", run=RUNS),
        predictions=expand("{run}/predictions.parquet", run=RUNS),
        history=expand("{run}/history.csv", run=RUNS),
    output:
        curves="<results>/scaling/curves.csv",
        history="<results>/scaling/history.csv",
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
        code=code_digest("uprung.curves"),
    message:
        "Collecting the learning curves of {params.n_runs} runs"
    script:
        "../scripts/collect_curves.py"


rule fit_laws:
    input:
        "<results>/scaling/curves.csv",
    output:
        laws="<results>/scaling/laws.csv",
        crossover="<results>/scaling/crossover.csv",
        multiplier="<results>/scaling/multiplier.csv",
        summary="<results>/scaling/summary.csv",
    log:
        "<results>/logs/scaling/laws.log",
    benchmark:
        "<results>/benchmarks/scaling/laws.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        scratch=SCRATCH,
        code=code_digest("uprung.scaling"),
    message:
        "Fitting scaling laws, crossovers and data multipliers"
    script:
        "../scripts/fit_laws.py"


rule plot_scaling:
    input:
        curves="<results>/scaling/curves.csv",
        history="<results>/scaling/history.csv",
        laws="<results>/scaling/laws.csv",
        crossover="<results>/scaling/crossover.csv",
        published=find_file("data/paper/scaling_points.csv", FOLDERS, key="data"),
    output:
        curves=report(
            "<results>/figures/learning-curves.svg",
            category="Scaling",
            labels={"figure": "learning curves"},
        ),
        convergence=report(
            "<results>/figures/convergence.svg",
            category="Scaling",
            labels={"figure": "convergence"},
        ),
        png=expand(
            "<results>/figures/{figure}.png", figure=["learning-curves", "convergence"]
        ),
    log:
        "<results>/logs/scaling/figures.log",
    benchmark:
        "<results>/benchmarks/scaling/figures.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        targets=STUDY.transfer.targets,
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
        show_published=STUDY.scaling.show_published,
        code=code_digest("uprung.figures.scaling"),
    message:
        "Drawing the learning curves"
    script:
        "../scripts/plot_scaling.py"


rule scaling:
    """Learning curves, laws, crossovers, multipliers, with figures."""
    input:
        "<results>/scaling/laws.csv",
        "<results>/figures/learning-curves.svg",
