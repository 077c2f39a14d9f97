"""Snapshots of crystals far from equilibrium; own labels, by GPAW: chunks of structures or snapshots -> frames."""

SNAPSHOTS, SNAPSHOT_COUNTS, SNAPSHOT_CHUNKS = {}, {}, {}

if SOFTENING.snapshots:
    from uprung.dft.structures import (
        StructuresError,
        count_structures,
        number_of_chunks,
    )

    try:
        SNAPSHOTS = {
            name: find_file(
                states.structures,
                FOLDERS,
                key=f"{CONFIG_FILE}: tests.softening.snapshots.{name}.structures",
            )
            for name, states in SOFTENING.snapshots.items()
        }
        # where no run is given up
        SNAPSHOT_COUNTS = {
            name: count_structures(Path(file)) * SOFTENING.snapshots[name].frames for name, file in SNAPSHOTS.items()
        }
        SNAPSHOT_CHUNKS = {
            name: number_of_chunks(Path(file), SOFTENING.snapshots[name].chunk_size) for name, file in SNAPSHOTS.items()
        }
    except (StudyError, StructuresError) as error:
        sys.exit(f"uprung: the structures to be sampled cannot be used\n{error}")


rule sample_snapshots:
    input:
        lambda w: SNAPSHOTS[w.snapshots],
    output:
        frames="<results>/snapshots/{snapshots}/chunk{chunk}.extxyz",
        facts="<results>/snapshots/{snapshots}/chunk{chunk}.json",
    wildcard_constraints:
        snapshots=one_of(SNAPSHOTS),
        chunk=one_of(range(max(SNAPSHOT_CHUNKS.values(), default=0))),
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        runtime=lambda w: max(
            1,
            int(SOFTENING.snapshots[w.snapshots].chunk_size * STUDY.resources.snapshot_minutes),
        ),
        gpu=GPU,
    params:
        data=lambda w: contents([SNAPSHOTS[w.snapshots]]),
        protocol=lambda w: SOFTENING.snapshots[w.snapshots].protocol(),
        model=lambda w: SOFTENING.snapshots[w.snapshots].model,
        seed=lambda w: SOFTENING.snapshots[w.snapshots].seed,
        chunk_size=lambda w: SOFTENING.snapshots[w.snapshots].chunk_size,
        device=DEVICE,
        threads=STUDY.training.threads,
        state=lambda w: f"results/{STUDY.study}/state/snapshots/{w.snapshots}",
    message:
        "Sampling snapshots {wildcards.snapshots}, chunk {wildcards.chunk}"
    script:
        "../scripts/sample_snapshots.py"


rule collect_snapshots:
    input:
        frames=lambda w: expand(
            "<results>/snapshots/{snapshots}/chunk{chunk}.extxyz",
            snapshots=w.snapshots,
            chunk=range(SNAPSHOT_CHUNKS[w.snapshots]),
        ),
        facts=lambda w: expand(
            "<results>/snapshots/{snapshots}/chunk{chunk}.json",
            snapshots=w.snapshots,
            chunk=range(SNAPSHOT_CHUNKS[w.snapshots]),
        ),
    output:
        frames="<results>/snapshots/{snapshots}/snapshots.extxyz",
        manifest="<results>/snapshots/{snapshots}/manifest.json",
        vasp=directory("<results>/snapshots/{snapshots}/vasp"),
    log:
        "<results>/logs/snapshots/{snapshots}/collect.log",
    wildcard_constraints:
        snapshots=one_of(SNAPSHOTS),
    conda:
        "../envs/training.yaml"
    params:
        snapshots=lambda w: plain(SOFTENING.snapshots[w.snapshots]),
    message:
        "Collecting snapshots {wildcards.snapshots}"
    script:
        "../scripts/collect_snapshots.py"


rule snapshots:
    """High-energy snapshots of crystals, ready to be labelled."""
    input:
        expand("<results>/snapshots/{snapshots}/manifest.json", snapshots=SNAPSHOTS),


