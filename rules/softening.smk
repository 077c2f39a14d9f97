"""Softening: forces of the checkpoints and of trained networks against those of frames far from equilibrium."""

CORRECTION = STUDY.softening.correction
# also forces by the element whose energies they come from
PARTS = "per-element" in CORRECTION.methods
SOFTENED_SIZES = {"none": [], "largest": [*SIZES][-1:], "all": [*SIZES]}
SOFTENED = expand(
    f"<results>/softening/{{evalset}}/runs/{RUN}",
    budget=STUDY.budgets,
    arm=STUDY.arms,
    size=SOFTENED_SIZES[STUDY.softening.runs],
    seed=STUDY.seeds,
    allow_missing=True,
)


rule evalset_frames:
    input:
        lambda w: EVALSET_SOURCES[w.evalset],
    output:
        "<results>/softening/{evalset}/frames/manifest.json",
    log:
        "<results>/logs/softening/{evalset}/frames.log",
    benchmark:
        "<results>/benchmarks/softening/{evalset}/frames.tsv"
    wildcard_constraints:
        evalset=one_of(set(STUDY.evalsets) - {*LABELLED}),
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        fidelity=lambda w: {
            k: v for k, v in part(STUDY.evalsets[w.evalset]).items() if k != "states"
        },
        needed=["force"],
        code=code_digest("uprung.sources", "uprung.structures.duplicates"),
    message:
        "Reading evaluation set {wildcards.evalset}"
    script:
        "../scripts/write_frames.py"


rule evalset_graphs:
    input:
        "<results>/softening/{evalset}/frames/manifest.json",
    output:
        graphs="<results>/softening/{evalset}/graphs/manifest.json",
        left_out="<results>/softening/{evalset}/left_out.json",
    log:
        "<results>/logs/softening/{evalset}/graphs.log",
    benchmark:
        "<results>/benchmarks/softening/{evalset}/graphs.tsv"
    conda:
        "../envs/training.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        architecture=ARCHITECTURE.name,
        code=code_digest(
            "uprung.models.data",
            "uprung.models.chgnet.architecture",
            "uprung.datasets.splits",
        ),
    message:
        "Building the neighbour graphs of {wildcards.evalset}"
    script:
        "../scripts/build_evalset.py"


rule soften_model:
    input:
        frames="<results>/softening/{evalset}/frames/manifest.json",
        graphs="<results>/softening/{evalset}/graphs/manifest.json",
        run=[],
    output:
        **(
            {"parts": "<results>/softening/{evalset}/models/{model}-parts.parquet"}
            if PARTS
            else {}
        ),
        table="<results>/softening/{evalset}/models/{model}.csv",
        forces="<results>/softening/{evalset}/models/{model}.parquet",
    log:
        "<results>/logs/softening/{evalset}/models/{model}.log",
    benchmark:
        "<results>/benchmarks/softening/{evalset}/models/{model}.tsv"
    conda:
        "../envs/training.yaml"
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.training.memory_mb,
        runtime=120,
        gpu=1 if DEVICE == "cuda" else 0,
    params:
        model="{model}",
        fidelity=None,
        bootstrap=STUDY.softening.bootstrap,
        parts=PARTS,
        device=DEVICE,
        threads=STUDY.training.threads,
        code=code_digest(
            "uprung.softening.slopes",
            "uprung.models.predict",
            "uprung.models.chgnet.architecture",
        ),
    message:
        "Forces of {wildcards.model} on {wildcards.evalset}"
    script:
        "../scripts/soften.py"


use rule soften_model as soften_run with:
    input:
        frames="<results>/softening/{evalset}/frames/manifest.json",
        graphs="<results>/softening/{evalset}/graphs/manifest.json",
        run=[f"<results>/runs/{RUN}/model.pth.tar"],
    output:
        **(
            {"parts": f"<results>/softening/{{evalset}}/runs/{RUN}-parts.parquet"}
            if PARTS
            else {}
        ),
        table=f"<results>/softening/{{evalset}}/runs/{RUN}.csv",
        forces=f"<results>/softening/{{evalset}}/runs/{RUN}.parquet",
    log:
        f"<results>/logs/softening/{{evalset}}/runs/{RUN}.log",
    benchmark:
        f"<results>/benchmarks/softening/{{evalset}}/runs/{RUN}.tsv"
    params:
        model=None,
        fidelity=lambda w: STUDY.high if is_joint(w.arm) else None,
        bootstrap=STUDY.softening.bootstrap,
        parts=PARTS,
        device=DEVICE,
        threads=STUDY.training.threads,
        code=code_digest(
            "uprung.softening.slopes",
            "uprung.models.predict",
            "uprung.models.chgnet.architecture",
        ),
    message:
        "Forces of {wildcards.arm} at n = {wildcards.size}, seed {wildcards.seed}, on {wildcards.evalset}"


