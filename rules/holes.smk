"""Holes in the energy surface of every network: random structures relaxed and rattled (only with `tests.holes`)."""

HOLES = STUDY.tests.holes


if HOLES:

    rule find_holes:
        input:
            frames=f"<results>/frames/{STUDY.high}/manifest.json",
            graphs=f"<results>/graphs/{STUDY.high}/manifest.json",
            split="<results>/split/split.parquet",
            models=lambda w: [f"{folder_of('<results>/runs', run)}/model.pth.tar" for run in searched(w.arm)],
        output:
            "<results>/holes/arms/{arm}.parquet",
        threads: STUDY.training.threads
        resources:
            mem_mb=STUDY.resources.memory_mb,
            gpu=GPU,
        params:
            holes=without(HOLES, "runs"),
            runs=lambda w: [{**run._asdict(), "size": size_token(run.size)} for run in searched(w.arm)],
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
            holes=without(HOLES, "runs"),
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
        params:
            arm_labels=ARM_LABELS,
            budget=next(iter(STUDY.budgets)),
        message:
            "Drawing the holes of all networks"
        script:
            "../scripts/plot_holes.py"
