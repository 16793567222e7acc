"""The operators in C++ for all problems: built once, found from then on, and the same to whoever calls them.

Trusts the front for numpy, and difference quotients.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from processes import RunPython, process_environment
from shared import once

import logsig_codegen as lg
from logsig_codegen.build import cache, torch_operators
from logsig_codegen.build.cache import locks
from logsig_codegen.build.policy import EXTENSIONS, builds_extensions
from logsig_codegen.build.torch_operators import (
    build_in_background,
    built_operators,
    library_name,
    obtain_operators,
)
from logsig_codegen.runtime.torch_ops import native

CACHE = "LOGSIG_CODEGEN_CACHE"


def test_nothing_is_found_or_built_unless_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.setenv("LOGSIG_CODEGEN_BUILD", "never")
    assert built_operators() is None
    with pytest.raises(lg.BuildForbiddenError, match="Operators of torch in C"):
        obtain_operators()
    assert not list(tmp_path.rglob("*.so"))


def started(log: Path) -> list[str]:
    """What the stand-in for the process in the background has written."""
    for _ in range(200):
        if log.exists() and log.read_text().endswith("\n"):
            break
        time.sleep(0.05)
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def in_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process in the background that writes its session, and the cache that it sees, instead of compiling."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(EXTENSIONS)
    log = tmp_path / "log"
    code = f"import os; print(os.getsid(0), os.getppid(), os.environ[{CACHE!r}], file=open({str(log)!r}, 'a'))"
    monkeypatch.setattr(torch_operators, "_BUILD", code)
    return log


def test_the_background_is_no_part_of_this_process(in_background: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system says of whom it is a child, and to which session it belongs."""
    assert builds_extensions()
    assert build_in_background()
    (line,) = started(in_background)
    session, parent, folder = line.split()
    assert int(session) != os.getsid(0)
    assert int(parent) != os.getpid()
    assert folder == os.environ[CACHE]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("name", [EXTENSIONS, "LOGSIG_CODEGEN_BUILD"])
def test_who_forbids_it_is_heard(name: str, in_background: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "never")
    assert not builds_extensions()
    monkeypatch.setenv(name, "perhaps")
    with pytest.raises(ValueError, match=f"{name}: expected"):
        builds_extensions()


