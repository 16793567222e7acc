"""Every operator and every kind of call with CUDA tensors: the processor's results, no waiting, and CUDA graphs.

Truth comes from the same call with the same numbers on the CPU. ``torch.cuda.set_sync_debug_mode`` makes torch raise
where it would wait for the device; the second call of a kind must not, for everything has been loaded by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from on_gpu import MARKS
from processes import RunPython
from torch import Tensor
from torch_cases import CASES, overload

import logsig_codegen as lg
from logsig_codegen.errors import UnsupportedError
from logsig_codegen.operations import DERIVED_GROUPS, GROUPS, columns
from logsig_codegen.runtime.cuda import brackets

pytestmark = MARKS

DEVICE = "cuda"
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}
Work = Callable[..., Any]


@contextmanager
def nothing_waits() -> Iterator[None]:
    """Torch raises wherever it would wait for the device."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def there(one: Any) -> Any:
    return one.to(DEVICE) if isinstance(one, Tensor) else one


def listed(result: Any) -> list[Tensor]:
    return [one.detach() for one in (result if isinstance(result, (tuple, list)) else (result,))]


def close(found: Any, expected: Any) -> None:
    for one, truth in zip(listed(found), listed(expected), strict=True):
        assert one.device.type == DEVICE
        assert (one.shape, one.dtype) == (truth.shape, truth.dtype)
        tolerance = TOLERANCE[one.dtype] * max(1.0, float(truth.abs().max()) if truth.numel() else 0.0)
        torch.testing.assert_close(one.cpu(), truth, rtol=TOLERANCE[one.dtype], atol=tolerance)


def check(work: Work, tensors: Sequence[Tensor | None]) -> None:
    """The processor's result; the same again without waiting; the same from a graph, for other numbers as well."""
    given = [there(one) for one in tensors]
    close(work(*given), work(*tensors))
    with nothing_waits():
        again = work(*given)
    close(again, work(*tensors))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = work(*given)
    others = [one if one is None or not one.is_floating_point() else -0.5 * one for one in tensors]
    for place, other in zip(given, others, strict=True):
        if place is not None:
            place.copy_(other)
    graph.replay()
    torch.cuda.synchronize()
    close(captured, work(*others))


OPERATORS = sorted({case.operator for case in CASES.values()})


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("operator", OPERATORS)
def test_operators(operator: str, dtype: torch.dtype) -> None:
    for case in CASES.values():
        if case.operator == operator:
            tensors = [one.to(dtype) if one is not None and one.is_floating_point() else one for one in case.tensors]
            check(lambda *given, case=case: overload(case.operator)(*given, *case.others), tensors)  # type: ignore[misc]


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).to(dtype)


def leaves(*tensors: Tensor) -> list[Tensor]:
    """New leaves, so that their gradients belong to the stream that is current."""
    return [one.detach().requires_grad_() for one in tensors]


SECOND = (
    ((3, 3), DERIVED_GROUPS, torch.float32),
    ((3, 3), DERIVED_GROUPS, torch.float64),
    ((10, 3), ("combine_second",), torch.float64),
)
"""A thread per sample, and in the last case a block for a few."""


@pytest.mark.parametrize(("problem", "groups", "dtype"), SECOND, ids=str)
def test_kernels_of_second_derivatives(problem: tuple[int, int], groups: tuple[str, ...], dtype: torch.dtype) -> None:
    """Rows that fill more than one tile, and rows for all."""
    for group in groups:
        for operation in GROUPS[group]:
            widths = [columns(lg.Problem(*problem), name) for name in operation.inputs]
            for leads in ([(70,)] * len(widths), [(3, 1), (1, 11)] + [(3, 11)] * (len(widths) - 2)):
                tensors = [0.3 * random(*lead, width, dtype=dtype) for lead, width in zip(leads, widths, strict=True)]
                call = overload(operation.name)
                check(lambda *given, call=call: call(*given, *problem), tensors)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["bracket", "coadjoint"])
