"""Pretrain a network on the source fidelity, from random weights, for arms to start from."""

from functools import partial
from pathlib import Path

import pandas as pd

from uprung.config.tracking import Tracking
from uprung.config.training import Pretraining, Training
from uprung.datasets.sizes import subset
from uprung.datasets.splits import frames_on
from uprung.datasets.store import Rows, open_dataset, rows_of
from uprung.job.logs import logged
from uprung.models.chgnet.module import Packed
from uprung.models.chgnet.saved import save_potential
from uprung.training.arms import new_model
from uprung.training.gradient import launch
from uprung.training.loop import finish_run, run_card, train
from uprung.training.resume import hold
from uprung.training.tracking import Events, send

with logged(snakemake.log[0]):
    params, network = snakemake.params, snakemake.wildcards.network
    options, recipe = Pretraining.model_validate(params.pretraining), Training.model_validate(params.recipe)
    results = Path(params.results)
    state = results / "state" / params.run / "last.ckpt"
    hold(state)
    fabric = launch(recipe)
    dataset = open_dataset(snakemake.input.graphs)
    split = pd.read_parquet(snakemake.input.split)
    chosen = subset(pd.read_parquet(snakemake.input.order), options.size)
    sides = (frames_on(split, params.low, side) for side in ("train", "val"))
    everything, validation = (Rows(dataset, rows_of(dataset, names)) for names in sides)
    frames = Rows(dataset, rows_of(dataset, chosen["frame_id"]))
    module = Packed(new_model(everything, seed=options.seed), params.targets)
    run = train(
        fabric,
        module,
        frames,
        validation,
        targets=params.targets,
        recipe=recipe,
        budget=options,
        seed=options.seed,
        state=state,
        what=f"pretraining {network}",
        watch=Events(results / "tensorboard" / params.run),
    )
    if fabric.is_global_zero:
        save = partial(save_potential, target=params.low, source=params.low, corrects=None)
        card = run_card(
            run,
            frames,
            chosen,
            budget=options,
            n_val=len(validation.rows),
            n_replay=0,
            options={key: params[key] for key in ("pretraining", "recipe", "targets")},
            loads_in_chgnet=True,
            inputs=list(snakemake.input),
        )
        finish_run(run, module, options, save, card, outputs=dict(snakemake.output.items()), state=state)
        tracking = Tracking.model_validate(snakemake.config.get("tracking", {}))  # no parameter: it decides no number
        send(tracking, run.history, results=results, run=params.run, options=card["options"])
