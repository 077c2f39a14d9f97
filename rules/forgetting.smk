"""What training does to the networks: what they forget of the source fidelity, and which layers move."""


rule evaluate_pretrained:
    input:
        split="<results>/split/split.parquet",
        source=source_graphs(STUDY.tests.forgetting.frames),
    output:
        "<results>/forgetting/pretrained.json",
    log:
        "<results>/logs/forgetting/pretrained.log",
    benchmark:
        "<results>/benchmarks/forgetting/pretrained.tsv"
    conda:
        "../envs/training.yaml"
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        runtime=60,
        gpu=1 if DEVICE == "cuda" else 0,
    params:
        low=STUDY.low,
        model=STUDY.architecture,
        frames=STUDY.tests.forgetting.frames,
        targets=STUDY.transfer.targets,
        device=DEVICE,
        threads=STUDY.training.threads,
        code=code_digest("uprung.evaluation.errors", "uprung.datasets.splits"),
    message:
        "Testing {params.model} as it is on {params.low}"
    script:
        "../scripts/evaluate_pretrained.py"


rule plot_training:
    input:
        metrics=expand("{run}/metrics.json", run=RUNS),
        history="<results>/scaling/history.csv",
        pretrained=(
            ["<results>/forgetting/pretrained.json"] if STUDY.tests.forgetting.frames else []
        ),
    output:
        table="<results>/forgetting/forgetting.csv",
        forgetting=report(
            "<results>/figures/forgetting.svg",
            category="Training",
            labels={"figure": "error at the source and at the target"},
        ),
        dynamics=report(
            "<results>/figures/dynamics.svg",
            category="Training",
            labels={"figure": "gradients by layer"},
        ),
        png=expand("<results>/figures/{figure}.png", figure=["forgetting", "dynamics"]),
    log:
        "<results>/logs/forgetting/figures.log",
    benchmark:
        "<results>/benchmarks/forgetting/figures.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        targets=STUDY.transfer.targets,
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
        code=code_digest("uprung.evaluation.forgetting", "uprung.figures.training"),
    message:
        "Drawing what the networks forgot and how they moved"
    script:
        "../scripts/plot_training.py"


rule forgetting:
    """Errors at the source fidelity of every run, with figures."""
    input:
        "<results>/forgetting/forgetting.csv",
        "<results>/figures/forgetting.svg",