def test_brackets_without_kernels(name: str) -> None:
    """What stands in where a problem is too large for a kernel."""
    problem = lg.Problem(3, 4)
    left, right = random(7, 1, problem.size), random(5, problem.size)
    call = getattr(brackets, name)
    close(call(problem, there(left), there(right)), overload(name)(left, right, 3, 4))
    check(lambda *given: call(problem, *given), (left, right))


LENGTHS = torch.tensor([12, 1, 0, 7])
CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "words": {"method": 1},
    "expanded": {"method": 0, "scalar_term": True},
    "time": {"time_aug": True, "end_time": 2.0},
    "lead-lag": {"lead_lag": True, "time_aug": True, "method": 1},
    "lengths": {"lengths": True},
    "lengths, transforms": {"lengths": True, "lead_lag": True, "time_aug": True, "method": 0},
    "windows": {"windows": (5, 2), "lengths": True},
    "stream": {"stream": True, "lengths": True},
    "initial": {"initial": True, "lengths": True},
}


@pytest.mark.parametrize("name", CALLS)
def test_paths_and_their_gradients(name: str) -> None:
    options = dict(CALLS[name])
    padded, before = options.pop("lengths", False), options.pop("initial", False)

    def work(path: Tensor, lengths: Tensor | None, initial: Tensor | None) -> tuple[Tensor, ...]:
        given = leaves(path) if initial is None else leaves(path, initial)
        out = lg.log_sig(given[0], 3, lengths=lengths, initial=None if initial is None else given[1], **options)
        return out, *torch.autograd.grad(out.square().sum(), given)

    check(work, (0.3 * random(4, 12, 2), LENGTHS if padded else None, random(5) if before else None))


@pytest.mark.parametrize("name", ["lengths", "lengths, transforms", "windows", "stream", "initial"])
def test_second_derivatives_of_paths(name: str) -> None:
    options = dict(CALLS[name])
    before = options.pop("initial", False)
    del options["lengths"]

    def work(path: Tensor, lengths: Tensor, initial: Tensor | None) -> tuple[Tensor, ...]:
        given = leaves(path) if initial is None else leaves(path, initial)
        out = lg.log_sig(given[0], 3, lengths=lengths, initial=None if initial is None else given[1], **options)
        gradients = torch.autograd.grad(out.square().sum(), given, create_graph=True)
        return torch.autograd.grad(sum(one.square().sum() for one in gradients), given)  # type: ignore[arg-type, return-value]

    check(work, (0.3 * random(4, 12, 2), LENGTHS, random(5) if before else None))


def test_tangents() -> None:
    def work(path: Tensor, direction: Tensor) -> tuple[Tensor, ...]:
        value, tangent = torch.func.jvp(lambda p: lg.log_sig(p, 3, time_aug=True, method=0), (path,), (direction,))
        return value, tangent

    path, direction = random(3, 8, 2), random(3, 8, 2)
    close(work(there(path), there(direction)), work(path, direction))
    given = there(path), there(direction)
    with nothing_waits():
        work(*given)


def test_signatures_and_coordinates_by_name() -> None:
    def work(log_sig: Tensor) -> tuple[Tensor, ...]:
        sig = lg.logsig_to_sig(log_sig, 2, 3)
        back = lg.sig_to_log_sig(sig, 2, 3)
        hall = lg.log_sig_to_hall(back, 2, 3)
        return sig, back, hall, lg.log_sig_from_hall(hall, 2, 3), lg.log_sig_change_method(back, 2, 3, 1, 0)

    check(work, (random(40, 5),))
    check(work, (random(40, 5, dtype=torch.float32),))


def test_results_of_coordinates_do_not_depend_on_the_batch() -> None:
    x = there(random(1000, lg.log_sig_length(3, 4), dtype=torch.float32))
    together = lg.log_sig_change_method(x, 3, 4, 2, 0)
    assert torch.equal(together[:1], lg.log_sig_change_method(x[:1], 3, 4, 2, 0))
    assert torch.equal(together, lg.log_sig_change_method(x, 3, 4, 2, 0))


