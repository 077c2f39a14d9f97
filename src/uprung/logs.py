"""What a job tells: plain lines with times in its log file, a bar on a terminal, one clear line on failure."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

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


@contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Send log lines and warnings to a file; on an error print its message, keep the traceback in the file.

    Keys of the environment (`SECRETS`) are in none of it.

    Raises:
        SystemExit: with status 1, after any exception.
    """
    rank = int(os.environ.get("LOCAL_RANK", 0))  # of the processes of a run on several devices
    logging.basicConfig(
        filename=f"{path}.rank{rank}" if rank else path,
        filemode="w",
        level=logging.INFO,
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Discreet("%(asctime)s %(message)s", datefmt="%F %T"))
    logging.captureWarnings(True)
    try:
        yield
    except Exception as error:
        logging.exception("failed")
        print(redacted(f"uprung: {type(error).__name__}: {error}\n        (details in {path})"), file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        logging.captureWarnings(False)


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
