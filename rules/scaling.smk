"""Laws, crossovers and multipliers from learning curves, whether trained here or given."""

LAW_TABLES = {name: entry.file for name, entry in LAW_FILES.items()} | {"summary": FILES["summary"].file}
SCALING_FIGURES = [*LAW_FIGURES, *(["budgets"] if SEVERAL_BUDGETS else [])]


rule fit_laws:
    input:
        **TEST_NOISE,
        curves="<results>/scaling/curves.csv",
        pretraining=expand("<results>/pretraining/{network}/card.yaml", network=OWN_NETWORKS),
    output:
        **{name: f"<results>/{file}" for name, file in LAW_TABLES.items()},
    log:
        "<results>/logs/scaling/laws.log",
    params:
        **({"compared": lambda w: COMPARED} if COMPARED else {}),
        scratch=lambda w: SCRATCH,
        laws=plain(LAWS),
        bootstrap=BOOTSTRAP,
        networks=lambda w: NETWORKS,
        pretraining=OWN_NETWORKS,
    message:
        "Fitting scaling laws, crossovers and data multipliers"
    script:
        "../scripts/fit_laws.py"


rule plot_scaling:
    input:
        **PUBLISHED,
        **YARDSTICKS,
        curves="<results>/scaling/curves.csv",
        laws="<results>/scaling/laws.csv",
        bands="<results>/scaling/bands.csv",
        comparison="<results>/scaling/comparison.csv",
        crossover="<results>/scaling/crossover.csv",
        multiplier="<results>/scaling/multiplier_curve.csv",
    output:
        [figure(name) for name in SCALING_FIGURES],
        expand("<results>/figures/{figure}.png", figure=SCALING_FIGURES),
    log:
        "<results>/logs/scaling/figures.log",
    params:
        **({"bases": lambda w: SCRATCHES} if COMPARED else {}),
        # functions: Snakemake takes braces in a text for wildcards
        arm_labels=ARM_LABELS,
        scratch=lambda w: SCRATCH,
        x_label=lambda w: X_LABEL,
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
