from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from uprung.models.chgnet import gated_mlp as module
from uprung.models.chgnet.gated_mlp import gate
from uprung.models.chgnet.kernels import Plain

NAMES = ["a", "weight", "bias", "scale", "shift", "p"]


@pytest.fixture(autouse=True, params=["plain", "compiled"])
def _own_derivatives(monkeypatch, request) -> Iterator[None]:
    """Every test with PyTorch's operations and with the compiled kernels."""
    kernels = Plain() if request.param == "plain" else request.getfixturevalue("compiled_kernels")
    monkeypatch.setattr(module, "kernels_of", lambda a: kernels[a.dtype] if isinstance(kernels, dict) else kernels)
    monkeypatch.setattr(module, "_SMALL", 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _inputs(n: int, second: bool, size: float = 1.0, dtype: torch.dtype = torch.float64) -> list[Tensor | None]:
    """a, weight, bias, scale, shift and a direction p of the first derivative."""
    draw = torch.Generator().manual_seed(n)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=draw)

    a, weight, bias = size * normal(n, 128), normal(2, 64, 64) / 8, size * normal(2, 1, 64)
    scale, shift, p = 1 + normal(2, 1, 64) / 3, normal(2, 1, 64), normal(n, 64)
    values = [a, weight if second else None, bias if second else None, scale, shift, p]
    return [None if v is None else v.to(dtype).requires_grad_() for v in values]


def _slope(function, a, weight, bias, scale, shift, p) -> tuple[Tensor, Tensor]:
    """The function's value and its derivative along p, which is kept differentiable."""
    y = function(a, weight, bias, scale, shift)
    return y, torch.autograd.grad(y, a, p, create_graph=True)[0]


def _all_derivatives(function, inputs: list[Tensor | None]) -> dict[str, Tensor]:
    """Value, slope and the gradients of a loss on both with respect to every input."""
    y, slope = _slope(function, *inputs)
    loss = sum((torch.sin(torch.arange(t.numel()) + 1.0).view_as(t).to(t) * t).sum() for t in (y, slope))
    given = {name: t for name, t in zip(NAMES, inputs, strict=True) if t is not None}
    gradients = torch.autograd.grad(loss, list(given.values()))
    return {"y": y.detach(), "slope": slope.detach(), **dict(zip(given, gradients, strict=True))}


@pytest.mark.parametrize("second", [True, False], ids=["hidden layer", "no hidden layer"])
@pytest.mark.parametrize("n", [0, 1, 2, 37])
def test_equals_what_autograd_derives(n, second):
    inputs = _inputs(n, second)
    own, expected = (_all_derivatives(function, inputs) for function in (gate, module._composed))
    for name, value in expected.items():
        torch.testing.assert_close(own[name], value, rtol=1e-11, atol=1e-11, msg=lambda text, name=name: name + text)


@pytest.mark.parametrize("second", [True, False], ids=["hidden layer", "no hidden layer"])
@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3, 30.0, 1e4])
def test_small_and_extreme_inputs(size, second):
    """Where the normalised variance vanishes in its epsilon, and where every sigmoid is 0 or 1."""
    inputs = _inputs(5, second, size)
    own, expected = (_all_derivatives(function, inputs) for function in (gate, module._composed))
    for name, value in expected.items():
        assert own[name].isfinite().all()
        scale = float(value.abs().max())
        torch.testing.assert_close(own[name], value, rtol=1e-9, atol=1e-11 * scale, msg=lambda t, name=name: name + t)


def test_saturated_gates():
    inputs = _inputs(4, True)
    inputs[4] = (200 * inputs[4].detach().sign()).requires_grad_()
    own, expected = (_all_derivatives(function, inputs) for function in (gate, module._composed))
    for name, value in expected.items():
        torch.testing.assert_close(own[name], value, rtol=1e-9, atol=1e-11, msg=lambda t, name=name: name + t)


