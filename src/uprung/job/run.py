"""A job of the workflow: inputs held against their checksums, the log, checksums of what it has written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from uprung.job.checksums import record, verify
from uprung.job.environments import enter
from uprung.job.logs import logged
from uprung.job.made import note


@contextmanager
def job(snakemake: Any) -> Iterator[None]:
    """Run the script of a rule; see `logged`, `verify` and `note` of `uprung.job`, and `uprung.job.environments`.

    Of the processes of a run on several devices the first one alone checks and records; it starts the others.

    Args:
        snakemake: what Snakemake gives to a script, or `uprung.job.mock_snakemake`.

    Raises:
        SystemExit: with status 1, after any exception; nothing is recorded then.
    """
    enter(snakemake.params.get("code", ""))
    first = not int(os.environ.get("LOCAL_RANK", 0))
    with logged(snakemake.log[0]):
        if first:
            verify(snakemake.input)
        yield
        if first:
            record(snakemake.output)
            note(snakemake)
