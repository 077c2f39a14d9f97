"""What a job tells: plain lines with times in its log file, a bar on a terminal, one clear line on failure."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm


@contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Send log lines and warnings to a file; on an error print its message, keep the traceback in the file.

    Raises:
        SystemExit: with status 1, after any exception.
    """
    rank = int(os.environ.get("LOCAL_RANK", 0))  # of the processes of a run on several devices
    logging.basicConfig(
        filename=f"{path}.rank{rank}" if rank else path,
        filemode="w",
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%F %T",
        force=True,
    )
    logging.captureWarnings(True)
    try:
        yield
    except Exception as error:
        logging.exception("failed")
        print(f"uprung: {type(error).__name__}: {error}\n        (details in {path})", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        logging.captureWarnings(False)


@contextmanager
def progress(total: int, what: str, unit: str, *, start: int = 0, show: bool = True) -> Iterator[tqdm[NoReturn]]:
    """Show a bar while standard error is a terminal; logs get their lines from the caller."""
    with tqdm(
        total=total,
        initial=start,
        desc=what,
        unit=unit,
        leave=False,
        dynamic_ncols=True,
        disable=not (show and sys.stderr.isatty()),
    ) as bar:
        yield bar
