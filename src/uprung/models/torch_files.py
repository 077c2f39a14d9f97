"""Files of tensors: written whole, read without running code, and refused when they are damaged."""

from __future__ import annotations

import io
import pickle  # noqa: TID251 - for UnpicklingError, which torch raises
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct, scalar

from uprung.job.files import write_whole


def write_tensors(path: str | Path, content: Mapping[str, Any], *, previous: Path | None = None) -> None:
    """Write tensors and plain values; the file appears complete or not at all.

    Args:
        path: the file.
        content: what it holds.
        previous: where the file of that name goes if there is one.

    Raises:
        OSError: it cannot be written; with the file's name.
    """
    stream = io.BytesIO()  # PyTorch's own writer of files does not say why it failed
    torch.save(dict(content), stream)
    write_whole(path, stream.getvalue(), previous=previous)


#: NumPy's arrays in pickles of any version of it: data, not code.
_ARRAYS: list[Any] = [
    (_reconstruct, "numpy.core.multiarray._reconstruct"),
    (_reconstruct, "numpy._core.multiarray._reconstruct"),
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in ("f4", "f8", "i4", "i8", "?")},
]


def read_tensors(path: Path, device: torch.device | str = "cpu", *, arrays: bool = False) -> dict[str, Any]:
    """Read a file of tensors and plain values without running code that it contains.

    Args:
        path: the file.
        device: where the tensors go.
        arrays: whether it may hold arrays of NumPy as well.

    Raises:
        ValueError: it is damaged (every record of the archive has a CRC-32, and the length of the archive is known), or
            holds more than plain values; with the reason in a line.
    """
    content = _read(path, device, _ARRAYS if arrays else [])
    return content if isinstance(content, dict) else {}


class Pickled:
    """What `read_described` gives for an object of a class or function: its name, arguments and state; no code is run.

    Attributes:
        name: dotted name of the class or function.
        args: what it was called with.
        state: what the object was given afterwards; the attributes of most objects.
    """

    name = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Pickled:
        """Keep the arguments."""
        found = object.__new__(cls)
        found.args, found.state = args, {}
        return found

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state


def names_in(path: Path) -> set[str]:
    """Return the classes and functions that a file of torch names beside tensors; none for any other file."""
    try:
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(path))  # noqa: TID251 - names, types of data
    except Exception:  # as of a damaged file in `read_tensors`
        return set()


def read_described(path: Path, packages: Collection[str]) -> Any:
    """Read a pickled object of some packages as data: in place of each object that is no tensor stands a `Pickled`.

    Args:
        path: the file.
        packages: whose classes and functions it may name; none of them is imported or called.

    Raises:
        ValueError: as `read_tensors`.
    """
    names = sorted(name for name in names_in(path) if name.split(".")[0] in packages)
    return _read(path, "cpu", [*_ARRAYS, *((type("Pickled", (Pickled,), {"name": name}), name) for name in names)])


def _read(path: Path, device: torch.device | str, types: list[Any]) -> Any:
    """Return the content of a file that may hold some types beside torch's plain ones; see `read_tensors`."""
    reason = _damage(path)
    if not reason:
        try:
            with _known_types(types):
                return torch.load(path, map_location=device, weights_only=True)  # noqa: TID251
        except Exception as error:  # a damaged file raises whatever its first broken byte asks for
            reason = _reason(error)
    raise ValueError(f"{path} is not a checkpoint of plain tensors and values: {reason}")


@contextmanager
def _known_types(types: list[Any]) -> Iterator[None]:
    """Let a file hold these types beside torch's plain ones, and none of those that other packages have added."""
    known = torch.serialization.get_safe_globals()  # noqa: TID251 - types of data
    torch.serialization.clear_safe_globals()  # noqa: TID251 - types of data
    torch.serialization.add_safe_globals(types)  # noqa: TID251 - types of data
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()  # noqa: TID251 - types of data
        torch.serialization.add_safe_globals(known)  # noqa: TID251 - types of data


def _damage(path: Path) -> str:
    """Return what is wrong with an archive of torch, '' for a sound one and for a file of another kind."""
    if not zipfile.is_zipfile(path):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError) as error:
        return f"the archive is damaged ({error})"
    return f"the archive is damaged in {broken}" if broken else ""


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


def require_finite(state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise ValueError if a weight is not a finite number."""
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{path} holds weights that are no finite numbers ({name})")