def test_lists_of_paths() -> None:
    def work(*paths: Tensor) -> tuple[Tensor, ...]:
        given = leaves(*paths)
        out = lg.log_sig(given, 3, time_aug=True)
        return out, *torch.autograd.grad(out.square().sum(), given)

    check(work, tuple(random(length, 2) for length in (3, 1, 17, 6)))


def test_lengths_from_anywhere() -> None:
    path = 0.3 * random(4, 12, 2)
    expected = lg.log_sig(path, 3, lengths=LENGTHS)
    on_device = there(path)
    for lengths in (LENGTHS, LENGTHS.numpy(), LENGTHS.tolist(), there(LENGTHS), there(LENGTHS.int())):
        close(lg.log_sig(on_device, 3, lengths=lengths), expected)
        with nothing_waits():
            close_later = lg.log_sig(on_device, 3, lengths=lengths)
        close(close_later, expected)
    assert torch.equal(lg.log_sig(path, 3, lengths=there(LENGTHS)), expected)
    for wrong in (LENGTHS + 1, (LENGTHS - 1).numpy()):
        with pytest.raises(ValueError, match="lengths: expected values from 0 to 12"):
            lg.log_sig(on_device, 3, lengths=wrong)
    with pytest.raises(ValueError, match=r"lengths: expected shape \(4,\)"):
        lg.log_sig(on_device, 3, lengths=there(LENGTHS[:2]))
    with pytest.raises(TypeError, match="lengths: expected integers, got dtype float64"):
        lg.log_sig(on_device, 3, lengths=there(LENGTHS.double()))


def test_a_graph_reads_lengths_when_it_is_replayed() -> None:
    path, lengths = there(random(4, 12, 2)), there(LENGTHS)
    lg.log_sig(path, 3, lengths=lengths, time_aug=True)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = lg.log_sig(path, 3, lengths=lengths, time_aug=True)
    lengths.copy_(12 - LENGTHS)
    graph.replay()
    torch.cuda.synchronize()
    close(out, lg.log_sig(path.cpu(), 3, lengths=12 - LENGTHS, time_aug=True))


def test_lengths_on_the_host_are_refused_while_a_graph_is_captured() -> None:
    path = there(random(4, 12, 2))
    lg.log_sig(path, 3, lengths=LENGTHS)
    torch.cuda.synchronize()
    with (
        pytest.raises(
            UnsupportedError, match="lengths: expected a tensor on the device of the paths while a CUDA graph"
        ),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        lg.log_sig(path, 3, lengths=np.asarray(LENGTHS))
    close(lg.log_sig(path, 3, lengths=LENGTHS), lg.log_sig(path.cpu(), 3, lengths=LENGTHS))


def test_wrong_lengths_on_the_device_stop_it(run_python: RunPython) -> None:
    code = """
        import torch
        import logsig_codegen as lg

        path = torch.randn(2, 5, 2, device="cuda")
        print(lg.log_sig(path, 3, lengths=torch.tensor([5, 0], device="cuda")).shape, flush=True)
        try:
            lg.log_sig(path, 3, lengths=torch.tensor([5, 6], device="cuda"))
            torch.cuda.synchronize()
        except RuntimeError as error:
            print("assert" in str(error), flush=True)
    """
    assert run_python(code, check=False).stdout.split("\n")[:2] == ["torch.Size([2, 5])", "True"]


def test_tables_prepared_before_a_graph_is_captured() -> None:
    lg.prepare_log_sig(3, 2, 0, device="cuda")
    path = there(random(10, 5, 3))
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = lg.log_sig(path, 2, method=0)
    graph.replay()
    torch.cuda.synchronize()
    close(out, lg.log_sig(path.cpu(), 2, method=0))
