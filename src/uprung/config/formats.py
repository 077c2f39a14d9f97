"""Formats of sources: what they are, and who states the label scale. `uprung.sources.registry` has their readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

#: `own`: the reader states it; `published`: so it does, unless the study file states another; `needed`: the study must.
LabelScale = Literal["own", "published", "needed"]


class Format(NamedTuple):
    """A format of a source, as the study file sees it."""

    label_scale: LabelScale
    what: str
    suffixes: tuple[str, ...] = ()  # of files that are read in this format unless the study file names another
    keys: bool = False  # the study may name the keys of the labels


FORMATS = {
    "diatomics": Format("own", "embedded dimers"),
    "solids": Format("own", "embedded distorted crystals"),
    "elements": Format("own", "embedded ground states of the elements"),
    "mlearn": Format("own", "embedded trajectories far from equilibrium"),
    "atoms": Format("own", "embedded isolated atoms"),
    "frames": Format("own", "a Parquet file or folder with the columns of the frames table", (".parquet",), True),
    "gpaw": Format("own", "labels that uprung computed (`own_dft`)"),
    "mptrj": Format("published", "MPtrj (JSON)", keys=True),
    "mp-r2scan": Format("published", "MP-r2SCAN (JSON)", keys=True),
    "matpes": Format("published", "MatPES (JSON)", keys=True),
    "mp-aloe": Format("published", "MP-ALOE (JSON)", keys=True),
    "wbm-high-energy": Format("published", "WBM high-energy states (JSON)", keys=True),
    "omat": Format("published", "OMat24 or sAlex (LMDB)", keys=True),
    "ase": Format("needed", "extended XYZ or an ASE database", (".extxyz", ".xyz", ".db", ".aselmdb"), True),
    "vasprun": Format("needed", "a vasprun.xml or a folder of VASP runs", (".xml",)),
}
if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[tuple(FORMATS)]


def quoted(rule: LabelScale) -> str:
    """Return the formats with a rule for the label scale, as a list in a sentence."""
    return ", ".join(f"`{name}`" for name, known in FORMATS.items() if known.label_scale == rule)
