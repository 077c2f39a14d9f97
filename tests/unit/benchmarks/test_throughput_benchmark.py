from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import record
import throughput
from in_process import InProcess
from sides import ChildError
from throughput import compare, main


@pytest.fixture(autouse=True)
def _in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "Child", Sequential)


class Sequential(InProcess):
    """A side in this process, whose threads the tests keep at one."""

    def __init__(self, target: str, *, threads: int, **settings: Any) -> None:
        super().__init__(target, **settings)


def case_of(**changes: Any) -> record.Case:
    options = {"first": 5, "repeats": 2, "device": "cpu", "threads": 1, "tick": lambda: None}
    return compare("solids", 2, **{**options, **changes})


def test_both_sides_have_the_same_loss_and_are_timed_in_turn(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "throughput.json"
    main(["--sets", "solids", "--batch", "2", "--first", "5", "--repeats", "2", "--output", str(path)])
    (case,) = record.read(path).cases
    assert case.work == {"structures": 4, "steps": 2}  # whole batches only
    for side in (case.stock, case.uprung):
        assert side is not None
        assert len(side.seconds) == 2
        assert side.per_second == pytest.approx(4 / side.median)
    assert f"record: {path}" in capsys.readouterr().out


def test_sides_with_different_losses_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Sequential):
        def ask(self, method: str) -> Any:
            answer = super().ask(method)
            return answer * 1.001 if method == "loss" and "Stock" in type(self.side).__name__ else answer

    monkeypatch.setattr(throughput, "Child", Wrong)
    with pytest.raises(ValueError, match="solids: the losses of the sides differ"):
        case_of()


def test_a_side_that_runs_out_of_memory_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Sequential):
        def ask(self, method: str) -> Any:
            if method == "run" and "Stock" in type(self.side).__name__:
                raise ChildError("throughput_sides:Stock ended with status -9:\n")
            return super().ask(method)

    monkeypatch.setattr(throughput, "Child", Killed)
    case = case_of()
    assert case.stock is None
    assert case.ratio is None
    assert case.uprung is not None
    assert case.note == "stock ran out of memory"


def test_a_side_whose_pages_are_taken_back_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(Sequential):
        def ask(self, method: str) -> Any:
            answer = super().ask(method)
            if method == "run" and "Stock" in type(self.side).__name__:
                answer["major_faults"] = 1001
            return answer

    monkeypatch.setattr(throughput, "Child", Short)
    assert case_of().note == "stock ran short of memory (1,001 page faults)"