rule plot_softening:
    input:
        models=expand(
            "<results>/softening/{evalset}/models/{model}.csv",
            model=STUDY.softening.models,
            allow_missing=True,
        ),
        runs=[f"{run}.csv" for run in SOFTENED],
        clouds=[
            *expand(
                "<results>/softening/{evalset}/models/{model}.parquet",
                model=STUDY.softening.models,
                allow_missing=True,
            ),
            *[f"{run}.parquet" for run in SOFTENED],
        ],
        sizes="<results>/split/sizes.csv",
    output:
        table="<results>/softening/{evalset}/softening.csv",
        materials=report(
            "<results>/figures/softening-{evalset}.svg",
            category="Softening",
            labels={"figure": "slopes by material, {evalset}"},
        ),
        sizes=report(
            "<results>/figures/softening-{evalset}-sizes.svg",
            category="Softening",
            labels={"figure": "slopes against n, {evalset}"},
        ),
        parity=report(
            "<results>/figures/softening-{evalset}-parity.svg",
            category="Softening",
            labels={"figure": "predicted against labelled forces, {evalset}"},
        ),
        png=expand(
            "<results>/figures/softening-{evalset}{figure}.png",
            figure=["", "-sizes", "-parity"],
            allow_missing=True,
        ),
    log:
        "<results>/logs/softening/{evalset}/figures.log",
    benchmark:
        "<results>/benchmarks/softening/{evalset}/figures.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
        code=code_digest("uprung.figures.softening"),
    message:
        "Drawing the softening on {wildcards.evalset}"
    script:
        "../scripts/plot_softening.py"


rule fine_tune_softening:
    input:
        forces="<results>/softening/{evalset}/models/{model}.parquet",
        graphs="<results>/softening/{evalset}/graphs/manifest.json",
    output:
        "<results>/softening/{evalset}/training/{model}.csv",
    log:
        "<results>/logs/softening/{evalset}/training/{model}.log",
    benchmark:
        "<results>/benchmarks/softening/{evalset}/training/{model}.tsv"
    conda:
        "../envs/training.yaml"
    threads: STUDY.training.threads
    resources:
        mem_mb=lambda w, attempt: STUDY.training.memory_mb * attempt,
        runtime=lambda w, attempt: CORRECTION.training.minutes * attempt,
        gpu=1 if DEVICE == "cuda" else 0,
    params:
        training={k: v for k, v in part(CORRECTION.training).items() if k != "minutes"},
        machine={k: v for k, v in RECIPE.items() if k not in part(CORRECTION.training)},
        shots=CORRECTION.shots,
        draws=CORRECTION.draws,
        state=lambda w: f"results/{STUDY.study}/state/softening/{w.evalset}/training/{w.model}",
        code=code_digest(
            "uprung.softening.force_correction",
            "uprung.softening.fine_tuning",
            "uprung.softening.saved_draws",
        ),
    message:
        "Training {wildcards.model} on few structures of {wildcards.evalset}"
    script:
        "../scripts/fine_tune_softening.py"


rule correct_softening:
    input:
        clouds=rules.plot_softening.input.clouds,
        parts=[
            cloud.replace(".parquet", "-parts.parquet")
            for cloud in (rules.plot_softening.input.clouds if PARTS else [])
        ],
        trained=expand(
            "<results>/softening/{evalset}/training/{model}.csv",
            model=STUDY.softening.models if "training" in CORRECTION.methods else [],
            allow_missing=True,
        ),
    output:
        table="<results>/softening/{evalset}/correction.csv",
        draws="<results>/softening/{evalset}/correction.parquet",
        figure=report(
            "<results>/figures/softening-{evalset}-correction.svg",
            category="Softening",
            labels={"figure": "correction with few labels, {evalset}"},
        ),
        png="<results>/figures/softening-{evalset}-correction.png",
    log:
        "<results>/logs/softening/{evalset}/correction.log",
    benchmark:
        "<results>/benchmarks/softening/{evalset}/correction.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        methods=CORRECTION.methods,
        shots=CORRECTION.shots,
        draws=CORRECTION.draws,
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
        code=code_digest(
            "uprung.softening.force_correction", "uprung.figures.correction"
        ),
    message:
        "Correcting the forces on {wildcards.evalset}"
    script:
        "../scripts/correct_softening.py"


rule softening:
    """Softening of the checkpoints and of trained networks on every evaluation set, and its correction."""
    input:
        expand("<results>/softening/{evalset}/softening.csv", evalset=STUDY.evalsets),
        expand("<results>/softening/{evalset}/correction.csv", evalset=STUDY.evalsets),
