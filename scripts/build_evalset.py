"""Build the graphs of an evaluation set for every architecture; frames that one of them cannot compute are listed."""

from pathlib import Path

import numpy as np

from uprung.datasets.splits import Reach, exclusions
from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.logs import progress
from uprung.job.run import job
from uprung.models.data import write_dataset

with job(snakemake):
    frames = read_frames(snakemake.input[0])
    energy = frames.label(frames.own_label)
    reasons = exclusions(frames, energy, reach=Reach(*snakemake.params.reach))
    rows = np.flatnonzero(reasons == "")
    for name, manifest in zip(snakemake.params.architectures, snakemake.output.graphs, strict=True):
        with progress(len(rows), f"graphs of {name}", "structure") as bar:
            write_dataset(
                frames.take(rows),
                energy[rows],
                Path(manifest).parent,
                name=name,
                processes=snakemake.threads,
                progress=bar.update,
            )
    names = frames.strings("frame_id")
    left_out = [{"frame_id": names[k], "reason": reasons[k]} for k in np.flatnonzero(reasons != "")]
    write_json(snakemake.output.left_out, {"frames": len(frames), "left_out": left_out})
