"""Networks that the study pretrains itself, on the source fidelity."""


use rule order as order_source with:
    input:
        split="<results>/split/split.parquet",
        frames=(
            []
            if STUDY.split.sampling == "random"
            else [f"<results>/frames/{STUDY.low}/manifest.json"]
        ),
    output:
        "<results>/pretraining/{network}/order.parquet",
    log:
        "<results>/logs/pretraining/{network}/order.log",
    benchmark:
        "<results>/benchmarks/pretraining/{network}/order.tsv"
    params:
        fidelity=STUDY.low,
        seed=lambda w: STUDY.pretraining[w.network].seed,
        draw=STUDY.split.draw,
        sampling=STUDY.split.sampling,
        key=STUDY.split.key,
        code=code_digest(
            "uprung.datasets.splits"
            if STUDY.split.sampling == "random"
            else "uprung.datasets.sampling"
        ),
    message:
        "Ordering the training frames of the source for {wildcards.network}"


rule pretrain:
    input:
        graphs=f"<results>/graphs/{STUDY.low}/manifest.json",
        split="<results>/split/split.parquet",
        order="<results>/pretraining/{network}/order.parquet",
    output:
        model="<results>/pretraining/{network}/model.pth.tar",
        other="<results>/pretraining/{network}/other.pth.tar",
        history="<results>/pretraining/{network}/history.csv",
        card="<results>/pretraining/{network}/card.yaml",
    log:
        "<results>/logs/pretraining/{network}/train.log",
    benchmark:
        "<results>/benchmarks/pretraining/{network}/train.tsv"
    conda:
        "../envs/training.yaml"
    threads: STUDY.training.threads * (1 if DEVICE == "cuda" else STUDY.training.devices)
    resources:
        mem_mb=memory_of_pretraining,
        runtime=lambda w, attempt: STUDY.resources.minutes * attempt,
        gpu=STUDY.training.devices if DEVICE == "cuda" else 0,
    params:
        pretraining=lambda w: part(STUDY.pretraining[w.network]),
        low=STUDY.low,
        recipe=RECIPE,
        targets=STUDY.transfer.targets,
        code=code_digest(
            "uprung.training.loop",
            "uprung.training.arms",
            "uprung.models.chgnet.architecture",
            "uprung.datasets.sizes",
            "uprung.datasets.splits",
        ),
        results=lambda w: f"results/{STUDY.study}",  # a function, or the linter takes it for a prefix of files
        run=lambda w: f"pretraining/{w.network}",
    message:
        "Pretraining {wildcards.network} on {params.low}"
    script:
        "../scripts/pretrain.py"


rule pretraining:
    """Every network that the study pretrains."""
    input:
        expand("<results>/pretraining/{network}/card.yaml", network=STUDY.pretraining),
