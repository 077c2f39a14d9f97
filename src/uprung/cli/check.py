"""All checks of a study before any job: its file, its data, and the plan of its jobs."""

from __future__ import annotations

import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from uprung.cli.examine import examine
from uprung.cli.workflow import checked, loaded, snakemake
from uprung.config.points import PointsStudy
from uprung.job.workflow import workflow_folder


def check_study(study: str, *, data: bool = True) -> int:
    """Check a study and print what it is; return 0 where it can run.

    Args:
        study: the study file.
        data: whether its files are read, paired and split, as the first jobs do.

    Raises:
        StudyError: the study file asks for something that is not allowed; every problem is told.
        FramesError, PairsError, SplitError, SizeError: what would stop the first jobs.
    """
    found = loaded(checked(study))
    lines = [f"{os.path.relpath(study)}: study {found.study!r}"]
    if not isinstance(found, PointsStudy):
        arms = f"{len(found.arms)} arms: {', '.join(found.arms)}"
        lines.append(f"{len(found.runs)} runs; {arms}; targets {', '.join(found.transfer.targets)}")
        seen = examine(found) if data else None
        if seen is not None:
            sides = ", ".join(f"{seen.on(found.high, side):,} {side}" for side in ("train", "val", "test"))
            lines.append(f"{seen.pairing.facts['pairs']:,} pairs; frames of {found.high}: {sides}")
            lines += [f"warning: {warning}" for warning in seen.pairing.warnings]
    snakefile = str(workflow_folder() / "Snakefile")
    with redirect_stderr(StringIO()) as told, redirect_stdout(told):
        status = snakemake(["--snakefile", snakefile, "--configfile", study, "-n"])
    if status:
        print(told.getvalue(), file=sys.stderr)
        return status
    jobs = re.search(r"^total +(\d+)", told.getvalue(), re.MULTILINE)
    lines.append(f"{jobs[1]} jobs to do" if jobs else "nothing left to do")
    print("\n".join(lines))
    return 0
