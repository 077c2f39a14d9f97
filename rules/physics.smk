"""Properties of crystals of checkpoints and of trained networks (only with `tests.physics`)."""

if PHYSICS:

    # what decides the values of a network
    PHYSICS_OPTIONS = without(PHYSICS, "models", "runs", "bootstrap", "threads", "repair")

    rule physics_model:
        input:
            data=sum(PHYSICS_SOURCES.values(), []),
            network=lambda w: own_file(w.model),
        output:
            values="<results>/physics/models/{model}.csv",
            curves="<results>/physics/models/{model}-curves.parquet",
        conda:
            "../envs/physics.yaml"
        threads: PHYSICS.threads
        resources:
            mem_mb=STUDY.resources.memory_mb,
            gpu=GPU,
        params:
            **({"own": lambda w: own_contents(w.get("model"))} if OWN_CHECKPOINTS else {}),
            physics=PHYSICS_OPTIONS,
            data=contents(sum(PHYSICS_SOURCES.values(), [])),
            files=PHYSICS_SOURCES,
            model="{model}",
            fidelity=None,
            about=lambda w: model_of(dict(w.items())),
            state=lambda w: f"results/{STUDY.study}/state/physics/models/{w.model}",
            device=DEVICE,
            threads=PHYSICS.threads,
        message:
            "Properties of crystals by {wildcards.model}"
        script:
            "../scripts/compute_physics.py"

    use rule physics_model as physics_run with:
        input:
            data=sum(PHYSICS_SOURCES.values(), []),
            network=[f"<results>/runs/{RUN}/model.pth.tar"],
        output:
            values=f"<results>/physics/runs/{RUN}.csv",
            curves=f"<results>/physics/runs/{RUN}-curves.parquet",
        params:
            physics=PHYSICS_OPTIONS,
            data=contents(sum(PHYSICS_SOURCES.values(), [])),
            files=PHYSICS_SOURCES,
            model=None,
            fidelity=lambda w: STUDY.high if is_joint(w.arm) else None,
            about=lambda w: model_of(dict(w.items())),
            state=lambda w: f"results/{STUDY.study}/state/physics/runs/{w.budget}/{w.arm}/n{w.size}/seed{w.seed}",
            device=DEVICE,
            threads=PHYSICS.threads,
        message:
            "Properties of crystals by {wildcards.arm} at n = {wildcards.size}, seed {wildcards.seed}"

    rule plot_physics:
        input:
            values=[f"{network}.csv" for network in PHYSICS_NETWORKS],
            curves=[f"{network}-curves.parquet" for network in PHYSICS_NETWORKS],
        output:
            **{key: figure(name) for key, name in PHYSICS_FIGURES.items()},
            **({"transfer": "<results>/physics/transfer.csv"} if PHYSICS.runs != "none" else {}),
            values="<results>/physics/values.csv",
            summary="<results>/physics/summary.csv",
            png=[f"<results>/figures/{name}.png" for name in PHYSICS_FIGURES.values()],
        log:
            "<results>/logs/physics/figures.log",
        params:
            bootstrap=PHYSICS.bootstrap,
            mixing="mixing" in PHYSICS_FIGURES,
            phonons="phonons" in PHYSICS_FIGURES,
            arm_labels=ARM_LABELS,
            budget=next(iter(STUDY.budgets)),
            transfer=PHYSICS.runs != "none",
            # arm -> the checkpoint that it starts from
            starts={
                arm: STUDY.networks[start] for arm in STUDY.arms if (start := STUDY.start_of(arm)) in STUDY.networks
            },
        message:
            "Drawing the properties of crystals"
        script:
            "../scripts/plot_physics.py"


if REPAIR:

    # pool -> sets that its labels repair
    REPAIRED = {pool: PHYSICS.repaired(SOFTENING.sets[pool].functional) for pool in REPAIR.pools}

    rule repair_physics:
        input:
            data=lambda w: sum((PHYSICS_SOURCES[name] for name in REPAIRED[w.evalset]), []),
            network=lambda w: own_file(w.model),
            values="<results>/physics/models/{model}.csv",
            forces="<results>/softening/{evalset}/models/{model}.parquet",
            frames="<results>/softening/{evalset}/frames/manifest.json",
            graphs=evalset_graphs_of,
        output:
            "<results>/physics/repair/{evalset}/{model}.csv",
        conda:
            "../envs/physics.yaml"
        threads: STUDY.training.threads
        resources:
            mem_mb=lambda w, attempt: STUDY.resources.memory_mb * attempt,
            runtime=lambda w, attempt: STUDY.resources.correction_minutes * attempt,
            gpu=GPU,
        params:
            **({"own": lambda w: own_contents(w.get("model"))} if OWN_CHECKPOINTS else {}),
            physics=lambda w: {
                **PHYSICS_OPTIONS,
                "sets": {name: PHYSICS_OPTIONS["sets"][name] for name in REPAIRED[w.evalset]},
            },
            data=lambda w: contents(sum((PHYSICS_SOURCES[name] for name in REPAIRED[w.evalset]), [])),
            files=lambda w: {name: PHYSICS_SOURCES[name] for name in REPAIRED[w.evalset]},
            tuned=lambda w: PHYSICS.tuned(SOFTENING.sets[w.evalset].functional),
            about=lambda w: {"model": w.model, "pool": w.evalset},
            labels=REPAIR.labels,
            shots=REPAIR.shots,
            draws=REPAIR.draws,
            recipe=plain(CORRECTION.training.recipe(STUDY.training)),
            epochs=CORRECTION.training.epochs,
            state=lambda w: f"results/{STUDY.study}/state/physics/repair/{w.evalset}/{w.model}",
            threads=STUDY.training.threads,
        message:
            "Properties of crystals by {wildcards.model} after a repair with few labels of {wildcards.evalset}"
        script:
            "../scripts/repair_physics.py"

    rule plot_repair:
        input:
            expand("<results>/physics/repair/{evalset}/{model}.csv", evalset=REPAIR.pools, model=PHYSICS_MODELS),
        output:
            table="<results>/physics/repair.csv",
            figure=figure("physics-repair"),
            png="<results>/figures/physics-repair.png",
        params:
            kinds={name: [entry.test, entry.functional] for name, entry in PHYSICS.sets.items()},
            bootstrap=PHYSICS.bootstrap,
            tolerance=REPAIR.tolerance,
            labels=REPAIR.labels,
        message:
            "Drawing the properties of crystals after a repair with few labels"
        script:
            "../scripts/plot_repair.py"


rule physics:
    """Properties of crystals against published values: surfaces, vacancies, mixing, elasticity, phonons, volumes."""
    input:
        ["<results>/physics/summary.csv"] if PHYSICS else [],
        ["<results>/physics/repair.csv"] if REPAIR else [],
