from __future__ import annotations

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from chgnet.model import CHGNet

from uprung.models.chgnet.card import CARD
from uprung.models.chgnet.checkpoint import atomref, new_chgnet, save_chgnet, set_atomref, shipped_chgnet
from uprung.models.chgnet.network import ARGUMENTS, Network, fits
from uprung.models.registry import load


def _same_weights(a: CHGNet, b: CHGNet) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["0.3.0", "r2scan"])
def test_shipped_checkpoints_load_quietly_and_as_chgnet_does(name, capfd):
    before = torch.random.get_rng_state()
    model = shipped_chgnet(f"chgnet-{name}")
    assert capfd.readouterr().out == ""
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.version == name
    assert _same_weights(model, CHGNet.load(model_name=name, use_device="cpu", verbose=False))
    assert not any(p.requires_grad for p in model.composition_model.parameters())
    assert _same_weights(model, load(f"chgnet-{name}").chgnet)


def test_shipped_checkpoint_with_another_checksum_is_refused(monkeypatch):
    known = CARD.checkpoints["chgnet-0.3.0"]
    monkeypatch.setitem(CARD.checkpoints, "chgnet-0.3.0", replace(known, sha256="0" * 64))
    with pytest.raises(ValueError, match="has sha256 d14ab7c0"):
        load("chgnet-0.3.0")


def test_new_model_depends_on_its_seed_only(capfd):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    a, b, c = new_chgnet(0), new_chgnet(0), new_chgnet(1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capfd.readouterr().out == ""
    assert _same_weights(a, b)
    assert not torch.equal(a.bond_embedding.weight, c.bond_embedding.weight)
    shipped = shipped_chgnet("chgnet-0.3.0")
    assert {k: v.shape for k, v in a.state_dict().items()} == {k: v.shape for k, v in shipped.state_dict().items()}
    missing = object()
    differing = {k for k, v in shipped.model_args.items() if a.model_args.get(k, missing) != v}
    assert differing == {"version"}


@pytest.mark.parametrize("seed", [0, 7])
def test_new_model_is_that_of_chgnets_own_class(seed):
    """Order and shapes of the weights, the random numbers behind them, what is trained, and what a file would say."""
    own = new_chgnet(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stock = CHGNet(**ARGUMENTS, mlp_out_bias=False)
    assert list(own.state_dict()) == list(stock.state_dict())
    assert _same_weights(own, stock)
    of_both = [[(name, p.shape, p.requires_grad) for name, p in model.named_parameters()] for model in (own, stock)]
    assert of_both[0] == of_both[1]
    assert list(own.model_args.items()) == list(stock.model_args.items())


@pytest.mark.parametrize("name", list(CARD.checkpoints))
def test_shipped_checkpoints_need_none_of_chgnets_own_class(name):
    assert isinstance(shipped_chgnet(name), Network)


@pytest.mark.parametrize(
    "changed", [{"n_conv": 3}, {"composition_model": None}, {"mlp_out_bias": True}, {"skip_connection": "average"}]
)
def test_another_architecture_is_left_to_chgnets_own_class(changed):
    assert fits({**ARGUMENTS, "version": "0.3.0", "mlp_hidden_dims": (64, 64, 64)})
    assert not fits({**ARGUMENTS, **changed})


def test_a_file_of_another_architecture_is_refused_with_the_difference(tmp_path):
    save_chgnet(CHGNet(**{**ARGUMENTS, "conv_norm": "layer"}), tmp_path / "other")
    with pytest.raises(ValueError, match="norms after its convolutions"):
        load(tmp_path / "other")


def test_saved_model_loads_here_and_in_chgnet(tmp_path):
    model = new_chgnet(3)
    set_atomref(model, np.linspace(-9, 1, 94), trainable=True)
    path = tmp_path / "model.pth.tar"
    save_chgnet(model, path)
    assert list(tmp_path.iterdir()) == [path]
    for loaded in (load(path).chgnet, CHGNet.from_file(str(path))):
        assert _same_weights(model, loaded)
        assert loaded.composition_model.fitted
    save_chgnet(shipped_chgnet("chgnet-r2scan"), path)
    again = load(path).chgnet
    assert again.version == "r2scan"
    assert _same_weights(again, shipped_chgnet("chgnet-r2scan"))


def test_failed_save_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "model.pth.tar"
    path.write_bytes(b"old")

    def fail(content: object, file: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_chgnet(new_chgnet(0), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_model_args_are_saved_as_plain_types(tmp_path):
    model = new_chgnet(0)
    model.model_args["composition_model"] = model.composition_model
    model.model_args["mlp_hidden_dims"] = (np.int64(64), 64, 64)
    save_chgnet(model, tmp_path / "a")
    assert load(tmp_path / "a").chgnet.model_args["mlp_hidden_dims"] == [64, 64, 64]
    model.model_args["extra"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"model_args\.extra of type Tensor"):
        save_chgnet(model, tmp_path / "b")


class _Code:
    def __reduce__(self) -> tuple:
        return (os.mkdir, ("/nowhere/at/all",))


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no checkpoint or file '0\.4'.*chgnet-0\.3\.0, chgnet-r2scan"):
        load("0.4")
    code, text, other = tmp_path / "code", tmp_path / "text", tmp_path / "other"
    torch.save({"model": {"state_dict": {}, "model_args": _Code()}}, code)
    text.write_text("not a checkpoint")
    torch.save({"weights": torch.zeros(2)}, other)
    for path, message in (
        (code, "plain tensors"),
        (text, "plain tensors"),
        (other, "other holds no network of CHGNet"),
    ):
        with pytest.raises(ValueError, match=message):
            load(path)
    torch.save({"model": {"state_dict": {}, "model_args": {}}}, other)
    with pytest.raises(ValueError, match="does not fit"):
        load(other)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match="plain tensors"):
        load(tmp_path / "empty")
    (tmp_path / "pickle").write_bytes(pickle.dumps({"model": 1}, protocol=2))
    with pytest.raises(ValueError, match="checkpoint"):
        load(tmp_path / "pickle")


def test_atomref_is_read_and_replaced():
    model = shipped_chgnet("chgnet-0.3.0")
    values = atomref(model)
    assert values.shape == (94,)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values[[0, 25]], [-3.4431, -8.0228], atol=1e-6)
    new = np.random.default_rng(0).normal(size=94)
    set_atomref(model, new, trainable=True)
    np.testing.assert_allclose(atomref(model), new, atol=1e-7)
    assert model.composition_model.fc.weight.requires_grad
    set_atomref(model, new, trainable=False)
    assert not model.composition_model.fc.weight.requires_grad
    values[:] = 0  # a copy
    assert np.abs(atomref(model)).max() > 0


def test_bad_reference_energies_are_refused():
    model = new_chgnet(0)
    with pytest.raises(ValueError, match=r"shape \(94,\), not \(93,\)"):
        set_atomref(model, np.zeros(93), trainable=False)
    values = np.zeros(94)
    values[[69, 83]] = np.nan
    with pytest.raises(ValueError, match=r"Z = \[70, 84\]"):
        set_atomref(model, values, trainable=False)
    model.composition_model = None
    with pytest.raises(ValueError, match="NoneType"):
        atomref(model)
