"""One flipped bit at a time in every kind of file that uprung writes and reads.

A flip is *refused* (an error that names the file, or what a job kept is computed again), *harmless* (what is read is
what was written: padding, a time) or *silent* (something else is read). None may be silent.

python benchmarks/bit_flips.py --flips 200        prints the table of docs/reliability.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from graphs import positive

from uprung.config.training import Training
from uprung.datasets.store import Rows
from uprung.dft.labels import State
from uprung.dft.structures import Structure
from uprung.frames.intake import write_frames
from uprung.frames.schema import Frame
from uprung.frames.table import read_frames
from uprung.job.checksums import record, verify
from uprung.models.data import open_dataset, write_dataset
from uprung.models.registry import architecture, load
from uprung.softening.draws import Draw, ScoredFrame
from uprung.softening.saved_draws import SavedDraws
from uprung.softening.snapshots import Protocol, sample_all
from uprung.sources.materials_project.parts import Journal, write_part
from uprung.training.resume import TrainingRun, identity_of, resume_state, save_state

STUDY = Path("results/study")
RESULTS = ("refused", "harmless", "silent")
OUTPUTS = ("table.csv", "facts.json", "table.parquet", "card.yaml", "labels.jsonl", "figure.svg", "model.pth.tar")


class ComputedAgainError(ValueError):
    """What a job kept is not used."""


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and what a job reads of them; both relative to the working folder."""

    name: str
    files: str  # pattern
    read: Callable[[], object]


def frames_of(count: int) -> list[Frame]:
    """Return dimers with all labels."""
    rng = np.random.default_rng(0)
    return [
        Frame(
            **{"frame_id": f"dimer {k}", "material_id": f"m{k}", "source": "flips", "functional": "PBE"},
            **{"run_type": "PBE static", "label_scale": "flips", "Z": np.array([14, 8], dtype=np.uint8)},
            lattice=15.0 * np.eye(3),
            frac=np.array([[0.1, 0.0, 0.0], [0.1 + (1.5 + 0.02 * k) / 15, 0.0, 0.0]]),
            energy=rng.normal(),
            forces=rng.normal(size=(2, 3)),
            stress_gpa=rng.normal(size=(3, 3)),
            magmom=rng.normal(size=2),
        )
        for k in range(count)
    ]


def structure() -> Structure:
    """Return a crystal to sample."""
    return Structure("Cu", "Cu", bulk("Cu", cubic=True), (1, 1, 1))


PROTOCOL = Protocol(length=0.01, frames=2, strained=0)
CHOSEN = Draw(0, (ScoredFrame("a", "t", np.ones(3), np.ones(3)),), (ScoredFrame("b", "u", np.ones(6), np.ones(6)),))
PART = pa.RecordBatch.from_pylist([{"task": f"mp-{k}", "energy": k / 7} for k in range(200)])


def prepare() -> None:
    """Write all files into the working folder, with the code that jobs write them with."""
    write_frames([(iter(frames_of(60)), frozenset())], STUDY / "frames", functional="PBE")
    frames = read_frames(STUDY / "frames/manifest.json")
    write_dataset(frames, frames.label("energy"), STUDY / "graphs", name="chgnet")
    _state(write=True)
    table = pd.DataFrame({"name": [f"row {k}" for k in range(50)], "value": np.arange(50) / 7})
    table.to_csv(STUDY / "table.csv", index=False)
    table.to_parquet(STUDY / "table.parquet")
    (STUDY / "facts.json").write_text(json.dumps({"values": table["value"].tolist()}))
    (STUDY / "card.yaml").write_text(yaml.safe_dump({"values": table["value"].tolist()}))
    (STUDY / "labels.jsonl").write_text("".join(json.dumps({"energy": v}) + "\n" for v in table["value"]))
    (STUDY / "figure.svg").write_text("<svg>" + "<path d='M0 0'/>" * 50 + "</svg>")
    architecture("chgnet").new(0).save(STUDY / "model.pth.tar", target="high", source="low", corrects=None)
    record([STUDY / name for name in OUTPUTS])
    _draw(lambda material, chosen: (np.arange(6) / 7, {"loss": 0.1}))
    _snapshots(EMT())
    labels = State(Path("labels"), "chunk0")
    for k in range(20):
        labels.add(f"key {k}", {"energy": k / 7})
    journal = Journal(Path("download"))
    for k in range(20):
        part = write_part(journal.folder / f"part-{k}.parquet", PART.schema, [PART])
        journal.record(f"unit {k}", {"file": f"part-{k}.parquet", **part})


