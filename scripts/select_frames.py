"""Turn what was downloaded of the Materials Project into the frames table of a fidelity."""

import json
from dataclasses import replace
from pathlib import Path

from uprung.config.data import Fidelity, MaterialsProject
from uprung.frames.intake import write_frames
from uprung.job.files import sha256
from uprung.job.run import job
from uprung.sources.materials_project.corrections import mp2020
from uprung.sources.materials_project.materials import Options
from uprung.sources.materials_project.select import Selection
from uprung.sources.work_consistency import WorkTest, checked

with job(snakemake):
    params = snakemake.params
    fidelity, wanted = Fidelity.model_validate(params.fidelity), MaterialsProject.model_validate(params.wanted)
    downloaded, target, work = Path(snakemake.input[0]), Path(snakemake.output[0]), WorkTest()
    facts = json.loads(downloaded.read_text(encoding="utf-8"))
    restricted = facts["access_controlled_batch_ids"] if wanted.exclude_restricted else []
    options = Options(
        fidelity.functional,
        exclude_batches=frozenset({*wanted.exclude_batches, *restricted}),
        filters=wanted.filters,
        correction=mp2020 if wanted.correction == "mp2020" and fidelity.functional == "PBE" else None,
    )
    if wanted.validation:
        from uprung.sources.materials_project import validation  # of the extra `pull`

        options = replace(options, validate=validation.validate, validator=validation.NAME)
    places = {"scratch": Path(params.scratch), "listings": target.parent}
    selection = Selection(downloaded, options, processes=snakemake.threads, **places)
    write_frames(
        [(checked(selection.records(), work, downloaded), frozenset(map(int, wanted.exclude_elements)))],
        target.parent,
        functional=fidelity.functional,
        energy=fidelity.energy,
        needed=params.needed,
        about=lambda: {
            "energy_label": fidelity.energy,
            "sources": {"download/manifest.json": sha256(downloaded)},
            "readers": [{**selection.facts(), "work_test": work.result()}],
        },
    )
