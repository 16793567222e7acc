"""The operators in C++ for all problems: built once, found from then on, and the same to whoever calls them.

Trusts the front for numpy, and difference quotients.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import RunPython, process_environment
from shared import once

import logsig_codegen as lg
from logsig_codegen.build import torch_operators
from logsig_codegen.build.torch_operators import built_operators, library_name, obtain_operators
from logsig_codegen.runtime.torch_ops import native

CACHE = "LOGSIG_CODEGEN_CACHE"


def test_nothing_is_found_or_built_unless_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.setenv("LOGSIG_CODEGEN_BUILD", "never")
    assert built_operators() is None
    with pytest.raises(lg.BuildForbiddenError, match="Operators of torch in C"):
        obtain_operators()
    assert not list(tmp_path.rglob("*.so"))


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
        command = [sys.executable, "-m", "logsig_codegen", "operators"]
        done = subprocess.run(command, env=process_environment({CACHE: str(out)}), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).name == library_name()

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
        first, other = lg.load(2, 3), lg.load(2, 3, march="x86-64")
        for kernel in (first, other, first):
            for dtype in (torch.float64, torch.float32):
                a, b = left.to(dtype), right.to(dtype)
                assert np.array_equal(kernel.join(a, b).numpy(), kernel.join(a.numpy(), b.numpy()))
        compiled = torch.compile(lambda l, v: lg.log_sig_join(l, v, 2, 3), fullgraph=True, backend="aot_eager")
        assert torch.equal(compiled(left, right), lg.log_sig_join(left, right, 2, 3))
    """
    by_cpp = run_python(imports + checks + messages, env={CACHE: str(kept)}, timeout=600).stdout.splitlines()
    by_python = run_python(imports + messages).stdout.splitlines()
    assert (by_cpp[0], by_python[0]) == ("True", "False")
    assert by_cpp[1] == by_python[1]
    assert by_python[1].count("Error'") == 13
    alone = run_python(
        imports + "    print(lg.log_sig_join(torch.zeros(5), torch.ones(2), 2, 3).tolist())",
        env={CACHE: str(kept), "PATH": str(kept), "CC": None},
        check=False,
    )
    assert alone.stdout.splitlines() == ["False", "[1.0, 1.0, 0.0, 0.0, 0.0]"], alone.stderr
