"""Job logs, progress bars, one-line errors."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from uprung.job.files import why_not_written
from uprung.job.parent import PARENT, bound_to

#: Environment variables whose values are told to nobody.
SECRETS = ("MP_API_KEY", "PMG_MAPI_KEY", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
SHORTEST = 6  # characters; what is shorter is no secret, and is in many words
LINES = 60.0  # seconds between two lines of the log about something that takes long


def redacted(text: str) -> str:
    """Return a text without the values of `SECRETS`, whoever has repeated them."""
    for name in SECRETS:
        value = os.environ.get(name, "")
        if len(value) >= SHORTEST:
            text = text.replace(value, "***")
    return text


class _Discreet(logging.Formatter):
    """Formats lines and tracebacks without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class _LogFile(logging.FileHandler):
    """A log file that is silent when it cannot be written: of a full disk the job's own writers tell."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


@contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Run a job: log lines and warnings go to a file; of an error one line is printed, the traceback is in the file.

    Keys of the environment (`SECRETS`) are in none of it. The job ends when the Snakemake that started it is killed
    (`uprung.job.parent`).

    Raises:
        SystemExit: with status 1, after any exception.
    """
    gc.freeze()  # imported modules live as long as the job: looking at them again takes a second when it ends
    rank = int(os.environ.get("LOCAL_RANK", 0))  # of the processes of a run on several devices
    try:
        with _log_file(Path(f"{path}.rank{rank}" if rank else path)), bound_to(os.environ.get(PARENT, "")):
            try:
                yield
            except Exception:
                logging.exception("failed")
                raise
    except Exception as error:
        line = why_not_written(error, Path(path)) or f"{type(error).__name__}: {error}"
        print(redacted(f"uprung: {line}\n        (details in {path})"), file=sys.stderr)
        raise SystemExit(1) from None


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    handler = _LogFile(path, mode="w")
    handler.setFormatter(_Discreet("%(asctime)s %(message)s", datefmt="%F %T"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        with suppress(OSError):  # of a full disk
            handler.close()


class Progress:
    """How far something has come: a bar, and now and then a line in the log with rate and estimate."""

    def __init__(
        self, bar: tqdm[NoReturn], total: int, what: str, unit: str, *, start: int = 0, every: float | None = None
    ) -> None:
        """Begin at `start`; `every` is the time between two lines in seconds, None for no lines."""
        self.bar, self.total, self.what, self.unit, self.every = bar, total, what, unit, every
        self.start = self.done = start
        self.last = self.begin = time.monotonic()

    def update(self, n: int = 1) -> None:
        """Count n more."""
        self.done += n
        self.bar.update(n)
        if self.every is not None and time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            logging.info("%s", self.line(self.last - self.begin))

    def line(self, elapsed: float) -> str:
        """Return how far it is after so many seconds: `reading x: 4.0MB of 12.0MB (33 %), 2.0MB/s, 00:04 left`."""
        rate = (self.done - self.start) / elapsed if elapsed > 0 else 0.0
        left = tqdm.format_interval((self.total - self.done) / rate) if rate else "?"
        share = f" ({self.done / self.total:.0%})".replace("%", " %") if self.total else ""
        done, total, speed = self._amount(self.done), self._amount(self.total), self._amount(rate)
        unit = "" if self.unit == "B" else f" {self.unit}s"
        return f"{self.what}: {done} of {total}{unit}{share}, {speed}{unit}/s, {left} left"

    def _amount(self, value: float) -> str:
        if self.unit == "B":
            return f"{tqdm.format_sizeof(value)}B"
        return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


@contextmanager
def progress(
    total: int, what: str, unit: str, *, start: int = 0, show: bool = True, every: float | None = None
) -> Iterator[Progress]:
    """Show a bar while standard error is a terminal.

    Args:
        total: how much there is to do.
        what: what is done, before the bar and in the lines.
        unit: what is counted, in the singular; `B` for bytes.
        start: how much had been done before.
        show: False for no bar, whatever standard error is.
        every: seconds between two lines in the log; None where the caller writes lines of its own.
    """
    with tqdm(
        total=total,
        initial=start,
        desc=what,
        unit=unit,
        unit_scale=unit == "B",
        leave=False,
        dynamic_ncols=True,
        disable=not (show and sys.stderr.isatty()),
    ) as bar:
        yield Progress(bar, total, what, unit, start=start, every=every)
