"""Locks on GPUs, so that jobs side by side on a workstation do not share one by accident, and the way to a device.

Snakemake counts GPUs but does not name them. Every job locks a file per GPU that it takes, for as long as it lives; the
system drops the lock of a job that is killed. A scheduler that names GPUs itself (`CUDA_VISIBLE_DEVICES`) is obeyed:
only those are chosen from.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

LOG = logging.getLogger(__name__)
_HELD: list[FileLock] = []  # until the process ends


class DeviceError(RuntimeError):
    """There are fewer GPUs than a job needs."""


def claim(device: str, count: int = 1) -> str:
    """Take free GPUs for this process and make them its only visible ones; do nothing on a CPU.

    Must come before anything else that starts CUDA. The other processes of a run on several GPUs inherit the choice.

    Args:
        device: `cpu` or `cuda`.
        count: how many GPUs.

    Returns:
        `device`.

    Raises:
        DeviceError: fewer GPUs than that, or none, are there.
    """
    if device == "cuda" and "LOCAL_RANK" not in os.environ:
        visible = _visible()
        if len(visible) < count:
            raise DeviceError(
                f"training.device: cuda with {count} GPU(s) asked for, but this machine shows {len(visible)} "
                f"(CUDA_VISIBLE_DEVICES: {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}; allowed: device: cpu)"
            )
        chosen = lock_free(visible, count, Path(tempfile.gettempdir()))
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
        LOG.info("GPU %s of %s", ", ".join(chosen), ", ".join(visible))
    return device


def send(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor of the CPU on a device, in another precision if asked for.

    On a GPU it goes through pinned memory, and the host goes on at once; an ordinary copy waits until the device has
    done all that it was told before. PyTorch keeps the pinned memory until the copy is done.
    """
    if torch.device(device).type != "cuda":
        return tensor.to(device, dtype or tensor.dtype)
    return tensor.to(dtype or tensor.dtype).pin_memory().to(device, non_blocking=True)


def lock_free(devices: Sequence[str], count: int, folder: Path) -> list[str]:
    """Return devices that no other process holds, and hold them until this process ends.

    When too few are free, those in use fill up, with a warning: whoever allowed more jobs than GPUs wanted to share.

    Args:
        devices: names.
        count: how many, of at least as many devices.
        folder: where the lock files are, the same for all jobs of a machine.
    """
    chosen = list[str]()
    for device in devices:
        if len(chosen) == count:
            break
        lock = FileLock(folder / f"uprung-{os.getuid()}-gpu-{device.replace('/', '_')}.lock")
        with suppress(Timeout):
            lock.acquire(blocking=False)
            _HELD.append(lock)
            chosen.append(device)
    if len(chosen) < count:
        shared = [device for device in devices if device not in chosen][: count - len(chosen)]
        LOG.warning("GPU %s is used by another job too: `resources: gpu` exceeds the GPUs there", ", ".join(shared))
        chosen += shared
    return chosen


def _visible() -> list[str]:
    """Return the names by which CUDA knows the GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(k) for k in range(torch.cuda.device_count())]
