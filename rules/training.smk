"""Training of every (budget, arm, size, seed) and evaluation on the test split."""

RUN = "{budget}/{arm}/n{size}/seed{seed}"
RUNS = expand(
    f"<results>/runs/{RUN}",
    budget=STUDY.budgets,
    arm=STUDY.arms,
    size=SIZES,
    seed=STUDY.seeds,
)
RECIPE = part(STUDY.training)


rule train_run:
    input:
        graphs=f"<results>/graphs/{STUDY.high}/manifest.json",
        split="<results>/split/split.parquet",
        order="<results>/split/order/seed{seed}.parquet",
        reference=reference_input,
        initial=lambda w: pretrained_here(STUDY.arms[w.arm].init),
        source=lambda w: source_graphs(STUDY.arms[w.arm].replay),
    output:
        model=f"<results>/runs/{RUN}/model.pth.tar",
        other=f"<results>/runs/{RUN}/other.pth.tar",
        history=f"<results>/runs/{RUN}/history.csv",
        card=f"<results>/runs/{RUN}/card.yaml",
    log:
        f"<results>/logs/runs/{RUN}/train.log",
    benchmark:
        f"<results>/benchmarks/runs/{RUN}/train.tsv"
    conda:
        "../envs/training.yaml"
    threads: STUDY.training.threads * (1 if DEVICE == "cuda" else STUDY.training.devices)
    resources:
        mem_mb=memory_of_run,
        runtime=minutes_of_run,
        gpu=STUDY.training.devices if DEVICE == "cuda" else 0,
    params:
        arm=lambda w: {k: v for k, v in part(STUDY.arms[w.arm]).items() if k != "label"},
        budget=lambda w: part(STUDY.budgets[w.budget]),
        size=lambda w: SIZES[w.size],
        low=STUDY.low,
        high=STUDY.high,
        recipe=RECIPE,
        pretrained=STUDY.architecture,
        targets=STUDY.transfer.targets,
        code=code_digest(
            "uprung.training.run",
            "uprung.models.chgnet.architecture",
            "uprung.datasets.sizes",
            "uprung.datasets.splits",
        ),
        results=lambda w: f"results/{STUDY.study}",  # a function, or the linter takes it for a prefix of files
        run=lambda w: f"runs/{RUN}".format(**w),
    message:
        "Training {wildcards.arm} on n = {wildcards.size}, seed {wildcards.seed}, {wildcards.budget}"
    script:
        "../scripts/train.py"


rule evaluate_run:
    input:
        graphs=f"<results>/graphs/{STUDY.high}/manifest.json",
        split="<results>/split/split.parquet",
        order="<results>/split/order/seed{seed}.parquet",
        baseline=f"<results>/references/{STUDY.scaling.baseline}/n{{size}}/seed{{seed}}.csv",
        model=f"<results>/runs/{RUN}/model.pth.tar",
        other=f"<results>/runs/{RUN}/other.pth.tar",
        card=f"<results>/runs/{RUN}/card.yaml",
        source=source_graphs(STUDY.tests.forgetting.frames),
    output:
        metrics=f"<results>/runs/{RUN}/metrics.json",
        predictions=f"<results>/runs/{RUN}/predictions.parquet",
        errors=f"<results>/runs/{RUN}/errors.csv",
    log:
        f"<results>/logs/runs/{RUN}/evaluate.log",
    benchmark:
        f"<results>/benchmarks/runs/{RUN}/evaluate.tsv"
    conda:
        "../envs/training.yaml"
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        runtime=60,
        gpu=1 if DEVICE == "cuda" else 0,
    params:
        size=lambda w: SIZES[w.size],
        low=STUDY.low,
        high=STUDY.high,
        # a network for two fidelities has to be told which one; others know one only
        fidelity=lambda w: STUDY.high if is_joint(w.arm) else None,
        source_fidelity=lambda w: STUDY.low if is_joint(w.arm) else None,
        forgetting=STUDY.tests.forgetting.frames,
        targets=STUDY.transfer.targets,
        device=DEVICE,
        threads=STUDY.training.threads,
        code=code_digest(
            "uprung.evaluation.errors",
            "uprung.datasets.sizes",
            "uprung.datasets.splits",
        ),
    message:
        "Testing {wildcards.arm} on n = {wildcards.size}, seed {wildcards.seed}, {wildcards.budget}"
    script:
        "../scripts/evaluate.py"


rule index_models:
    input:
        models=expand("{run}/model.pth.tar", run=RUNS),
        cards=expand("{run}/card.yaml", run=RUNS),
        metrics=expand("{run}/metrics.json", run=RUNS),
    output:
        "<results>/models/index.csv",
    log:
        "<results>/logs/models.log",
    benchmark:
        "<results>/benchmarks/models.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        targets=STUDY.transfer.targets,
        code=code_digest("uprung.evaluation.index"),
    message:
        "Listing the trained networks"
    script:
        "../scripts/index_models.py"


rule train:
    """Every run, trained and tested, and the list of them."""
    input:
        "<results>/models/index.csv",
