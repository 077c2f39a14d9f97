"""Train one run: an arm, at one size and seed, for one budget."""

from functools import partial
from pathlib import Path

import pandas as pd

from uprung.atomref.references import ReferenceEnergies
from uprung.config.arms import Arm
from uprung.config.tracking import Tracking
from uprung.config.training import Budget, Training
from uprung.datasets.sizes import subset
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.training.arms import begin, sides
from uprung.training.fisher import elastic_of
from uprung.training.run import Job, run_job
from uprung.training.teachers import replayed_frames
from uprung.training.tuning import tuned

with job(snakemake):
    params, names, files = snakemake.params, snakemake.wildcards, snakemake.input
    arm, pretrained, targets = Arm.model_validate(params.arm), params.pretrained, params.targets
    recipe = tuned(params.recipe, *files.rate)
    split, chosen = pd.read_parquet(files.split), subset(pd.read_parquet(files.order), params.size)
    replayed = [replayed_frames(open_dataset(file), split, params.low, files.agreed) for file in files.source]
    fits = [ReferenceEnergies.from_frame(pd.read_csv(file)).values for file in files.reference]
    learnt = {"targets": arm.labels or targets, "watched": targets, "target": params.high, "source": params.low}
    pulls = {"l2_sp": arm.l2_sp, "ewc": elastic_of(arm.ewc, files.importance)}
    task = Job(
        **{"name": params.run, "what": f"{names.arm} n={names.size} seed {names.seed}"},
        results=Path(params.results),
        recipe=Training.model_validate(recipe),
        **{"budget": Budget.model_validate(params.budget), "seed": int(names.seed)},
        options={k: params[k] for k in ("arm", "budget", "size", "pretrained", "targets")} | {"recipe": recipe},
        tracking=Tracking.model_validate(snakemake.config.get("tracking", {})),  # no parameter: it decides no number
        **(learnt | pulls),
        corrects=pretrained if arm.delta else None,
    )
    rows = (*sides(open_dataset(files.graphs), split, chosen, params.high), next(iter(replayed), None))
    own = {"pretrained": next(iter(files.initial), pretrained), "references": next(iter(fits), None)}
    beginning = partial(begin, arm, *rows, **own, corrected=pretrained, targets=targets, seed=task.seed)
    run_job(task, beginning, chosen, inputs=list(files), outputs=dict(snakemake.output.items()), code=params.code)
