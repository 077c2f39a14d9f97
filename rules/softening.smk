"""Softening: forces of the checkpoints and of trained networks against those of frames far from equilibrium."""

CORRECTION = SOFTENING.correction
# also forces by the element whose energies they come from
PARTS = "per-element" in CORRECTION.methods
SOFTENED_SIZES = {"none": [], "largest": STUDY.sizes[-1:], "all": STUDY.sizes}
SOFTENED = [
    folder_of("<results>/softening/{evalset}/runs", run)
    for run in STUDY.runs
    if run.size in SOFTENED_SIZES[SOFTENING.runs]
]
EVALSET_GRAPHS = "<results>/softening/{evalset}/graphs/{architecture}/manifest.json"
# those of the physics stage are repaired with structures of evaluation sets
SOFTENED_MODELS = dict.fromkeys([*SOFTENING.models, *(PHYSICS_MODELS if REPAIR else [])])
# name -> card, of the models and of the trained networks
SOFTENED_ARCHITECTURES = ARCHITECTURES | {card.name: card for card in (card_in(STUDY, m) for m in SOFTENED_MODELS)}


rule evalset_frames:
    input:
        lambda w: EVALSET_SOURCES[w.evalset],
    output:
        "<results>/softening/{evalset}/frames/manifest.json",
    wildcard_constraints:
        evalset=one_of(set(SOFTENING.sets) - {*LABELLED}),
    params:
        data=lambda w: contents(EVALSET_SOURCES[w.evalset]),
        fidelity=lambda w: without(SOFTENING.sets[w.evalset], "snapshots"),
        needed=["force"],
    message:
        "Reading evaluation set {wildcards.evalset}"
    script:
        "../scripts/write_frames.py"


rule evalset_graphs:
    input:
        "<results>/softening/{evalset}/frames/manifest.json",
    output:
        graphs=expand(EVALSET_GRAPHS, architecture=SOFTENED_ARCHITECTURES, allow_missing=True),
        left_out="<results>/softening/{evalset}/left_out.json",
    threads: 2
    params:
        architectures=list(SOFTENED_ARCHITECTURES),
        # all models are judged on the same structures
        reach=reach_of(*SOFTENED_ARCHITECTURES.values()),
    message:
        "Building the neighbour graphs of {wildcards.evalset}"
    script:
        "../scripts/build_evalset.py"


rule soften_model:
    input:
        frames="<results>/softening/{evalset}/frames/manifest.json",
        graphs=evalset_graphs_of,
        run=lambda w: own_file(w.model),
    output:
        **({"parts": "<results>/softening/{evalset}/models/{model}-parts.parquet"} if PARTS else {}),
        table="<results>/softening/{evalset}/models/{model}.csv",
        forces="<results>/softening/{evalset}/models/{model}.parquet",
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        gpu=GPU,
    params:
        **({"own": lambda w: own_contents(w.get("model"))} if OWN_CHECKPOINTS else {}),
        model="{model}",
        fidelity=None,
        bootstrap=SOFTENING.bootstrap,
        parts=PARTS,
        device=DEVICE,
        threads=STUDY.training.threads,
    message:
        "Forces of {wildcards.model} on {wildcards.evalset}"
    script:
        "../scripts/soften.py"


use rule soften_model as soften_run with:
    input:
        frames="<results>/softening/{evalset}/frames/manifest.json",
        graphs=lambda w: EVALSET_GRAPHS.format(evalset=w.evalset, architecture=card_of_arm(w.arm).name),
        run=[f"<results>/runs/{RUN}/model.pth.tar"],
    output:
        **({"parts": f"<results>/softening/{{evalset}}/runs/{RUN}-parts.parquet"} if PARTS else {}),
        table=f"<results>/softening/{{evalset}}/runs/{RUN}.csv",
        forces=f"<results>/softening/{{evalset}}/runs/{RUN}.parquet",
    params:
        model=None,
        fidelity=lambda w: STUDY.high if is_joint(w.arm) else None,
        bootstrap=SOFTENING.bootstrap,
        parts=PARTS,
        device=DEVICE,
        threads=STUDY.training.threads,
    message:
        "Forces of {wildcards.arm} at n = {wildcards.size}, seed {wildcards.seed}, on {wildcards.evalset}"