def _state(*, write: bool = False) -> object:
    """Write or read the resume state of a run."""
    potential, path = architecture("chgnet").new(0), Path("state/last.ckpt")
    optimiser = torch.optim.Adam(potential.parameters())
    dataset = open_dataset(STUDY / "graphs/manifest.json")
    rows = [Rows(dataset, np.arange(3))]
    identity = identity_of(potential, rows, facts={}, recipe=Training(), code="code")
    if write:
        sum(p.sum() for p in potential.parameters()).backward()
        optimiser.step()
        run = TrainingRun(
            step=5, best_score=0.1, best=dict(potential.state_dict()), history=[{"step": 5, "val_loss": 0.1}]
        )
        save_state(path, identity, run, potential, optimiser, [0.5])
        return None
    run_or_none = resume_state(path, identity, potential, optimiser, window := [], torch.device("cpu"))
    if run_or_none is None:
        raise ComputedAgainError
    return vars(run_or_none), window, dict(potential.state_dict()), optimiser.state_dict()


def _draw(method: Callable[..., Any]) -> object:
    return SavedDraws(method, Path("draws"), {"code": "code"})("Cu", CHOSEN)


def _snapshots(calculator: Any) -> object:
    sampled = list(sample_all([structure()], calculator, PROTOCOL, seed=0, state=Path("snapshots")))
    return [(atoms.numbers, atoms.positions, atoms.cell.array, atoms.info) for _, kept, _ in sampled for atoms in kept]


def _again(*_: object) -> Any:
    raise ComputedAgainError


def _labels() -> object:
    return _all(State(Path("labels"), "chunk0").known)


def _download() -> object:
    journal = Journal(Path("download"))
    return _all({unit: journal.finished(unit) for unit in journal.entries if journal.finished(unit)})


def _all(found: dict[str, Any]) -> dict[str, Any]:
    if len(found) < 20:
        raise ComputedAgainError
    return found


def _dataset() -> object:
    dataset = open_dataset(STUDY / "graphs/manifest.json")
    rows = np.arange(len(dataset.energy))
    facts = {key: value for key, value in dataset.manifest.items() if key not in ("arrays", "inputs")}
    return vars(dataset.inputs.pack(rows)), vars(dataset.labels(rows)), dataset.keys, dataset.numbers, facts


def _verified(name: str) -> Callable[[], object]:
    return lambda: (verify([STUDY / name]), (STUDY / name).read_bytes())


KINDS = (
    Kind("frames, parts", f"{STUDY}/frames/*.parquet", lambda: read_frames(STUDY / "frames/manifest.json").table),
    Kind("graphs, arrays", f"{STUDY}/graphs/inputs/[!k]*[!t].npy", _dataset),
    Kind("labels, arrays", f"{STUDY}/graphs/labels/[!ko]*.npy", _dataset),
    Kind("names of frames", f"{STUDY}/graphs/labels/keys.npy", _dataset),
    Kind("offsets", f"{STUDY}/graphs/*/*offset*.npy", _dataset),
    Kind("networks, opened", f"{STUDY}/model.pth.tar", lambda: dict(load(STUDY / "model.pth.tar").state_dict())),
    Kind("resume states", "state/last.ckpt", _state),
    Kind("saved draws", "draws/*.json", lambda: _draw(_again)),
    Kind("sampled snapshots", "snapshots/*.json", lambda: _snapshots(None)),
    Kind("own labels", "labels/*.jsonl", _labels),
    Kind("journal of a download", "download/journal.jsonl", _download),
    Kind("parts of a download", "download/*.parquet", _download),
    *(Kind(f"outputs, {name}", f"{STUDY}/{name}", _verified(name)) for name in OUTPUTS),
    Kind("checksums", f"{STUDY}/checksums/facts.json.json", _verified("facts.json")),
)


def digest(value: Any) -> str:
    """Return a hash of what was read."""
    return hashlib.sha256("".join(_text(value)).encode()).hexdigest()


def _text(value: Any) -> Sequence[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (repr(key), *_text(item))]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _text(item)]
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        return [repr((value.dtype, value.shape)), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    return [repr(value.to_pylist() if isinstance(value, pa.Table) else value)]


def flipped(kind: Kind, flips: int, rng: np.random.Generator) -> Counter[str]:
    """Flip bits, one at a time, in the files of a kind in the working folder, and count what comes of it."""
    files, wanted, counts = sorted(Path().glob(kind.files)), digest(kind.read()), Counter[str]()
    for _ in range(flips):
        file = files[rng.integers(len(files))]
        content = file.read_bytes()
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        try:
            found = digest(kind.read())
        except Exception:
            counts["refused"] += 1
        else:
            counts["harmless" if found == wanted else "silent"] += 1
        file.write_bytes(content)
    assert digest(kind.read()) == wanted, "the files are as they were"
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    """Flip and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--flips", type=positive, default=200, help="for each kind; default: 200")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.disable()
    print("| kind of file | flips | refused | harmless | silent |\n|---|--:|--:|--:|--:|")
    with TemporaryDirectory() as place, chdir(place):
        prepare()
        for kind in KINDS:
            counts = flipped(kind, options.flips, np.random.default_rng(options.seed))
            cells = [kind.name, options.flips, *(counts[result] for result in RESULTS)]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
