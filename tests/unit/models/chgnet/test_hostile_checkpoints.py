"""Files of networks that hold code are refused with the reason, and the code does not run."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import chgnet
import pytest
import torch

from uprung.models.calculator import calculator
from uprung.models.chgnet.architecture import ARCHITECTURE
from uprung.models.chgnet.card import CARD
from uprung.models.chgnet.checkpoint import new_chgnet, save_chgnet
from uprung.models.registry import load
from uprung.models.torch_files import read_tensors
from uprung.training.resume import resume_state


class Touch:
    """Creates a file when it is unpickled without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def zipped(content: object, path: Path) -> None:
    torch.save(content, path)


def legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def bare(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def bare_old(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def renamed_zip(content: object, path: Path) -> None:
    """Put the pickle into an archive of torch by hand."""
    torch.save({"model": 1}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, pickle.dumps(content, protocol=2) if name.endswith("data.pkl") else data)


WRITERS = [zipped, legacy, bare, bare_old, renamed_zip]


@pytest.fixture(params=[None, "1"], ids=["", "environment asks for code"])
def careless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variable with which torch is told to read files without care."""
    if request.param:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", request.param)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def inside(marker: Path, place: str) -> Any:
    """Return the content of a checkpoint with code in one of its places."""
    content: dict[str, Any] = {"model": {"state_dict": {"w": torch.zeros(2)}, "model_args": {"atom_fea_dim": 64}}}
    if place == "top":
        return Touch(marker)
    if place == "beside":
        return {**content, "fidelities": Touch(marker)}
    content["model"][place] = Touch(marker)
    return content


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's about protocols
@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("writer", WRITERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("place", ["top", "beside", "model_args", "state_dict"])
def test_code_in_a_network_does_not_run(tmp_path: Path, marker: Path, writer: Callable[..., None], place: str) -> None:
    file = tmp_path / "model.pth.tar"
    writer(inside(marker, place), file)
    for read in (load, calculator, ARCHITECTURE.load, read_tensors):
        with pytest.raises(
            ValueError, match=r"model\.pth\.tar is not a checkpoint of plain tensors and values: it "
        ) as e:
            read(file)
        assert "weights_only" not in str(e.value)
        assert "trust" not in str(e.value)
    assert not ARCHITECTURE.reads(file)
    assert not marker.exists()


def test_the_files_would_run_their_code(tmp_path: Path, marker: Path) -> None:
    """Without this the tests above would say nothing."""
    for writer in WRITERS:
        file = tmp_path / "model.pth.tar"
        writer({"model": Touch(marker)}, file)
        if writer in (bare, bare_old):
            pickle.loads(file.read_bytes())
        else:
            torch.load(file, weights_only=False)
        assert marker.exists(), writer.__name__
        marker.unlink()


def test_the_message_names_what_a_file_asks_for(tmp_path: Path, marker: Path) -> None:
    zipped({"model": Touch(marker)}, tmp_path / "a")
    with pytest.raises(ValueError, match=r"values: it asks for posix\.system, which is code$"):
        load(tmp_path / "a")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "b")
    with pytest.raises(ValueError, match=r"it asks for torch\.nn\.modules\.linear\.Linear, which is code$"):
        load(tmp_path / "b")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_script_in_place_of_a_network_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "model"))
    with pytest.raises(ValueError, match="TorchScript archive, which is code"):
        load(tmp_path / "model")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02.", b"PK\x03\x04", bytes(range(256)) * 8])
def test_files_that_are_none_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ValueError, match="model is not a checkpoint of plain tensors and values"):
        load(tmp_path / "model")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("writer", WRITERS, ids=lambda f: f.__name__)
def test_code_in_a_resumable_state_does_not_run(
    tmp_path: Path, marker: Path, writer: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "last.ckpt"
    for path in (state, state.with_suffix(".previous")):
        writer({"identity": {"code": "mine"}, "run": {}, "module": Touch(marker)}, path)
    module = torch.nn.Linear(1, 1)
    optimiser = torch.optim.Adam(module.parameters())
    assert resume_state(state, {"code": "mine"}, module, optimiser, [], torch.device("cpu")) is None
    assert not marker.exists()
    assert caplog.text.count("not a checkpoint of plain tensors and values") == 2


@pytest.mark.parametrize("name", list(CARD.checkpoints))
@pytest.mark.parametrize("change", ["a byte", "code"])
def test_a_shipped_checkpoint_that_was_changed_is_refused(
    tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: str
) -> None:
    file = CARD.checkpoints[name].file
    copy = tmp_path / "chgnet" / file
    copy.parent.mkdir(parents=True)
    shutil.copy(Path(chgnet.__file__).parent / file, copy)
    monkeypatch.setattr(chgnet, "__file__", str(tmp_path / "chgnet/__init__.py"))
    load(name)
    if change == "code":
        zipped({"model": Touch(marker)}, copy)
    else:
        data = bytearray(copy.read_bytes())
        data[len(data) // 2] ^= 1
        copy.write_bytes(data)
    for read in (load, calculator):
        with pytest.raises(ValueError, match=f"the file of {name} in the chgnet package has sha256 .*, expected"):
            read(name)
    assert not marker.exists()


def test_a_correction_names_a_shipped_checkpoint_and_no_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    save_chgnet(new_chgnet(1), other)
    for corrects in (str(other), f"chgnet-{other}", "../other", "", "chgnet-9"):
        save_chgnet(new_chgnet(0), tmp_path / "delta", key="correction", beside={"corrects": corrects})
        with pytest.raises(ValueError, match=r"delta corrects .*no shipped checkpoint \(allowed: chgnet-0\.3\.0, "):
            load(tmp_path / "delta")


@pytest.mark.parametrize(
    "args",
    [5, "text", {"no_such_argument": 1}, {"atom_fea_dim": "wide"}, {"n_conv": -1}, {"non_linearity": "os.system"}],
)
def test_arguments_that_make_no_network_are_refused(tmp_path: Path, args: object) -> None:
    torch.save({"model": {"state_dict": {}, "model_args": args}}, tmp_path / "model")
    with pytest.raises(ValueError, match="model does not fit the installed chgnet"):
        load(tmp_path / "model")


def test_what_other_packages_add_to_what_torch_takes_for_plain_is_refused(tmp_path: Path) -> None:
    """PyTorch Geometric and matgl add classes to the list for the whole process when they are imported."""
    torch.save({"model": Fraction(1, 2)}, tmp_path / "model")
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([Fraction])
    try:
        assert torch.load(tmp_path / "model", weights_only=True) == {"model": Fraction(1, 2)}
        with pytest.raises(ValueError, match=r"asks for fractions\.Fraction, which is code"):
            load(tmp_path / "model")
        assert Fraction in torch.serialization.get_safe_globals()
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
