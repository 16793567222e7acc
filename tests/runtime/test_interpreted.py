"""Kernels that are interpreted where there is no compiler.

Trusts the compiled kernels, which other tests compare with exact arithmetic, pySigLib, and the operating system.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import peer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen.operations import OPERATIONS, ROWS, available_groups
from logsig_codegen.problem import Problem
from logsig_codegen.runtime import changes, conversions, registry
from logsig_codegen.runtime.coordinates import HALL
from logsig_codegen.runtime.groups import Opened
from logsig_codegen.runtime.interpreted.library import interpreted_library
from logsig_codegen.runtime.kernel import LogSigKernel
from logsig_codegen.runtime.library import address_of

RNG = np.random.default_rng(21)
NOWHERE = {"PATH": "/nowhere", "CC": None}
BEFORE = RNG.normal(size=(3, 5))
ASKED: dict[str, dict[str, Any]] = {
    "whole": {},
    "stream": {"stream": True},
    "words": {"method": 1},
    "expanded stream": {"method": 0, "stream": True},
    "windows": {"windows": (4, 3)},
    "windows that overlap": {"windows": (20, 1)},
    "initial": {"initial": BEFORE},
    "shared initial": {"initial": BEFORE[0], "stream": True},
    "crossed initial": {"initial": BEFORE[:2, None]},
    "intervals": {"intervals": np.array([[0, 1], [7, 23], [3, 3], [5, 4], [2, 90]]), "method": 1},
    "lengths": {"lengths": np.array([40, 7, 0])},
    "windows, lengths": {"windows": (6, 4), "lengths": np.array([100, 33, 1])},
    "stream, lengths": {"stream": True, "lengths": np.array([100, 0, 51]), "initial": BEFORE},
    "state": {"state": "signature"},
}


def interpreted(dimension: int, degree: int) -> LogSigKernel:
    problem = Problem(dimension, degree)
    return LogSigKernel(problem, lambda group: Opened(None, interpreted_library(problem, group)))


KERNEL = interpreted(2, 3)


def assert_close(found: Any, expected: Any, tolerance: float = 1e-13) -> None:
    if isinstance(expected, (tuple, list)):
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, tolerance)
        return
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert np.abs(found - expected).max(initial=0) <= tolerance * max(1, np.abs(expected).max(initial=0))


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if one.kind == ROWS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operations_on_rows(name: str, dtype: str) -> None:
    """Every function of the C interface, called with rows that are far apart, shared, or backwards."""
    from logsig_codegen.runtime.arrays import call_rows

    problem, operation = Problem(2, 3), OPERATIONS[name]
    inputs = [RNG.normal(size=(6, one.columns(problem) + 1)).astype(dtype) for one in operation.operand_inputs]
    inputs = [one[:, :-1] if k % 3 else one[::-1, :-1] for k, one in enumerate(inputs)]
    inputs[-1] = np.broadcast_to(inputs[-1][:1], inputs[-1].shape)
    results = []
    for kernel in (KERNEL, lg.load(2, 3)):
        outputs = [np.zeros((6, one.columns(problem) + 2), dtype)[:, 1:-1] for one in operation.operand_outputs]
        call_rows(kernel.functions(name)[dtype], (6,), inputs, outputs, 1)
        results.append(outputs)
    assert_close(*results, tolerance=1e-13 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("method", [0, 1, 2])
@pytest.mark.parametrize("scalar", [False, True])
def test_conversions(method: int, scalar: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From and to signatures, float32 and rows that are far apart or shared included; compiled and interpreted."""
    problem = Problem(2, 3)
    sig = RNG.normal(size=(9, 2 * (problem.words + scalar)))[:, ::2]
    log_sig = RNG.normal(size=(9, problem.words + scalar if method == 0 else problem.size)).astype(np.float32)

    def results() -> list[np.ndarray[Any, Any]]:
        return [
            conversions.sig_to_log_sig(sig, problem, method, 2),
            conversions.sig_to_log_sig_backprop(sig, log_sig[0], problem, method, 2),
            conversions.logsig_to_sig(log_sig, problem, method, scalar, 2),
            conversions.logsig_to_sig_backprop(log_sig[::-1], sig[:1], problem, method, scalar, 2),
        ]

    expected = results()
    monkeypatch.setattr(conversions, "_forms", {})
    monkeypatch.setattr(registry, "obtain", lambda *numbers: KERNEL)
    for one, other in zip(results(), expected, strict=True):
        assert_close(one, other, 1e-13 if other.dtype == np.float64 else 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_changes_of_coordinates(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in lanes, rows one by one, and numpy's sums: the same bits, of maps and of their transposes."""
    problem = Problem(2, 3)

    def results() -> list[np.ndarray[Any, Any]]:
        found = []
        for count in (1, 7, 19):
            for source, target, scalar in product(range(3), range(3), (False, True)):
                x = numbers(count, changes.log_sig_size(problem, source, scalar))
                found.append(changes.change_method(x[:, ::2], problem, source, target, scalar))
                form = numbers(count, changes.log_sig_size(problem, target, scalar))
                found.append(changes.change_method_backprop(form[::-1, 1::2], problem, source, target, scalar))
            x = numbers(count, problem.size)[:, ::2]
            found.extend(changes.change_hall(operation, x, problem) for operation in HALL)
        return found

    def numbers(count: int, width: int) -> np.ndarray[Any, Any]:
        return np.random.default_rng([count, width]).normal(size=(count, 2 * width)).astype(dtype)

    expected = results()
    monkeypatch.setattr(changes, "_changes", {})
    monkeypatch.setattr(registry, "obtain", lambda *numbers: KERNEL)
    for one, other in zip(results(), expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("length", [100, 0])
def test_paths(name: str, length: int) -> None:
    asked, compiled = dict(ASKED[name]), lg.load(2, 3)
    if length == 0:
        asked.pop("intervals", None)
        asked.update({"lengths": np.zeros(3, np.intp)} if "lengths" in asked else {})
    path = RNG.normal(size=(3, length, 2)).cumsum(axis=1) / 10
    expected = compiled.log_sig(path, **asked)
    assert_close(KERNEL.log_sig(path, **asked), expected)
    d_out = RNG.normal(size=expected.shape)
    assert_close(KERNEL.log_sig_backprop(d_out, path, **asked), compiled.log_sig_backprop(d_out, path, **asked))


def test_lists_of_paths_and_out() -> None:
    compiled, paths = lg.load(2, 3), [RNG.normal(size=(n, 2)) for n in (9, 1, 4)]
    assert_close(KERNEL.log_sig(paths), compiled.log_sig(paths))
    d_out = RNG.normal(size=(3, 5))
    assert_close(KERNEL.log_sig_backprop(d_out, paths), compiled.log_sig_backprop(d_out, paths))
    path, out = RNG.normal(size=(4, 300, 2)), np.empty((4, 10))[:, ::2]
    assert KERNEL.log_sig(path, out=out) is out
    assert_close(np.ascontiguousarray(out), compiled.log_sig(path), 1e-12)


@settings(max_examples=20)
@given(dimension=st.integers(1, 3), degree=st.integers(1, 4), points=st.integers(0, 70), seed=st.integers(0, 99))
def test_any_problem_is_pysiglib_s(dimension: int, degree: int, points: int, seed: int) -> None:
    path = np.random.default_rng(seed).normal(size=(2, points, dimension)) / 8
    kernel = interpreted(dimension, degree)
    found = kernel.log_sig(path)
    if points > 1:
        assert_close(found, peer.log_sig(path, degree), 1e-12)
    parts = kernel.combine(kernel.log_sig(path[:, : points // 2 + 1]), kernel.log_sig(path[:, points // 2 :]))
    assert_close(parts, found, 1e-12)


def test_rows_beyond_what_is_worked_on_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from logsig_codegen.runtime.interpreted import calls, walks

    path, kernel = RNG.normal(size=(5, 70, 2)) / 8, interpreted(2, 3)
    d_out = RNG.normal(size=(5, 5))
    expected = kernel.log_sig(path), kernel.log_sig_backprop(d_out, path)
    monkeypatch.setattr(calls, "NUMBERS", 300)
    monkeypatch.setattr(walks, "NUMBERS", 400)
    found = kernel.log_sig(path), kernel.log_sig_backprop(d_out, path)
    assert_close(found, expected, 0)


def test_every_group_has_every_function() -> None:
    compiled = lg.load(2, 3)
    for group in available_groups(Problem(2, 3)):
        compiled.prepare(group)
        ours = interpreted_library(Problem(2, 3), group).functions
        theirs = compiled.loaded.group(group).library.functions
        assert set(theirs) <= set(ours)
        assert all(set(ours[name]) == set(found) for name, found in theirs.items())


def test_c_cannot_call_them() -> None:
    with pytest.raises(lg.UnsupportedError, match=r"can be called from Python only.*\[compiler\]"):
        address_of(KERNEL.functions("join")["float64"])


def test_no_folder_but_a_report_and_sources() -> None:
    report = KERNEL.report
    assert (report.path, report.compiler, report.size) == (None, "none: interpreted", 5)
    assert report.operations["join"] == lg.load(2, 3).report.operations["join"]
    assert "folder    none" in str(report)
    assert KERNEL.sources == lg.load(2, 3).sources
    with pytest.raises(lg.ArtifactError, match="d2_n3 is interpreted"):
        KERNEL.path  # noqa: B018


def test_without_a_compiler(run_python: RunPython, tmp_path: Path) -> None:
    """Numpy and torch, with gradients of both orders; one warning for all kernels; nothing is cached."""
    code = """
        import warnings
        import numpy as np, torch
        import logsig_codegen as lg

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kernel = lg.load(2, 2)
            path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
            print(kernel.log_sig(path), lg.load(3, 1).join(np.ones(3), np.ones(3)))
            steps = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
            state = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
            join = lambda state, steps: lg.log_sig_join(state, steps, 2, 2)
            print(torch.autograd.gradcheck(join, (state, steps)), torch.autograd.gradgradcheck(join, (state, steps)))
            paths = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
            print(torch.autograd.gradcheck(lambda path: lg.log_sig(path, 2, method=2), (paths,)))
        print(*(one.message for one in caught if issubclass(one.category, lg.InterpretedWarning)))
    """
    printed = run_python(code, {**NOWHERE, "LOGSIG_CODEGEN_CACHE": str(tmp_path / "cache")}).stdout.splitlines()
    assert printed[:3] == ["[1. 2. 1.] [2. 2. 2.]", "True True", "True"]
    assert printed[3].startswith("d2_n2 is interpreted, ")
    assert printed[3].count("No C compiler") == 1
    assert not list((tmp_path / "cache").glob("kernels/d*"))


@pytest.mark.slow
def test_a_large_problem(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import sys; sys.path.insert(0, "tests")
        import numpy as np, peer
        import logsig_codegen as lg
        path = np.random.default_rng(0).normal(size=(32, 128, 6)).cumsum(axis=1) / 10
        found, expected = lg.load(6, 4).log_sig(path), peer.log_sig(path, 4)
        print(np.abs(found - expected).max() < 1e-13 * np.abs(expected).max())
    """
    assert run_python(code, {**NOWHERE, "LOGSIG_CODEGEN_CACHE": str(tmp_path)}).stdout == "True\n"


def test_an_interrupt_reaches_the_caller(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import signal
        import numpy as np
        import logsig_codegen as lg
        from logsig_codegen.runtime.interpreted.walks import Walks

        def interrupted(*_):
            signal.raise_signal(signal.SIGINT)

        Walks.forward = interrupted
        try:
            lg.load(2, 2).log_sig(np.zeros((3, 2)))
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert "interrupted" in run_python(code, {**NOWHERE, "LOGSIG_CODEGEN_CACHE": str(tmp_path)}).stdout


def test_infinities_and_nan_stay_in_their_row() -> None:
    path = RNG.normal(size=(3, 6, 2))
    path[1, 2, 0] = np.nan
    found = KERNEL.log_sig(path)
    assert np.isfinite(found[[0, 2]]).all()
    assert np.isnan(found[1]).any()
