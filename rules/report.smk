"""The page that a person reads."""


rule write_report:
    input:
        frames=expand(
            "<results>/frames/{fidelity}/manifest.json", fidelity=STUDY.fidelities
        ),
        pairs=expand("<results>/pairs/{pair}/manifest.json", pair=STUDY.pairs),
        split="<results>/split/manifest.json",
        sizes="<results>/split/sizes.csv",
        summaries=expand("<results>/analysis/{pair}/summary.json", pair=STUDY.pairs),
        correlations=expand(
            "<results>/analysis/{pair}/correlation.csv", pair=STUDY.pairs
        ),
        shifts=expand("<results>/analysis/{pair}/shift.csv", pair=STUDY.pairs),
        shift_figures=expand(
            "<results>/figures/{pair}-{figure}.svg",
            pair=STUDY.pairs,
            figure=SHIFT_FIGURES,
        ),
        references="<results>/references/references.csv",
        reference_figure="<results>/figures/references.svg",
        curves="<results>/scaling/curves.csv",
        laws="<results>/scaling/laws.csv",
        crossover="<results>/scaling/crossover.csv",
        multiplier="<results>/scaling/multiplier.csv",
        summary="<results>/scaling/summary.csv",
        curve_figure="<results>/figures/learning-curves.svg",
        convergence_figure="<results>/figures/convergence.svg",
        cards=expand("{run}/card.yaml", run=RUNS),
    output:
        "<results>/report.html",
    log:
        "<results>/logs/report.log",
    benchmark:
        "<results>/benchmarks/report.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        study=STUDY.model_dump(mode="json", by_alias=True),
        code=code_digest("uprung.report.page"),
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"


rule report:
    """The report page."""
    input:
        "<results>/report.html",
