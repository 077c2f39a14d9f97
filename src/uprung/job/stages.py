"""Stages forced by name: a stage is a list of results and makes none, so that forcing it alone would run nothing.

Snakemake takes `--forcerun train` for the rule of that name, finds that it has no job of its own, and says that nothing
is to be done. So a stage stands here for the rules that do its work; what hangs on their results runs after them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

#: Stage -> rules that do its work, in a study that trains.
STAGES = {
    "data": ("frames", "downloaded_frames", "computed_frames"),
    "dft": ("label_structures", "label_snapshots"),
    "analysis": ("analyse_shift",),
    "atomref": ("fit_reference", "compare_references"),
    "graphs": ("build_graphs", "build_graphs_beside"),
    "pretraining": ("pretrain",),
    "train": ("train_run",),
    "scaling": ("fit_laws",),
    "forgetting": ("evaluate_run", "evaluate_pretrained"),
    "softening": ("soften_model", "soften_run", "fine_tune_softening"),
    "snapshots": ("sample_snapshots",),
    "physics": ("physics_model", "physics_run", "repair_physics"),
    "report": ("write_report", "write_points_report"),
}
_FORCERUN, _SHORTEST = "--forcerun", "--forcer"  # Snakemake takes the beginning of an option for the option
_FORCE = ("--force", "-f")
# what comes after them is no value of theirs
_FLAGS = (
    *_FORCE,
    "-n",
    "--dry-run",
    "--dryrun",
    "-p",
    "--printshellcmds",
    "-k",
    "--keep-going",
    "--nolock",
    "--notemp",
)


def forced_stages(arguments: Sequence[str]) -> list[str]:
    """Return the stages that a command line of Snakemake forces, by `--forcerun`, or by `--force` as targets."""
    found = [name for _, name in _forcerun(arguments)]
    if any(option in _FORCE for option in arguments):
        before = ["", *arguments]
        found += [
            word
            for k, word in enumerate(arguments)
            if not before[k].startswith("-") or before[k] in _FLAGS
            if word in STAGES
        ]
    return list(dict.fromkeys(name for name in found if name in STAGES))


def with_rules(arguments: Sequence[str], rules: Collection[str]) -> list[str]:
    """Return a command line with the rules of a stage in place of its name behind `--forcerun`.

    Args:
        arguments: of Snakemake.
        rules: those that the workflow has; others are left out.
    """
    places = {k: name for k, name in _forcerun(arguments) if name in STAGES}
    words = list[str]()
    for k, word in enumerate(arguments):
        if k not in places:
            words.append(word)
            continue
        own = [rule for rule in STAGES[places[k]] if rule in rules] or [places[k]]
        words += own if word == places[k] else [_FORCERUN, *own]
    return words


def refusal_to_force(stages: Sequence[str], rules: Collection[str]) -> str:
    """Return what a person is told who forces stages by name: which rules do their work."""
    own = [rule for stage in stages for rule in STAGES[stage] if rule in rules]
    named = " and ".join(stages)
    if not own:
        return f"{named}: this study has no such stage to force"
    return (
        f"forcing {named} runs nothing, since a stage only lists results; what makes them: --forcerun {' '.join(own)} "
        "(`uprung run study.yaml -- --forcerun ...` takes the name of the stage)"
    )


def _forcerun(arguments: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield place and value of everything that is forced by `--forcerun` or `-R`."""
    inside = False
    for k, word in enumerate(arguments):
        if word.startswith("-"):
            option, given, value = word.partition("=")
            long = option.startswith(_SHORTEST) and _FORCERUN.startswith(option)
            inside = (long and not given) or word == "-R"
            if long and given:
                yield k, value
            elif word.startswith("-R") and len(word) > len("-R"):
                yield k, word.removeprefix("-R").removeprefix("=")
        elif inside:
            yield k, word
