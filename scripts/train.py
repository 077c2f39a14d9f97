"""Train one run: an arm, at one size and seed, for one budget."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from uprung.config.arms import Arm
from uprung.config.tracking import Tracking
from uprung.config.training import Budget, Training
from uprung.dataset import Rows, open_dataset, rows_of
from uprung.logs import logged
from uprung.potential.arms import build_model, residual_labels, source_side
from uprung.potential.checkpoint import load_chgnet
from uprung.potential.module import Packed
from uprung.potential.saved import save_potential
from uprung.references import Reference
from uprung.run_state import hold
from uprung.sizes import subset
from uprung.splits import frames_on
from uprung.step import launch
from uprung.tracking import Events, send
from uprung.training import Replay, finish_run, run_card, train

with logged(snakemake.log[0]):
    params, wildcards, seed = snakemake.params, snakemake.wildcards, int(snakemake.wildcards.seed)
    arm, budget = Arm.model_validate(params.arm), Budget.model_validate(params.budget)
    recipe = Training.model_validate(params.recipe)
    state = Path(params.state.format(**wildcards))
    hold(state)
    fabric = launch(recipe)
    dataset = open_dataset(snakemake.input.graphs)
    split = pd.read_parquet(snakemake.input.split)
    chosen = subset(pd.read_parquet(snakemake.input.order), params.size)
    # a network that the study pretrained itself, or the checkpoint of `transfer`
    pretrained = next(iter(snakemake.input.initial), params.pretrained)
    reference = [Reference.from_frame(pd.read_csv(file)) for file in snakemake.input.reference]
    model = build_model(
        arm,
        pretrained=pretrained,
        references=reference[0].values if reference else None,
        elements=np.bincount(dataset.graphs.numbers, minlength=95)[1:] > 0,
        seed=seed,
    )
    held = {"targets": params.targets, "device": str(fabric.device)}
    frames = Rows(dataset, rows_of(dataset, chosen["frame_id"]))
    validation = Rows(dataset, rows_of(dataset, frames_on(split, params.high, "val")))
    if arm.delta:
        corrected = load_chgnet(params.pretrained.removeprefix("chgnet-"))
        frames, validation = (residual_labels(part, corrected, **held) for part in (frames, validation))
    source, replay = None, None
    if arm.replay:
        low = open_dataset(snakemake.input.source[0])
        replayed = Rows(low, rows_of(low, frames_on(split, params.low, "train")), "source")
        source, replayed = source_side(arm, model, replayed, pretrained=pretrained, **held)
        replay = Replay(replayed, arm.replay.fraction)
    module = Packed(model, params.targets, source)
    results, name = Path("results", params.study), params.run.format(**wildcards)
    tracking = Tracking.model_validate(snakemake.config.get("tracking", {}))  # no parameter: it decides no number
    run = train(
        fabric,
        module,
        frames,
        validation,
        targets=params.targets,
        recipe=recipe,
        budget=budget,
        seed=seed,
        state=state,
        replay=replay,
        l2_sp=arm.l2_sp,
        what=f"{wildcards.arm} n={wildcards.size} seed {seed}",
        watch=Events(results / "tensorboard" / name),
    )
    if fabric.is_global_zero:
        corrects = params.pretrained if arm.delta else None
        save = partial(save_potential, target=params.high, source=params.low, corrects=corrects)
        card = run_card(
            run,
            frames,
            chosen,
            budget=budget,
            n_val=len(validation.rows),
            n_replay=len(replay.frames.rows) if replay else 0,
            options={key: params[key] for key in ("arm", "budget", "size", "recipe", "pretrained", "targets")},
            loads_in_chgnet=not arm.delta,
            inputs=list(snakemake.input),
        )
        finish_run(run, module, budget, save, card, outputs=dict(snakemake.output.items()), state=state)
        send(tracking, run.history, results=results, run=name, options=card["options"])
