"""Laws, crossovers and multipliers from learning curves, whether trained here or given."""

LAW_TABLES = (
    *("laws", "parameters", "comparison", "bands", "extrapolation", "labels"),
    *("crossover", "multiplier", "multiplier_curve", "summary"),
)
SCALING_FIGURES = ["learning-curves", "data-multiplier", "law-comparison"]
SCALING_FIGURES += ["budgets"] if SEVERAL_BUDGETS else []


rule fit_laws:
    input:
        **TEST_NOISE,
        curves="<results>/scaling/curves.csv",
    output:
        **{name: f"<results>/scaling/{name}.csv" for name in LAW_TABLES},
    log:
        "<results>/logs/scaling/laws.log",
    benchmark:
        "<results>/benchmarks/scaling/laws.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        scratch=SCRATCH,
        laws=plain(LAWS),
        tested=bool(TEST_NOISE),
    message:
        "Fitting scaling laws, crossovers and data multipliers"
    script:
        "../scripts/fit_laws.py"


rule plot_scaling:
    input:
        **PUBLISHED,
        curves="<results>/scaling/curves.csv",
        laws="<results>/scaling/laws.csv",
        bands="<results>/scaling/bands.csv",
        comparison="<results>/scaling/comparison.csv",
        crossover="<results>/scaling/crossover.csv",
        multiplier="<results>/scaling/multiplier_curve.csv",
    output:
        report(
            expand("<results>/figures/{figure}.svg", figure=SCALING_FIGURES),
            category="Scaling",
        ),
        expand("<results>/figures/{figure}.png", figure=SCALING_FIGURES),
    log:
        "<results>/logs/scaling/figures.log",
    benchmark:
        "<results>/benchmarks/scaling/figures.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        arm_labels=ARM_LABELS,
        scratch=SCRATCH,
        x_label=X_LABEL,
        budgets=SEVERAL_BUDGETS,
    message:
        "Drawing learning curves, data multipliers and laws"
    script:
        "../scripts/plot_scaling.py"


rule scaling:
    """Learning curves, laws, crossovers, multipliers, with figures."""
    input:
        "<results>/scaling/laws.csv",
        expand("<results>/figures/{figure}.svg", figure=SCALING_FIGURES),
        "<results>/report.html" if POINTS else [],
