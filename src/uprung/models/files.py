"""Files of networks: tensors and plain values, read without running code that they contain."""

from __future__ import annotations

import io
import pickle  # noqa: TID251 - for UnpicklingError, which torch raises
import re
from pathlib import Path
from typing import Any

import torch

from uprung.job.files import write_whole


def write_content(content: dict[str, Any], path: Path | str) -> None:
    """Write tensors and plain values for `torch.load`; the file appears complete or not at all."""
    whole = io.BytesIO()  # PyTorch's own writer of files does not say why it failed
    torch.save(content, whole)
    write_whole(path, whole.getvalue())


def read_content(path: Path) -> dict[str, Any]:
    """Read a checkpoint file without running code that it contains; ValueError if it holds more than plain values."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:  # a damaged file raises whatever its first broken byte asks for
        reason = _reason(error)
        raise ValueError(f"{path} is not a checkpoint of plain tensors and values: {reason}") from error
    return content if isinstance(content, dict) else {}


def _reason(error: Exception) -> str:
    """Return in a line what is wrong with a file; torch's own words go on to say how the code in it could be run."""
    text = " ".join(str(error).split())
    if wanted := re.search(r"GLOBAL (\S+)", text):
        return f"it asks for {wanted[1]}, which is code"
    if "TorchScript" in text:
        return "it is a TorchScript archive, which is code"
    if isinstance(error, pickle.UnpicklingError) or not text or isinstance(error, LookupError):
        return "it is pickled in another way, or no file of torch"
    return text.partition(". ")[0]
