"""A study of another architecture, and checkpoints of several on the same structures, by real Snakemake."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from workplace import MICRO, REPOSITORY, STUDY_TIMEOUT, Workplace

CHECKPOINTS = Path(os.environ.get("UPRUNG_CHECKPOINTS", REPOSITORY.parent / "shared/checkpoints"))
NAME = "TensorNet-MatPES-PBE-v2025.1-PES"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHECKPOINTS / NAME / "state.pt").is_file(), reason=f"{NAME} is not on this machine"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("matgl", reason="the extra `matgl` is not installed")
    place = Workplace(tmp_path_factory.mktemp("other"))
    study = yaml.safe_load((REPOSITORY / MICRO).read_text(encoding="utf-8"))
    germanium = {"format": "mlearn", "file": str(REPOSITORY / "data/mlearn/Ge_test.json.gz")}
    study |= {"study": "other", "architecture": NAME, "sizes": [60, 120]}
    study["tests"] = {
        "softening": {
            "models": ["chgnet-0.3.0", NAME],
            "sets": {"ge": {"functional": "PBE", "sources": [germanium]}},
        }
    }
    (place.folder / "other.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    done = place.snakemake(
        *("all", "--cores", "2", "--snakefile", str(REPOSITORY / "Snakefile")),
        study="other.yaml",
        timeout=STUDY_TIMEOUT,
        environment={"UPRUNG_CHECKPOINTS": str(CHECKPOINTS)},
    )
    assert done.returncode == 0, done.stdout
    return place.folder / "results/other"


def test_networks_of_the_architecture_are_trained_and_tested(results: Path) -> None:
    index = pd.read_csv(results / "models/index.csv")
    assert len(index) == 6
    assert set(index["loads_in"]) == {"matgl: matgl.load_model, after `uprung.models.matgl.files.export`"}
    curves = pd.read_csv(results / "scaling/curves.csv")
    assert np.isfinite(curves["mae"]).all()


def test_frames_beyond_its_cutoff_take_no_part(results: Path) -> None:
    split = pd.read_parquet(results / "split/split.parquet")
    assert "an atom without neighbour within 5 Å" in set(split["reason"])


def test_checkpoints_of_two_architectures_are_judged_on_the_same_frames(results: Path) -> None:
    table = pd.read_csv(results / "softening/ge/softening.csv")
    whole = table[(table["subset"] == "all") & (table["material"] == "Ge")].set_index("model")
    assert whole.loc["chgnet-0.3.0", "slope"] == pytest.approx(0.609, abs=0.005)
    assert whole.loc[NAME, "slope"] == pytest.approx(0.955, abs=0.005)
    assert len(set(whole["n_frames"])) == 1


def test_the_page_names_the_architecture(results: Path) -> None:
    assert "TensorNet" in (results / "report.html").read_text(encoding="utf-8")
