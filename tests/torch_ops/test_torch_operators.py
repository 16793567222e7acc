"""Every operator of torch with every option: difference quotients, ``opcheck``, batches, and loops in their place.

Trusts torch's difference quotients, and that one call per sample is right where a batch may not be.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_cases import CASES, Case, overload

from logsig_codegen.runtime.torch_ops.define import NAMESPACE

QUICK = [name for name in CASES if "," not in name]
"""One case, or a few, of each operator."""


@pytest.fixture(params=CASES)
def one(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_every_operator_has_a_case() -> None:
    names = {name.split("::")[1] for name in torch._C._dispatch_get_all_op_names() if name.startswith(f"{NAMESPACE}::")}
    assert names == {one.operator for one in CASES.values()}
    assert names == {CASES[name].operator for name in QUICK}


def test_first_derivatives(one: Case) -> None:
    function, leaves = one.function()
    assert torch.autograd.gradcheck(
        function, leaves, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )


def test_second_derivatives(one: Case) -> None:
    """Along random directions, which a wrong entry of the second derivative changes."""
    function, leaves = one.function()
    options = {"check_fwd_over_rev": True, "check_rev_over_rev": True, "fast_mode": True}
    assert torch.autograd.gradgradcheck(function, leaves, **options)


@pytest.mark.slow
def test_second_derivatives_entry_by_entry(one: Case) -> None:
    function, leaves = one.function()
    assert torch.autograd.gradgradcheck(function, leaves, check_fwd_over_rev=True, check_rev_over_rev=True)


@pytest.mark.parametrize("name", QUICK)
def test_opcheck(name: str) -> None:
    one = CASES[name]
    _, leaves = one.function()
    given: list[Any] = list(one.tensors)
    for place, leaf in zip(one.differentiable, leaves, strict=True):
        given[place] = leaf
    found = torch.library.opcheck(overload(one.operator), (*given, *one.others))
    assert set(found.values()) == {"SUCCESS"}
    assert {"test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic"} <= set(found)


@pytest.mark.parametrize("name", QUICK)
def test_batches_are_loops(name: str) -> None:
    """``vmap`` over some arguments, along their first or last axis, gives what a loop gives."""
    one = CASES[name]
    count = 3
    for which in {one.differentiable, one.differentiable[:1], one.differentiable[-1:]}:
        for front in (True, False):
            given, dims = list(one.tensors), [None] * len(one.tensors)
            for place in which:
                tensor = given[place]
                assert tensor is not None
                stacked = torch.stack([tensor * (k + 1) for k in range(count)], 0 if front else -1)
                given[place], dims[place] = stacked, 0 if front else stacked.ndim - 1  # type: ignore[call-overload]
            operator = overload(one.operator)

            def call(*tensors: Any, operator: Any = operator, one: Case = one) -> Any:
                return operator(*tensors, *one.others)

            found = torch.func.vmap(call, in_dims=tuple(dims))(*given)
            rows = [
                call(*(t if d is None else t.select(d, k) for t, d in zip(given, dims, strict=True)))  # type: ignore[union-attr]
                for k in range(count)
            ]
            if isinstance(found, tuple):
                for place, part in enumerate(found):
                    torch.testing.assert_close(part, torch.stack([row[place] for row in rows]))
            else:
                torch.testing.assert_close(found, torch.stack(rows))


@pytest.mark.parametrize("name", QUICK)
def test_single_precision_agrees_with_double(name: str) -> None:
    one = CASES[name]

    def call(dtype: torch.dtype) -> list[torch.Tensor]:
        tensors = [t.to(dtype).requires_grad_() if t is not None and t.is_floating_point() else t for t in one.tensors]
        result = overload(one.operator)(*tensors, *one.others)
        results = [part for part in (result if isinstance(result, tuple) else (result,)) if part.numel()]
        assert all(part.dtype == dtype for part in results)
        leaves = [tensors[place] for place in one.differentiable]
        gradients = torch.autograd.grad(
            [part.square().sum() for part in results], leaves, allow_unused=True, create_graph=True
        )
        total = sum(g.square().sum() for g in gradients if g is not None)
        second = torch.autograd.grad(total, leaves, allow_unused=True) if isinstance(total, torch.Tensor) else ()
        return [*results, *(g for g in (*gradients, *second) if g is not None)]

    for single, double in zip(call(torch.float32), call(torch.float64), strict=True):
        torch.testing.assert_close(single.double(), double, rtol=2e-3, atol=2e-3)
