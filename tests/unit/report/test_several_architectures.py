"""What the page says of a study of several architectures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import yaml

from uprung.config.architectures import comparisons, slug
from uprung.config.docs import FIRST_STUDY
from uprung.config.laws import Laws
from uprung.config.load import load_study
from uprung.config.study import Study
from uprung.report.sections.crossovers import crossover_table
from uprung.report.sections.limits import budget_limits
from uprung.report.sections.meaning import reference_effect
from uprung.report.sections.references import arms_table
from uprung.scaling import law_tables

TENSORNET = "TensorNet-MatPES-PBE-v2025.1-PES"
ARMS = {
    "scratch": {"init": "random"},
    "kept": {"references": "checkpoint"},
    "target": {"references": "target"},
}


def study(**changes: Any) -> Study:
    found = load_study(yaml.safe_load(FIRST_STUDY) | {"arms": ARMS} | changes)
    assert isinstance(found, Study)
    return found


BOTH = study(architecture=["chgnet-0.3.0", TENSORNET])


def curves(arms: dict[str, float]) -> pd.DataFrame:
    """Return power laws, N^-0.5 times a number for each arm."""
    rows = [
        {
            **{"budget": "short", "arm": arm, "fidelity": "high", "target": "energy", "population": "covered"},
            **{
                "size": str(n),
                "seed": seed,
                "n_frames": n,
                "n_materials": n,
                "n_test": 50,
                "mae": factor * n**-0.5,
                "baseline": 9.0,
            },
            **{"converged": True, "reason": "", "val_mae": factor * n**-0.5, "untouched": np.nan, "gains": True},
            **{"settled": "not tested", "tail": 0.0},
        }
        for arm, factor in arms.items()
        for n in (50, 100, 200, 400)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_labels_and_scales_of_every_checkpoint_are_stated() -> None:
    said = " ".join(budget_limits(BOTH, "GPAW PBE"))
    assert "CHGNet and TensorNet differ in what their checkpoints learnt" in said
    for checkpoint, scale in (("chgnet-0.3.0", "mixing corrections (MPtrj) (PBE)"), (TENSORNET, "(MatPES) (PBE)")):
        assert f"The checkpoint {checkpoint} learnt VASP" in said
        assert scale in said
    assert f"kept, TensorNet keeps the reference energies of {TENSORNET} unchanged" in said
    assert f"{TENSORNET} was trained with the message passing of matgl before 2.2" in said


def test_one_architecture_is_spoken_of_as_one() -> None:
    said = " ".join(budget_limits(study(), "GPAW PBE"))
    assert "One architecture (CHGNet) and one recipe for all arms" in said
    assert "matgl" not in said


def test_a_network_of_the_user_has_the_facts_of_the_study_file() -> None:
    own = {"file": "x.pth", "architecture": "sevennet", "functional": "PBEsol", "label_scale": "my labels"}
    said = " ".join(budget_limits(study(architecture="mine", checkpoints={"mine": own}), "GPAW PBE"))
    assert "The checkpoint mine learnt my labels (PBEsol)" in said


def test_the_table_of_arms_names_the_architecture_where_there_are_several() -> None:
    assert "architecture" in arms_table(BOTH).columns
    assert "architecture" not in arms_table(study()).columns


def test_references_are_compared_within_an_architecture() -> None:
    table = curves({name: 1 + 0.1 * k for k, name in enumerate(BOTH.arms)})
    said = reference_effect(table, BOTH, target="energy")
    assert [text.partition(":")[0] for text in said] == ["chgnet-0.3.0", TENSORNET]


def test_arms_cross_within_an_architecture_and_between_them() -> None:
    table = curves({name: 1 + 0.1 * k for k, name in enumerate(BOTH.arms)})
    found = law_tables(table, Laws(law="power"), scratch=next(iter(BOTH.arms)), compared=comparisons(BOTH))
    for name in ("crossover", "multiplier_curve"):
        pairs = set(zip(found[name]["scratch"], found[name]["transfer"], strict=True))
        assert pairs == {(base, other) for base, others in comparisons(BOTH).items() for other in others}
    labels = {name: arm.label for name, arm in BOTH.arms.items()}
    crossover = found["crossover"]
    page = crossover_table(crossover[crossover["scratch"] == f"scratch-{slug(TENSORNET)}"], labels)
    assert page is not None
    assert page.caption.startswith("Crossings of scratch, TensorNet with arms that it is compared with.")
    assert len(page.rows) == 2
