"""Data in: sources, a download or own labels (dft.smk) -> frames -> pairs -> split -> nested subsets."""

# A network is trained on the target, and on the source where the study pretrains.
TRAINED = [STUDY.high, *([STUDY.low] if STUDY.pretraining else [])]
DOWNLOADED = [name for name, fidelity in STUDY.fidelities.items() if fidelity.download]
COMPUTED = [name for name, fidelity in STUDY.fidelities.items() if fidelity.computed]
LABELLED = [name for name, evalset in SOFTENING.sets.items() if evalset.labelled_here]


rule download:
    output:
        "<results>/download/manifest.json",
    localrule: True  # compute nodes seldom reach the internet
    conda:
        "../envs/materials-project.yaml"
    params:
        release=lambda w: STUDY.materials_project.release,
        state=f"results/{STUDY.study}/state/download",
    message:
        "Downloading the Materials Project; an interrupted download goes on where it was"
    script:
        "../scripts/download_materials_project.py"


rule downloaded_frames:
    input:
        "<results>/download/manifest.json",
    output:
        "<results>/frames/{fidelity}/manifest.json",
    wildcard_constraints:
        fidelity=one_of(DOWNLOADED),
    conda:
        "../envs/materials-project.yaml"
    threads: 4
    params:
        fidelity=lambda w: plain(STUDY.fidelities[w.fidelity]),
        wanted=without(STUDY.materials_project, "release"),
        needed=lambda w: (STUDY.transfer.targets if w.fidelity in TRAINED else ["energy"]),
        scratch=lambda w: f"results/{STUDY.study}/state/frames/{w.fidelity}",
    message:
        "Selecting {wildcards.fidelity}: what was downloaded into the frames table"
    script:
        "../scripts/select_frames.py"


rule frames:
    input:
        lambda w: SOURCES[w.fidelity],
    output:
        "<results>/frames/{fidelity}/manifest.json",
    wildcard_constraints:
        fidelity=one_of(set(STUDY.fidelities) - {*DOWNLOADED, *COMPUTED}),
    params:
        data=lambda w: contents(SOURCES[w.fidelity]),
        fidelity=lambda w: plain(STUDY.fidelities[w.fidelity]),
        needed=lambda w: (STUDY.transfer.targets if w.fidelity in TRAINED else ["energy"]),
    message:
        "Reading {wildcards.fidelity}: labelled structures into the frames table"
    script:
        "../scripts/write_frames.py"


rule pairs:
    input:
        low=lambda w: f"<results>/frames/{STUDY.pairs[w.pair].low}/manifest.json",
        high=lambda w: f"<results>/frames/{STUDY.pairs[w.pair].high}/manifest.json",
    output:
        manifest="<results>/pairs/{pair}/manifest.json",
        table="<results>/pairs/{pair}/pairs.parquet",
    params:
        match=lambda w: STUDY.pairs[w.pair].match,
        tolerance=lambda w: STUDY.pairs[w.pair].tolerance,
        identical_labels=lambda w: STUDY.pairs[w.pair].identical_labels,
        unlike_labels=lambda w: STUDY.pairs[w.pair].unlike_labels,
        label_low=lambda w: STUDY.fidelities[STUDY.pairs[w.pair].low].energy,
        label_high=lambda w: STUDY.fidelities[STUDY.pairs[w.pair].high].energy,
    message:
        "Pairing the structures of {wildcards.pair}"
    script:
        "../scripts/pair_frames.py"


rule split:
    input:
        low=f"<results>/frames/{STUDY.low}/manifest.json",
        high=f"<results>/frames/{STUDY.high}/manifest.json",
        pairs=f"<results>/pairs/{STUDY.transfer.pair}/pairs.parquet",
        pretraining=PRETRAINING_MATERIALS,
    output:
        manifest="<results>/split/manifest.json",
        table="<results>/split/split.parquet",
    params:
        data=lambda w: contents(PRETRAINING_MATERIALS),
        low=STUDY.low,
        high=STUDY.high,
        label_low=STUDY.fidelities[STUDY.low].energy,
        label_high=STUDY.fidelities[STUDY.high].energy,
        tolerance=STUDY.pairs[STUDY.transfer.pair].tolerance,
        split=without(STUDY.split, "sampling"),
        select=plain(STUDY.transfer.select),
        reach=reach_of(*ARCHITECTURES.values()),
    message:
        "Splitting into train, validation and test"
    script:
        "../scripts/split_frames.py"


rule order:
    input:
        split="<results>/split/split.parquet",
        frames=(
            [f"<results>/frames/{STUDY.high}/manifest.json"]
            if STUDY.split.mix or STUDY.split.sampling != "random"
            else []
        ),
    output:
        "<results>/split/order/seed{seed}.parquet",
        **({"mix": "<results>/split/order/seed{seed}-mix.json"} if STUDY.split.mix else {}),
    log:
        "<results>/logs/order/seed{seed}.log",
    params:
        **({"mix": STUDY.split.mix} if STUDY.split.mix else {}),
        fidelity=STUDY.high,
        seed=lambda w: int(w.seed),
        draw=STUDY.split.draw,
        sampling=STUDY.split.sampling,
        key=lambda w: STUDY.split.key,
    message:
        "Ordering the training frames for seed {wildcards.seed}: every size is a prefix"
    script:
        "../scripts/order_frames.py"


rule sizes:
    input:
        orders=expand("<results>/split/order/seed{seed}.parquet", seed=STUDY.seeds),
        frames=f"<results>/frames/{STUDY.high}/manifest.json",
    output:
        "<results>/split/sizes.csv",
    log:
        "<results>/logs/sizes.log",
    params:
        seeds=STUDY.seeds,
        sizes=STUDY.sizes,
    message:
        "Resolving the training-set sizes"
    script:
        "../scripts/resolve_sizes.py"


rule data:
    """Frames, pairs, split and nested subsets."""
    input:
        expand("<results>/frames/{fidelity}/manifest.json", fidelity=STUDY.fidelities),
        expand("<results>/pairs/{pair}/manifest.json", pair=STUDY.pairs),
        "<results>/split/sizes.csv",
