"""The transforms of ``torch.func`` and their nestings, on functions as users call them.

Trusts double reverse mode, which the difference quotients of the other tests have checked, and loops.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import logsig_codegen as lg
from logsig_codegen import nn

D, N, M = 2, 3, 5
DIFFERENTIATE = {"f": jacfwd, "r": jacrev}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


POINT, START = random(4, D), random(M)
LENGTHS = torch.tensor([3, 4])
FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "join": lambda x: lg.log_sig_join(START, x[1] - x[0], D, N),
    "combine": lambda x: lg.log_sig_combine(x.flatten()[:M], x.flatten()[-M:], D, N),
    "path": lambda x: lg.log_sig(x, N),
    "stream": lambda x: lg.log_sig(x, N, stream=True, initial=x.flatten()[:M]),
    "windows": lambda x: lg.log_sig(x, N, windows=(3, 1), state="signature"),
    "lengths": lambda x: lg.log_sig(torch.stack([x, 2 * x]), N, lengths=LENGTHS, method=0),
    "ragged": lambda x: lg.log_sig([x, x[:2]], N),
    "transforms": lambda x: lg.log_sig(x[:2], 2, time_aug=True, lead_lag=True, method=0, scalar_term=True),
    "signature": lambda x: lg.sig_to_log_sig(torch.cat([x.flatten(), x.flatten()[:6]]), D, N),
    "exponential": lambda x: lg.logsig_to_sig(x.flatten()[:M], D, N),
    "coordinates": lambda x: lg.log_sig_to_hall(lg.log_sig_change_method(x.flatten()[:M], D, N, 1, 2), D, N),
    "gradient": lambda x: lg.log_sig_backprop(START, x, N, method=2),
    "gradient of a join": lambda x: lg.log_sig_join_backprop(START, x.flatten()[:M], x[3], D, N)[0],
}


def energy(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: FUNCTIONS[name](x).square().sum()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_in_all_nestings(name: str) -> None:
    function = energy(name)
    expected = torch.autograd.functional.hessian(function, POINT)
    for nesting in itertools.product(DIFFERENTIATE, repeat=2):
        outer, inner = (DIFFERENTIATE[mode] for mode in nesting)
        torch.testing.assert_close(outer(inner(function))(POINT), expected, msg=lambda m, n=nesting: f"{n}: {m}")
    torch.testing.assert_close(hessian(function)(POINT), expected)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize("name", ["join", "path", "signature"])
def test_third_derivatives_in_all_nestings(name: str) -> None:
    function = energy(name)
    expected = jacrev(jacrev(jacrev(function)))(POINT)
    assert expected.abs().max() > 1e-3
    for nesting in itertools.product(DIFFERENTIATE, repeat=3):
        first, second, third = (DIFFERENTIATE[mode] for mode in nesting)
        found = first(second(third(function)))(POINT)
        torch.testing.assert_close(found, expected, msg=lambda m, n=nesting: f"{n}: {m}")


@pytest.mark.parametrize(
    ("dimension", "degree"), [(1, 1), (2, 2), *(pytest.param(*p, marks=pytest.mark.slow) for p in ((1, 2), (3, 1)))]
)
def test_third_derivatives_of_the_smallest_problems(dimension: int, degree: int) -> None:
    """Where there is no bracket at all, and where there is one."""
    size = lg.log_sig_length(dimension, degree)
    calls: list[tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = [
        (lambda x: lg.log_sig_join(x, x[:dimension], dimension, degree), random(size)),
        (lambda x: lg.log_sig_combine(x, 2 * x, dimension, degree), random(size)),
        (lambda x: lg.log_sig(x, degree), random(3, dimension)),
    ]
    for function, point in calls:
        found = [
            first(second(third(lambda x, f=function: f(x).pow(3).sum())))(point)  # type: ignore[misc]
            for first, second, third in itertools.product(DIFFERENTIATE.values(), repeat=3)
        ]
        assert found[0].abs().max() > 0
        for other in found[1:]:
            torch.testing.assert_close(other, found[0])


def test_nothing_flows_from_what_does_not_count() -> None:
    """Second derivatives of padded, empty and short paths; what is padded may be anything."""
    path = random(2, 5, D)
    path[0, 3:] = float("nan")
    path.requires_grad_()
    value = lg.log_sig(path, N, lengths=[3, 5]).square().sum()
    (first,) = torch.autograd.grad(value, path, create_graph=True)
    first.square().sum().backward()
    assert path.grad is not None
    assert torch.isfinite(path.grad).all()
    assert path.grad[0, 3:].abs().max() == 0 < path.grad[0, :3].abs().max()
    for shape, options in (((2, 0, D), {}), ((2, 1, D), {"stream": True}), ((0, 5, D), {"windows": (2, 1)})):
        given: dict[str, Any] = options
        empty = torch.zeros(*shape, dtype=torch.float64, requires_grad=True)
        (first,) = torch.autograd.grad(lg.log_sig(empty, N, **given).sum(), empty, create_graph=True)
        first.sum().backward()
        assert empty.grad is not None
        assert empty.grad.shape == shape
        assert not empty.grad.any()


def test_fourth_derivative_along_a_line() -> None:
    """Of a polynomial of degree ``N`` in one number: exact differences, and zero beyond."""
    start, step = random(M), random(D)

    def value(t: torch.Tensor) -> torch.Tensor:
        return lg.log_sig_join(start, t * step, D, 5 - 2)[-1]

    zero = torch.tensor(0.0, dtype=torch.float64)
    samples = torch.stack([value(torch.tensor(float(t), dtype=torch.float64)) for t in range(5)])
    coefficients = torch.linalg.solve(torch.vander(torch.arange(5.0, dtype=torch.float64), increasing=True), samples)
    function: Callable[[torch.Tensor], torch.Tensor] = value
    factorial = 1.0
    for order in range(1, 5):
        function, factorial = grad(function), factorial * order
        torch.testing.assert_close(function(zero), factorial * coefficients[order], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tangents_and_cotangents(name: str) -> None:
    function, direction = FUNCTIONS[name], random(4, D + 1)[:, 1:]
    value, tangent = jvp(function, (POINT,), (direction,))
    again, pull = vjp(function, POINT)
    weight = random(*value.shape)
    assert torch.equal(again, function(POINT))
    torch.testing.assert_close(value, again)  # a gradient with a tangent is a composition, and rounds in its own way
    torch.testing.assert_close((tangent * weight).sum(), (pull(weight)[0] * direction).sum())
    step = 1e-6 * direction
    torch.testing.assert_close(tangent, (function(POINT + step) - function(POINT - step)) / 2e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_batches_of_derivatives_and_derivatives_of_batches(name: str) -> None:
    function, points = energy(name), torch.stack([POINT, 2 * POINT, -POINT])
    gradients = torch.stack([grad(function)(point) for point in points])
    torch.testing.assert_close(vmap(grad(function))(points), gradients)
    torch.testing.assert_close(grad(lambda x: vmap(function)(x).sum())(points), gradients)
    torch.testing.assert_close(
        vmap(jacfwd(function), in_dims=2, out_dims=1)(points.movedim(0, 2)), gradients.movedim(0, 1)
    )
    torch.testing.assert_close(vmap(hessian(function))(points)[2], hessian(function)(points[2]))
    twice = vmap(vmap(function))(torch.stack([points, points + 1]))
    torch.testing.assert_close(twice[0], torch.stack([function(point) for point in points]))


def test_lengths_may_be_batched() -> None:
    paths, lengths = random(3, 2, 5, D), torch.tensor([[5, 2], [0, 3], [1, 4]])
    found = vmap(lambda p, n: lg.log_sig(p, N, lengths=n, time_aug=True))(paths, lengths)
    torch.testing.assert_close(found, lg.log_sig(paths, N, lengths=lengths, time_aug=True))
    with pytest.raises(ValueError, match="lengths: expected values from 0 to 5"):
        vmap(lambda p, n: lg.log_sig(p, N, lengths=n))(paths, lengths + 1)


def test_streams_of_tensors_are_differentiated_twice() -> None:
    def of_stream(points: torch.Tensor) -> torch.Tensor:
        stream = lg.LogSigStream(D, N)
        stream.push(points[0])
        stream.push_batch(points[1:])
        first = stream.sig(1, 3)
        stream.pop_front()
        return torch.cat([first, stream.sig_all().flatten()])

    def of_windows(points: torch.Tensor) -> torch.Tensor:
        stream = lg.LogSigWindowStream(D, N, 3, stride=2)
        stream.push_batch(points)
        return stream.sig()

    leaf = random(5, D).requires_grad_()
    for function in (of_stream, of_windows):
        assert torch.autograd.gradcheck(function, leaf, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, leaf)


def test_parameters_of_a_module() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), nn.LogSig(2, 3)).double()
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    paths = random(6, 5, 3)

    def loss(values: dict[str, torch.Tensor], path: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, values, (path,)).square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(parameters, paths)
    together = grad(lambda values: loss(values, paths))(parameters)
    for name, value in together.items():
        torch.testing.assert_close(each[name].sum(0), value)


def test_results_have_the_bits_of_arrays() -> None:
    path = random(3, 400, D)
    for options in ({}, {"stream": True}, {"windows": (7, 3)}, {"lengths": [400, 2, 250]}, {"method": 0}):
        given: dict[str, Any] = options
        assert np.array_equal(lg.log_sig(path, N, **given).numpy(), lg.log_sig(path.numpy(), N, **given))


@pytest.mark.slow
def test_second_derivatives_in_loops_over_tables() -> None:
    """A problem whose second gradient is too large for straight-line code."""
    dimension, degree = 5, 5
    size = lg.log_sig_length(dimension, degree)
    left, right, form = 0.1 * random(size), random(dimension), random(size)
    u, w = random(size + 1)[1:], random(dimension + 1)[1:]
    operators = torch.ops.logsig_codegen
    numbers = dimension, degree
    second = operators.join_backprop_backprop(u, w, form, left, right, *numbers)
    tangent = operators.join_jvp(left, right, u, w, *numbers)
    torch.testing.assert_close(second[0], tangent)
    ahead, behind = (operators.join_backprop(form, left + s * u, right + s * w, *numbers) for s in (1e-5, -1e-5))
    for one, two, found in zip(ahead, behind, second[1:], strict=True):
        torch.testing.assert_close(found, (one - two) / 2e-5, rtol=1e-6, atol=1e-6)
