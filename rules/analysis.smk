"""Energy shift and label correlation of every pair of fidelities."""


rule analyse_shift:
    input:
        low=lambda w: f"<results>/frames/{STUDY.pairs[w.pair].low}/manifest.json",
        high=lambda w: f"<results>/frames/{STUDY.pairs[w.pair].high}/manifest.json",
        pairs="<results>/pairs/{pair}/pairs.parquet",
    output:
        shift="<results>/analysis/{pair}/shift.csv",
        correlation="<results>/analysis/{pair}/correlation.csv",
        by_element="<results>/analysis/{pair}/by_element.csv",
        importance="<results>/analysis/{pair}/importance.csv",
        summary="<results>/analysis/{pair}/summary.json",
    log:
        "<results>/logs/analysis/{pair}.log",
    params:
        label_low=lambda w: STUDY.fidelities[STUDY.pairs[w.pair].low].energy,
        label_high=lambda w: STUDY.fidelities[STUDY.pairs[w.pair].high].energy,
        force_limit=STUDY.analysis.force_limit,
        bootstrap=STUDY.analysis.bootstrap,
    message:
        "Energy shift and label correlation of {wildcards.pair}"
    script:
        "../scripts/analyse_shift.py"


SHIFT_FIGURES = ["energy", "labels", "shift", "elements", "importance"]


rule plot_shift:
    input:
        low=lambda w: f"<results>/frames/{STUDY.pairs[w.pair].low}/manifest.json",
        high=lambda w: f"<results>/frames/{STUDY.pairs[w.pair].high}/manifest.json",
        pairs="<results>/pairs/{pair}/pairs.parquet",
        shift="<results>/analysis/{pair}/shift.csv",
        importance="<results>/analysis/{pair}/importance.csv",
    output:
        energy=figure("{pair}-energy"),
        labels=figure("{pair}-labels"),
        shift=figure("{pair}-shift"),
        elements=figure("{pair}-elements"),
        importance=figure("{pair}-importance"),
        png=expand("<results>/figures/{{pair}}-{figure}.png", figure=SHIFT_FIGURES),
    log:
        "<results>/logs/analysis/{pair}-figures.log",
    params:
        functionals=lambda w: [
            STUDY.fidelities[name].functional for name in (STUDY.pairs[w.pair].low, STUDY.pairs[w.pair].high)
        ],
        label_low=lambda w: STUDY.fidelities[STUDY.pairs[w.pair].low].energy,
        label_high=lambda w: STUDY.fidelities[STUDY.pairs[w.pair].high].energy,
        force_limit=STUDY.analysis.force_limit,
    message:
        "Drawing the energy shift of {wildcards.pair}"
    script:
        "../scripts/plot_shift.py"


rule analysis:
    """Energy shift and label correlation of every pair, with figures."""
    input:
        expand("<results>/analysis/{pair}/summary.json", pair=STUDY.pairs),
        expand("<results>/figures/{pair}-energy.svg", pair=STUDY.pairs),
