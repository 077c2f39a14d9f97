"""The command `uprung`: its arguments, and what each subcommand does."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import shtab

from uprung.job.files import write_json
from uprung.version import __version__

#: Arguments that are files or folders, for the completion of a shell.
FILES = ("low", "high", "study", "frames", "model", "what", "folder", "output")
EPILOG = """three commands from two files to a report:
  uprung new pbe.xyz r2scan.xyz -o mine.yaml
  uprung check mine.yaml
  uprung run mine.yaml --cores 4

Results go to the working folder (results/<study>/). What stands after `--` goes to Snakemake:
  uprung run mine.yaml --cores 4 -- -n
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a subcommand and end with its status; what a person can correct is told in a line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    given, options = _at_dashes(given)
    parsed = _parser().parse_args(given)
    try:
        status = parsed.do(parsed, options)
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        print(f"uprung: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("uprung: stopped", file=sys.stderr)
        status = 130
    raise SystemExit(status)


def _at_dashes(given: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before and after `--`."""
    at = given.index("--") if "--" in given else len(given)
    return given[:at], given[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="uprung",
        description="How far a GGA-pretrained interatomic potential carries over to r2SCAN, and how many labels that "
        "saves.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"uprung {__version__}")
    shtab.add_argument_to(parser, "--print-completion", help="print completion for a shell, to be put where it looks")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    new = _command(commands, "new", _new, "write the study file of two files of labelled structures")
    new.add_argument("low", type=Path, help="structures with the cheap labels (extended XYZ, ASE database, VASP, ...)")
    new.add_argument("high", type=Path, help="structures with the better labels")
    new.add_argument("-o", "--output", type=Path, default=Path("study.yaml"), help="study file (default: %(default)s)")
    new.add_argument("--force", action="store_true", help="replace a study file that is there")
    new.add_argument("--untimed", action="store_true", help="do not measure how long a training step takes")

    check = _command(commands, "check", _check, "check a study file and its data before any job runs")
    check.add_argument("study", help="study file")
    check.add_argument("--no-data", action="store_true", help="check the file alone, not what is in its data")

    run = _command(commands, "run", _run, "run a study; the same command goes on after an interruption")
    run.add_argument("study", help="study file")
    demo = _command(commands, "demo", _run, "run the embedded study")
    demo.set_defaults(study=None)
    for each in (run, demo):
        each.add_argument("--cores", default="all", help="how many cores (default: %(default)s)")

    stale = _command(commands, "stale", _stale, "list results of runs that a study no longer plans")
    stale.add_argument("study", help="study file")
    stale.add_argument("--remove", action="store_true", help="remove them; without it they are only listed")

    seen = _command(commands, "read", _read, "say what a file of labelled structures holds")
    seen.add_argument("frames", help="file or folder, or an embedded set: dimers, solids, mlearn")
    softening = _command(commands, "softening", _softening, "measure how soft the forces of a potential are")
    rereference = _command(commands, "rereference", _rereference, "move a potential to the energies of other labels")
    for each in (softening, rereference):
        each.add_argument("model", help="checkpoint (chgnet-0.3.0), file of a network, or folder of a run")
        each.add_argument("frames", help="labelled structures: file or folder, or an embedded set")
        each.add_argument("--fidelity", help="which one of a network for several")
    for each in (seen, softening, rereference):
        each.add_argument("--functional", help="of the labels, where the file has several or states none")
        each.add_argument("--format", help="reader, where the content of the file does not tell")
        each.add_argument("--energy-key", help="key of the energy, where it is not the usual one")
        each.add_argument("--forces-key", help="key of the forces")
    export = _command(commands, "export", _export, "make a run or a frames table a folder that can be given away")
    export.add_argument("what", type=Path, help="folder of a run (.../seed0) or of a frames table (.../frames/high)")
    export.add_argument("folder", type=Path, help="new folder; of a frames table, the file of its Croissant metadata")
    export.add_argument("--dataset", help="name of the training data (default: that of the study)")
    export.add_argument("--model-version", default="1", help="version of the network (default: %(default)s)")
    export.add_argument("--licence", default="unknown", help="licence of weights or data, such as cc-by-4.0")
    softening.add_argument("-o", "--output", type=Path, help="table of slopes (CSV)")
    rereference.add_argument("-o", "--output", type=Path, required=True, help="file of the moved network")
    return _completed(parser)


def _command(commands: Any, name: str, do: Callable[..., int], what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.set_defaults(do=do)
    return parser


def _completed(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser, whose commands complete names of files wherever a shell asks for an argument."""
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            if action.dest in FILES:
                action.complete = shtab.FILE
    return parser


def _no_options(options: list[str]) -> None:
    if options:
        raise ValueError(f"{' '.join(options)}: only `uprung run` and `uprung demo` take options for Snakemake (`--`)")


def _new(given: argparse.Namespace, options: list[str]) -> int:
    from uprung.cli.new import new_study

    _no_options(options)
    if given.output.exists() and not given.force:
        raise ValueError(f"{given.output}: this file is there; give another name with -o, or replace it with --force")
    command = f"uprung new {given.low} {given.high} -o {given.output}"
    name = "mine" if given.output.stem == "study" else given.output.stem
    made = new_study(given.low, given.high, name=name, command=command, timed=not given.untimed)
    given.output.write_text(made.text, encoding="utf-8")
    print("\n".join(made.lines))
    print(f"\n{given.output}:\n{made.text}\nnext:  uprung check {given.output}\n       uprung run {given.output}")
    return 0


def _check(given: argparse.Namespace, options: list[str]) -> int:
    from uprung.cli.check import check_study

    _no_options(options)
    return check_study(given.study, data=not given.no_data)


def _run(given: argparse.Namespace, options: list[str]) -> int:
    from uprung.cli.workflow import run

    return run(given.study, cores=given.cores, options=options)


def _stale(given: argparse.Namespace, options: list[str]) -> int:
    from uprung.cli.stale import stale_here

    _no_options(options)
    print(stale_here(given.study, remove=given.remove))
    return 0


def _frames(given: argparse.Namespace) -> Any:
    from uprung.api import read

    keys = {"energy": given.energy_key, "forces": given.forces_key}
    keys = {label: key for label, key in keys.items() if key is not None}
    return read(given.frames, functional=given.functional, format=given.format, keys=keys or None)


def _read(given: argparse.Namespace, options: list[str]) -> int:
    _no_options(options)
    print(_frames(given))
    return 0


def _softening(given: argparse.Namespace, options: list[str]) -> int:
    from uprung.api import softening

    _no_options(options)
    found = softening(given.model, _frames(given), fidelity=given.fidelity)
    print(found)
    if given.output is not None:
        found.table.to_csv(given.output, index=False)
        print(f"slopes of every material: {given.output}")
    return 0


def _export(given: argparse.Namespace, options: list[str]) -> int:
    from uprung.evaluation.export import export_run
    from uprung.frames.croissant import croissant

    _no_options(options)
    manifest = given.what / "manifest.json"
    if not manifest.is_file():
        name = export_run(
            given.what,
            given.folder,
            dataset=given.dataset,
            version=given.model_version,
            licence=given.licence,
        )
        print(f"{name}: {given.folder}")
        return 0
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    if "parts" not in facts:
        raise ValueError(f"{manifest}: no manifest of a frames table")
    if given.folder.exists():
        raise ValueError(f"{given.folder}: this file is there; give another name")
    described = croissant(facts, name=given.dataset or given.what.resolve().name, licence=given.licence)
    write_json(given.folder, described)
    print(f"Croissant metadata of {facts['written']:,} structures: {given.folder}")
    return 0


def _rereference(given: argparse.Namespace, options: list[str]) -> int:
    from uprung.api import rereference

    _no_options(options)
    found = rereference(given.model, _frames(given), fidelity=given.fidelity)
    found.save(given.output)
    print(f"{found}\nwritten: {given.output}")
    return 0
