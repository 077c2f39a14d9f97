from __future__ import annotations

import numpy as np
import pytest

from uprung.config.arms import Arm
from uprung.models.interface import REFERENCES, Potential
from uprung.models.registry import load
from uprung.training.arms import build_potential

CHECKPOINT = load("chgnet-0.3.0")
ELEMENTS = np.isin(np.arange(1, 95), [8, 14])
FITTED = np.where(ELEMENTS, -np.arange(1.0, 95.0), np.nan)


def built(
    init: str, fit: str, references: np.ndarray | None = FITTED, seed: int = 0, trainable: bool = False
) -> Potential:
    arm = Arm.model_validate({"init": init, "references": fit, "references_trainable": trainable})
    return build_potential(
        arm, name="chgnet", pretrained="chgnet-0.3.0", references=references, elements=ELEMENTS, seed=seed
    )


def network(potential: Potential) -> np.ndarray:
    layers = {layer: parameters for layer, parameters in potential.layers().items() if layer != REFERENCES}
    return np.concatenate([p.detach().numpy().ravel() for parameters in layers.values() for p in parameters])


def trains_references(potential: Potential) -> bool:
    (found,) = {parameter.requires_grad for parameter in potential.layers()[REFERENCES]}
    return found


def test_m1_is_random_with_the_fitted_references() -> None:
    model = built("random", "target")
    assert not np.array_equal(network(model), network(CHECKPOINT))
    assert not np.array_equal(network(model), network(built("random", "target", seed=1)))
    np.testing.assert_allclose(model.references[[7, 13]], [-8.0, -14.0])
    assert not trains_references(model)


def test_m2_and_m3_keep_the_checkpoint_and_differ_in_what_may_move() -> None:
    for trainable in (True, False):
        model = built("pretrained", "checkpoint", references=None, trainable=trainable)
        np.testing.assert_array_equal(network(model), network(CHECKPOINT))
        np.testing.assert_array_equal(model.references, CHECKPOINT.references)
        assert trains_references(model) is trainable


def test_m4_is_the_pretrained_network_with_the_fitted_references() -> None:
    model = built("pretrained", "target")
    np.testing.assert_array_equal(network(model), network(CHECKPOINT))
    np.testing.assert_allclose(model.references[[7, 13]], [-8.0, -14.0])


def test_an_element_outside_the_study_keeps_the_value_of_the_checkpoint_and_is_never_zero() -> None:
    values = built("random", "target").references
    np.testing.assert_array_equal(values[~ELEMENTS], CHECKPOINT.references[~ELEMENTS])


def test_an_element_of_the_study_without_reference_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no reference energy for Z = \[14\]"):
        built("pretrained", "target", references=np.where(np.arange(1, 95) == 14, np.nan, FITTED))
    with pytest.raises(ValueError, match="no reference energies were given"):
        built("pretrained", "target", references=None)


def test_a_file_of_another_architecture_than_the_study_says_is_refused() -> None:
    arm = Arm.model_validate({"references": "checkpoint"})
    with pytest.raises(ValueError, match="the network is of CHGNet, but the inputs are those of sevennet"):
        build_potential(arm, name="sevennet", pretrained="chgnet-0.3.0", references=None, elements=ELEMENTS, seed=0)
