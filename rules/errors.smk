"""Where the networks err: by element, by kind of compound, by size of the force, structure by structure."""


rule collect_errors:
    input:
        errors=expand("{run}/errors.csv", run=RUNS),
        metrics=expand("{run}/metrics.json", run=RUNS),
        predictions=expand("{run}/predictions.parquet", run=RUNS),
    output:
        table="<results>/errors/errors.csv",
        force=report(
            "<results>/figures/errors-force.svg",
            category="Errors",
            labels={"figure": "against the size of the force"},
        ),
        parity=report(
            "<results>/figures/parity.svg",
            category="Errors",
            labels={"figure": "predicted against labelled energies"},
        ),
        png=expand("<results>/figures/{figure}.png", figure=["errors-force", "parity"]),
    log:
        "<results>/logs/errors.log",
    benchmark:
        "<results>/benchmarks/errors.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
        seed=STUDY.seeds[0],
    message:
        "Collecting where the networks err"
    script:
        "../scripts/collect_errors.py"
