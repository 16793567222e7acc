"""Many joins as one call: in all fronts what a loop of joins gives, and its gradients.

Trusts ``log_sig_join`` and its gradient, one segment at a time; the front for numpy, for the bits of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import logsig_codegen as lg
from logsig_codegen import jax_api, torch_api

RNG = np.random.default_rng(11)
SHAPES = [((), ()), ((3,), (3,)), ((2, 1), (3,)), ((), (2,)), ((4,), ())]


def loop(log_sig: Any, displacements: Any, stack: Callable[..., Any], stream: bool) -> Any:
    found = []
    for k in range(displacements.shape[-2]):
        log_sig = lg.log_sig_join(log_sig, displacements[..., k, :], 2, 3)
        found.append(log_sig)
    return stack(found, -2) if stream else log_sig


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("before", "lead"), SHAPES)
def test_a_loop_of_joins(before: tuple[int, ...], lead: tuple[int, ...], stream: bool) -> None:
    start, steps = 0.5 * RNG.normal(size=(*before, 5)), RNG.normal(size=(*lead, 4, 2))
    found = lg.log_sig_joins(start, steps, 2, 3, stream=stream)
    np.testing.assert_allclose(found, loop(start, steps, np.stack, stream), atol=1e-13)
    tensors = [torch.tensor(one, requires_grad=True) for one in (start, steps)]
    result = torch_api.log_sig_joins(*tensors, 2, 3, stream=stream)
    assert np.array_equal(result.detach().numpy(), found)
    form = torch.from_numpy(RNG.normal(size=found.shape))
    wanted = torch.autograd.grad(loop(*tensors, torch.stack, stream), tensors, form)
    by_numpy = lg.log_sig_joins_backprop(form.numpy(), start, steps, 2, 3, stream=stream)
    by_torch = lg.log_sig_joins_backprop(form, *(one.detach() for one in tensors), 2, 3, stream=stream)
    for one, *others in zip(wanted, torch.autograd.grad(result, tensors, form), by_numpy, by_torch, strict=True):
        for other in others:
            np.testing.assert_allclose(other, one, atol=1e-12)


@pytest.mark.parametrize("stream", [False, True])
def test_jax(stream: bool) -> None:
    start, steps = RNG.normal(size=(2, 1, 5)), RNG.normal(size=(3, 4, 2))
    with jax.enable_x64(True):
        arrays = jnp.asarray(start), jnp.asarray(steps)

        def joins_of(*operands: Any) -> Any:
            return jax_api.log_sig_joins(*operands, 2, 3, stream=stream)

        found, pull = jax.vjp(jax.jit(joins_of), *arrays)
        np.testing.assert_allclose(found, lg.log_sig_joins(start, steps, 2, 3, stream=stream), atol=1e-13)
        form = RNG.normal(size=found.shape)
        wanted = lg.log_sig_joins_backprop(form, start, steps, 2, 3, stream=stream)
        gradients = lg.log_sig_joins_backprop(jnp.asarray(form), *arrays, 2, 3, stream=stream)
        for one, two, three in zip(wanted, gradients, pull(jnp.asarray(form)), strict=True):
            np.testing.assert_allclose(two, one, atol=1e-12)
            np.testing.assert_allclose(three, one, atol=1e-12)


def joins(*operands: Any) -> Any:
    return lg.log_sig_joins(*operands, 2, 3)


def test_torch_maps_it() -> None:
    start, steps = (torch.from_numpy(RNG.normal(size=shape)) for shape in ((5,), (2, 3, 2)))
    per_path = torch.func.vmap(joins, in_dims=(None, 0))(start, steps)
    assert torch.equal(per_path, joins(start, steps))


@pytest.mark.slow
def test_torch_compiles_it() -> None:
    start, steps = (torch.from_numpy(RNG.normal(size=shape)).requires_grad_() for shape in ((5,), (2, 3, 2)))
    compiled = torch.compile(joins, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(start, steps), joins(start, steps))


def test_no_segments() -> None:
    start = RNG.normal(size=(3, 5))
    assert np.array_equal(lg.log_sig_joins(start, np.zeros((3, 0, 2)), 2, 3), start)
    assert lg.log_sig_joins(start, np.zeros((3, 0, 2)), 2, 3, stream=True).shape == (3, 0, 5)


@pytest.mark.parametrize("like", [np.asarray, torch.tensor, jnp.asarray])
def test_wrong_arguments_have_their_names(like: Callable[[Any], Any]) -> None:
    start, steps = (np.zeros(shape, np.float32) for shape in ((2, 5), (2, 3, 2)))
    for wrong, message in (
        ((start[:, 1:], steps), "log_sig: expected last dimension 5"),
        ((start, steps[..., 1:]), r"displacements: expected shape \(\.\.\., steps, 2\)"),
        ((start, steps[0, 0]), r"displacements: expected shape \(\.\.\., steps, 2\)"),
        ((start, np.zeros((3, 3, 2), np.float32)), r"cannot be broadcast together: log_sig \(2,\), displacements"),
    ):
        with pytest.raises(ValueError, match=message):
            lg.log_sig_joins(*map(like, wrong), 2, 3)
    arrays = like(start), like(steps)
    with pytest.raises(ValueError, match="d_out: expected a shape that broadcasts to"):
        lg.log_sig_joins_backprop(like(np.zeros((3, 5), np.float32)), *arrays, 2, 3)
    with pytest.raises(TypeError, match="stream: expected a bool"):
        lg.log_sig_joins(*arrays, 2, 3, stream=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="displacements: expected a numpy array"):
        lg.log_sig_joins(arrays[0], [[1.0, 2.0]], 2, 3)  # type: ignore[type-var]


def test_rows_of_a_longer_tensor_are_read_where_they_are() -> None:
    """A loop over ``path[:, k]`` has rows that are apart: the bits of rows that are not."""
    start, steps = torch.from_numpy(RNG.normal(size=(9, 5))), torch.from_numpy(RNG.normal(size=(9, 4, 2)))
    for right in (steps[:, 1], steps[:, 1].flip(-1), steps[:1, 1].expand(9, 2), steps[::3, 1].repeat(3, 1)):
        leaves = start.clone().requires_grad_(), right.clone().requires_grad_()
        wanted = lg.log_sig_join(start.numpy(), np.ascontiguousarray(right), 2, 3)
        result = lg.log_sig_join(leaves[0], right, 2, 3)
        assert np.array_equal(result.detach().numpy(), wanted)
        gradients = lg.log_sig_join_backprop(result.detach(), start, right, 2, 3)
        for one, two in zip(
            gradients, torch.autograd.grad(lg.log_sig_join(*leaves, 2, 3), leaves, result), strict=True
        ):
            assert torch.equal(one, two)
