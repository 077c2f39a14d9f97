"""Small distorted crystals labelled with GPAW at PBE and r²SCAN (see data/solids/README.md).

The format is that of own labels (`uprung.sources.gpaw`); labels that were not used are listed beside the set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uprung.frames.schema import Frame
from uprung.sources.gpaw import records, to_frame

LABEL_SCALE = "GPAW 26.7.0 PAW (PBE set-ups), {functional}, 450 eV, no U, uncorrected"


def read(path: Path, functional: str) -> Iterator[Frame]:
    """Yield one frame per line of a functional.

    Args:
        path: `solids.jsonl.gz`.
        functional: `PBE` or `r2SCAN`.
    """
    for _, record in records(path):
        if record["xc"] == functional:
            yield to_frame(
                record,
                functional,
                source="solids",
                run_type=f"{functional} static, distortion kind {record['kind']}",
                label_scale=LABEL_SCALE.format(functional=functional),
            )
