"""Ordinary calls in C give what those in Python give, and leave all others to them. The extension is compiled here."""

from __future__ import annotations

import gc
import sysconfig
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from processes import RunPython
from shared import once

import logsig_codegen as lg
from logsig_codegen.build import background, policy, quick_calls
from logsig_codegen.operations import OPERATIONS, WHOLE_STEPS, default_state
from logsig_codegen.runtime import arrays, quick
from logsig_codegen.runtime._abi import ffi
from logsig_codegen.runtime.fast import NO_MEMORY, fast_gradient, fast_log_sig, fast_product
from logsig_codegen.runtime.kernel import LogSigKernel
from logsig_codegen.runtime.paths import fast_in_coordinates

pytestmark = pytest.mark.skipif(
    not Path(sysconfig.get_paths()["include"], "Python.h").is_file(), reason="Python's headers are not installed"
)
D, N, SIZE = 2, 3, 5
LEFT = object()
"""What stands for the call in Python returns this."""


@pytest.fixture(scope="module")
def extension() -> Path:
    name = "logsig_quick.so"
    return once("quick_calls", lambda folder: quick_calls.compile_quick_calls(folder / name)) / name


@pytest.fixture
def loaded(extension: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The extension, loaded for one test."""
    monkeypatch.setattr(quick, "_counts", False)
    monkeypatch.setattr(quick, "_extension", None)
    quick.load(extension)
    return quick._extension


@pytest.fixture
def calls(loaded: Any) -> dict[str, Any]:
    """Calls in C by name; what they leave to Python gives :data:`LEFT`."""
    kernel = lg.load(D, N)

    def made(kind: str, operation: str, *numbers: Any) -> Any:
        return quick.in_c(kind, lambda *_, **__: LEFT, kernel.functions(operation), *numbers)

    return {
        "join": made("product", "join", SIZE, D),
        "combine": made("product", "combine", SIZE, SIZE),
        "join_backprop": made("gradient", "join_backprop", SIZE, D),
        "log_sig": made("log_sig", "log_sig", SIZE, D, WHOLE_STEPS),
    }


def numbers(shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3), (1,) * 20])
def test_ordinary_calls_stay_in_c(calls: dict[str, Any], dtype: Any, batch: tuple[int, ...]) -> None:
    kernel = lg.load(D, N)
    left, right, form = (numbers((*batch, width), dtype) for width in (SIZE, D, SIZE))
    path = numbers((*batch, 9, D), dtype)
    general = arrays.product(kernel.problem, kernel.functions("join"), left, right, 1, None)
    out = np.empty_like(left)
    assert calls["join"](left, right, out, 1) is out
    for found in (calls["join"](left, right, None, 1), out):
        assert type(found) is np.ndarray
        assert found.dtype == dtype
        assert np.array_equal(found, general)
    general = arrays.product(kernel.problem, kernel.functions("combine"), left, form, 1, None)
    assert np.array_equal(calls["combine"](left, form, None, 1), general)
    general_pair = arrays.product_backprop(kernel.functions("join_backprop"), (form, left, right), 1, None)
    for one, two in zip(calls["join_backprop"](form, left, right, None, 1), general_pair, strict=True):
        assert np.array_equal(one, two)
        assert one.shape == two.shape
    expected = kernel.log_sig(path, lengths=np.full(batch, 9))  # the general way
    assert np.array_equal(calls["log_sig"](path, None, 1), expected)
    assert calls["log_sig"](path, out, 1) is out
    assert np.array_equal(out, expected)


LAYOUTS = {
    "plain": lambda x: x,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "transposed": lambda x: x.T,
    "swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "misaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "subclass": lambda x: x.view(np.matrix) if x.ndim == 2 else x.view(np.ma.MaskedArray),
    "integers": lambda x: x.astype(int),
    "longdouble": lambda x: x.astype(np.longdouble),
    "float32": lambda x: x.astype(np.float32),
    "list": lambda x: x.tolist(),
    "none": lambda x: None,
}
LEADS = [(), (1,), (3,), (2, 3), (0,)]


@st.composite
def operands(draw: st.DrawFn, wanted: tuple[int, ...]) -> Any:
    """An array, mostly a plain one of the shape that is wanted."""
    shape = draw(st.sampled_from([wanted, wanted, wanted, wanted[:-1], (1, *wanted), (*wanted[:-1], 4)]))
    return LAYOUTS[draw(st.sampled_from([*["plain"] * 20, *LAYOUTS]))](numbers(shape))


@given(st.data())
def test_whatever_is_not_ordinary_is_left_to_python(extension: Path, data: st.DataObject) -> None:
    """The calls in Python decide what is ordinary: both give the same result, or nothing."""
    kernel = lg.load(D, N)
    by_python = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick, "_counts", False)
        patch.setattr(quick, "_extension", None)
        for name in ("join", "join_backprop"):
            make: Any = fast_product if name == "join" else fast_gradient
            by_python[name] = make(kernel.problem, OPERATIONS[name], kernel.functions(name))
        by_python["log_sig"] = fast_log_sig(kernel.problem, kernel.functions("log_sig"), lambda _: ffi.NULL)
        quick.load(extension)
        by_c = {
            "join": quick.in_c("product", lambda *_: None, kernel.functions("join"), SIZE, D),
            "join_backprop": quick.in_c("gradient", lambda *_: None, kernel.functions("join_backprop"), SIZE, D),
            "log_sig": quick.in_c("log_sig", lambda *_: None, kernel.functions("log_sig"), SIZE, D, WHOLE_STEPS),
        }
    kinds: Any = [("join", [(5,), (2,)]), ("join_backprop", [(5,), (5,), (2,)]), ("log_sig", [(9, 2)])]
    name, ends = data.draw(st.sampled_from(kinds))
    lead = data.draw(st.sampled_from(LEADS))
    arguments = [data.draw(operands((*lead, *end))) for end in ends]
    out = data.draw(operands((*lead, SIZE))) if name != "join_backprop" and data.draw(st.booleans()) else None
    with np.errstate(all="ignore"):
        found, expected = by_c[name](*arguments, out, 1), by_python[name](*arguments, out, 1)
    assert (found is None) == (expected is None)
    event("ordinary" if found is not None else "left to Python")
    if expected is not None:
        for one, two in zip(*((x if type(x) is tuple else (x,)) for x in (found, expected)), strict=True):
            assert np.array_equal(one, two)
            assert one.dtype == two.dtype


def test_memory_that_is_shared_and_other_numbers_of_threads_or_arguments(calls: dict[str, Any]) -> None:
    left, right, room = numbers((3, SIZE)), numbers((3, D)), np.empty(20)
    join = calls["join"]
    assert join(left, right, left, 1) is LEFT
    assert join(room[:15].reshape(3, 5), right, room[1:16].reshape(3, 5), 1) is LEFT
    fixed = np.empty((3, SIZE))
    fixed.flags.writeable = False
    assert join(left, right, fixed, 1) is LEFT
    assert join(left, right, out=None, threads=1) is LEFT
    for threads in (2, True, 1.0, 2**80, None):
        assert join(left, right, None, threads) is LEFT
    for wrong in ((), (left,), (left, right, None), (left, right, None, 1, 1)):
        assert join(*wrong) is LEFT
        assert calls["join_backprop"](*wrong) is LEFT
        assert calls["log_sig"](*wrong[:2]) is LEFT
    assert calls["log_sig"](numbers((WHOLE_STEPS + 1, D)), None, 1) is LEFT


def test_coordinates(loaded: Any) -> None:
    kernel = lg.load(D, N)
    path = numbers((4, 9, D))
    for method in (0, 1):
        call = fast_in_coordinates(kernel, default_state(kernel.problem), method)
        assert type(call).__name__ == "Quick"
        expected = kernel.log_sig(path, method=method, lengths=[9] * 4)  # the general way
        assert np.array_equal(call(path, None, 1), expected)
        assert np.array_equal(
            call(path.astype(np.float32), None, 1), kernel.log_sig(path.astype(np.float32), method=method)
        )
        assert np.array_equal(call(path, np.empty_like(expected), 1), expected)


def test_no_memory(loaded: Any) -> None:
    refused = ffi.callback("logsig_join_function", lambda *_: 12)
    call = quick.in_c("product", lambda *_: LEFT, {"float64": refused}, SIZE, D)
    with pytest.raises(MemoryError, match=NO_MEMORY):
        call(numbers((3, SIZE)), numbers((3, D)), None, 1)
    assert call(numbers((3, SIZE), np.float32), numbers((3, D), np.float32), None, 1) is LEFT  # no such function


def test_interpreted_functions_are_called_in_python(loaded: Any) -> None:
    def call(*_: Any) -> Any:
        return LEFT

    assert quick.in_c("product", call, {"float64": print, "float32": print}, SIZE, D) is call


def test_what_is_kept_goes_with_the_call(loaded: Any) -> None:
    class Kept:
        call: Any

    kept = Kept()
    kept.call = quick.in_c("product", lambda *_: LEFT, lg.load(D, N).functions("join"), SIZE, D, kept=kept)
    gone = weakref.ref(kept)
    del kept
    gc.collect()
    assert gone() is None


def test_kernels_change_over(extension: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that calls often has the extension built, once, and calls in C from then on."""
    started: list[Any] = []
    monkeypatch.setattr(background, "start", lambda what, imports, work: started.append(work))
    monkeypatch.setattr(quick, "_extension", None)
    monkeypatch.setattr(quick, "_counts", True)
    monkeypatch.setattr(quick, "_calls", quick.MANY - 3)
    monkeypatch.setattr(quick_calls, "obtain_quick_calls", lambda: extension)
    known = lg.load(D, N)
    kernel = LogSigKernel(known.problem, known.loaded._open_group)
    left, right, path = numbers((SIZE,)), numbers((D,)), numbers((6, D))
    before = [kernel.join(left, right) for _ in range(2)] + [kernel.log_sig(path, method=1)]
    assert len(started) == 0
    for _ in range(5):
        kernel.join(left, right)
        kernel.log_sig(path, method=1)
    (work,) = started
    work()
    assert type(kernel.loaded.quick["join"]).__name__ == "Quick"
    after = [kernel.join(left, right) for _ in range(2)] + [kernel.log_sig(path, method=1)]
    assert all(map(np.array_equal, before, after))
    assert type(kernel.loaded.in_coordinates[None, 1]).__name__ == "Quick"


def test_where_it_cannot_be_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(policy.EXTENSIONS, "auto")
    assert quick_calls.can_be_built()
    with monkeypatch.context() as patch:
        patch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
        assert not quick_calls.can_be_built()
        with pytest.raises(lg.CompilerNotFoundError, match="headers of CPython"):
            quick_calls.include_dirs()
    with monkeypatch.context() as patch:
        patch.setenv("CC", str(tmp_path / "nothing"))
        assert not quick_calls.can_be_built()
    for variable in (policy.EXTENSIONS, policy.VARIABLE):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "never")
            assert not quick_calls.can_be_built()


