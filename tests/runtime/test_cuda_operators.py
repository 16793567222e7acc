"""What every operator does with tensors on a GPU, on tensors in host memory and an emulated grid, against the CPU's.

The truth is the operator's kernel for CPU tensors, which has tests of its own. What torch computes is torch's business
on any device; the kernels that are started are the generated ones, compiled by the host's compiler.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from emulated import Emulation, emulate_launches
from torch_cases import CASES, Case, D, N

import logsig_codegen as lg
from logsig_codegen.algebra.basis_maps import SparseMap
from logsig_codegen.compiler import compile_problem
from logsig_codegen.operations import GROUPS, OPERATIONS
from logsig_codegen.runtime import changes, conversions
from logsig_codegen.runtime.coordinates import (
    HALL,
    RowMap,
    change_method_backprop_map,
    change_method_map,
    hall_map,
)
from logsig_codegen.runtime.cuda import brackets, calls, lengths, maps
from logsig_codegen.runtime.cuda.driver import NoKernelError
from logsig_codegen.runtime.torch_ops import lengths as where
from logsig_codegen.runtime.torch_ops import maps as torch_maps
from logsig_codegen.runtime.torch_ops import signatures
from logsig_codegen.runtime.torch_ops.define import RULES

TOLERANCE: dict[torch.dtype, dict[str, float]] = {
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
    torch.float64: {"rtol": 1e-11, "atol": 1e-12},
}


@pytest.fixture(scope="module")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Emulation:
    return Emulation(tmp_path_factory.mktemp("cuda"), compile_problem(lg.Problem(D, N), groups=tuple(GROUPS)))


@pytest.fixture
def on_grid(emulation: Emulation, monkeypatch: pytest.MonkeyPatch) -> None:
    emulate_launches(emulation, monkeypatch)
    for part in ("change_method", "change_method_backprop"):  # what signatures are composed of: as torch would find it
        monkeypatch.setattr(torch_maps, part, RULES[part].cuda)


def both(case: Case, dtype: torch.dtype) -> list[tuple[Any, ...]]:
    """Results of the two kernels of an operator."""
    tensors = [one.to(dtype) if one is not None and one.is_floating_point() else one for one in case.tensors]
    rules, results = RULES[case.operator], []
    for kernel in (rules.cuda, rules.cpu):
        result = kernel(*tensors, *case.others)
        results.append(result if isinstance(result, tuple) else (result,))
    return results


BOTH = [name for name, case in CASES.items() if not (case.operator in OPERATIONS and OPERATIONS[case.operator].on_gpus)]
"""What torch computes; the kernels have tests in single precision elsewhere, and take long to compile."""


@pytest.mark.usefixtures("on_grid")
@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, torch.float64) for name in CASES), *((name, torch.float32) for name in BOTH)], ids=str
)
def test_operators(name: str, dtype: torch.dtype) -> None:
    for found, expected in zip(*both(CASES[name], dtype), strict=True):
        torch.testing.assert_close(found, expected, **TOLERANCE[dtype])


HOST = ("cpu", "numpy", "item", "tolist", "__bool__", "__int__", "__float__", "__index__")
"""Methods of tensors that wait for the device."""


@pytest.mark.usefixtures("on_grid")
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_copied_to_the_host(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    found, expected = both(case, torch.float64)  # and the tables of maps are there
    monkeypatch.setattr(where, "on_host", lambda lengths: False)

    def refuse(self: torch.Tensor, *args: Any, **options: Any) -> Any:
        raise AssertionError("a copy to the host")

    with monkeypatch.context() as patch:
        for method in HOST:
            patch.setattr(torch.Tensor, method, refuse)
        again = RULES[case.operator].cuda(*case.tensors, *case.others)
    for first, second in zip(found, again if isinstance(again, tuple) else (again,), strict=True):
        assert torch.equal(first, second)
    assert len(found) == len(expected)


@pytest.mark.usefixtures("on_grid")
@pytest.mark.parametrize("name", [name for name in CASES if "to_sig" in name or "sig_to" in name])
def test_signatures_a_few_rows_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, expected = both(CASES[name], torch.float64)
    monkeypatch.setattr(signatures, "ROOM", 1)
    again, _ = both(CASES[name], torch.float64)
    torch.testing.assert_close(again, expected, **TOLERANCE[torch.float64])
    torch.testing.assert_close(again, found, rtol=1e-14, atol=1e-14)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


PROBLEMS = ((1, 1), (2, 1), (1, 3), (2, 5), (3, 4), (2, 8), (5, 3))


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_coordinates(problem: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """All maps between coordinates of larger problems, also a few rows at a time."""
    described = lg.Problem(*problem)
    for source in (0, 1, 2):
        for target in (0, 1, 2):
            for scalar in (False, True):
                given, other = (conversions.log_sig_size(described, m, scalar) for m in (source, target))
                x, form = numbers(5, 3, given), numbers(15, other)
                plan = change_method_map(x, described, source, target, scalar)
                back = change_method_backprop_map(form, described, source, target, scalar)
                compare(plan, x, changes.change_method(x.numpy(), described, source, target, scalar))
                truth = changes.change_method_backprop(form.numpy(), described, source, target, scalar)
                compare(back, form, truth)
                whole = maps.apply(back, form)
                with monkeypatch.context() as patch:
                    patch.setattr(maps, "ROOM", 1)
                    assert torch.equal(maps.apply(back, form), whole)  # whatever rows are beside it
    x = numbers(4, described.size)
    for operation in HALL:
        compare(hall_map(operation, x, described), x, changes.change_hall(operation, x.numpy(), described))


def compare(plan: RowMap, x: torch.Tensor, expected: Any) -> None:
    found = maps.apply(plan, x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-13)
    single = maps.apply(plan, x.float())
    assert single.dtype == torch.float32
    np.testing.assert_array_equal(single.numpy(), maps.apply(plan, x.float().double()).float().numpy())


def test_maps_of_any_sparsity() -> None:
    """Rows of very different numbers of entries, or none, against a matrix; infinities go where they belong only."""
    source = np.random.default_rng(3)
    for columns, rows in ((1, 1), (7, 5), (40, 30)):
        matrix = source.integers(-3, 4, (rows, columns)) * (
            source.random((rows, columns)) < source.random((rows, 1)) ** 2
        )
        matrix[rows // 2] = 0
        listed = [{j: int(c) for j, c in enumerate(row)} for row in matrix]
        linear = SparseMap.from_rows(columns, listed)
        x = torch.from_numpy(source.integers(-9, 10, (6, columns)).astype(np.float64))
        plan = RowMap((linear,), 0, 1, rows + 2)
        found = maps.apply(plan, x)
        np.testing.assert_array_equal(found[:, 1 : rows + 1].numpy(), x.numpy() @ matrix.T)
        assert not found[:, 0].any()
        assert not found[:, -1].any()
        x[:, 0] = float("inf")
        expected = torch.from_numpy(matrix[:, 0] != 0).expand(6, -1)
        assert torch.equal(~torch.isfinite(maps.apply(plan, x)[:, 1 : rows + 1]), expected)


@pytest.mark.parametrize("problem", [(1, 1), (2, 1), (1, 3), (3, 2), (2, 5), (3, 4), (4, 3)], ids=str)
def test_brackets_without_kernels(problem: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    described = lg.Problem(*problem)
    left, right = numbers(5, 1, described.size), numbers(3, described.size)
    for name, function in (("bracket", brackets.bracket), ("coadjoint", brackets.coadjoint)):
        found, expected = function(described, left, right), RULES[name].cpu(left, right, *problem)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
        single = function(described, left.float(), right.float())
        torch.testing.assert_close(single, expected.float(), rtol=1e-5, atol=1e-5)
        with monkeypatch.context() as patch:
            patch.setattr(maps, "ROOM", 1)
            assert torch.equal(function(described, left, right), found)


def test_results_are_new() -> None:
    x = numbers(3, 5)
    same = change_method_map(x, lg.Problem(2, 3), 2, 2)
    assert maps.apply(same, x).data_ptr() != x.data_ptr()
    for options in ((False, False, 1.0), (True, False, 1.0)):
        assert RULES["transform_path"].cuda(x, None, *options).data_ptr() != x.data_ptr()
    assert RULES["transform_path_backprop"].cuda(x, None, False, False).data_ptr() != x.data_ptr()


ALONE = [name for name in CASES if "," not in name and not name.startswith(("log_sig", "bracket", "coadjoint"))]


@pytest.mark.usefixtures("on_grid")
@pytest.mark.parametrize("name", ALONE)
def test_no_rows(name: str) -> None:
    case = CASES[name]
    tensors = [one if one is None else one.expand(0, *one.shape) for one in case.tensors]
    found, expected = both(replace(case, tensors=tuple(tensors)), torch.float64)
    assert [one.shape for one in found] == [one.shape for one in expected]


@pytest.mark.parametrize("lead_lag", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_transforms_have_the_same_bits(length: int, lead_lag: bool) -> None:
    for dtype in TOLERANCE:
        path, points = (
            numbers(3, 2, length, 2).to(dtype),
            torch.tensor([[0, 1], [length, length], [2, 1]]).clamp(max=length),
        )
        for time_aug in (False, True):
            for some in (None, points):
                given = (path, some, time_aug, lead_lag, 2.5)
                found, expected = RULES["transform_path"].cuda(*given), RULES["transform_path"].cpu(*given)
                assert torch.equal(found, expected)
                assert found.dtype == dtype
                back = (found, some, time_aug, lead_lag)
                rules = RULES["transform_path_backprop"]
                assert torch.equal(rules.cuda(*back), rules.cpu(*back))


ERRORS: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "width": ("change_method", (numbers(2, 4), D, N, 2, 1), "log_sig: expected last dimension 5"),
    "derivs": ("change_method_backprop", (numbers(2, 4), D, N, 2, 1), "derivs: expected last dimension 5"),
    "hall": ("from_hall", (numbers(2, 4), D, N), "log_sig: expected last dimension 5"),
    "line": ("linear_log_sig", (numbers(2, 3), D, N), "displacement: expected last dimension 2"),
    "signature": ("sig_to_log_sig", (numbers(2, 13), D, N, 1), "sig: expected last dimension 14 or 15, got 13"),
    "form": ("sig_to_log_sig_backprop", (numbers(2, 14), numbers(2, 4), D, N, 1), "derivs: expected last dimension 5"),
    "batch": ("logsig_to_sig_backprop", (numbers(2, 5), numbers(3, 14), D, N, 1), "cannot be broadcast"),
    "even": ("transform_path_backprop", (numbers(2, 4, 4), None, False, True), "expected an odd number of points"),
    "channels": ("transform_path_backprop", (numbers(2, 3, 1), None, True, False), "expected the channels of a path"),
}


@pytest.mark.parametrize("error", ERRORS)
def test_errors(error: str) -> None:
    operator, arguments, message = ERRORS[error]
    with pytest.raises(ValueError, match=message):
        RULES[operator].cuda(*arguments)


def test_lengths_are_checked_beside_the_paths() -> None:
    for numbers_ in (torch.tensor([0, 5]), torch.tensor([3, 3], dtype=torch.int32)):
        found = lengths.checked(numbers_, (2,), 5)
        assert found.dtype == torch.int64
        assert torch.equal(found, numbers_.long())
    for wrong in ([0, 6], [-1, 3]):
        with pytest.raises(RuntimeError, match="lengths: expected values from 0 to 5"):
            lengths.checked(torch.tensor(wrong), (2,), 5)
    with pytest.raises(ValueError, match=r"lengths: expected shape \(3,\), that of the batch, got \(2,\)"):
        lengths.checked(torch.tensor([1, 2]), (3,), 5)
    for dtype in (torch.float32, torch.bool, torch.complex64):
        with pytest.raises(TypeError, match="lengths: expected integers, got dtype"):
            lengths.checked(torch.ones(2, dtype=dtype), (2,), 5)


ON_ROWS = [
    name for name, case in CASES.items() if case.operator.startswith(("join", "combine", "bracket", "coadjoint"))
]


@pytest.mark.usefixtures("on_grid")
@pytest.mark.parametrize("name", ON_ROWS)
def test_what_is_too_large_for_a_kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Second derivatives are composed of brackets, brackets by torch: they stay on the device. Others are refused."""
    case, launch = CASES[name], calls.launch
    products = [operation for operation in OPERATIONS.values() if operation.is_product]
    refused = case.operator in {name for one in products for name in (one.name, one.gradient)}

    def none(kernel: Any, operation: str, *others: Any) -> None:
        if operation == case.operator:
            raise NoKernelError("too large")
        launch(kernel, operation, *others)

    monkeypatch.setattr(calls, "launch", none)
    if refused:
        with pytest.raises(NoKernelError, match="too large"):
            both(case, torch.float64)
        return
    for found, expected in zip(*both(case, torch.float64), strict=True):
        torch.testing.assert_close(found, expected, **TOLERANCE[torch.float64])
