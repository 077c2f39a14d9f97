"""Holes in the energy surface of every network: random structures relaxed and rattled (only with `tests.holes`)."""

if STUDY.tests.holes:
    HOLED_SIZES = [*SIZES][-1:] if STUDY.tests.holes.runs == "largest" else [*SIZES]

    def holed_runs(arm):
        """Return budget, arm, size and seed of the networks of an arm that are tested."""
        return [
            {"budget": budget, "arm": arm, "size": size, "seed": seed}
            for budget in STUDY.budgets
            for size in HOLED_SIZES
            for seed in STUDY.seeds
        ]

    rule find_holes:
        input:
            frames=f"<results>/frames/{STUDY.high}/manifest.json",
            graphs=f"<results>/graphs/{STUDY.high}/manifest.json",
            split="<results>/split/split.parquet",
            models=lambda w: [f"<results>/runs/{RUN}/model.pth.tar".format(**run) for run in holed_runs(w.arm)],
        output:
            "<results>/holes/arms/{arm}.parquet",
        log:
            "<results>/logs/holes/arms/{arm}.log",
        benchmark:
            "<results>/benchmarks/holes/arms/{arm}.tsv"
        conda:
            "../envs/training.yaml"
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
        log:
            "<results>/logs/holes/pretrained.log",
        benchmark:
            "<results>/benchmarks/holes/pretrained.tsv"
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
        benchmark:
            "<results>/benchmarks/holes/figure.tsv"
        conda:
            "../envs/analysis.yaml"
        params:
            arm_labels=ARM_LABELS,
            budget=next(iter(STUDY.budgets)),
        message:
            "Drawing the holes of all networks"
        script:
            "../scripts/plot_holes.py"
