"""Sizes that only another unit explains, frame by frame and of whole files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.units import Bohr
from factories import DATA, make_frame

from uprung.frames.neighbours import nearest
from uprung.frames.schema import Frame, FramesError
from uprung.sources import READERS
from uprung.sources.magnitudes import Magnitudes, plausible


def frames(n: int = 5, *, length: float = 1.0, force: float = 1.0, stress: float = 5.0) -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    for k in range(n):
        atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True)
        atoms.rattle(0.05, seed=k)
        yield make_frame(
            str(k),
            Z=atoms.numbers,
            lattice=atoms.cell.array * length,
            frac=atoms.get_scaled_positions(),
            forces=rng.normal(0, force / 2, (8, 3)),
            stress_gpa=stress * np.diag([1.0, 0.5, 0.2]),
        )


def read(stream: Iterator[Frame], *trusted: str) -> int:
    return len(list(plausible(stream, Magnitudes(frozenset(trusted)), Path("file"))))


@pytest.mark.parametrize("n", [1, 1000])
def test_usual_sizes_pass(n: int) -> None:
    assert read(frames(n)) == n


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stress": 5 * 160.2}, r"stress of a frame is 801 GPa .* in GPa or kbar in the file, .* make it 5 or 0.5 GPa"),
        ({"stress": -50 * 160.2}, r"in GPa or kbar in the file, which would make it 50 or 5 GPa"),
        ({"force": 1000.0}, r"largest force of a frame is .* in meV/Å"),
        ({"length": 1 / Bohr}, r"nearest neighbours are 1\.\d times .* in bohr"),
    ],
)
def test_another_unit_is_refused_with_the_guess(n: int, change: dict[str, float], words: str) -> None:
    with pytest.raises(FramesError, match=f"file: .*{words}"):
        read(frames(n, **change))


def test_a_stated_unit_is_believed() -> None:
    assert read(frames(stress=801.0), "stress") == 5
    assert read(frames(length=0.75, stress=801.0)) == 5  # compressed


@pytest.mark.parametrize(
    ("format", "file"),
    [
        ("solids", "solids/solids.jsonl.gz"),
        ("diatomics", "diatomics/diatomics-dft.json.gz"),
        ("elements", "elements/MatPES-PBE-Element-Refs.json.gz"),
        ("mlearn", "mlearn/Si_test.json.gz"),
    ],
)
def test_real_labels_pass(format: str, file: str) -> None:
    assert read(READERS[format].read(DATA / file, "PBE")) > 10


def test_an_infinite_cell_has_no_neighbours() -> None:
    lattice = np.diag([np.inf, 5.0, 5.0])
    assert np.isnan(nearest(make_frame(lattice=lattice)))
    sizes = Magnitudes()
    sizes.add(make_frame(lattice=lattice))
    assert sizes.problem() is None
