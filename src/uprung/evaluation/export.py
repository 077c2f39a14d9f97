"""A trained network as a folder that can be given away: weights, a model card, its references, what it was trained on.

The card is Markdown with the metadata block that model hubs read. Weights stay in the format of the architecture's own
package; what that package cannot read of them (a correction, a second fidelity) uprung reads from the same file.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from uprung.config.base import SYMBOLS
from uprung.frames.schema import FramesError
from uprung.job.files import sha256
from uprung.models.cards import ArchitectureCard, Checkpoint
from uprung.models.registry import CARDS, checkpoint_card, load

WEIGHTS = "model.pth.tar"
NEEDED = (WEIGHTS, "card.yaml", "metrics.json")
UNITS = {"energy": "eV/atom", "force": "eV/Å", "stress": "GPa", "magmom": "μB"}


@dataclass(frozen=True)
class TrainedRun:
    """A run of a study as it lies in its results.

    Attributes:
        folder: of the run.
        card: its `card.yaml`.
        metrics: its `metrics.json`.
        study: name of the study.
        fidelity: name of the target.
        frames: fidelity -> manifest of its frames table.
    """

    folder: Path
    card: Mapping[str, Any]
    metrics: Mapping[str, Any]
    study: str
    fidelity: str
    frames: Mapping[str, Mapping[str, Any]]

    @property
    def architecture(self) -> ArchitectureCard:
        """Facts about the architecture."""
        return CARDS[str(self.card["architecture"])]

    @property
    def start(self) -> Checkpoint | None:
        """The shipped checkpoint that the run began at or corrects, None for random weights."""
        arm = self.card["options"]["arm"]
        from_it = arm.get("delta") or arm.get("init") == "pretrained"
        return checkpoint_card(str(self.card["options"]["pretrained"])) if from_it else None

    @property
    def joint(self) -> bool:
        """Whether the network predicts two fidelities."""
        return bool(self.card["options"]["arm"].get("fidelities") == "joint")

    @property
    def functional(self) -> str:
        """Functional of the target."""
        return str(self.frames[self.fidelity]["functional"])

    def name(self, dataset: str | None, version: str) -> str:
        """Return `<Architecture>-<Dataset>-<Functional>-<version>`, with `-ft-` for a network that was fine-tuned."""
        tuned = ["ft"] if self.start is not None else []
        parts = [self.architecture.title, dataset or self.study, self.functional, *tuned, version]
        return "-".join(re.sub(r"[^A-Za-z0-9.]+", "", part) for part in parts)


def trained_run(folder: Path) -> TrainedRun:
    """Return a run by its folder, `results/<study>/runs/<budget>/<arm>/n<size>/seed<k>`.

    Raises:
        ValueError: no run of a study, or one that is not finished.
    """
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{folder}: no finished run: {', '.join(missing)} is missing (results/<study>/runs/.../seed<k>)"
        )
    card = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    results = next((above for above in folder.resolve().parents if above.name == "runs"), None)
    if results is None:
        raise ValueError(f"{folder}: a run lies below results/<study>/runs/, with its frames beside")
    results = results.parent
    found = [re.search(r"/graphs/([^/]+)/manifest\.json$", file) for file in card["inputs"]]
    used = list(dict.fromkeys(match[1] for match in found if match))
    frames = {name: _manifest(results / "frames" / name / "manifest.json") for name in used}
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return TrainedRun(folder, card, metrics, results.name, used[0], frames)


def _manifest(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FramesError(
            f"{file}: the frames that the run was trained on are not here; export before they are deleted"
        )
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def export_run(
    folder: Path, target: Path, *, dataset: str | None = None, version: str = "1", licence: str = "unknown"
) -> str:
    """Write a network with all that a stranger needs to use and to judge it.

    Args:
        folder: of the run.
        target: new folder: `model.pth.tar`, `README.md` (the card), `references.csv`, `run.yaml`, `metrics.json`.
        dataset: name of the training set; None for that of the study.
        version: of the network.
        licence: of the weights, as hubs spell it (`bsd-3-clause`, `cc-by-4.0`).

    Returns:
        The name of the network.

    Raises:
        ValueError: no finished run, or a target that is there.
    """
    run = trained_run(folder)
    if target.exists():
        raise ValueError(f"{target}: this folder is there; give a new one")
    fidelity = run.fidelity if run.joint else None
    references = load(folder / WEIGHTS, fidelity).references
    target.mkdir(parents=True)
    for source, name in ((WEIGHTS, WEIGHTS), ("card.yaml", "run.yaml"), ("metrics.json", "metrics.json")):
        shutil.copyfile(folder / source, target / name)
    seen = np.isin(SYMBOLS, run.card["elements"])
    table = pd.DataFrame({"Z": np.arange(1, 95), "element": SYMBOLS, "energy_ev": references, "in_training": seen})
    table.to_csv(target / "references.csv", index=False)
    name = run.name(dataset, version)
    (target / "README.md").write_text(model_card(run, name, licence), encoding="utf-8")
    return name


def model_card(run: TrainedRun, name: str, licence: str) -> str:
    """Return the card: metadata for hubs, use, training, errors, limits, provenance."""
    head = {
        "license": licence,
        "library_name": run.architecture.own_package.partition(":")[0],
        "tags": ["interatomic-potential", "materials", run.architecture.name, run.functional],
        **({"base_model": run.card["options"]["pretrained"]} if run.start else {}),
    }
    metadata = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return "\n".join([f"---\n{metadata}---\n", f"# {name}\n", *_body(run)]) + "\n"


def _body(run: TrainedRun) -> Iterator[str]:
    card, options = run.card, run.card["options"]
    arm = options["arm"]
    yield f"{run.architecture.title} for {run.functional} energies and forces of crystals, trained with uprung.\n"
    yield "## Use\n"
    argument = f", fidelity={run.fidelity!r}" if run.joint else ""
    yield "```python\nfrom uprung.models.calculator import calculator\n"
    yield f'atoms.calc = calculator("{WEIGHTS}"{argument})     # atoms of ASE, periodic in three directions\n```\n'
    if arm.get("delta"):
        yield (
            f"The file is a correction to {options['pretrained']}, which uprung adds; {run.architecture.title}'s own "
            "package cannot load it.\n"
        )
    else:
        also = f"; of its two fidelities ({', '.join(run.frames)}) it has {run.fidelity}" if run.joint else ""
        yield f"Its own package loads the file, too{also}: `{card['loads_in']}`.\n"
    yield "## Training\n"
    yield f"- {card['n_train']:,} structures of {card['n_materials']:,} materials; validation {card['n_val']:,}."
    yield f"- Elements in training ({len(card['elements'])}): {' '.join(card['elements'])}."
    yield f"- Label scale: {card['label_scale']}."
    begun = (
        f"{options['pretrained']} ({run.start.training_set}, {run.start.functional})" if run.start else "random weights"
    )
    begins = "Corrects" if arm.get("delta") else "Starts from"
    yield f"- {begins} {begun}; references: {arm.get('references', 'checkpoint')}."
    yield f"- {card['steps']:,} optimiser steps, {card['kept']} checkpoint; all options are in `run.yaml`."
    yield "- Reference energies of the elements: `references.csv`.\n"
    yield "## Errors on held-out structures\n"
    yield f"{run.metrics['n_test']:,} structures of the study's test set, which training has not seen.\n"
    yield "| quantity | MAE | references alone |\n|---|---|---|"
    for target, errors in run.metrics[run.metrics["kept"]]["all"].items():
        alone = errors.get("baseline")
        unit = UNITS.get(target, "")
        if errors.get("mae") is not None:
            yield f"| {target} | {errors['mae']:.4g} {unit} | {'' if alone is None else f'{alone:.4g} {unit}'} |"
    yield "\n## Limits\n"
    yield from (f"- {line}" for line in _limits(run))
    yield "\n## Provenance\n"
    yield f"- `{WEIGHTS}`: sha256 `{sha256(run.folder / WEIGHTS)}`"
    for name, manifest in run.frames.items():
        for file, digest in manifest.get("sources", {}).items():
            yield f"- labels of {name} ({manifest['functional']}), {file}: sha256 `{digest}`"
    yield f"- study {run.study}, run {'/'.join(map(str, run.metrics['run'].values()))}; versions in `run.yaml`."
    if run.start is not None:
        yield f"- Cite {run.start.citation}; licence of that checkpoint: {run.start.licence}."


def _limits(run: TrainedRun) -> Iterator[str]:
    """Yield what a user should not expect of the network."""
    yield "Energies of elements that training has not seen rest on a guessed reference, or on that of other labels."
    yield "Errors are those on structures like the training set's; elsewhere they are unknown."
    yield f"Atoms farther apart than {run.architecture.cutoff:g} Å do not see each other."
    if str(run.card["label_scale"]).startswith("not stated"):
        yield "The study does not state code, potentials and corrections of the labels."
    trained = run.card["options"]["arm"].get("labels") or run.card["options"]["targets"]
    for target, words in {"energy": "Energies", "force": "Forces", "stress": "Stresses"}.items():
        if target not in trained:
            yield f"{words} were not trained on."
    if run.card["n_materials"] < 100:
        yield f"{run.card['n_materials']} materials are few: this is no general potential."
