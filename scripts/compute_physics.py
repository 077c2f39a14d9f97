"""Hold one network against published properties of crystals."""

from pathlib import Path

import torch

from uprung.config.physics import Physics
from uprung.job.devices import claim
from uprung.job.files import sha256
from uprung.job.provenance import versions
from uprung.job.run import job
from uprung.models.calculator import PotentialCalculator
from uprung.models.registry import load
from uprung.physics.networks import Kept, check_packages, network_tables
from uprung.physics.references import read_set
from uprung.physics.results import Accuracy

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    torch.set_num_threads(params.threads)
    device, options = claim(params.device), Physics.model_validate(params.physics)
    check_packages(options.sets.values())
    sets = {name: (entry, read_set(entry, params.files[name])) for name, entry in options.sets.items()}
    file = next(iter(snakemake.input.network), None)
    potential = load(file or params.model, params.fidelity)
    accuracy = Accuracy(options.force, options.stress, options.steps)
    decides = {
        "network": sha256(Path(file)) if file else params.model,
        "fidelity": params.fidelity,
        "accuracy": [accuracy.force, accuracy.stress, accuracy.steps],
        "device": device,
        "code": params.code,
        "versions": versions("ase", "phonopy") | potential.versions,
    }
    kept = Kept(Path(params.state), decides)
    values, curves = network_tables(sets, PotentialCalculator(potential, device=device), accuracy, kept)
    about = dict(params.about)
    values.assign(**about).to_csv(output.values, index=False)
    curves.assign(**about).to_parquet(output.curves, index=False)
