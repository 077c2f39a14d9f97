"""Resume states: what an interrupted run needs on disk to end with the numbers of an uninterrupted one."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from uprung.config.training import Training
from uprung.datasets.store import Rows
from uprung.job.files import write_whole

LOG = logging.getLogger(__name__)
_HELD: list[FileLock] = []  # until this process ends


@dataclass
class Run:
    """State of a run: everything that a resumed run needs, in plain types."""

    step: int = 0
    seconds: float = 0.0
    resumed: int = 0
    best_step: int = 0
    best_score: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def identity_of(module: nn.Module, parts: Sequence[Rows], *, facts: Mapping[str, Any], recipe: Training) -> str:
    """Return a digest of all that decides a run's numbers, so that no run continues the state of another.

    Args:
        module: the network as it begins.
        parts: training, validation and replayed frames.
        facts: what else decides the numbers, in plain values.
        recipe: of the run; what does not change its numbers is left out.
    """
    known = {
        **facts,
        "recipe": recipe.model_dump(mode="json", exclude={"checkpoint_minutes"}),
        "data": [part.dataset.manifest for part in parts],
        "trainable": [name for name, p in module.named_parameters() if p.requires_grad],
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    for part in parts:
        labels = part.labels
        for values in (part.rows, labels.energy, labels.forces, labels.stress, labels.magmom):
            digest.update(np.ascontiguousarray(values).tobytes())
    for weights in module.state_dict().values():
        digest.update(weights.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def save_state(
    state: Path, identity: str, run: Run, module: nn.Module, optimiser: torch.optim.Optimizer, window: list[float]
) -> None:
    """Write the resumable state aside and rename; the one before stays as `.previous`.

    Raises:
        OSError: it cannot be written; the states that are there stay.
    """
    content = io.BytesIO()  # PyTorch's own writer of files does not say why it failed
    torch.save(
        {
            "identity": identity,
            "run": {f: getattr(run, f) for f in run.__dataclass_fields__},
            "window": window,
            "module": module.state_dict(),
            "optimiser": optimiser.state_dict(),
        },
        content,
    )
    write_whole(state, content.getvalue(), previous=state.with_suffix(".previous"))


def resume_state(
    state: Path,
    identity: str,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    window: list[float],
    device: torch.device,
) -> Run | None:
    """Load the newest readable state of this very run into network and optimiser; None when there is none."""
    for path in (state, state.with_suffix(".previous")):
        if not path.exists():
            continue
        try:
            stored = torch.load(path, map_location=device, weights_only=True)  # noqa: TID251
        except Exception as error:  # a truncated file raises whatever its first broken byte asks for
            LOG.warning("%s cannot be read (%s); trying the checkpoint before it", path, type(error).__name__)
            path.unlink(missing_ok=True)  # or the next save would keep it as the good one
            continue
        if stored.get("identity") != identity:
            LOG.warning("%s was written under other data, options or initial weights; not continued", path)
            continue
        module.load_state_dict(stored["module"])
        optimiser.load_state_dict(stored["optimiser"])
        window[:] = stored["window"]
        run = Run(**stored["run"])
        run.resumed += 1
        LOG.info("resumed at step %d", run.step)
        return run
    return None


def forget(state: Path) -> None:
    """Remove the resumable state of a run whose outputs are written."""
    for path in (state, state.with_suffix(".previous"), state.with_name(state.name + ".tmp")):
        path.unlink(missing_ok=True)


def hold(state: Path) -> None:
    """Keep a run for this process until it ends; wait while another process has it.

    Two processes at one run happen when Snakemake was killed and a job of it lives on, hangs, or runs on another node.
    The processes of a run on several devices share the lock of the first one.
    """
    if int(os.environ.get("LOCAL_RANK", 0)):
        return
    state.parent.mkdir(parents=True, exist_ok=True)
    path = state.with_suffix(".lock")
    lock = FileLock(path, fallback_to_soft=False)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            owner = path.read_text(encoding="utf-8").strip() or "another process"
            line = (
                f"{state.parent} belongs to {owner}, probably of a Snakemake that was killed; this job waits for it to "
                "end. End that process to go on from its last checkpoint at once"
            )
            LOG.warning(line)
            print(f"uprung: {line}", file=sys.stderr, flush=True)
            lock.acquire(poll_interval=1)
            LOG.info("the other process has ended")
    except OSError as error:  # a file system without locks
        LOG.warning("%s cannot be locked (%s); let no other process train this run", path, error)
        return
    _HELD.append(lock)
    path.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
