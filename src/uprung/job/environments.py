"""Jobs of an architecture whose packages go beside no other ones run in an environment of its own.

The params of a job's rule say which (`code`, set at the end of the Snakefile). Snakemake starts all scripts with its
own interpreter; such a job at once becomes the other one, as the same process: number, streams, limits, signals stay.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from uprung.job.extras import EXTRAS

ROOT = Path(__file__).parents[3]
_ENTERED = "UPRUNG_ENVIRONMENT"  # environment variable: which environment this process became the interpreter of


def marked(code: str, environment: str) -> str:
    """Return the fingerprint of a job's code with the environment that it runs in: `mace/0123abcd`."""
    return f"{environment}/{code}" if environment else code


def interpreter(environment: str) -> Path:
    """Return the interpreter of an environment, whether it exists or not."""
    return ROOT / f".venv-{environment}/bin/python"


def missing(environments: Iterable[str]) -> str:
    """Return in a line what has to be installed before jobs of some environments can run; '' for nothing."""
    lacking = [name for name in environments if name and not interpreter(name).exists() and find_spec(name) is None]
    return "; ".join(f"{EXTRAS[name].who} runs in an environment of its own: {EXTRAS[name].how}" for name in lacking)


def enter(code: str) -> None:
    """Become the interpreter of the environment that a job's fingerprint names; do nothing where its package is.

    It begins with the script from its first line. An interpreter started by hand, of a notebook for one, stays: there
    the package is asked for when it is needed.
    """
    environment = code.rpartition("/")[0]
    if not environment or find_spec(environment) is not None or os.environ.get(_ENTERED) == environment:
        return
    python, script = interpreter(environment), Path(sys.argv[0])
    if python.exists() and script.parts[-3:-1] == (".snakemake", "scripts"):
        os.environ[_ENTERED] = environment
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - the project's own interpreter, no shell
