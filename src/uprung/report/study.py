"""What the page says about a study beside its numbers: names, options and the reader's way back to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from uprung.config import arms, data, report, study, training
from uprung.config.base import Section
from uprung.report.format import functional

SECTIONS: dict[str, type[Section]] = {
    "report": report.Report,
    "transfer": study.Transfer,
    "split": data.Split,
    "scaling": study.Scaling,
}
NAMED: dict[str, type[Section]] = {
    "pairs": data.Pair,
    "arms": arms.Arm,
    "references": arms.ReferenceFit,
    "budgets": training.Budget,
}


@dataclass(frozen=True)
class Arm:
    """A strategy: where the weights start, and where the reference energies come from."""

    name: str
    label: str
    init: str  # random, pretrained, or a network that the study pretrained
    reference: str  # name of a reference fit, or 'checkpoint'
    fitted_to: str  # target | source | residual, '' for the checkpoint's
    scope: str  # subset | train, '' for the checkpoint's
    trainable: bool
    options: tuple[str, ...] = ()  # what else sets it apart, in words


@dataclass(frozen=True)
class Pair:
    """Two fidelities whose labels are compared."""

    name: str
    low: str
    high: str
    note: str


@dataclass(frozen=True)
class Study:
    """The parts of a study that the page shows."""

    name: str
    title: str
    abstract: str
    limits: tuple[str, ...]
    functionals: Mapping[str, str]  # fidelity -> functional as printed
    evalsets: Mapping[str, str]  # evaluation set -> functional as printed
    pairs: Mapping[str, Pair]
    transfer: str  # pair
    pretrained: str
    targets: tuple[str, ...]
    arms: Mapping[str, Arm]
    budgets: Mapping[str, str]
    split: Mapping[str, Any]
    baseline: str
    falling: float
    published: bool
    command: str

    @property
    def low(self) -> str:
        """Name of the source fidelity."""
        return self.pairs[self.transfer].low

    @property
    def high(self) -> str:
        """Name of the target fidelity."""
        return self.pairs[self.transfer].high

    @property
    def scratch(self) -> str | None:
        """Name of the first arm that starts from random weights."""
        return next((name for name, arm in self.arms.items() if arm.init == "random" and not arm.options), None)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Study:
        """Build from plain values: the keys of a study file that the page shows, and `command`.

        Keys: study, report, functionals (fidelity -> functional), evalsets (likewise), pairs, architecture, transfer,
        arms, references, budgets, split, scaling, command, as in a study file.
        """
        shown = {**values} | {key: SECTIONS[key].model_validate(values[key]).model_dump() for key in SECTIONS}
        for key, model in NAMED.items():
            shown[key] = {name: model.model_validate(entry).model_dump() for name, entry in values[key].items()}
        report, transfer, scaling = shown["report"], shown["transfer"], shown["scaling"]
        return cls(
            name=shown["study"],
            title=report["title"] or f"Study {shown['study']}",
            abstract=report["abstract"],
            limits=tuple(report["limits"]),
            functionals={name: functional(value) for name, value in shown["functionals"].items()},
            evalsets={name: functional(value) for name, value in shown["evalsets"].items()},
            pairs={n: Pair(n, pair["low"], pair["high"], pair["note"]) for n, pair in shown["pairs"].items()},
            transfer=transfer["pair"],
            pretrained=shown["architecture"],
            targets=tuple(transfer["targets"]),
            arms={name: _arm(name, arm, shown["references"]) for name, arm in shown["arms"].items()},
            budgets={name: _budget(value) for name, value in shown["budgets"].items()},
            split=shown["split"],
            baseline=scaling["baseline"],
            falling=scaling["falling"],
            published=scaling["show_published"],
            command=shown["command"],
        )


def _arm(name: str, arm: Mapping[str, Any], references: Mapping[str, Any]) -> Arm:
    options = references.get(arm["references"], {"labels": "", "scope": ""})  # the checkpoint's are no fit
    return Arm(
        name=name,
        label=arm["label"] or name,
        init=arm["init"],
        reference=arm["references"],
        fitted_to=options["labels"],
        scope=options["scope"],
        trainable=arm["references_trainable"],
        options=tuple(_options(arm)),
    )


def _options(arm: Mapping[str, Any]) -> Iterator[str]:
    if arm["trainable"] != "all":
        yield f"trains {arm['trainable'].replace('-', ' ')} only"
    if arm["l2_sp"] is not None:
        yield f"pulled to its initial weights (α = {arm['l2_sp']:g})"
    if arm["replay"] is not None:
        labels = {"source": "", "pretrained": " with the pretrained network's predictions"}[arm["replay"]["labels"]]
        yield f"{100 * arm['replay']['fraction']:g} % of each batch source frames{labels}"
    if arm["fidelities"] == "joint":
        yield "one network for both fidelities"
    if arm["delta"]:
        yield "correction to the frozen pretrained network"


def _budget(budget: Mapping[str, Any]) -> str:
    length = f"{budget['steps']:,} optimiser steps" if budget["steps"] else f"{budget['epochs']:,} epochs"
    kept = {
        "last": "last step",
        "val-loss": "lowest validation loss",
        "val-energy": "lowest validation energy error",
    }
    return f"{length} at every size; scored checkpoint: {kept[budget['keep']]}"
