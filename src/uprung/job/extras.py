"""Optional packages: one line that says what to install, before the first job that needs one that is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NamedTuple


class Extra(NamedTuple):
    """Who needs the packages of an extra, how they are installed, and the module that tells whether they are."""

    who: str
    how: str
    module: str


#: By their names in pyproject.toml.
EXTRAS = {
    "matgl": Extra("M3GNet and TensorNet", "python -m pip install --editable '.[matgl]'", "matgl"),
    "sevennet": Extra("SevenNet", "python -m pip install --editable '.[sevennet]'", "sevenn"),
    "mace": Extra("MACE", "make mace, or snakemake --sdm conda (docs/architectures.md)", "mace"),
    "pull": Extra(
        "the Materials Project", "python -m pip install --editable '.[pull]', or snakemake --sdm conda", "mp_api"
    ),
    "dft": Extra("`own_dft`", "make gpaw, or snakemake --sdm conda (docs/how-to/own-dft.md)", "gpaw"),
}
#: Rules whose jobs need an extra whatever the architecture.
OF_RULES = {"download": "pull", "downloaded_frames": "pull", "label_structures": "dft", "label_snapshots": "dft"}


def lacking(rules: Iterable[str], packages: Iterable[str]) -> str:
    """Return in a line what has to be installed before jobs can run; '' for nothing.

    Args:
        rules: of the jobs.
        packages: that the architectures of the jobs are made of.
    """
    by_module = {extra.module: name for name, extra in EXTRAS.items()}
    needed = [OF_RULES.get(rule) for rule in rules] + [by_module.get(package) for package in packages]
    return "; ".join(
        f"the extra `{name}` is not installed ({EXTRAS[name].who}): {EXTRAS[name].how}"
        for name in dict.fromkeys(needed)
        if name and find_spec(EXTRAS[name].module) is None
    )


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
        who, how, _ = EXTRAS[name]
        raise ModuleNotFoundError(f"{who} needs the extra `{name}` ({error}): {how}") from None