from uprung.config.dft import OwnDFT

OWN_DFT = STUDY.own_dft or OwnDFT()
STRUCTURES, CHUNKS = [], []
LABEL_CHUNKS = {  # evaluation set -> chunks; the last ones are empty where runs of snapshots were given up
    name: range(-(-SNAPSHOT_COUNTS[SOFTENING.sets[name].snapshots] // OWN_DFT.chunk_size)) for name in LABELLED
}

if COMPUTED:
    from uprung.dft.structures import StructuresError, number_of_chunks

    try:
        STRUCTURES = find_file(OWN_DFT.structures, FOLDERS, key=f"{CONFIG_FILE}: own_dft.structures")
        CHUNKS = range(number_of_chunks(Path(STRUCTURES), OWN_DFT.chunk_size))
    except (StudyError, StructuresError) as error:
        sys.exit(f"uprung: the structures to be labelled cannot be used\n{error}")


rule label_structures:
    input:
        STRUCTURES,
    output:
        "<results>/own_dft/{fidelity}/chunk{chunk}.jsonl",
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
        data=lambda w: contents([STRUCTURES] if STRUCTURES else []),
        scheme=lambda w: OWN_DFT.scheme(STUDY.fidelities[w.fidelity].functional),
        chunk_size=OWN_DFT.chunk_size,
        state=lambda w: f"results/{STUDY.study}/state/own_dft/{w.fidelity}",
    message:
        "Labelling structures: {wildcards.fidelity}, chunk {wildcards.chunk}"
    script:
        "../scripts/label_structures.py"


use rule label_structures as label_snapshots with:
    input:
        lambda w: f"<results>/snapshots/{SOFTENING.sets[w.evalset].snapshots}/snapshots.extxyz",
    output:
        "<results>/softening/{evalset}/labels/chunk{chunk}.jsonl",
    wildcard_constraints:
        evalset=one_of(LABELLED),
        chunk=one_of(range(max(map(len, LABEL_CHUNKS.values()), default=0))),
    params:
        scheme=lambda w: OWN_DFT.scheme(SOFTENING.sets[w.evalset].functional),
        chunk_size=OWN_DFT.chunk_size,
        state=lambda w: f"results/{STUDY.study}/state/softening/{w.evalset}/labels",
    message:
        "Labelling the snapshots of {wildcards.evalset}, chunk {wildcards.chunk}"


rule computed_frames:
    input:
        expand("<results>/own_dft/{{fidelity}}/chunk{chunk}.jsonl", chunk=CHUNKS),
    output:
        "<results>/frames/{fidelity}/manifest.json",
    wildcard_constraints:
        fidelity=one_of(COMPUTED),
    params:
        functional=lambda w: STUDY.fidelities[w.fidelity].functional,
        energy=lambda w: STUDY.fidelities[w.fidelity].energy,
        net_force=OWN_DFT.net_force,
        needed=lambda w: (STUDY.transfer.targets if w.fidelity == STUDY.high else ["energy"]),
    message:
        "Reading {wildcards.fidelity}: computed labels into the frames table"
    script:
        "../scripts/collect_labels.py"


use rule computed_frames as labelled_snapshots with:
    input:
        lambda w: expand(
            "<results>/softening/{evalset}/labels/chunk{chunk}.jsonl",
            evalset=w.evalset,
            chunk=LABEL_CHUNKS[w.evalset],
        ),
    output:
        "<results>/softening/{evalset}/frames/manifest.json",
    wildcard_constraints:
        evalset=one_of(LABELLED),
    params:
        functional=lambda w: SOFTENING.sets[w.evalset].functional,
        energy=lambda w: SOFTENING.sets[w.evalset].energy,
        net_force=OWN_DFT.net_force,
        needed=["force"],
    message:
        "Reading evaluation set {wildcards.evalset}: computed labels into the frames table"


rule dft:
    """Own labels, if the study computes any."""
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
