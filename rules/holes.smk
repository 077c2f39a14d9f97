"""Holes in the energy surface of every network: random structures relaxed and rattled (only with `tests.holes`)."""

if STUDY.tests.holes:

    rule find_holes:
        input:
            frames=f"<results>/frames/{STUDY.high}/manifest.json",
            graphs=f"<results>/graphs/{STUDY.high}/manifest.json",
            split="<results>/split/split.parquet",
            models=lambda w: [f"<results>/runs/{RUN}/model.pth.tar".format(**run) for run in holed_runs(w.arm)],
        output:
            "<results>/holes/arms/{arm}.parquet",
        threads: STUDY.training.threads
        resources:
            mem_mb=STUDY.resources.memory_mb,
            gpu=GPU,
        params:
            holes=without(STUDY.tests.holes, "runs"),
            runs=lambda w: holed_runs(w.arm),
            model=None,
            fidelity=lambda w: STUDY.high if is_joint(w.arm) else None,
            high=STUDY.high,
            device=DEVICE,
            threads=STUDY.training.threads,
        message:
            "Looking for holes in the networks of {wildcards.arm}"
        script:
            "../scripts/find_holes.py"

    use rule find_holes as find_holes_before with:
        input:
            frames=f"<results>/frames/{STUDY.high}/manifest.json",
            graphs=f"<results>/graphs/{STUDY.high}/manifest.json",
            split="<results>/split/split.parquet",
            models=[],
        output:
            "<results>/holes/pretrained.parquet",
        params:
            holes=without(STUDY.tests.holes, "runs"),
            runs=[{"budget": "", "arm": STUDY.architecture, "size": "", "seed": -1}],
            model=STUDY.architecture,
            fidelity=None,
            high=STUDY.high,
            device=DEVICE,
            threads=STUDY.training.threads,
        message:
            "Looking for holes in {params.model} as it is"

    rule plot_holes:
        input:
            "<results>/holes/pretrained.parquet",
            expand("<results>/holes/arms/{arm}.parquet", arm=STUDY.arms),
        output:
            arms="<results>/holes/arms.csv",
            networks="<results>/holes/networks.csv",
            figure=figure("holes"),
            png="<results>/figures/holes.png",
        log:
            "<results>/logs/holes/figure.log",
        params:
            arm_labels=ARM_LABELS,
            budget=next(iter(STUDY.budgets)),
        message:
            "Drawing the holes of all networks"
        script:
            "../scripts/plot_holes.py"
