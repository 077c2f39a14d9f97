"""Results of runs that a study no longer plans: which they are, what is removed, what stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from uprung.cli.main import main
from uprung.job.checksums import record
from uprung.job.files import write_json

DATA = {"functional": "PBE", "sources": [{"format": "diatomics", "file": "data/diatomics/diatomics-dft.json.gz"}]}
STUDY: dict[str, Any] = {
    "study": "mine",
    "fidelities": {"low": DATA, "high": {**DATA, "functional": "r2SCAN"}},
    "pairs": {"dimers": {"low": "low", "high": "high"}},
    "arms": {"scratch": {"init": "random"}, "moved": {"references": "residual"}},
    "sizes": [60, "10%"],
    "seeds": [1],
    "steps": 20,
    "longer": {"times": 2, "arms": ["scratch"], "sizes": [60]},
    "tune": {"learning_rates": [0.001, 0.00001], "arms": ["moved"], "size": 60},
}
RUNS = ("steps20/scratch/n60/seed1", "steps20x2/scratch/n60/seed1", "steps20/moved/n10pct/seed1")
STALE = {
    "budget": "steps10/scratch/n60/seed1",
    "arm": "steps20/gone/n60/seed1",
    "size": "steps20/scratch/n6/seed1",
    "seed": "steps20/scratch/n60/seed10",
    "second budget": "steps20x2/moved/n60/seed1",
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_study()


def write_study(**changes: Any) -> None:
    Path("mine.yaml").write_text(yaml.safe_dump({**STUDY, **changes}), encoding="utf-8")


def written(name: str, content: str = "a result") -> Path:
    """Write a result as a job does, with its checksum."""
    path = Path("results/mine", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    record([path])
    return path


def beside(name: str) -> Path:
    path = Path("results/mine", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("beside", encoding="utf-8")
    return path


def everything_of(run: str) -> list[Path]:
    """Write all that the workflow leaves of a run; without the checksums, which are told by their files."""
    write_json(f"results/mine/checksums/made/runs%2F{run.replace('/', '%2F')}%2Fmodel.pth.tar.json", {})
    return [
        *(written(f"runs/{run}/{name}") for name in ("model.pth.tar", "other.pth.tar", "card.yaml", "metrics.json")),
        *(written(f"softening/li/runs/{run}{end}") for end in (".csv", ".parquet", "-parts.parquet")),
        *(written(f"physics/runs/{run}{end}") for end in (".csv", "-curves.parquet")),
        *(beside(f"logs/runs/{run}/{name}.log") for name in ("train", "evaluate")),
        *(beside(f"{place}/softening/li/runs/{run}.{end}") for place, end in (("logs", "log"), ("benchmarks", "tsv"))),
        beside(f"benchmarks/runs/{run}/train.tsv"),
        beside(f"tensorboard/runs/{run}/events.out.tfevents.1.uprung.2.0"),
        *(beside(f"state/runs/{run}/last.{end}") for end in ("ckpt", "previous", "lock")),
        beside(f"state/physics/runs/{run}/0123456789abcdef01234567.json"),
    ]


def uprung(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def there() -> set[str]:
    return {path.as_posix() for path in Path("results").rglob("*") if path.is_file() or path.is_symlink()}


def test_a_study_that_plans_all_of_its_runs_has_nothing_to_remove(capsys: pytest.CaptureFixture[str]) -> None:
    for run in RUNS:
        everything_of(run)
    before = there()
    assert uprung("stale", "mine.yaml", "--remove") == 0
    assert "every run is one that mine.yaml plans" in capsys.readouterr().out
    assert there() == before


@pytest.mark.parametrize("what", STALE)
def test_what_is_left_of_a_stale_run_is_listed_and_removed_with_all_that_lies_beside(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in RUNS:
        everything_of(run)
    planned = there()
    files = everything_of(STALE[what])
    whole = there()
    assert uprung("stale", "mine.yaml") == 0
    told = capsys.readouterr().out
    assert f"run {STALE[what]}: {len(files) + 9} files" in told  # with the checksums of results
    assert "nothing was removed; to remove them: uprung stale mine.yaml --remove" in told
    assert len([line for line in told.splitlines() if line.startswith("  run ")]) == 1
    assert there() == whole
    assert uprung("stale", "mine.yaml", "--remove") == 0
    assert there() == planned
    assert not Path("results/mine/runs", STALE[what]).exists()
    assert uprung("stale", "mine.yaml") == 0


def test_files_that_uprung_did_not_write_stay_and_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    run = "runs/steps10/scratch/n60/seed1"
    own = written(f"{run}/card.yaml")
    changed = written(f"{run}/history.csv")
    changed.write_text("edited by hand")
    foreign = [beside(f"{run}/notes.txt"), beside(f"state/{run}/mine.txt"), beside(f"tensorboard/{run}/picture.png")]
    outside = Path("outside.txt")
    outside.write_text("mine", encoding="utf-8")
    link = Path("results/mine", run, "linked.txt")
    link.symlink_to(outside.resolve())
    (folder := Path("results/mine", run, "folder")).symlink_to(Path.cwd())
    assert uprung("stale", "mine.yaml", "--remove") == 0
    told = capsys.readouterr().out
    assert not own.exists()
    for path in (changed, *foreign, link):
        assert os.path.lexists(path)
        assert f"kept, named in the study or not as uprung wrote it: {path}" in told
    assert outside.exists()
    assert folder.is_symlink()


def test_results_of_no_run_and_of_other_studies_stay(capsys: pytest.CaptureFixture[str]) -> None:
    kept = [written("frames/low/manifest.json"), written("scaling/curves.csv"), written("models/index.csv")]
    kept += [written("references/old/n60/seed1.csv"), written("report.html"), beside("logs/models.log")]
    other = Path("results/other/runs/steps10/scratch/n60/seed1/model.pth.tar")
    other.parent.mkdir(parents=True)
    other.write_text("of another study", encoding="utf-8")
    assert uprung("stale", "mine.yaml", "--remove") == 0
    assert all(path.exists() for path in (*kept, other))
    assert "every run is one" in capsys.readouterr().out


def test_what_the_study_names_as_a_checkpoint_stays() -> None:
    model = written("runs/steps10/scratch/n60/seed1/model.pth.tar")
    card = written("runs/steps10/scratch/n60/seed1/card.yaml")
    write_study(
        checkpoints={
            "earlier": {"file": str(model), "architecture": "chgnet", "functional": "PBE", "label_scale": "one"}
        }
    )
    assert uprung("stale", "mine.yaml", "--remove") == 0
    assert model.exists()
    assert not card.exists()


def test_trials_rates_fisher_information_holes_and_networks_of_arms_that_are_gone() -> None:
    planned = [
        *(written(f"tune/moved/n60/seed1/steps20/rate{rate}/card.yaml") for rate in ("0.001", "1e-05")),
        written("tune/moved.csv"),
    ]
    gone = [
        written("tune/moved/n60/seed1/steps20/rate0.0015/card.yaml"),
        written("tune/moved/n60/seed1/steps10/rate0.001/card.yaml"),
        written("tune/scratch.csv"),
        beside("logs/tune/moved/n60/seed1/steps10/rate0.001.log"),
        written("fisher/moved/importance.pt"),
        written("teachers/moved/labels.pt"),
        written("holes/arms/moved.parquet"),
        written("pretraining/small/model.pth.tar"),
        beside("logs/pretraining/small/train.log"),
    ]
    assert uprung("stale", "mine.yaml", "--remove") == 0
    assert all(path.exists() for path in planned)
    assert not any(path.exists() for path in gone)
    write_study(
        arms={"scratch": {"init": "random"}, "moved": {"references": "residual", "ewc": 10}},
        pretraining={"small": {"size": 10, "steps": 5}},
        tests={"holes": {}},
    )
    again = [written(str(path.relative_to("results/mine"))) for path in (gone[4], gone[6], gone[7])]
    assert uprung("stale", "mine.yaml", "--remove") == 0
    assert all(path.exists() for path in again)


def test_nothing_is_removed_while_snakemake_is_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    path = written("runs/steps10/scratch/n60/seed1/card.yaml")
    Path(".snakemake/locks").mkdir(parents=True)
    Path(".snakemake/locks/0.input.lock").write_text("", encoding="utf-8")
    assert uprung("stale", "mine.yaml", "--remove") == 1
    assert "Snakemake is at work" in capsys.readouterr().err
    assert path.exists()
    assert uprung("stale", "mine.yaml") == 0


@pytest.mark.parametrize("text", ["study: p\npoints: points.csv\n", "study: [1\n", None])
def test_what_has_no_runs_is_one_line(text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    Path("points.csv").write_text("arm,n,mae\n", encoding="utf-8")
    Path("mine.yaml").unlink()
    if text is not None:
        Path("mine.yaml").write_text(text, encoding="utf-8")
    assert uprung("stale", "mine.yaml") == 1
    assert capsys.readouterr().err.startswith("uprung: ")
