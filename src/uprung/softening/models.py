"""Which model a table of slopes is about: a shipped checkpoint, or a network of the study."""

from __future__ import annotations

from collections.abc import Mapping

#: Columns that say which model was evaluated.
MODEL = ["model", "budget", "arm", "size", "seed"]
#: Columns of names and sentences of a table of slopes.
TEXT = ("material", "subset", "key", "reading", "model", "budget", "arm", "size")


def model_of(wildcards: Mapping[str, str]) -> dict[str, str | int]:
    """Return which model a job evaluates: model (`run` for a trained network), budget, arm, size, seed.

    Args:
        wildcards: of the job: model, or budget, arm, size and seed.
    """
    if "model" in wildcards:
        return {"model": wildcards["model"], "budget": "", "arm": "", "size": "", "seed": -1}
    names = {name: wildcards[name] for name in ("budget", "arm", "size")}
    return {"model": "run", **names, "seed": int(wildcards["seed"])}
