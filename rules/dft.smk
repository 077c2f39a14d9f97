"""Labels of one's own: structures or states -> chunks of PBE or r²SCAN labels, by GPAW -> frames. Nothing without `own_dft`."""

from uprung.config.dft import OwnDFT

OWN_DFT = STUDY.own_dft or OwnDFT()
STRUCTURES, CHUNKS = [], []
LABEL_CHUNKS = {  # evaluation set -> chunks; the last ones are empty where runs of states were given up
    name: range(-(-STATE_COUNTS[SOFTENING.sets[name].snapshots] // OWN_DFT.chunk_size))
    for name in LABELLED
}

if COMPUTED:
    from uprung.dft.structures import StructuresError, number_of_chunks

    try:
        STRUCTURES = find_file(
            OWN_DFT.structures, FOLDERS, key=f"{CONFIG_FILE}: own_dft.structures"
        )
        CHUNKS = range(number_of_chunks(Path(STRUCTURES), OWN_DFT.chunk_size))
    except (StudyError, StructuresError) as error:
        sys.exit(f"uprung: the structures to be labelled cannot be used\n{error}")


rule label_structures:
    input:
        STRUCTURES,
    output:
        "<results>/own_dft/{fidelity}/chunk{chunk}.jsonl",
    log:
        "<results>/logs/own_dft/{fidelity}/chunk{chunk}.log",
    benchmark:
        "<results>/benchmarks/own_dft/{fidelity}/chunk{chunk}.tsv"
    wildcard_constraints:
        fidelity=one_of(COMPUTED),
        chunk=one_of(CHUNKS),
    retries: 0  # a failure needs a person; a killed job goes on when Snakemake is started again
    conda:
        "../envs/gpaw.yaml"
    threads: 1
    resources:
        mem_mb=STUDY.resources.dft_memory_mb,
        runtime=max(1, int(OWN_DFT.chunk_size * STUDY.resources.dft_minutes)),
    params:
        scheme=lambda w: OWN_DFT.scheme(STUDY.fidelities[w.fidelity].functional),
        chunk_size=OWN_DFT.chunk_size,
        state=lambda w: f"results/{STUDY.study}/state/own_dft/{w.fidelity}",
        code=code_digest("uprung.dft.gpaw"),
    message:
        "Labelling structures: {wildcards.fidelity}, chunk {wildcards.chunk}"
    script:
        "../scripts/label_structures.py"


use rule label_structures as label_states with:
    input:
        lambda w: f"<results>/states/{SOFTENING.sets[w.evalset].snapshots}/states.extxyz",
    output:
        "<results>/softening/{evalset}/labels/chunk{chunk}.jsonl",
    log:
        "<results>/logs/softening/{evalset}/labels/chunk{chunk}.log",
    benchmark:
        "<results>/benchmarks/softening/{evalset}/labels/chunk{chunk}.tsv"
    wildcard_constraints:
        evalset=one_of(LABELLED),
        chunk=one_of(range(max(map(len, LABEL_CHUNKS.values()), default=0))),
    params:
        scheme=lambda w: OWN_DFT.scheme(SOFTENING.sets[w.evalset].functional),
        chunk_size=OWN_DFT.chunk_size,
        state=lambda w: f"results/{STUDY.study}/state/softening/{w.evalset}/labels",
        code=code_digest("uprung.dft.gpaw"),
    message:
        "Labelling the states of {wildcards.evalset}, chunk {wildcards.chunk}"


rule computed_frames:
    input:
        expand("<results>/own_dft/{{fidelity}}/chunk{chunk}.jsonl", chunk=CHUNKS),
    output:
        "<results>/frames/{fidelity}/manifest.json",
    log:
        "<results>/logs/frames/{fidelity}.log",
    benchmark:
        "<results>/benchmarks/frames/{fidelity}.tsv"
    wildcard_constraints:
        fidelity=one_of(COMPUTED),
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        functional=lambda w: STUDY.fidelities[w.fidelity].functional,
        energy=lambda w: STUDY.fidelities[w.fidelity].energy,
        net_force=OWN_DFT.net_force,
        needed=lambda w: (
            STUDY.transfer.targets if w.fidelity == STUDY.high else ["energy"]
        ),
        code=code_digest("uprung.sources"),
    message:
        "Reading {wildcards.fidelity}: computed labels into the frames table"
    script:
        "../scripts/collect_labels.py"


use rule computed_frames as labelled_states with:
    input:
        lambda w: expand(
            "<results>/softening/{evalset}/labels/chunk{chunk}.jsonl",
            evalset=w.evalset,
            chunk=LABEL_CHUNKS[w.evalset],
        ),
    output:
        "<results>/softening/{evalset}/frames/manifest.json",
    log:
        "<results>/logs/softening/{evalset}/frames.log",
    benchmark:
        "<results>/benchmarks/softening/{evalset}/frames.tsv"
    wildcard_constraints:
        evalset=one_of(LABELLED),
    params:
        functional=lambda w: SOFTENING.sets[w.evalset].functional,
        energy=lambda w: SOFTENING.sets[w.evalset].energy,
        net_force=OWN_DFT.net_force,
        needed=["force"],
        code=code_digest("uprung.sources"),
    message:
        "Reading evaluation set {wildcards.evalset}: computed labels into the frames table"


rule dft:
    """Labels of one's own, if the study computes any."""
    input:
        expand(
            "<results>/own_dft/{fidelity}/chunk{chunk}.jsonl",
            fidelity=COMPUTED,
            chunk=CHUNKS,
        ),
        [
            f"<results>/softening/{evalset}/labels/chunk{chunk}.jsonl"
            for evalset, chunks in LABEL_CHUNKS.items()
            for chunk in chunks
        ],