rule plot_softening:
    input:
        models=expand(
            "<results>/softening/{evalset}/models/{model}.csv",
            model=SOFTENING.models,
            allow_missing=True,
        ),
        runs=[f"{run}.csv" for run in SOFTENED],
        clouds=[
            *expand(
                "<results>/softening/{evalset}/models/{model}.parquet",
                model=SOFTENING.models,
                allow_missing=True,
            ),
            *[f"{run}.parquet" for run in SOFTENED],
        ],
        sizes="<results>/split/sizes.csv",
        frames="<results>/softening/{evalset}/frames/manifest.json",
    output:
        table="<results>/softening/{evalset}/softening.csv",
        materials=figure("softening-{evalset}"),
        sizes=figure("softening-{evalset}-sizes"),
        parity=figure("softening-{evalset}-parity"),
        structures=figure("softening-{evalset}-structures"),
        png=expand(
            "<results>/figures/softening-{evalset}{figure}.png",
            figure=["", "-sizes", "-parity", "-structures"],
            allow_missing=True,
        ),
    log:
        "<results>/logs/softening/{evalset}/figures.log",
    params:
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
    message:
        "Drawing the softening on {wildcards.evalset}"
    script:
        "../scripts/plot_softening.py"


rule fine_tune_softening:
    input:
        forces="<results>/softening/{evalset}/models/{model}.parquet",
        graphs=evalset_graphs_of,
        run=lambda w: own_file(w.model),
    output:
        "<results>/softening/{evalset}/training/{model}.csv",
    threads: STUDY.training.threads
    resources:
        mem_mb=lambda w, attempt: STUDY.resources.memory_mb * attempt,
        runtime=lambda w, attempt: STUDY.resources.correction_minutes * attempt,
        gpu=GPU,
    params:
        recipe=plain(CORRECTION.training.recipe(STUDY.training)),
        epochs=CORRECTION.training.epochs,
        trained_draws=CORRECTION.training.draws,
        shots=CORRECTION.shots,
        draws=CORRECTION.draws,
        state=lambda w: f"results/{STUDY.study}/state/softening/{w.evalset}/training/{w.model}",
    message:
        "Training {wildcards.model} on few structures of {wildcards.evalset}"
    script:
        "../scripts/fine_tune_softening.py"


rule correct_softening:
    input:
        # of the checkpoints, then of runs, like the clouds
        tables=[*rules.plot_softening.input.models, *rules.plot_softening.input.runs],
        clouds=rules.plot_softening.input.clouds,
        parts=[
            cloud.replace(".parquet", "-parts.parquet")
            for cloud in (rules.plot_softening.input.clouds if PARTS else [])
        ],
        trained=expand(
            "<results>/softening/{evalset}/training/{model}.csv",
            model=SOFTENING.models if "training" in CORRECTION.methods else [],
            allow_missing=True,
        ),
    output:
        table="<results>/softening/{evalset}/correction.csv",
        draws="<results>/softening/{evalset}/correction.parquet",
        figure=figure("softening-{evalset}-correction"),
        png="<results>/figures/softening-{evalset}-correction.png",
    params:
        methods=CORRECTION.methods,
        shots=CORRECTION.shots,
        draws=CORRECTION.draws,
        arm_labels=ARM_LABELS,
        budget=next(iter(STUDY.budgets)),
    message:
        "Correcting the forces on {wildcards.evalset}"
    script:
        "../scripts/correct_softening.py"


rule softening:
    """Softening of the checkpoints and of trained networks on every evaluation set, and its correction."""
    input:
        expand("<results>/softening/{evalset}/softening.csv", evalset=SOFTENING.sets),
        expand("<results>/softening/{evalset}/correction.csv", evalset=SOFTENING.sets),
