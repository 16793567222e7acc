"""Intervals, times and missing values of tensors: what arrays give, derivatives, batches, compilers.

Trusts the calls on arrays, which have tests of their own, torch's difference quotients, and a loop in place of a batch.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import logsig_codegen as lg
from logsig_codegen import nn

N = 3
RNG = np.random.default_rng(9)
PATH = RNG.normal(size=(3, 9, 2))
GAPS = PATH.copy()
GAPS[0, 1:3, 0] = GAPS[1, 0, 1] = GAPS[2, 6:, 0] = GAPS[1, :, 0] = np.nan
TIMES = np.cumsum(RNG.uniform(0.2, 1, 9))
EACH = np.stack([TIMES, TIMES[::-1].max() - TIMES[::-1], TIMES * 2])
PAIRS = np.array([[0, 8], [3, 2], [4, 4], [2, 7], [1, 8]])
ENDS = np.sort(RNG.uniform(TIMES[0], TIMES[-1], (5, 2)))
ENDS[0], ENDS[1] = (TIMES[0], TIMES[-1]), (TIMES[3], TIMES[3])
LENGTHS = np.array([9, 5, 1])

ASKED: dict[str, dict[str, Any]] = {
    "intervals": {"intervals": PAIRS},
    "of each path": {"intervals": np.stack([PAIRS, PAIRS[::-1], PAIRS])},
    "of time": {"times": TIMES, "intervals": ENDS},
    "of time, of each path": {"times": EACH, "intervals": ENDS - TIMES[0] + EACH[:, :1, None]},
    "windows": {"times": TIMES, "windows": (1.1, 0.5)},
    "windows of each path": {"times": EACH, "windows": (1.1, 0.5)},
}
TRANSFORMS: list[dict[str, Any]] = [{}, {"time_aug": True}, {"lead_lag": True, "time_aug": True}]
FILLED: list[dict[str, Any]] = [
    {}, {"missing": "linear"}, {"missing": "forward", "count_observations": True},
]  # fmt: skip
ALL = [
    pytest.param(name, transform, filled, marks=() if k % 5 == 0 else pytest.mark.slow)
    for k, (name, transform, filled) in enumerate(product(ASKED, TRANSFORMS, FILLED))
]


@pytest.mark.parametrize(("name", "transform", "filled"), ALL, ids=str)
def test_results_and_gradients_are_those_of_arrays(name: str, transform: Any, filled: Any) -> None:
    asked = dict(ASKED[name])
    if name == "of time, of each path":
        asked["intervals"] = np.minimum(asked["intervals"], asked["times"][:, -1:, None])
    for lengths in (None, LENGTHS):
        path = GAPS if filled else PATH
        options: dict[str, Any] = {**asked, **transform, **filled, "lengths": lengths}
        expected = lg.log_sig(path, 2, **options)
        tensor = torch.tensor(path, requires_grad=True)
        found = lg.log_sig(tensor, 2, **options)
        np.testing.assert_allclose(found.detach(), expected, atol=1e-12)
        d_out = RNG.normal(size=expected.shape)
        found.backward(torch.from_numpy(d_out))
        gradient = lg.log_sig_backprop(d_out, path, 2, **options)
        assert tensor.grad is not None
        np.testing.assert_allclose(tensor.grad, gradient, atol=1e-11)
        again = lg.log_sig_backprop(torch.from_numpy(d_out), tensor.detach(), 2, **options)
        np.testing.assert_allclose(again, gradient, atol=1e-11)


def leaves(*arrays: Any) -> list[Tensor]:
    return [torch.tensor(one, requires_grad=True) for one in arrays]


def timed(path: Tensor, times: Tensor, ends: Tensor) -> Any:
    return lg.log_sig(path, 2, times=times, intervals=ends, time_aug=True)


INSIDE = np.array([[TIMES[0] + 0.05, TIMES[7] + 0.1], [TIMES[2] + 0.1, TIMES[2] + 0.15]])


def test_derivatives_by_paths_times_and_ends() -> None:
    given = leaves(PATH[:2], TIMES, INSIDE)
    assert torch.autograd.gradcheck(timed, given, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(timed, given, fast_mode=True)


def test_derivatives_by_observed_values_and_times() -> None:
    there = torch.from_numpy(~np.isnan(GAPS))

    def call(values: Tensor, times: Tensor) -> Any:
        path = torch.full(there.shape, torch.nan, dtype=torch.float64).masked_scatter(there, values)
        return lg.log_sig(path, 2, times=times, windows=(1.1, 0.5), missing="linear")

    values = torch.from_numpy(GAPS)[there]
    assert torch.autograd.gradcheck(call, leaves(values.numpy(), TIMES))


def test_ends_at_points_have_derivatives_of_one_side() -> None:
    path, ends = torch.from_numpy(PATH[0]), torch.tensor(TIMES[[2, 5]][None], requires_grad=True)
    lg.log_sig(path, 1, times=TIMES, intervals=ends)[0, 0].backward()
    slopes = np.diff(PATH[0, :, 0]) / np.diff(TIMES)
    assert ends.grad is not None
    np.testing.assert_allclose(ends.grad[0], [-slopes[2], slopes[5]], atol=1e-12)


@pytest.mark.parametrize("name", ["intervals", "of each path", "of time", "of time, of each path"])
def test_a_batch_is_a_loop(name: str) -> None:
    asked = {key: torch.tensor(one) for key, one in ASKED[name].items()}
    if name == "of time, of each path":
        asked["intervals"] = asked["intervals"].minimum(asked["times"][:, -1:, None])
    own = {key: one.ndim - (1 if key == "times" else 2) > 0 for key, one in asked.items()}

    def call(path: Tensor, *given: Tensor) -> Any:
        options: dict[str, Any] = dict(zip(asked, given, strict=True))
        return lg.log_sig(path, 2, missing="linear", **options)

    dims = (0, *(0 if one else None for one in own.values()))
    found = torch.func.vmap(call, in_dims=dims)(torch.from_numpy(GAPS), *asked.values())
    for k, path in enumerate(torch.from_numpy(GAPS)):
        row = call(path, *(one[k] if own[key] else one for key, one in asked.items()))
        torch.testing.assert_close(found[k], row, rtol=1e-12, atol=1e-12)


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log_sig = nn.LogSig(2, 2, missing="linear", time_aug=True)

    def forward(self, path: Tensor, times: Tensor, ends: Tensor) -> Tensor:
        result: Tensor = self.log_sig(path, times=times, intervals=ends)
        return result


def other_sizes() -> tuple[Tensor, Tensor, Tensor]:
    times = torch.arange(20, dtype=torch.float64)
    ends = torch.tensor([[0.5, 3], [2, 19], [3.3, 3.7], [0, 1], [1, 1], [4, 5], [0, 0.5]], dtype=torch.float64)
    return torch.from_numpy(RNG.normal(size=(3, 20, 2))), times, ends


GIVEN = torch.from_numpy(GAPS), torch.from_numpy(TIMES), torch.from_numpy(ENDS)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_for_all_lengths(backend: str) -> None:
    model = Model()
    compiled = torch.compile(model, backend=backend, fullgraph=True, dynamic=True)
    for given in (GIVEN, other_sizes()):
        gradients = []
        for call in (compiled, model):
            path = given[0].clone().requires_grad_()
            result = call(path, *given[1:])
            result.square().sum().backward()
            gradients.append((result, path.grad))
        for found, expected in zip(*gradients, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_compiled_for_intervals_of_points() -> None:
    modules = nn.LogSig(2, N), nn.LogSig(2, N, windows=[(3, 2), (5, 1)])
    for module, options in zip(modules, ({"intervals": torch.from_numpy(PAIRS)}, {}), strict=True):
        compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=True)
        found, expected = (one(torch.from_numpy(PATH), **options) for one in (compiled, module))
        torch.testing.assert_close(found, expected)


def test_exported_for_all_lengths() -> None:
    length, count = torch.export.Dim("length", min=4, max=500), torch.export.Dim("count", min=2, max=100)
    shapes = ({1: length}, {0: length}, {0: count})
    program = torch.export.export(Model(), GIVEN, dynamic_shapes=shapes).module()
    for given in (GIVEN, other_sizes()):
        torch.testing.assert_close(program(*given), Model()(*given), rtol=1e-12, atol=1e-12)


def test_errors_are_those_of_arrays() -> None:
    path = torch.from_numpy(PATH)
    for intervals, message in (
        ([[0, 1], [0, 9]], r"intervals\[1\]: expected \(first, last\)"),
        (torch.tensor([[0, 9]]), r"intervals\[0\]: expected \(first, last\)"),
        (np.zeros((4, 1, 2), int), "intervals: expected shape"),
    ):
        with pytest.raises(ValueError, match=message):
            lg.log_sig(path, N, intervals=intervals)
        with pytest.raises(ValueError, match=message):
            lg.log_sig(path, N, intervals=intervals, lengths=[9, 9, 9])
    with pytest.raises(ValueError, match=r"intervals\[0\]: expected \(begin, end\)"):
        lg.log_sig(path, N, times=TIMES, intervals=torch.tensor([[0.0, 1e3]]))
    with pytest.raises(ValueError, match=r"times\[1\]: expected a number above"):
        lg.log_sig(path, N, times=torch.zeros(9), time_aug=True)
    with pytest.raises(TypeError, match="intervals: expected integers"):
        lg.log_sig(path, N, intervals=torch.zeros(2, 2))
    for options in ({"stream": True}, {"windows": (2, 1)}, {"initial": torch.zeros(5, dtype=torch.float64)}):
        with pytest.raises(ValueError, match="expected None with"):
            lg.log_sig(path, N, intervals=PAIRS, **options)


def test_ends_that_cannot_be_looked_at_stop_at_the_ends_of_a_path() -> None:
    def call(ends: Tensor) -> Any:
        return lg.log_sig(torch.from_numpy(PATH), 2, times=TIMES, intervals=ends)

    beyond = torch.tensor([[-5.0, 100.0]], dtype=torch.float64)
    found = torch.compile(call, backend="aot_eager", fullgraph=True)(beyond)
    torch.testing.assert_close(found[:, 0], lg.log_sig(torch.from_numpy(PATH), 2, method=1))


def test_times_that_torch_negates_later() -> None:
    """The imaginary part of a conjugate is a view whose numbers are negated when they are read."""
    later = torch.complex(torch.zeros(3).double(), -torch.arange(3.0).double()).conj().imag
    assert later.is_neg()
    path = torch.ones(3, 2).double()
    assert torch.equal(
        lg.log_sig(path, 2, time_aug=True, times=later), lg.log_sig(path, 2, time_aug=True, times=later.clone())
    )
