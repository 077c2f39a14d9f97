"""High-energy states of given crystals: molecular dynamics with a potential -> frames ready to be labelled."""

STATES, STATE_COUNTS, STATE_CHUNKS = {}, {}, {}

if SOFTENING.snapshots:
    from uprung.dft.structures import (
        StructuresError,
        count_structures,
        number_of_chunks,
    )

    try:
        STATES = {
            name: find_file(
                states.structures,
                FOLDERS,
                key=f"{CONFIG_FILE}: tests.softening.snapshots.{name}.structures",
            )
            for name, states in SOFTENING.snapshots.items()
        }
        # where no run is given up
        STATE_COUNTS = {
            name: count_structures(Path(file)) * SOFTENING.snapshots[name].frames
            for name, file in STATES.items()
        }
        STATE_CHUNKS = {
            name: number_of_chunks(Path(file), SOFTENING.snapshots[name].chunk_size)
            for name, file in STATES.items()
        }
    except (StudyError, StructuresError) as error:
        sys.exit(f"uprung: the structures to be sampled cannot be used\n{error}")


rule sample_states:
    input:
        lambda w: STATES[w.states],
    output:
        frames="<results>/states/{states}/chunk{chunk}.extxyz",
        facts="<results>/states/{states}/chunk{chunk}.json",
    log:
        "<results>/logs/states/{states}/chunk{chunk}.log",
    benchmark:
        "<results>/benchmarks/states/{states}/chunk{chunk}.tsv"
    wildcard_constraints:
        states=one_of(STATES),
        chunk=one_of(range(max(STATE_CHUNKS.values(), default=0))),
    conda:
        "../envs/training.yaml"
    threads: STUDY.training.threads
    resources:
        mem_mb=STUDY.resources.memory_mb,
        runtime=lambda w: max(
            1, int(SOFTENING.snapshots[w.states].chunk_size * STUDY.resources.snapshot_minutes)
        ),
        gpu=1 if DEVICE == "cuda" else 0,
    params:
        protocol=lambda w: SOFTENING.snapshots[w.states].protocol(),
        model=lambda w: SOFTENING.snapshots[w.states].model,
        seed=lambda w: SOFTENING.snapshots[w.states].seed,
        chunk_size=lambda w: SOFTENING.snapshots[w.states].chunk_size,
        device=DEVICE,
        threads=STUDY.training.threads,
        state=lambda w: f"results/{STUDY.study}/state/states/{w.states}",
        code=code_digest("uprung.softening.snapshots", "uprung.models.calculator"),
    message:
        "Sampling states {wildcards.states}, chunk {wildcards.chunk}"
    script:
        "../scripts/sample_states.py"


rule collect_states:
    input:
        frames=lambda w: expand(
            "<results>/states/{states}/chunk{chunk}.extxyz",
            states=w.states,
            chunk=range(STATE_CHUNKS[w.states]),
        ),
        facts=lambda w: expand(
            "<results>/states/{states}/chunk{chunk}.json",
            states=w.states,
            chunk=range(STATE_CHUNKS[w.states]),
        ),
    output:
        frames="<results>/states/{states}/states.extxyz",
        manifest="<results>/states/{states}/manifest.json",
        vasp=directory("<results>/states/{states}/vasp"),
    log:
        "<results>/logs/states/{states}/collect.log",
    benchmark:
        "<results>/benchmarks/states/{states}/collect.tsv"
    wildcard_constraints:
        states=one_of(STATES),
    conda:
        "../envs/training.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        states=lambda w: part(SOFTENING.snapshots[w.states]),
        code=code_digest("uprung.softening.snapshots"),
    message:
        "Collecting states {wildcards.states}"
    script:
        "../scripts/collect_states.py"


rule states:
    """High-energy states, ready to be labelled."""
    input:
        expand("<results>/states/{states}/manifest.json", states=STATES),
