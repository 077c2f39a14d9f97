"""Optional packages: one line that says what to install when a job needs one that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: Extra of pyproject.toml -> who needs it, and how it is installed.
EXTRAS = {
    "matgl": ("M3GNet and TensorNet", "python -m pip install --editable '.[matgl]'"),
    "sevennet": ("SevenNet", "python -m pip install --editable '.[sevennet]'"),
    "mace": ("MACE", "make mace, or snakemake --sdm conda (docs/architectures.md)"),
    "pull": ("the Materials Project", "python -m pip install --editable '.[pull]', or snakemake --sdm conda"),
    "physics": ("phonons", "python -m pip install --editable '.[physics]', or snakemake --sdm conda"),
    "dft": ("`own_dft`", "make gpaw, or snakemake --sdm conda (docs/how-to/own-dft.md)"),
}


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import the packages of an extra.

    Args:
        name: a key of `EXTRAS`.

    Raises:
        ModuleNotFoundError: one cannot be imported; the message says how it is installed.
    """
    try:
        yield
    except (ImportError, ValueError) as error:  # sevenn raises the latter beside an e3nn that is too old
        who, how = EXTRAS[name]
        raise ModuleNotFoundError(f"{who} needs the extra `{name}` ({error}): {how}") from None
