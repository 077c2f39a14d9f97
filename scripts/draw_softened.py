"""Draw the materials of an evaluation set that the report names, and the softest beside them."""

from uprung.figures.structures import structures
from uprung.figures.style import save
from uprung.frames.csv import read_table
from uprung.frames.table import read_frames
from uprung.job.run import job
from uprung.softening.models import TEXT
from uprung.softening.softest import shown_materials

with job(snakemake):
    shown = shown_materials(read_table(snakemake.input.table, TEXT))
    frames = read_frames(snakemake.input.frames)
    first = dict(zip(frames.strings("material_id")[::-1], frames.strings("frame_id")[::-1], strict=True))
    titles = [f"{row.material}\nslope {row.slope:.2f} ({row.model})" for row in shown.itertuples()]
    save(structures(frames.atoms([first[name] for name in shown["material"]]), titles), snakemake.output.svg)
