"""A script run from outside Snakemake, with the object that `mock_snakemake` gives, writes what its job wrote."""

from __future__ import annotations

import subprocess
import sys

from workplace import DRY_TIMEOUT, MICRO, Workplace

BY_HAND = """
import runpy, sys
from uprung.job import mock_snakemake
snakemake = mock_snakemake("fit_reference", study=sys.argv[1], reference="target", size=60, seed=0)
assert dict(snakemake.wildcards) == {"reference": "target", "size": "60", "seed": "0"}
assert snakemake.config["study"] == "micro" and snakemake.threads == 1
runpy.run_path("scripts/fit_reference.py", {"snakemake": snakemake})
print(snakemake.output[0])
"""


def test_a_script_runs_by_hand(finished: Workplace) -> None:
    written = finished.results / "references/target/n60/seed0.csv"
    before = written.read_bytes()
    written.write_text("")
    done = subprocess.run(
        [sys.executable, "-c", BY_HAND, MICRO],
        cwd=finished.folder,
        env={"PYTHONPATH": "src", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=DRY_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(written.relative_to(finished.folder))
    assert not done.stderr
    assert written.read_bytes() == before
