"""Holes in the energy surface of every network: random structures relaxed and rattled (only with `tests.holes`)."""

HOLES = STUDY.tests.holes


if HOLES:

    rule find_holes:
        input:
            frames=f"<results>/frames/{STUDY.high}/manifest.json",
            graphs=lambda w: graphs_of(STUDY.high, card_of_arm(w.arm)),
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
            graphs=lambda w: graphs_of(STUDY.high, card_of_network(w.pretrained)),
            split="<results>/split/split.parquet",
            models=lambda w: pretrained_here(w.pretrained),
        output:
            "<results>/holes/{pretrained}.parquet",
        wildcard_constraints:
            pretrained=one_of(STUDY.networks),
        params:
            **({"own": lambda w: own_contents(checkpoint_of_network(w.pretrained))} if OWN_CHECKPOINTS else {}),
            holes=without(HOLES, "runs"),
            runs=lambda w: [{"budget": "", "arm": checkpoint_of_network(w.pretrained), "size": "", "seed": -1}],
            model=lambda w: checkpoint_of_network(w.pretrained),
            fidelity=None,
            high=STUDY.high,
            device=DEVICE,
            threads=STUDY.training.threads,
        message:
            "Looking for holes in {params.model} as it is"

    rule plot_holes:
        input:
            expand("<results>/holes/{network}.parquet", network=TESTED_NETWORKS),
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
