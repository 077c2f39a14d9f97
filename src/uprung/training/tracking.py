"""Histories of training runs for TensorBoard, and for Weights & Biases and MLflow where a study asks for them.

TensorBoard events are written while a run trains. The services get a run when it has finished: no network between
steps, no step twice when a run was interrupted, and a service that does not answer loses nothing, since the history is
a file as well.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from uprung.config.tracking import MLflow, Tracking, WandB
from uprung.job.logs import redacted
from uprung.training.events import PREFIX, EventFile

LOG = logging.getLogger(__name__)
History = Sequence[Mapping[str, float]]
#: Group of curves that a column of the history belongs to, by how its name begins.
_GROUPS = {"train_loss": "loss", "val_loss": "loss", "val_": "validation", "grad_": "gradient"}


def tag(column: str) -> str:
    """Return the name of a column of the history among the curves: `loss/val_loss`, `gradient/grad_readout`."""
    group = next((group for start, group in _GROUPS.items() if column.startswith(start)), "schedule")
    return f"{group}/{column}"


def scalars(row: Mapping[str, float]) -> dict[str, float]:
    """Return name -> value of a row of the history, without what it has no number for."""
    return {tag(name): float(value) for name, value in row.items() if name != "step" and math.isfinite(value)}


class Events:
    """TensorBoard events of one run: the numbers of its history, in single precision, every step once."""

    def __init__(self, folder: Path) -> None:
        """Begin anew in a folder: a run that goes on writes what it had before as well."""
        self.folder, self.written = folder, 0
        self.file: EventFile | None = None

    def __call__(self, history: History) -> None:
        """Write the rows of a growing history that are not written yet."""
        if self.file is None:
            for old in self.folder.glob(f"{PREFIX}*"):
                old.unlink()
            self.file = EventFile(self.folder)
        for row in history[self.written :]:
            self.file.add(int(row["step"]), scalars(row))
        self.written = len(history)


def send(tracking: Tracking, history: History, *, results: Path, run: str, options: Mapping[str, Any]) -> None:
    """Send a finished run to the services of a study, one run at a time. One that fails is told, and ends nothing.

    Args:
        tracking: which services.
        history: of the run.
        results: folder of the study; what the services write on this machine goes to `tracking/` in it.
        run: name of the run.
        options: what the run was made with.
    """
    senders: dict[str, Callable[..., None]] = {"wandb": _to_wandb, "mlflow": _to_mlflow}
    for name in tracking.services:
        try:
            (results / "tracking").mkdir(parents=True, exist_ok=True)
            # one job at a time: two that create MLflow's database at once would leave a broken one
            with FileLock(results / "tracking" / "lock"):
                senders[name](getattr(tracking, name), history, results, run, dict(options))
        except Exception as error:  # whatever a client or a socket may raise: the run itself is finished and kept
            LOG.exception("tracking.%s failed", name)
            told = f"uprung: tracking.{name}: {run} was not sent: {type(error).__name__}: {error}"
            print(redacted(told), file=sys.stderr)


def _to_wandb(service: WandB, history: History, results: Path, run: str, options: dict[str, Any]) -> None:
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(run, results / "tracking", project=service.project, entity=service.entity, group=results.name)
    logger.log_hyperparams(options)
    _log(logger, history)
    logger.experiment.finish()


def _to_mlflow(service: MLflow, history: History, results: Path, run: str, options: dict[str, Any]) -> None:
    from lightning.pytorch.loggers import MLFlowLogger

    experiment = service.experiment or results.name
    logger = MLFlowLogger(experiment, run, service.tracking_uri, tags={"study": results.name})
    logger.log_hyperparams(options)
    _log(logger, history)
    logger.finalize("success")


def _log(logger: Any, history: History) -> None:
    for row in history:
        logger.log_metrics(scalars(row), step=int(row["step"]))
