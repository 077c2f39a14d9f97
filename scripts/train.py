"""Train one run: an arm, at one size and seed, for one budget."""

from functools import partial
from pathlib import Path

import pandas as pd

from uprung.atomref.references import ReferenceEnergies
from uprung.config.arms import Arm
from uprung.config.tracking import Tracking
from uprung.config.training import Budget, Training
from uprung.datasets.sizes import subset
from uprung.datasets.splits import frames_on
from uprung.datasets.store import Rows, open_dataset, rows_of
from uprung.job.logs import logged
from uprung.models.chgnet.saved import save_potential
from uprung.training.arm_run import begin
from uprung.training.gradient import launch
from uprung.training.loop import finish_run, run_card, train
from uprung.training.resume import hold
from uprung.training.tracking import Events, send

with logged(snakemake.log[0]):
    params, wildcards, files = snakemake.params, snakemake.wildcards, snakemake.input
    arm, budget = Arm.model_validate(params.arm), Budget.model_validate(params.budget)
    recipe, results = Training.model_validate(params.recipe), Path(params.results)
    state = results / "state" / params.run / "last.ckpt"
    hold(state)
    fabric = launch(recipe)
    high = open_dataset(files.graphs)
    split, chosen = pd.read_parquet(files.split), subset(pd.read_parquet(files.order), params.size)
    sides = (chosen["frame_id"], frames_on(split, params.high, "val"))
    low = [open_dataset(file) for file in files.source]
    own = begin(
        arm,
        *(Rows(high, rows_of(high, names)) for names in sides),
        next((Rows(part, rows_of(part, frames_on(split, params.low, "train")), "source") for part in low), None),
        # a network that the study pretrained itself, or the checkpoint of `transfer`
        pretrained=next(iter(files.initial), params.pretrained),
        corrected=params.pretrained,
        references=next((ReferenceEnergies.from_frame(pd.read_csv(file)).values for file in files.reference), None),
        targets=params.targets,
        seed=int(wildcards.seed),
        device=str(fabric.device),
    )
    run = train(
        fabric,
        own.module,
        own.frames,
        own.validation,
        targets=params.targets,
        recipe=recipe,
        budget=budget,
        seed=int(wildcards.seed),
        state=state,
        replay=own.replay,
        l2_sp=arm.l2_sp,
        what=f"{wildcards.arm} n={wildcards.size} seed {wildcards.seed}",
        watch=Events(results / "tensorboard" / params.run),
    )
    if fabric.is_global_zero:
        corrects = params.pretrained if arm.delta else None
        save = partial(save_potential, target=params.high, source=params.low, corrects=corrects)
        card = run_card(
            run,
            own.frames,
            chosen,
            budget=budget,
            n_val=len(own.validation.rows),
            n_replay=len(own.replay.frames.rows) if own.replay else 0,
            options={key: params[key] for key in ("arm", "budget", "size", "recipe", "pretrained", "targets")},
            loads_in_chgnet=not arm.delta,
            inputs=list(files),
        )
        finish_run(run, own.module, budget, save, card, outputs=dict(snakemake.output.items()), state=state)
        tracking = Tracking.model_validate(snakemake.config.get("tracking", {}))  # no parameter: it decides no number
        send(tracking, run.history, results=results, run=params.run, options=card["options"])
