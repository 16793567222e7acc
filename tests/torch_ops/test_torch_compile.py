"""``torch.compile`` without a break in the graph and with batches of any size, ``torch.export``, and autocast.

Trusts eager mode, which the other tests are about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import logsig_codegen as lg
from logsig_codegen import nn

D, N, M, S = 2, 3, 5, 14
KERNEL = lg.load(D, N)
Tensors = tuple[torch.Tensor, ...]


def random(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


CALLS: dict[str, tuple[Callable[..., torch.Tensor], Callable[[int], Tensors]]] = {
    "join": (lambda x, v: lg.log_sig_join(x, v, D, N), lambda b: (random(b, M), random(b, D))),
    "kernel.join": (lambda x, v: KERNEL.join(x, v), lambda b: (random(b, M), random(b, D))),
    "combine": (lambda x, y: lg.log_sig_combine(x, y, D, N), lambda b: (random(b, M), random(M))),
    "log_sig": (lambda p: lg.log_sig(p, N), lambda b: (random(b, 4, D),)),
    "kernel.log_sig": (lambda p: KERNEL.log_sig(p, stream=True), lambda b: (random(b, 4, D),)),
    "windows": (lambda p: lg.log_sig(p, N, windows=(3, 1)), lambda b: (random(b, 4, D),)),
    "options": (
        lambda p: lg.log_sig(p, 2, time_aug=True, lead_lag=True, method=0, scalar_term=True),
        lambda b: (random(b, 4, D),),
    ),
    "lengths": (
        lambda p, n, i: lg.log_sig(p, N, lengths=n, initial=i),
        lambda b: (random(b, 4, D), torch.arange(b) % 5, random(b, M)),
    ),
    "ragged": (lambda p, q: lg.log_sig([p, q], N), lambda b: (random(b, D), random(b + 1, D))),
    "sig_to_log_sig": (lambda x: lg.sig_to_log_sig(x, D, N), lambda b: (random(b, S),)),
    "logsig_to_sig": (lambda x: lg.logsig_to_sig(x, D, N, scalar_term=True), lambda b: (random(b, M),)),
    "change_method": (lambda x: lg.log_sig_change_method(x, D, N, 2, 0), lambda b: (random(b, M),)),
    "hall": (lambda x: lg.log_sig_to_hall(x, D, N), lambda b: (random(b, M),)),
    "linear": (lambda x: lg.linear_log_sig(x, D, N, method=0), lambda b: (random(b, D),)),
    "transform": (lambda p: lg.transform_path(p, time_aug=True, lead_lag=True), lambda b: (random(b, 4, D),)),
    "module": (nn.LogSig(D, N, time_aug=True, windows=(3, 1)), lambda b: (random(b, 4, D),)),
    "join module": (nn.LogSigJoin(D, N), lambda b: (random(b, M), random(b, D))),
}


def leaves(tensors: Tensors) -> list[torch.Tensor]:
    return [one.clone().requires_grad_() if one.is_floating_point() else one for one in tensors]


def compare(eager: Callable[..., Any], other: Callable[..., Any], tensors: Tensors) -> None:
    """Values and gradients."""
    first, second = leaves(tensors), leaves(tensors)
    expected, found = eager(*first), other(*second)
    torch.testing.assert_close(found, expected)
    weight = random(*expected.shape)
    (expected * weight).sum().backward()
    (found * weight).sum().backward()
    for one, two in zip(first, second, strict=True):
        torch.testing.assert_close(two.grad, one.grad)


def counting() -> Any:
    """A backend that counts the graphs it is given, after nothing that was compiled before."""
    from torch._dynamo.testing import CompileCounterWithBackend  # takes half as long as the whole of torch

    torch._dynamo.reset()
    return CompileCounterWithBackend("aot_eager")


@pytest.mark.parametrize("name", CALLS)
def test_compiled_for_any_batch(name: str) -> None:
    function, make = CALLS[name]
    counter = counting()
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend=counter)
    compare(function, compiled, make(3))
    compiled_once = counter.frame_count  # torch may begin again once, when it learns which numbers are constants
    for batch in (5, 8):
        compare(function, compiled, make(batch))
    assert counter.frame_count == compiled_once > 0


def test_nothing_is_compiled_again_for_another_batch_by_default() -> None:
    function, make = CALLS["join"]
    counter = counting()
    compiled = torch.compile(function, fullgraph=True, backend=counter)
    for batch in (3, 5, 8, 9):
        compare(function, compiled, make(batch))
    assert counter.frame_count <= 2  # for the first size, and for any


@pytest.mark.slow
def test_inductor() -> None:
    torch._dynamo.reset()
    model = nn.LogODE(D, N, hidden=4, out_features=2, window=2).double()
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for batch in (3, 5):
        compare(model, compiled, (random(batch, 7, D),))


@pytest.mark.parametrize("name", ["join", "log_sig", "options", "lengths", "logsig_to_sig"])
def test_exported(name: str, tmp_path: Any) -> None:
    """A saved and loaded program gives the same for a batch of another size; the operators stand in its graph."""
    function, make = CALLS[name]

    class Model(torch.nn.Module):
        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return function(*tensors)

    batch = torch.export.Dim("batch", min=2)
    shapes = tuple({0: batch} for _ in make(3))
    if name == "lengths":
        shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in make(3))
    program = torch.export.export(Model(), make(3), dynamic_shapes=(shapes,))
    assert any("logsig_codegen" in str(node.target) for node in program.graph.nodes)
    torch.export.save(program, tmp_path / "program.pt2")
    loaded = torch.export.load(tmp_path / "program.pt2").module()
    for size in (3, 6):
        torch.testing.assert_close(loaded(*make(size)), function(*make(size)))


def test_gradient_of_a_gradient_is_not_compiled_but_right() -> None:
    function, make = CALLS["join"]
    torch._dynamo.reset()

    def penalty(x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(function(x, v).square().sum(), x, create_graph=True)
        return gradient.square().sum()

    x, v = leaves(make(3))
    penalty(x, v).backward()
    units = torch.zeros_like(x)
    units[1, 2] = 1e-6
    difference = (penalty(x + units, v) - penalty(x - units, v)) / 2e-6
    assert x.grad is not None
    torch.testing.assert_close(x.grad[1, 2], difference.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CALLS)
def test_autocast_computes_in_single_precision(name: str, half: torch.dtype) -> None:
    function, make = CALLS[name]
    tensors = tuple(one.to(half) if one.is_floating_point() else one for one in make(3))
    with pytest.raises(TypeError, match=r"expected dtype float32 or float64, got b?float16; under torch.autocast"):
        function(*tensors)
    with torch.autocast("cpu", dtype=half):
        inputs = [one.requires_grad_() if one.is_floating_point() else one for one in tensors]
        found = function(*inputs)
        mixed = function(*(one.float() if k == 0 and one.is_floating_point() else one for k, one in enumerate(inputs)))
    assert found.dtype == mixed.dtype == torch.float32
    single = tuple(one.detach().float() if one.is_floating_point() else one for one in tensors)
    torch.testing.assert_close(found, function(*single))
    found.sum().backward()
    for one in inputs:
        if one.is_floating_point():
            assert one.grad is not None
            assert one.grad.dtype == half
    with torch.autocast("cpu", dtype=half):
        assert function(*make(3)).dtype == torch.float64
