"""Neighbour graphs and labels of the target fidelity, built once, mapped into memory by every training job."""


rule build_graphs:
    input:
        frames=f"<results>/frames/{STUDY.high}/manifest.json",
        split="<results>/split/split.parquet",
    output:
        "<results>/graphs/manifest.json",
    log:
        "<results>/logs/graphs.log",
    benchmark:
        "<results>/benchmarks/graphs.tsv"
    conda:
        "../envs/training.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        fidelity=STUDY.high,
        label=STUDY.fidelities[STUDY.high].energy,
        code=code_digest("uprung.dataset"),
    message:
        "Building the neighbour graphs of {params.fidelity}"
    script:
        "../scripts/build_graphs.py"


rule graphs:
    """Graph store of the study."""
    input:
        "<results>/graphs/manifest.json",
