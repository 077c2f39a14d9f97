"""Build the graphs of an evaluation set; frames without a graph are listed."""

from pathlib import Path

import numpy as np

from uprung.datasets.splits import exclusions
from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.logs import progress
from uprung.job.run import job
from uprung.models.data import write_dataset

with job(snakemake):
    frames = read_frames(snakemake.input[0])
    energy = frames.label("energy")
    reasons = exclusions(frames, energy)
    rows = np.flatnonzero(reasons == "")
    with progress(len(rows), "graphs", "structure") as bar:
        write_dataset(
            frames.take(rows),
            energy[rows],
            Path(snakemake.output.graphs).parent,
            name=snakemake.params.architecture,
            processes=snakemake.threads,
            progress=bar.update,
        )
    names = frames.strings("frame_id")
    left_out = [{"frame_id": names[k], "reason": reasons[k]} for k in np.flatnonzero(reasons != "")]
    write_json(snakemake.output.left_out, {"frames": len(frames), "left_out": left_out})
