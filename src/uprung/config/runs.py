"""Which networks a study trains: the runs of its curves, those of the second budget, those that choose a rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from uprung.config.base import suggest
from uprung.config.training import Budget

if TYPE_CHECKING:
    from uprung.config.study import Study


class PlannedRun(NamedTuple):
    """Names of a run, the size as the study file has it."""

    budget: str
    arm: str
    size: str
    seed: int


def runs_of(study: Study) -> list[PlannedRun]:
    """Return the runs of the learning curves: all budgets, arms and sizes, with the seeds of the arm."""
    return [
        PlannedRun(budget, name, size, seed)
        for budget in study.budgets
        for name, arm in study.arms.items()
        for size in study.sizes
        for seed in arm.seeds or study.seeds
    ]


def longer_budgets(study: Study) -> dict[str, Budget]:
    """Return the second budgets by name: `steps2000x4` for `steps2000`, none without `longer`."""
    if study.longer is None:
        return {}
    times = study.longer.times
    return {
        f"{name}x{times}": budget.model_copy(
            update={kind: times * length for kind in ("epochs", "steps") if (length := getattr(budget, kind))}
        )
        for name, budget in study.budgets.items()
    }


def longer_runs(study: Study) -> list[PlannedRun]:
    """Return the runs of the second budgets, each the longer twin of a run of the curves."""
    longer = study.longer
    if longer is None:
        return []
    sizes = longer.sizes or ends_and_middle(study.sizes)
    seeds = longer.seeds or study.seeds[:1]
    return [
        run._replace(budget=f"{run.budget}x{longer.times}")
        for run in runs_of(study)
        if run.size in sizes and run.seed in seeds and (not longer.arms or run.arm in longer.arms)
    ]


def tuned_arms(study: Study) -> list[str]:
    """Return the arms whose learning rate is chosen."""
    return [] if study.tune is None else study.tune.arms or list(study.arms)


def tuned_at(study: Study) -> str:
    """Return the size at which learning rates are chosen."""
    middle = study.sizes[len(study.sizes) // 2]
    return middle if study.tune is None else study.tune.size or middle


def ends_and_middle(sizes: Sequence[str]) -> list[str]:
    """Return the first, the middle and the last size."""
    return list(dict.fromkeys((sizes[0], sizes[len(sizes) // 2], sizes[-1])))


def unknown_runs(study: Study) -> Iterator[str]:
    """Yield a message for every arm, size or seed that a choice of runs names and the study does not have."""
    arms, sizes, seeds = list(study.arms), list(study.sizes), [str(seed) for seed in study.seeds]
    wanted: list[tuple[str, Sequence[object], list[str]]] = [
        (f"arms.{name}.seeds", arm.seeds, seeds) for name, arm in study.arms.items()
    ]
    if study.longer is not None:
        wanted += [
            (f"longer.{key}", getattr(study.longer, key), known)
            for key, known in (("arms", arms), ("sizes", sizes), ("seeds", seeds))
        ]
    if study.tune is not None:
        wanted += [("tune.arms", study.tune.arms, arms), ("tune.size", [study.tune.size or sizes[0]], sizes)]
    for where, names, known in wanted:
        for name in names:
            if str(name) not in known:
                yield f"{where}: {name} is not in the study{suggest(str(name), known)}"
    for name in longer_budgets(study).keys() & study.budgets.keys():
        yield f"budgets.{name}: this is the name of the longer budget of `longer`; choose another"
