"""Train one run: an arm, at one size and seed, for one budget."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from uprung.config.arms import Arm
from uprung.config.training import Budget, Training
from uprung.dataset import open_dataset, rows_of
from uprung.logs import logged
from uprung.potential.arms import build_model
from uprung.references import Reference
from uprung.run_state import forget
from uprung.splits import subset
from uprung.step import launch
from uprung.training import run_card, save_run, train

with logged(snakemake.log[0]):
    params, wildcards, seed = snakemake.params, snakemake.wildcards, int(snakemake.wildcards.seed)
    arm, budget = Arm.model_validate(params.arm), Budget.model_validate(params.budget)
    recipe = Training.model_validate(params.recipe)
    fabric = launch(recipe)
    dataset = open_dataset(snakemake.input.graphs)
    split = pd.read_parquet(snakemake.input.split)
    validation = split.loc[(split["fidelity"] == params.fidelity) & (split["split"] == "val"), "frame_id"]
    chosen = subset(pd.read_parquet(snakemake.input.order), params.size)
    reference = [Reference.from_frame(pd.read_csv(file)) for file in snakemake.input.reference]
    model = build_model(
        arm,
        pretrained=params.pretrained,
        references=reference[0].values if reference else None,
        elements=np.bincount(dataset.graphs.numbers, minlength=95)[1:] > 0,
        seed=seed,
    )
    state = Path(params.state.format(**wildcards))
    run = train(
        fabric,
        model,
        dataset,
        rows_of(dataset, chosen["frame_id"]),
        rows_of(dataset, validation),
        targets=params.targets,
        recipe=recipe,
        budget=budget,
        seed=seed,
        state=state,
        what=f"{wildcards.arm} n={wildcards.size} seed {seed}",
    )
    if fabric.is_global_zero:
        save_run(run, model, budget, model_file=snakemake.output.model, other_file=snakemake.output.other)
        pd.DataFrame(run.history).to_csv(snakemake.output.history, index=False)
        card = run_card(
            run,
            dataset,
            chosen,
            budget=budget,
            n_val=len(validation),
            params=dict(params),
            inputs=list(snakemake.input),
        )
        Path(snakemake.output.card).write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True))
        forget(state)