def test_it_is_built_and_found(run_python: RunPython, tmp_path: Path, session_cache: Path) -> None:
    """A first process builds it in the background, a second one finds it; it is damaged for a third one."""
    code = f"""
        import time, numpy as np, logsig_codegen as lg
        from logsig_codegen.runtime import quick
        kernel = lg.load({D}, {N}, artifacts=ARTIFACTS)
        left, right = np.ones({SIZE}), np.ones({D})
        print(type(kernel.loaded.quick["join"]).__name__)
        for _ in range(quick.MANY):
            kernel.join(left, right)
        while quick.background._worker is not None:
            time.sleep(0.05)
        print(type(kernel.loaded.quick["join"]).__name__, kernel.join(left, right).tolist())
    """.replace("ARTIFACTS", repr(str(lg.load(D, N).path)))
    env = {"LOGSIG_CODEGEN_CACHE": str(tmp_path), policy.EXTENSIONS: None}
    expected = str(lg.load(D, N).join(np.ones(SIZE), np.ones(D)).tolist())
    assert run_python(code, env=env).stdout.splitlines() == ["function", f"Quick {expected}"]
    assert run_python(code, env=env).stdout.splitlines() == ["Quick", f"Quick {expected}"]
    (library,) = tmp_path.rglob(quick_calls.library_name())
    library.write_bytes(b"no library")
    never = {**env, policy.EXTENSIONS: "never"}
    assert run_python(code, env=never).stdout.splitlines() == ["function", f"function {expected}"]