@pytest.mark.parametrize("second", [True, False], ids=["hidden layer", "no hidden layer"])
@pytest.mark.parametrize("size", [1e-3, 1.0, 5.0])
def test_first_and_second_derivatives_are_those_of_finite_differences(size, second):
    inputs = _inputs(3, second, size)
    given = [k for k, t in enumerate(inputs) if t is not None]

    def call(function, *values: Tensor) -> Tensor:
        arguments = [None] * 6
        for k, value in zip(given, values, strict=True):
            arguments[k] = value
        return function(*arguments)

    values = [inputs[k] for k in given]
    value = lambda *v: call(lambda *t: gate(*t[:5]), *v)  # noqa: E731
    slope = lambda *v: call(lambda *t: _slope(gate, *t)[1], *v)  # noqa: E731
    step = 1e-6 * min(size, 1.0)
    assert torch.autograd.gradcheck(value, values, eps=step, rtol=1e-4, atol=1e-5, fast_mode=True)
    assert torch.autograd.gradcheck(slope, values, eps=step, rtol=1e-4, atol=1e-4 / size, fast_mode=True)


@pytest.mark.parametrize("second", [True, False], ids=["hidden layer", "no hidden layer"])
def test_single_precision_is_as_close_as_that_of_autograd(second):
    exact = _all_derivatives(module._composed, _inputs(300, second))
    single = _inputs(300, second, dtype=torch.float32)
    own, composed = (_all_derivatives(function, single) for function in (gate, module._composed))
    for name, value in exact.items():
        mine, theirs = (float((found[name].double() - value).norm() / value.norm()) for found in (own, composed))
        assert mine < max(2 * theirs, 1e-6), name


def test_rows_are_independent():
    a, *parameters, p = _inputs(6, True)
    _, whole = _slope(gate, a, *parameters, p)
    parts = [_slope(gate, a[k : k + 1], *parameters, p[k : k + 1])[1] for k in range(6)]
    torch.testing.assert_close(whole, torch.cat(parts))


def test_input_is_left_as_it_was():
    for n in (1, 3):
        a, *parameters, _ = _inputs(n, True)
        before = a.detach().clone()
        gate(a, *parameters)
        assert torch.equal(a, before)


def test_parameters_that_need_no_gradient_get_none():
    a, *parameters, p = _inputs(3, True)
    fixed = [t.detach() for t in parameters]
    (expected,) = torch.autograd.grad(gate(a, *parameters), a, p)
    (found,) = torch.autograd.grad(gate(a, *fixed), a, p)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("second", [True, False], ids=["hidden layer", "no hidden layer"])
def test_what_is_differentiated_once_gives_the_same_derivative(second):
    a, *parameters, p = _inputs(37, second)
    fixed = [t if t is None else t.detach() for t in parameters]
    whole, spared = gate(a, *parameters), gate(a, *fixed, once=True)
    assert torch.equal(spared, whole)
    (expected,) = torch.autograd.grad(whole, a, p)
    for _ in range(2):  # as for the elements of a structure, one after the other
        (found,) = torch.autograd.grad(spared, a, p, retain_graph=True)
        assert torch.equal(found, expected)


def test_what_was_to_be_differentiated_once_has_no_other_derivative():
    a, *parameters, p = _inputs(3, True)
    with pytest.raises(RuntimeError, match="once, with respect to its input"):
        torch.autograd.grad(gate(a, *parameters, once=True), parameters, p)
    with pytest.raises(RuntimeError, match="once, with respect to its input"):
        torch.autograd.grad(gate(a, *parameters, once=True), a, p, create_graph=True)


def test_what_cannot_be_differentiated_again_is_never_a_wrong_number():
    a, *parameters, p = _inputs(3, True)
    y = gate(a, *parameters)
    for found in torch.autograd.grad(y, parameters, p, create_graph=True):
        assert found.isnan().all()
    (slope,) = torch.autograd.grad(gate(a, *parameters), a, p, create_graph=True)
    with pytest.raises(RuntimeError, match="not three times"):
        torch.autograd.grad(slope.sum(), a, create_graph=True)
