"""List and draw the test structures with the largest errors."""

from uprung.evaluation.largest import largest_runs
from uprung.evaluation.worst import worst_structures
from uprung.figures.structures import structures
from uprung.figures.style import TARGETS, save
from uprung.frames.table import read_frames
from uprung.job.run import job

with job(snakemake):
    files, target = snakemake.input, snakemake.params.target
    runs = largest_runs(files.metrics, files.predictions)
    best = min(runs, key=lambda run: run.mae(target)).arm
    table = worst_structures({run.arm: run.table() for run in runs}, target, best=best)
    named = table[table["arm"] == best]
    found = read_frames(files.frames).atoms(list(named["frame_id"]))
    formulas = [atoms.get_chemical_formula() for atoms in found]
    table.insert(2, "formula", table["frame_id"].map(dict(zip(named["frame_id"], formulas, strict=True))))
    table.assign(worst_of=best).to_csv(snakemake.output.table, index=False)
    _, unit, factor = TARGETS[target]
    ranked = zip(named["rank"], formulas, named["error"], strict=True)
    titles = [f"{rank}: {formula}\n{error * factor:,.3g} {unit}" for rank, formula, error in ranked]
    save(structures(found, titles), snakemake.output.svg)
