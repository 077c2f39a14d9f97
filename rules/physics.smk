"""Properties of crystals of checkpoints and of trained networks (only with `tests.physics`)."""

if PHYSICS:

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
            physics=without(PHYSICS, "models", "runs", "bootstrap", "threads"),
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
            physics=without(PHYSICS, "models", "runs", "bootstrap", "threads"),
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
        message:
            "Drawing the properties of crystals"
        script:
            "../scripts/plot_physics.py"


rule physics:
    """Properties of crystals against published values: surfaces, vacancies, mixing, elasticity, phonons, volumes."""
    input:
        ["<results>/physics/summary.csv"] if PHYSICS else [],
