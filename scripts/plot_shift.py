"""Draw energy shift and label correlation of one pair of fidelities."""

import pandas as pd

from uprung.figures import shift as figures
from uprung.figures.elements import by_element
from uprung.figures.style import save, text_figure
from uprung.frames.table import read_frames
from uprung.job.run import job
from uprung.labels.aligned import align
from uprung.labels.energy_shift import referenced

NO_IMPORTANCE = "Every structure holds a single element:\nthere is no formation energy to explain."

with job(snakemake):
    params, output, names = snakemake.params, snakemake.output, tuple(snakemake.params.functionals)
    paired = align(
        read_frames(snakemake.input.low),
        read_frames(snakemake.input.high),
        pd.read_parquet(snakemake.input.pairs),
        label_low=params.label_low,
        label_high=params.label_high,
    )
    paired = paired.below_force(params.force_limit)
    low, high = paired.low, paired.high
    relative = (referenced(paired.X, low.energy), referenced(paired.X, high.energy))
    mean_number = paired.X @ range(1, 95)
    save(figures.energy_parity((low.energy, high.energy), relative, mean_number, names=names), output.energy)
    save(figures.label_parity(paired.shared(), names=names), output.labels)
    table = pd.read_csv(snakemake.input.shift)
    save(figures.shift_by_element(table, names=names), output.shift)
    save(by_element(table, names=names), output.elements)
    importance = pd.read_csv(snakemake.input.importance)
    save(figures.importance(importance) if len(importance) else text_figure(NO_IMPORTANCE), output.importance)
