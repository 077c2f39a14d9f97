"""A study of two architectures, and checkpoints of several on the same structures, by real Snakemake."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from workplace import MICRO, REPOSITORY, STUDY_TIMEOUT, Workplace

from uprung.config.architectures import slug

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
    study |= {"study": "other", "architecture": ["chgnet-0.3.0", NAME], "sizes": [60, 120]}
    del study["arms"]["checkpoint-ref"]
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


def test_networks_of_both_architectures_are_trained_and_tested_on_the_same_data(results: Path) -> None:
    index = pd.read_csv(results / "models/index.csv")
    assert len(index) == 8
    ours = index["arm"].str.endswith(slug(NAME))
    assert set(index[ours]["loads_in"]) == {"matgl: matgl.load_model, after `uprung.models.matgl.files.export`"}
    assert set(index[~ours]["loads_in"]) == {"chgnet: CHGNet.from_file"}
    curves = pd.read_csv(results / "scaling/curves.csv")
    assert np.isfinite(curves["mae"]).all()
    assert len(set(curves[curves["population"] == "all"]["n_test"])) == 1
    for arm, part in curves.groupby("arm"):
        assert part["n_frames"].nunique() == 2, arm


def test_each_network_starts_from_its_own_checkpoint_and_references(results: Path) -> None:
    arms = {"chgnet-0.3.0": f"residual-ref-{slug('chgnet-0.3.0')}", NAME: f"residual-ref-{slug(NAME)}"}
    for checkpoint, arm in arms.items():
        card = yaml.safe_load((results / f"runs/steps30/{arm}/n60/seed0/card.yaml").read_text(encoding="utf-8"))
        assert card["options"]["pretrained"] == checkpoint
    references = pd.read_csv(results / "references/references.csv")
    assert {"residual", f"residual-{slug(NAME)}", "target"} == set(references["reference"])
    begun = {name: pd.read_parquet(results / f"untouched/{name}.parquet") for name in ("pretrained", slug(NAME))}
    assert {arm for table in begun.values() for arm in table["arm"]} == set(arms.values())


def test_arms_are_compared_within_an_architecture_and_between_them(results: Path) -> None:
    crossover = pd.read_csv(results / "scaling/crossover.csv")
    one, two = slug("chgnet-0.3.0"), slug(NAME)
    assert set(zip(crossover["scratch"], crossover["transfer"], strict=True)) == {
        (f"scratch-{one}", f"residual-ref-{one}"),
        (f"scratch-{one}", f"scratch-{two}"),
        (f"scratch-{two}", f"residual-ref-{two}"),
        (f"residual-ref-{one}", f"residual-ref-{two}"),
    }


def test_frames_beyond_its_cutoff_take_no_part(results: Path) -> None:
    split = pd.read_parquet(results / "split/split.parquet")
    assert "an atom without neighbour within 5 Å" in set(split["reason"])


def test_checkpoints_of_two_architectures_are_judged_on_the_same_frames(results: Path) -> None:
    table = pd.read_csv(results / "softening/ge/softening.csv")
    whole = table[(table["subset"] == "all") & (table["material"] == "Ge")].set_index("model")
    assert whole.loc["chgnet-0.3.0", "slope"] == pytest.approx(0.609, abs=0.005)
    assert whole.loc[NAME, "slope"] == pytest.approx(0.955, abs=0.005)
    assert len(set(whole["n_frames"])) == 1


def test_the_page_names_both_and_what_is_known_of_the_checkpoint(results: Path) -> None:
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "CHGNet and TensorNet differ in what their checkpoints learnt" in page
    assert "was trained with the message passing of matgl before 2.2" in page
