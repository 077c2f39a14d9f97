"""Elemental reference energies: what the pretrained network leaves over, the fits, and a comparison of estimators."""


rule predict_pretrained:
    input:
        graphs=lambda w: graphs_of(STUDY.high, card_of_network(w.pretrained)),
        initial=lambda w: pretrained_here(w.pretrained),
    output:
        "<results>/references/{pretrained}.parquet",
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        gpu=GPU,
    params:
        **({"own": lambda w: own_contents(checkpoint_of_network(w.pretrained))} if OWN_CHECKPOINTS else {}),
        model=lambda w: checkpoint_of_network(w.pretrained),
        targets=STUDY.transfer.targets,
        device=DEVICE,
        threads=STUDY.training.threads,
    message:
        "Predicting all frames with network {wildcards.pretrained} as it is"
    script:
        "../scripts/predict_pretrained.py"


rule fit_reference:
    input:
        low=f"<results>/frames/{STUDY.low}/manifest.json",
        high=f"<results>/frames/{STUDY.high}/manifest.json",
        split="<results>/split/split.parquet",
        order="<results>/split/order/seed{seed}.parquet",
        pretrained=lambda w: (
            [f"<results>/references/{STUDY.references[w.reference].model}.parquet"]
            if STUDY.references[w.reference].labels == "residual"
            else []
        ),
        elements=lambda w: element_manifests(w.reference),
    output:
        "<results>/references/{reference}/n{size}/seed{seed}.csv",
    params:
        reference=lambda w: plain(STUDY.references[w.reference]),
        elements=lambda w: element_fidelities(w.reference),
        size=lambda w: SIZES[w.size],
        names=[STUDY.low, STUDY.high],
        labels=[STUDY.fidelities[name].energy for name in (STUDY.low, STUDY.high)],
    message:
        "Fitting reference {wildcards.reference} on n = {wildcards.size}, seed {wildcards.seed}"
    script:
        "../scripts/fit_reference.py"


USED_REFERENCES = sorted(
    {
        STUDY.scaling.baseline,
        *(reference_of(arm) for arm in STUDY.arms if reference_of(arm)),
    }
)


rule plot_references:
    input:
        expand(
            "<results>/references/{reference}/n{size}/seed{seed}.csv",
            reference=USED_REFERENCES,
            size=SIZES,
            seed=STUDY.seeds[:1],
        ),
    output:
        table="<results>/references/references.csv",
        svg=figure("references"),
        png="<results>/figures/references.png",
    log:
        "<results>/logs/references/figure.log",
    params:
        references=USED_REFERENCES,
        sizes=list(SIZES),
        seed=STUDY.seeds[0],
    message:
        "Drawing the reference energies"
    script:
        "../scripts/plot_references.py"


# A residual reference predicts nothing without its network.
COMPARED_REFERENCES = [name for name, reference in STUDY.references.items() if reference.labels != "residual"]


rule compare_references:
    input:
        low=f"<results>/frames/{STUDY.low}/manifest.json",
        high=f"<results>/frames/{STUDY.high}/manifest.json",
        split="<results>/split/split.parquet",
        orders=expand("<results>/split/order/seed{seed}.parquet", seed=STUDY.seeds),
        elements=element_manifests(*COMPARED_REFERENCES),
    output:
        table="<results>/atomref/comparison.csv",
        summary="<results>/atomref/summary.csv",
    params:
        references={name: plain(STUDY.references[name]) for name in COMPARED_REFERENCES},
        elements=element_fidelities(*COMPARED_REFERENCES),
        sizes=SIZES,
        seeds=STUDY.seeds,
        names=[STUDY.low, STUDY.high],
        labels=[STUDY.fidelities[name].energy for name in (STUDY.low, STUDY.high)],
        baseline=STUDY.scaling.baseline,
        resamples=STUDY.scaling.bootstrap,
    message:
        "Comparing reference fits on held-out frames"
    script:
        "../scripts/compare_references.py"


rule plot_comparison:
    input:
        "<results>/atomref/summary.csv",
    output:
        svg=figure("reference-errors"),
        png="<results>/figures/reference-errors.png",
    log:
        "<results>/logs/atomref/figure.log",
    params:
        baseline=STUDY.scaling.baseline,
    message:
        "Drawing the errors of reference energies alone"
    script:
        "../scripts/plot_comparison.py"


rule atomref:
    """All reference fits that the arms use and their figure; all estimators of the study against each other."""
    input:
        expand(
            "<results>/references/{reference}/n{size}/seed{seed}.csv",
            reference=USED_REFERENCES,
            size=SIZES,
            seed=STUDY.seeds,
        ),
        "<results>/figures/references.svg",
        "<results>/figures/reference-errors.svg",
