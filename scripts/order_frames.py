"""Order the training frames of the target fidelity for one seed."""

import pandas as pd

from uprung.logs import logged
from uprung.splits import training_order

with logged(snakemake.log[0]):
    split = pd.read_parquet(snakemake.input[0])
    train = split[(split["fidelity"] == snakemake.params.fidelity) & (split["split"] == "train")]
    order = training_order(
        train, draw=snakemake.params.draw, seed=int(snakemake.wildcards.seed), key=snakemake.params.key
    )
    order.to_parquet(snakemake.output[0])
