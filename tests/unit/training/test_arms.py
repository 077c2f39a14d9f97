from __future__ import annotations

import numpy as np
import pytest
from chgnet.model import CHGNet

from uprung.config.arms import Arm
from uprung.models.chgnet.checkpoint import atomref, load_chgnet
from uprung.training.arms import build_model

CHECKPOINT = load_chgnet("0.3.0")
ELEMENTS = np.isin(np.arange(1, 95), [8, 14])
REFERENCES = np.where(ELEMENTS, -np.arange(1.0, 95.0), np.nan)


def built(
    init: str, fit: str, references: np.ndarray | None = REFERENCES, seed: int = 0, trainable: bool = False
) -> CHGNet:
    arm = Arm.model_validate({"init": init, "references": fit, "references_trainable": trainable})
    return build_model(arm, pretrained="chgnet-0.3.0", references=references, elements=ELEMENTS, seed=seed)


def network(model: CHGNet) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for n, p in model.named_parameters() if "composition" not in n])


def test_m1_is_random_with_the_fitted_references() -> None:
    model = built("random", "target")
    assert not np.array_equal(network(model), network(CHECKPOINT))
    assert not np.array_equal(network(model), network(built("random", "target", seed=1)))
    np.testing.assert_allclose(atomref(model)[[7, 13]], [-8.0, -14.0])
    assert not model.composition_model.fc.weight.requires_grad


def test_m2_and_m3_keep_the_checkpoint_and_differ_in_what_may_move() -> None:
    for trainable in (True, False):
        model = built("pretrained", "checkpoint", references=None, trainable=trainable)
        np.testing.assert_array_equal(network(model), network(CHECKPOINT))
        np.testing.assert_array_equal(atomref(model), atomref(CHECKPOINT))
        assert model.composition_model.fc.weight.requires_grad is trainable


def test_m4_is_the_pretrained_network_with_the_fitted_references() -> None:
    model = built("pretrained", "target")
    np.testing.assert_array_equal(network(model), network(CHECKPOINT))
    np.testing.assert_allclose(atomref(model)[[7, 13]], [-8.0, -14.0])


def test_an_element_outside_the_study_keeps_the_value_of_the_checkpoint_and_is_never_zero() -> None:
    values = atomref(built("random", "target"))
    np.testing.assert_array_equal(values[~ELEMENTS], atomref(CHECKPOINT)[~ELEMENTS])


def test_an_element_of_the_study_without_reference_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no reference energy for Z = \[14\]"):
        built("pretrained", "target", references=np.where(np.arange(1, 95) == 14, np.nan, REFERENCES))
    with pytest.raises(ValueError, match="no reference energies were given"):
        built("pretrained", "target", references=None)
