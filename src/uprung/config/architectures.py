"""Several architectures in one study: a list makes an arm of every arm for each, and says which are compared.

`expand_architectures` is a step of `uprung.config.short`; after it an arm names its own architecture, and a reference
that is fitted to a residual the network whose prediction it subtracts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from uprung.config.arms import CHECKPOINT, DEFAULT_REFERENCES
from uprung.config.base import plain

if TYPE_CHECKING:
    from uprung.config.arms import Arm
    from uprung.config.study import Study

DEFAULT = "chgnet-0.3.0"


def slug(checkpoint: str) -> str:
    """Return the name of a checkpoint as a part of the names of arms, references and networks."""
    return re.sub(r"[^A-Za-z0-9]+", "-", checkpoint).strip("-")


def expand_architectures(study: dict[str, Any], written: dict[str, str]) -> Iterator[str]:
    """Expand a list of architectures to arms, and residual references to those of each architecture."""
    given, arms = study.get("architecture", DEFAULT), study.get("arms")
    if isinstance(given, list):
        if found := _unusable(given):
            yield found
            return
        study["architecture"] = given[0]
        if isinstance(arms, dict):
            names: dict[str, list[str]] = {}
            study["arms"] = yield from _arms_of_each(given, arms, names, written)
            for section in ("longer", "tune"):
                _rename(study, section, names)
    if isinstance(study.get("arms"), dict):
        _own_residuals(study, written)


def _unusable(given: list[Any]) -> str:
    """Return what is wrong with a list of architectures; "" for nothing."""
    if not given or not all(isinstance(name, str) for name in given):
        return "architecture: give a checkpoint (chgnet-0.3.0), or a list of them; files have names in `checkpoints`"
    twice = sorted({name for name in given if [*map(slug, given)].count(slug(name)) > 1})
    return f"architecture: {', '.join(twice)} given more than once, or hardly told apart" if twice else ""


def _arms_of_each(
    given: Sequence[str], arms: dict[str, Any], names: dict[str, list[str]], written: dict[str, str]
) -> Any:
    """Return every arm for each architecture; one that names its own stays as it is."""
    found: dict[str, Any] = {}
    fixed = {name: arm for name, arm in arms.items() if not isinstance(arm, dict) or "architecture" in arm}
    for checkpoint in given:
        for name, arm in arms.items():
            if name in fixed:
                continue
            own = f"{name}-{slug(checkpoint)}"
            if own in fixed:
                yield f"arms.{own}: this is the name of arms.{name} for {checkpoint}; choose another"
            label = f"{arm.get('label') or name}, {_short(checkpoint, given)}"
            found[own] = {**arm, "architecture": checkpoint, "label": label}
            names.setdefault(str(name), []).append(own)
            written |= {f"arms.{own}": f"arms.{name}", f"arms.{own}.architecture": "architecture"}
    return found | fixed


def _short(checkpoint: str, given: Sequence[str]) -> str:
    """Return the first words of a name that no other name of a list begins with."""
    words = checkpoint.split("-")
    starts = ("-".join(words[:k]) for k in range(1, len(words)))
    others = [name for name in given if name != checkpoint]
    return next(
        (start for start in starts if not any(f"{name}-".startswith(f"{start}-") for name in others)), checkpoint
    )


def _rename(study: dict[str, Any], section: str, names: dict[str, list[str]]) -> None:
    """Let a section that names arms name those that they were expanded to."""
    match study.get(section):
        case {"arms": list(named), **rest}:
            every = [own for name in named for own in names.get(str(name), [name])]
            study[section] = {**rest, "arms": every}


def _own_residuals(study: dict[str, Any], written: dict[str, str]) -> None:
    """Give the arms of other architectures than the study's first residual references to their own networks."""
    references, arms = study.get("references", {}), study["arms"]
    if not isinstance(references, dict):
        return
    known, found, moved = {**DEFAULT_REFERENCES, **references}, {}, {}
    for name, arm in arms.items():
        own = arm.get("architecture") if isinstance(arm, dict) else None
        fit = (
            known.get(str(arm.get("references")))
            if isinstance(own, str) and own != study.get("architecture", DEFAULT)
            else None
        )
        if (
            not isinstance(fit, dict)
            or fit.get("labels") != "residual"
            or fit.get("model", "pretrained") != "pretrained"
        ):
            continue
        reference = f"{arm['references']}-{slug(str(own))}"
        found[reference] = {**fit, "model": slug(str(own))}
        moved[name] = {**arm, "references": reference}
        written[f"references.{reference}"] = f"references.{arm['references']}"
    if found:
        study["references"] = {**references, **found}
        study["arms"] = {**arms, **moved}


def is_scratch(arm: Arm) -> bool:
    """Return whether an arm learns from the labels of the target alone."""
    return arm.init == "random" and not arm.delta and not arm.replay


def comparisons(study: Study) -> dict[str, list[str]]:
    """Return which arms are held against which in a study of several architectures, {} for one architecture.

    The first arm from random weights of each is what its others are held against; between architectures, the first arm
    of a strategy is what the same strategy of the others is held against.
    """
    groups: dict[str, list[str]] = {}
    for name in study.arms:
        groups.setdefault(study.checkpoint_of(name), []).append(name)
    if len(groups) == 1:
        return {}
    found: dict[str, list[str]] = {}
    for arms in groups.values():
        scratch = next((name for name in arms if is_scratch(study.arms[name])), None)
        if scratch is not None:
            found[scratch] = [name for name in arms if name != scratch]
    first: dict[str, str] = {}
    for name in study.arms:
        base = first.setdefault(_strategy(study, name), name)
        if base != name:
            found.setdefault(base, []).append(name)
    return {base: others for base, others in found.items() if others}


def _strategy(study: Study, name: str) -> str:
    """Return all that an arm is but its architecture and its name."""
    arm = study.arms[name]
    own = {k: v for k, v in plain(arm).items() if k not in ("architecture", "label", "references")}
    if arm.references == CHECKPOINT:
        return f"{own} {CHECKPOINT}"
    return f"{own} { {k: v for k, v in plain(study.references[arm.references]).items() if k != 'model'} }"
