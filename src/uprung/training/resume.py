"""Resume states: what an interrupted run needs on disk to end with the numbers of an uninterrupted one."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from uprung.config.training import Training
from uprung.datasets.store import Rows
from uprung.models.interface import Potential
from uprung.models.torch_files import read_tensors, write_tensors

LOG = logging.getLogger(__name__)
_HELD: list[FileLock] = []  # until this process ends


class Stateful(Protocol):
    """An optimiser, as far as a state of it is kept."""

    def state_dict(self) -> dict[str, Any]:
        """Return its state in plain types."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take a state that `state_dict` returned."""


@dataclass
class TrainingRun:
    """State of a run: everything that a resumed run needs, in plain types."""

    step: int = 0
    seconds: float = 0.0
    resumed: int = 0
    best_step: int = 0
    best_score: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


#: What decides a run's numbers: digests by kind, so that a state which is not continued can say why.
Identity = Mapping[str, str]


def identity_of(
    potential: Potential, parts: Sequence[Rows], *, facts: Mapping[str, Any], recipe: Training, code: str
) -> Identity:
    """Return digests of all that decides a run's numbers, so that no run continues the state of another.

    Args:
        potential: the network as it begins.
        parts: training, validation and replayed frames.
        facts: what else decides the numbers, in plain values.
        recipe: of the run; what does not change its numbers is left out.
        code: fingerprint of the job's code.
    """
    options = {
        **facts,
        "recipe": recipe.model_dump(mode="json", exclude={"checkpoint_minutes"}),
    }
    data = hashlib.sha256(_json([part.dataset.manifest for part in parts]))
    for part in parts:
        labels = part.labels
        for values in (part.rows, labels.energy, labels.forces, labels.stress, labels.magmom):
            data.update(np.ascontiguousarray(values).tobytes())
    weights = hashlib.sha256(_json([name for name, p in potential.named_parameters() if p.requires_grad]))
    for value in potential.state_dict().values():
        weights.update(value.detach().cpu().numpy().tobytes())
    return {
        "code": code,
        "versions of packages": hashlib.sha256(_json(potential.versions)).hexdigest(),
        "options": hashlib.sha256(_json(options)).hexdigest(),
        "data": data.hexdigest(),
        "initial weights": weights.hexdigest(),
    }


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def save_state(
    state: Path, identity: Identity, run: TrainingRun, module: nn.Module, optimiser: Stateful, window: list[float]
) -> None:
    """Write the resumable state aside and rename; the one before stays as `.previous`.

    Raises:
        OSError: it cannot be written; the states that are there stay.
    """
    content = {
        "identity": dict(identity),
        "run": {f: getattr(run, f) for f in run.__dataclass_fields__},
        "window": window,
        "module": module.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    write_tensors(state, content, previous=state.with_suffix(".previous"))


def resume_state(
    state: Path,
    identity: Identity,
    module: nn.Module,
    optimiser: Stateful,
    window: list[float],
    device: torch.device,
) -> TrainingRun | None:
    """Load the newest readable state of this very run into network and optimiser; None when there is none."""
    for path in (state, state.with_suffix(".previous")):
        if not path.exists():
            continue
        try:
            stored = read_tensors(path, device)
        except ValueError as error:
            LOG.warning("%s; trying the resume state before it", error)
            path.unlink(missing_ok=True)  # or the next save would keep it as the good one
            continue
        known = stored.get("identity")
        other = [kind for kind in identity if not isinstance(known, dict) or known.get(kind) != identity[kind]]
        if other:
            LOG.warning("%s was written under other %s: not continued, the run starts anew", path, ", ".join(other))
            continue
        module.load_state_dict(stored["module"])
        optimiser.load_state_dict(stored["optimiser"])
        window[:] = stored["window"]
        run = TrainingRun(**stored["run"])
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
