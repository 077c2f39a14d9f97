"""The study on MatPES: planned without a key, from two files alone."""

from __future__ import annotations

from workplace import Workplace

MATPES = "config/matpes.yaml"
FILES = ("MatPES-PBE-2025.2.json", "MatPES-R2SCAN-2025.2.json")


def test_the_whole_plan_needs_two_files_and_nothing_else(fresh: Workplace) -> None:
    refused = fresh.snakemake("-n", study=MATPES)
    assert refused.returncode != 0
    assert f"file 'downloads/{FILES[0]}' does not exist" in refused.stdout
    (fresh.folder / "downloads").mkdir()
    for name in FILES:
        (fresh.folder / "downloads" / name).write_text("[]")
    counts = fresh.planned(study=MATPES)
    assert {rule: counts[rule] for rule in ("frames", "pairs", "split", "train_run", "evaluate_run", "pretrain")} == {
        "frames": 2,
        "pairs": 1,
        "split": 1,
        "train_run": 7 * 6 * 3,
        "evaluate_run": 7 * 6 * 3,
        "pretrain": 1,
    }
    assert not {"download", "downloaded_frames", "find_holes"} & counts.keys()
