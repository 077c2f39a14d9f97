"""The page that a person reads."""

REPORT_FIGURES = [
    *expand("{pair}-{figure}", pair=STUDY.pairs, figure=SHIFT_FIGURES),
    "references",
    "reference-errors",
    *SCALING_FIGURES,
    "convergence",
    "errors-force",
    "parity",
    "forgetting",
    "dynamics",
    *(["before-after"] if SEVERAL_NETWORKS else []),
    *expand(
        "softening-{evalset}{kind}",
        evalset=SOFTENING.sets,
        kind=["", "-parity", "-correction", "-sizes"],
    ),
]

# The slices of the study that the page shows: a change of another one does not write it again.
SHOWN = {
    "study": STUDY.study,
    "architecture": STUDY.architecture,
    "functionals": {
        name: fidelity.functional for name, fidelity in STUDY.fidelities.items()
    },
    "evalsets": {name: evalset.functional for name, evalset in SOFTENING.sets.items()},
    **{
        key: plain(getattr(STUDY, key))
        for key in ("report", "transfer", "split", "scaling")
    },
    **{
        key: {name: plain(entry) for name, entry in getattr(STUDY, key).items()}
        for key in ("pairs", "arms", "references", "budgets")
    },
    "command": f"snakemake --cores all --configfile {' '.join(CONFIG_FILES)}",
}


rule write_report:
    input:
        **{name: f"<results>/scaling/{name}.csv" for name in SHOWN_TABLES},
        template=TEMPLATE,
        css=STYLE,
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
        references="<results>/references/references.csv",
        reference_errors="<results>/atomref/summary.csv",
        curves="<results>/scaling/curves.csv",
        forgetting="<results>/forgetting/forgetting.csv",
        errors="<results>/errors/errors.csv",
        evalsets=expand(
            "<results>/softening/{evalset}/frames/manifest.json",
            evalset=SOFTENING.sets,
        ),
        evalsets_left_out=expand(
            "<results>/softening/{evalset}/left_out.json", evalset=SOFTENING.sets
        ),
        softening=expand(
            "<results>/softening/{evalset}/softening.csv", evalset=SOFTENING.sets
        ),
        corrections=expand(
            "<results>/softening/{evalset}/correction.csv", evalset=SOFTENING.sets
        ),
        figures=expand("<results>/figures/{figure}.svg", figure=REPORT_FIGURES),
        # stand in for an SVG that is too large for the page
        bitmaps=expand("<results>/figures/{figure}.png", figure=REPORT_FIGURES),
        cards=expand("{run}/card.yaml", run=RUNS),
        # not read, but the page links to it
        summary="<results>/scaling/summary.csv",
        reference_comparison="<results>/atomref/comparison.csv",
        models="<results>/models/index.csv",
    output:
        "<results>/report.html",
    log:
        "<results>/logs/report.log",
    benchmark:
        "<results>/benchmarks/report.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        study=SHOWN,
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"
