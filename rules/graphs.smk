"""Neighbour graphs and labels, built once per fidelity, mapped into memory by every training job."""

REPLAY = any(arm.replay for arm in STUDY.arms.values())


rule build_graphs:
    input:
        frames="<results>/frames/{fidelity}/manifest.json",
        split="<results>/split/split.parquet",
    output:
        "<results>/graphs/{fidelity}/manifest.json",
    log:
        "<results>/logs/graphs/{fidelity}.log",
    benchmark:
        "<results>/benchmarks/graphs/{fidelity}.tsv"
    wildcard_constraints:
        fidelity=one_of([STUDY.low, STUDY.high]),
    conda:
        "../envs/training.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        fidelity="{fidelity}",
        architecture=ARCHITECTURE.name,
        label=lambda w: STUDY.fidelities[w.fidelity].energy,
        # of the source, frames to test on and, for pretraining and replay, to train on
        sample=lambda w: None if w.fidelity == STUDY.high else STUDY.tests.forgetting.frames,
        sides=(["train"] if REPLAY or STUDY.pretraining else [])
        + (["val"] if STUDY.pretraining else []),
        code=code_digest("uprung.models.data", "uprung.models.chgnet.architecture"),
    message:
        "Building the neighbour graphs of {wildcards.fidelity}"
    script:
        "../scripts/build_graphs.py"


rule graphs:
    """Graph stores of the study."""
    input:
        f"<results>/graphs/{STUDY.high}/manifest.json",
        source_graphs(REPLAY or STUDY.pretraining or STUDY.tests.forgetting.frames),