def test_nothing_is_started_in_vain(in_background: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While another process builds, after a failure, and without a compiler."""
    stem = Path(library_name()).stem
    root = cache.writable_root()
    lock = locks.try_lock(root / f".lock-{stem}", create=True)
    assert lock is not None
    assert not build_in_background()
    lock.release()

    def fail(*_: object) -> None:
        raise lg.CompilerNotFoundError("ninja is needed")

    monkeypatch.setattr(torch_operators, "compile_cpp", fail)
    torch_operators.build_once()
    assert (root / stem / "failure.txt").read_text() == "ninja is needed\n"
    assert built_operators() is None
    assert not build_in_background()
    cache.clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "/bin/true")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert not build_in_background()
    assert not in_background.exists()


def test_nothing_is_counted_in_the_process_of_these_tests() -> None:
    """Its operators were registered when modules were imported; a thousand calls would build into the tests' cache."""
    assert native._calls == native.MANY


def test_many_calls_with_gradients_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    monkeypatch.setattr(native, "build_in_background", lambda: starts.append(native._calls))
    monkeypatch.setattr(native, "_calls", native.MANY - 2)
    left, right = torch.zeros(5), torch.ones(2)
    lg.log_sig_join(left, right, 2, 3)
    assert native._calls == native.MANY - 2
    for _ in range(4):
        lg.log_sig_join(left.requires_grad_(), right, 2, 3)
    assert starts == [native.MANY]


def test_other_versions_have_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    name = library_name()
    assert library_name() == name
    monkeypatch.setattr(torch_operators, "version", lambda _: "2.99.0")
    assert library_name() != name


def test_what_is_built_is_kept_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler is a stand-in here."""
    made = []

    def compile_cpp(folder: Path, source: str, name: str, _: str) -> None:
        made.append((folder / source).read_text())
        (folder / name).write_bytes(b"operators")

    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.setattr(torch_operators, "compile_cpp", compile_cpp)
    path = obtain_operators()
    assert obtain_operators() == path == built_operators()
    assert len(made) == 1
    assert "TORCH_LIBRARY_FRAGMENT(logsig_codegen, m)" in made[0]
    assert {file.suffix for file in path.parent.iterdir() if not file.name.startswith(".")} == {".so", ".json"}
    monkeypatch.setenv("PATH", str(tmp_path))  # no compiler: kernels are interpreted, which C++ could not call
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("logsig_codegen.build.ziglang.program", lambda: None)
    assert built_operators() is None
    monkeypatch.undo()
    monkeypatch.setenv(CACHE, str(tmp_path))
    path.write_bytes(b"something else")
    assert built_operators() is None


def test_what_cannot_be_loaded_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "operators.so"
    damaged.write_bytes(b"no library")
    monkeypatch.setattr(native, "built_operators", lambda: damaged)
    monkeypatch.setattr(native, "has_operator", lambda _: False)
    with pytest.warns(UserWarning, match="those in Python serve"):
        native.load()


@pytest.mark.slow
def test_they_are_loaded_and_do_the_same(session_cache: Path, run_python: RunPython) -> None:
    """Values, derivatives of every order, errors, other kernels of a problem, and processes without a compiler."""

    def make(out: Path) -> None:
        command = [sys.executable, "-m", "logsig_codegen", "extensions"]
        done = subprocess.run(command, env=process_environment({CACHE: str(out)}), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.splitlines()[-1]).name == library_name()

    kept = once("torch_operators", make)
    messages = """
        def message(call):
            try:
                call()
            except Exception as error:
                return type(error).__name__, str(error)
        zeros = lambda *shape: torch.zeros(*shape, dtype=torch.float64)
        calls = (
            lambda: lg.log_sig_join(zeros(4), zeros(2), 2, 3),
            lambda: lg.log_sig_join(zeros(5), zeros(2).float(), 2, 3),
            lambda: lg.log_sig_join(zeros(5).half(), zeros(2).half(), 2, 3),
            lambda: lg.log_sig_join(zeros(2, 5), zeros(3, 2), 2, 3),
            lambda: lg.log_sig_join(zeros(5), zeros(2), 2, 3, n_jobs=0),
            lambda: lg.log_sig_join(zeros(5).to_sparse(), zeros(2), 2, 3),
            lambda: lg.log_sig_join(zeros(5).numpy(), zeros(2), 2, 3),
            lambda: lg.log_sig(zeros(2), 3),
            lambda: lg.log_sig(zeros(3, 2).int(), 3),
            lambda: lg.log_sig(zeros(3, 2), 3, windows=(9, 0)),
            lambda: lg.log_sig(zeros(3, 2), 3, lengths=torch.tensor(4)),
            lambda: lg.log_sig(zeros(3, 2), 3, intervals=[[0, 3]]),
            lambda: lg.log_sig(zeros(3, 2), 3, initial=zeros(4)),
        )
        print([message(call) for call in calls])
    """
    imports = """
        import os, torch
        import numpy as np
        import logsig_codegen as lg
        import logsig_codegen.torch_api
        print(hasattr(torch.ops.logsig_codegen, "_add_kernel"))
    """
    checks = """
        random = lambda *shape: torch.randn(*shape, dtype=torch.float64)
        def check(function, *leaves):
            leaves = [one.requires_grad_() for one in leaves]
            assert torch.autograd.gradcheck(function, leaves, check_forward_ad=True, check_batched_grad=True)
            assert torch.autograd.gradgradcheck(function, leaves, check_fwd_over_rev=True)
        check(lambda l, v: lg.log_sig_join(l, v, 2, 3), random(2, 1, 5), random(3, 2))
        check(lambda p: lg.log_sig(p, 2), random(1, 4, 3))
        for shape in ((), (4,), (3, 4)):
            left, right, form = random(*shape, 5), random(*shape, 2), random(*shape, 5)
            spread = form[..., :1].expand(form.shape)  # as the gradient of a sum is
            for d_out in (form, spread):
                leaves = left.clone().requires_grad_(), right.clone().requires_grad_()
                found = torch.autograd.grad(lg.log_sig_join(*leaves, 2, 3), leaves, d_out)
                arrays = (np.ascontiguousarray(one.numpy()) for one in (d_out, left, right))
                for one, two in zip(found, lg.log_sig_join_backprop(*arrays, 2, 3)):
                    assert np.array_equal(one.numpy(), two)
            apart = random(*shape, 7, 2)[..., 3, :]
            wanted = lg.log_sig_join(left.numpy(), apart.numpy(), 2, 3)
            assert np.array_equal(lg.log_sig_join(left, apart, 2, 3), wanted)
        first, other = lg.load(2, 3), lg.load(2, 3, march="x86-64")
        for kernel in (first, other, first):
            for dtype in (torch.float64, torch.float32):
                a, b = left.to(dtype), right.to(dtype)
                assert np.array_equal(kernel.join(a, b).numpy(), kernel.join(a.numpy(), b.numpy()))
        for length in (0, 1, 5):  # with initial rows, lengths, windows, and intervals, of which none is differentiable
            check(lambda p, b: lg.log_sig(p, 3, initial=b), random(2, length, 2), random(2, 5))
        check(lambda p: lg.log_sig(p, 3, lengths=torch.tensor([4, 2])), random(2, 4, 2))
        check(lambda p: lg.log_sig(p, 3, windows=(2, 1), state="signature"), random(4, 2))
        check(lambda p: lg.log_sig(p, 3, intervals=[[0, 2], [1, 3]]), random(4, 2))
        leaf = random(5).requires_grad_()
        joined = lg.log_sig_join(leaf * 1, random(2), 2, 3)
        print(joined.grad_fn.name())
        joined.sum().backward()
        for wrong in (lambda: joined.sum().backward(), lambda: changed.sum().backward()):
            kept = leaf * 1
            changed = lg.log_sig_join(kept, random(2), 2, 3)
            kept.add_(1)
            try:
                wrong()
            except RuntimeError as error:
                print("second time" in str(error), "inplace operation" in str(error))
        from torch._dynamo import compiled_autograd
        ones = torch.ones(2).double()
        for call in (lambda: lg.log_sig_join(leaf, ones, 2, 3), lambda: lg.log_sig(leaf.view(5, 1), 2)):
            (wanted,) = torch.autograd.grad(call().square().sum(), leaf)
            leaf.grad = None
            with compiled_autograd._enable(lambda graph: torch.compile(graph, backend="eager")):
                call().square().sum().backward()
            assert torch.equal(leaf.grad, wanted)
        compiled = torch.compile(lambda l, v: lg.log_sig_join(l, v, 2, 3), fullgraph=True, backend="aot_eager")
        assert torch.equal(compiled(left, right), lg.log_sig_join(left, right, 2, 3))
    """
    by_cpp = run_python(imports + checks + messages, env={CACHE: str(kept)}, timeout=600).stdout.splitlines()
    by_python = run_python(imports + messages).stdout.splitlines()
    assert (by_cpp[0], by_python[0]) == ("True", "False")
    assert by_cpp[1:4] == ["logsig_codegen::join", "True False", "False True"]
    assert by_cpp[4] == by_python[1]
    assert by_python[1].count("Error'") == 13
    alone = run_python(
        imports + "    print(lg.log_sig_join(torch.zeros(5), torch.ones(2), 2, 3).tolist())",
        env={CACHE: str(kept), "PATH": str(kept), "CC": None},
        check=False,
    )
    assert alone.stdout.splitlines() == ["False", "[1.0, 1.0, 0.0, 0.0, 0.0]"], alone.stderr
