"""The C++ extension: its text, and, built, the same operators as the Python registration, with Python and without.

Trusts the Python registration, difference quotients, and pySigLib.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import peer
import pytest
import torch
from native import unoptimised
from processes import RunPython
from shared import once
from torch_cases import CASES, overload
from torch_extension import NATIVE, Built, unoptimised_operators

import logsig_codegen as lg
from logsig_codegen.build.artifact import Artifact, read_artifact
from logsig_codegen.build.nvidia import nvcc_if_any
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.torch import HEADERS, SOURCE, TABLE, torch_sources
from logsig_codegen.operations import GROUPS, OPERATIONS
from logsig_codegen.problem import Problem

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_file_names_every_kernel() -> None:
    compiled = compile_problem(Problem(2, 2), groups=tuple(GROUPS))
    files = torch_sources(compiled, ("float64", "float32"))
    names = [Path(name).name for name in HEADERS]
    assert list(files) == [SOURCE, TABLE, *names]
    for operation in OPERATIONS:
        for dtype, suffix in (("float64", "f64"), ("float32", "f32")):
            function = f"logsig_d2_n2_{operation}_{suffix}"
            entry = f'{{"{operation}", "{dtype}", reinterpret_cast<logsig_torch::Function>({function})}}'
            assert entry in files[SOURCE]
    assert "f32" not in torch_sources(compiled, ("float64",))[SOURCE]
    assert files == torch_sources(compiled, ("float64", "float32"))


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from logsig_codegen.build import extension

    monkeypatch.setattr(extension.sys, "executable", shutil.which("false"))  # type: ignore[attr-defined]
    with pytest.raises(lg.CompilerError, match="the torch extension of d2_n2"):
        lg.generate(2, 2, tmp_path, targets=("c", "torch"), operations=("join",))
    assert not list(tmp_path.iterdir())
    folder = lg.generate(2, 2, tmp_path, targets=("torch",), operations=("join",), emit_only=True)
    assert {SOURCE, TABLE, *(Path(name).name for name in HEADERS)} <= set(folder.manifest["files"])


def test_which_gpus_are_compiled_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from logsig_codegen.build import nvidia

    def nowhere() -> nvidia.CudaCompiler:
        raise lg.CompilerNotFoundError("no compiler")

    def names(architectures: tuple[str, ...] | None) -> set[str]:
        folder = lg.generate(
            2,
            2,
            tmp_path,
            targets=("torch",),
            operations=("join", "join_backprop"),
            architectures=architectures,
            emit_only=True,
        )
        assert folder.manifest["extension"] == {"library": None, "cuda": None}
        return {name for name in folder.manifest["files"] if name.endswith((".cu", ".cuh"))}

    with_gpus = names(None)
    assert {"join.cu", "join_backprop.cu", "logsig_device.cuh"} <= with_gpus
    assert names(("sm_90",)) == with_gpus
    assert names(()) == set()
    monkeypatch.setattr(nvidia, "find_cuda_compiler_ahead", nowhere)
    with pytest.raises(lg.CompilerNotFoundError, match="no compiler"):
        lg.generate(2, 2, tmp_path, targets=("torch",), operations=("join",), architectures=("sm_90",))
    with pytest.raises(ValueError, match="architectures: expected names such as 'sm_90', got 'h100'"):
        lg.generate(2, 2, tmp_path, targets=("torch",), architectures=("h100",))
    with pytest.raises(ValueError, match="architectures: expected at least one"):
        lg.generate(2, 2, tmp_path, targets=("torch", "cuda"), architectures=())


def test_the_command_says_that_there_are_no_kernels_for_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from logsig_codegen import cli
    from logsig_codegen.build import extension, nvidia

    def nowhere() -> nvidia.CudaCompiler:
        raise lg.CompilerNotFoundError("no compiler")

    def build(folder: Path, problem: Problem, *_: object, cuda: bool) -> None:
        assert not cuda
        (folder / extension.extension_name(problem)).write_bytes(b"")

    monkeypatch.setattr(nvidia, "find_cuda_compiler_ahead", nowhere)
    monkeypatch.setattr(extension, "build_extension", build)
    words = ["--dim", "2", "--degree", "2", "--target", "torch", "--operations", "join", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    assert "no kernels for GPUs: neither nvcc nor NVRTC was found" in capsys.readouterr().err
    assert cli.main([*words, "--cuda-arch", "none"]) == 0
    assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def with_binaries(session_cache: Path) -> Artifact:
    """An extension for dimension 3 and degree 2, with kernels for GPUs where there is nvcc."""

    def make(out: Path) -> None:
        architectures = ("sm_90",) if nvcc_if_any() else ()
        operations = ("join", "join_backprop")
        options: Any = {"targets": ("torch",), "operations": operations, "dtypes": ("float32",)}
        with pytest.MonkeyPatch.context() as patched:
            unoptimised(patched)
            unoptimised_operators(patched)
            lg.generate(3, 2, out, architectures=architectures, **options)

    return read_artifact(once("torch_with_binaries", make) / "d3_n2")


@pytest.mark.slow
@pytest.mark.skipif(nvcc_if_any() is None, reason="needs nvcc")
def test_binaries_become_part_of_the_extension(with_binaries: Artifact) -> None:
    about = with_binaries.manifest["extension"]
    assert about["cuda"]["architectures"] == ["sm_90"]
    content = (with_binaries.path / about["library"]).read_bytes()
    binaries = [name for name in with_binaries.manifest["files"] if name.endswith(".fatbin")]
    assert sorted(binaries) == ["logsig_d3_n2_join_backprop_f32.fatbin", "logsig_d3_n2_join_f32.fatbin"]
    for name in binaries:
        assert (with_binaries.path / name).read_bytes() in content


def test_the_command_writes_the_sources(tmp_path: Path) -> None:
    from logsig_codegen import cli

    words = ["--dim", "2", "--degree", "2", "--target", "c,torch", "--emit-only", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    text = (tmp_path / "d2_n2" / SOURCE).read_text()
    assert "TORCH_LIBRARY_FRAGMENT(logsig_codegen, m)" in text
    for header in HEADERS:
        assert (tmp_path / "d2_n2" / Path(header).name).read_text() == (ROOT / "templates" / header).read_text()


@pytest.mark.slow
def test_schemas_are_those_of_the_python_registration(built: Built, run_python: RunPython) -> None:
    output = run_python(
        f"""
        import json, sys, torch
        torch.ops.load_library({str(built.path)!r})
        assert "logsig_codegen" not in sys.modules
        names = {sorted(NATIVE)!r}
        print(json.dumps({{name: str(getattr(torch.ops.logsig_codegen, name).default._schema) for name in names}}))
        """
    ).stdout
    assert json.loads(output) == {name: str(overload(name)._schema) for name in NATIVE}


@pytest.mark.slow
def test_values_are_those_of_the_python_registration(built: Built, run_python: RunPython, tmp_path: Path) -> None:
    """Every case of every operator it has, bit for bit; with first and second derivatives where it has them."""
    cases = {name: one for name, one in CASES.items() if one.operator in NATIVE}
    needs_python = {  # for the coordinates of methods 0 and 1
        name for name, one in cases.items() if one.operator.startswith("log_sig") and one.expands
    }
    chosen = {name: (one.operator, one.tensors, one.others) for name, one in cases.items() if name not in needs_python}
    assert len(chosen) > 30
    torch.save(chosen, tmp_path / "cases.pt")
    run_python(
        f"""
        import torch
        torch.ops.load_library({str(built.path)!r})
        cases = torch.load({str(tmp_path / "cases.pt")!r}, weights_only=False)
        results = {{}}
        for name, (operator, tensors, others) in cases.items():
            function = getattr(torch.ops.logsig_codegen, operator).default
            results[name] = function(*tensors, *others)
            places = [k for k, one in enumerate(tensors) if one is not None and one.is_floating_point()]
            leaves = [tensors[k].clone().requires_grad_() for k in places]
            def call(*leaves):
                given = list(tensors)
                for place, leaf in zip(places, leaves):
                    given[place] = leaf
                return function(*given, *others)
            if operator in ("join", "combine", "join_backprop", "combine_backprop", "log_sig", "log_sig_intervals"):
                assert torch.autograd.gradcheck(call, leaves), name
            if operator in ("join", "combine"):
                assert torch.autograd.gradgradcheck(call, leaves), name
            meta = function(*(one if one is None else one.to("meta") for one in tensors), *others)
            first = lambda x: x if isinstance(x, tuple) else (x,)
            assert [m.shape for m in first(meta)] == [r.shape for r in first(results[name])], name
        torch.save(results, {str(tmp_path / "results.pt")!r})
        """
    )
    found = torch.load(tmp_path / "results.pt")
    for name, (operator, tensors, others) in chosen.items():
        expected = overload(operator)(*tensors, *others)
        for one, two in zip(*((x if isinstance(x, tuple) else (x,)) for x in (found[name], expected)), strict=True):
            assert torch.equal(one, two), name


@pytest.mark.slow
def test_errors_without_python(built: Built, run_python: RunPython) -> None:
    output = run_python(
        f"""
        import torch
        torch.ops.load_library({str(built.path)!r})
        ops, zeros = torch.ops.logsig_codegen, lambda *shape: torch.zeros(*shape, requires_grad=True)
        def third():
            x = zeros(5)
            y = ops.join(x, zeros(2), 2, 3).square().sum()
            for _ in range(3):
                (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        def second_of_a_path():
            path = zeros(3, 2)
            (first,) = torch.autograd.grad(ops.log_sig(path, None, None, 2, 3).sum(), path, create_graph=True)
        for call in (
            lambda: ops.join(zeros(4), zeros(2), 2, 3),
            lambda: ops.join(zeros(5), zeros(2).double(), 2, 3),
            lambda: ops.join(zeros(5).half(), zeros(2).half(), 2, 3),
            lambda: ops.join(zeros(2, 5), zeros(3, 2), 2, 3),
            lambda: ops.join(zeros(5), zeros(2), 2, 3, 0),
            lambda: ops.join(zeros(3), zeros(2), 2, 2),
            lambda: ops.log_sig(zeros(3, 2), torch.tensor(4), None, 2, 3),
            lambda: ops.log_sig(zeros(3, 2), None, None, 2, 3, False, None, None, 4),
            lambda: ops.log_sig_intervals(zeros(3, 2), torch.tensor([[0, 3]]), 2, 3),
            lambda: ops.log_sig_intervals(zeros(3, 2), torch.tensor([[[0, 2]]]), 2, 3),
            lambda: ops.log_sig_intervals(zeros(3, 2), zeros(1, 2), 2, 3),
            lambda: torch.func.grad(lambda x: ops.join(x, zeros(2), 2, 3).sum())(zeros(5)),
            third,
            second_of_a_path,
        ):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, str(error).splitlines()[0])
            else:
                print("nothing")
        with torch.autocast("cpu", torch.bfloat16):
            print(ops.join(zeros(5).half(), zeros(2), 2, 3).dtype)
        """
    ).stdout.splitlines()
    beginnings = [
        "ValueError log_sig: expected last dimension 5 for (dimension=2, degree=3), got 4",
        "TypeError displacement: expected dtype",
        "TypeError log_sig: expected dtype float32 or float64, got float16; under torch.autocast",
        "RuntimeError The size of tensor",
        "ValueError n_jobs: expected 1 or more threads",
        "NotImplementedError no kernel of join for (dimension=2, degree=2)",
        "ValueError lengths: expected values from 0 to 3",
        "ValueError method: expected 0, 1, 2 or 3, got 4",
        "ValueError intervals: expected pairs of points, 0 <= first <= last + 1 <= length",
        "ValueError intervals: expected shape (W, 2), or one set for each path of [], got [1, 1, 2]",
        "TypeError intervals: expected integers, the first and the last point, got dtype Float",
        "NotImplementedError join: this derivative, or transform, needs Python",
        "NotImplementedError join_backprop_backprop: this derivative, or transform, needs Python",
        "NotImplementedError log_sig_backprop: this derivative, or transform, needs Python",
        "torch.float32",
    ]
    assert len(output) == len(beginnings)
    for line, beginning in zip(output, beginnings, strict=True):
        assert line.startswith(beginning)


@pytest.mark.slow
def test_python_adds_to_an_extension_that_was_loaded_first(built: Built, run_python: RunPython) -> None:
    run_python(
        f"""
        import itertools
        import torch
        torch.ops.load_library({str(built.path)!r})
        import numpy as np
        import logsig_codegen as lg
        random = lambda *shape: torch.randn(*shape, dtype=torch.float64)
        def check(function, *leaves):
            leaves = [one.requires_grad_() for one in leaves]
            assert torch.autograd.gradcheck(function, leaves, check_forward_ad=True, check_batched_grad=True)
            assert torch.autograd.gradgradcheck(function, leaves, check_fwd_over_rev=True)
        check(lambda l, v: lg.log_sig_join(l, v, 2, 3), random(2, 1, 5), random(3, 2))
        lengths = torch.tensor([4, 1, 0, 3])
        check(lambda p, i: lg.log_sig(p, 3, lengths=lengths, initial=i, method=0), random(4, 4, 2), random(5))
        check(lambda p: lg.log_sig(p, 3, intervals=[[0, 3], [1, 2]]), random(2, 4, 2))
        check(lambda p: lg.log_sig(p, 2), random(1, 4, 3))  # a problem the extension does not have
        check(lambda p: lg.log_sig(p, 2, intervals=[[0, 3], [1, 2]]), random(1, 4, 3))
        for degree, dimension in ((3, 2), (2, 3)):  # windows that overlap, by the same kernels
            overlap = random(2, 40, dimension).requires_grad_()
            found = lg.log_sig(overlap, degree, windows=(20, 1))
            array = overlap.detach().numpy()
            assert np.array_equal(found.detach().numpy(), lg.log_sig(array, degree, windows=(20, 1)))
            found.sum().backward()
            ones = np.ones(found.shape)
            assert np.array_equal(overlap.grad.numpy(), lg.log_sig_backprop(ones, array, degree, windows=(20, 1)))
        modes = {{"f": torch.func.jacfwd, "r": torch.func.jacrev}}
        path, third = random(3, 2), []
        for a, b, c in itertools.product(modes, repeat=3):
            third.append(modes[a](modes[b](modes[c](lambda p: lg.log_sig(p, 3).square().sum())))(path))
        assert all(torch.allclose(one, third[0]) for one in third)
        long = random(2, 400, 2)
        assert np.array_equal(lg.log_sig(long, 3).numpy(), lg.log_sig(long.numpy(), 3))
        compiled = torch.compile(lambda l, v: lg.log_sig_join(l, v, 2, 3), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(random(4, 5), random(2)).shape, (4, 5))
        """,
        timeout=600,
    )


@pytest.mark.slow
def test_an_extension_that_comes_second_changes_nothing(built: Built, run_python: RunPython) -> None:
    output = run_python(
        f"""
        import torch
        import logsig_codegen.torch_api as lt
        before = lt.log_sig_join(torch.zeros(5), torch.ones(2), 2, 3)
        torch.ops.load_library({str(built.path)!r})
        after = lt.log_sig_join(torch.zeros(5), torch.ones(2), 2, 3)
        print(torch.equal(before, after), hasattr(torch.ops.logsig_codegen, "_add_kernel"))
        """
    ).stdout
    assert output == "True False\n"


@pytest.mark.slow
def test_two_extensions_in_one_process(built: Built, with_binaries: Artifact, run_python: RunPython) -> None:
    other = with_binaries.path / "liblogsig_d3_n2_torch.so"
    output = run_python(
        f"""
        import torch
        for library in ({str(built.path)!r}, {str(other)!r}):
            torch.ops.load_library(library)
        join = torch.ops.logsig_codegen.join
        print(join(torch.zeros(5), torch.ones(2), 2, 3).tolist(), join(torch.zeros(6), torch.ones(3), 3, 2).tolist())
        """
    ).stdout
    assert output == "[1.0, 1.0, 0.0, 0.0, 0.0] [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]\n"


@pytest.mark.slow
def test_a_program_without_python(built: Built, tmp_path: Path) -> None:
    """The C++ program of the documents."""
    from torch.utils import cpp_extension

    program, (libraries, *_) = tmp_path / "join", cpp_extension.library_paths()
    includes = [f"-I{path}" for path in cpp_extension.include_paths()]
    flags = ["-std=c++20", f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
    link = [f"-L{libraries}", "-Wl,--no-as-needed", "-ltorch_cpu", "-ltorch", "-lc10", "-ldl"]
    command = ["c++", *flags, *includes, str(ROOT / "docs" / "join_torch.cpp"), *link]
    subprocess.run([*command, f"-Wl,-rpath,{libraries}", "-o", str(program)], check=True)
    printed = subprocess.run([str(program), str(built.path)], check=True, capture_output=True, text=True).stdout
    numbers = np.array(printed.split(), dtype=float)
    walk = np.cumsum([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]], axis=0)
    np.testing.assert_allclose(numbers[:5], peer.log_sig(walk, 3), atol=1e-6)
    d_path = peer.log_sig_backprop(np.eye(5)[4], walk, 3)
    by_steps = np.cumsum(d_path[::-1], axis=0)[::-1][1:]
    np.testing.assert_allclose(numbers[5:], by_steps.ravel(), atol=2e-6)
