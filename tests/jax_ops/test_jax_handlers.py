"""The handlers' library: its target, its place in the cache, its text, and what it refuses."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_cases import D, M, N
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen import targets
from logsig_codegen.build import jax_handlers
from logsig_codegen.emit.jax import SOURCE, jax_sources
from logsig_codegen.operations import CONVERSION, OPERATIONS, ROWS
from logsig_codegen.runtime.jax_ops import handlers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the target writes."""
    return lg.generate(D, N, tmp_path_factory.mktemp("jax"), targets=("jax",)).path


def test_the_target_writes_the_library_and_what_it_was_made_of(folder: Path) -> None:
    include = jax_handlers.include_dir()
    name = jax_handlers.library_name(include)
    assert folder.name == "d2_n3_jax"
    assert {file.name for file in folder.iterdir()} == {*jax_sources(), name, "manifest.json"}
    library = ctypes.CDLL(str(folder / name))
    for target in handlers.TARGETS:
        assert library[f"logsig_jax_{target}"]
    for target in handlers.TARGETS_ON_GPU:
        assert library[f"logsig_jax_{target}_on_gpu"]
    assert jax_handlers.ffi_version(include) in targets.named("jax").found()


def test_a_library_from_a_folder_needs_no_compiler(folder: Path, tmp_path: Path, run_python: RunPython) -> None:
    code = f"""
    import numpy as np, jax.numpy as jnp, logsig_codegen as lg
    lg.load({D}, {N})
    print(lg.log_sig_join(jnp.zeros({M}), jnp.ones({D}), {D}, {N}).sum())
    """
    kernels = lg.generate(D, N, tmp_path, operations=("join",)).path
    environment = {"LOGSIG_CODEGEN_PATH": f"{folder.parent}:{kernels}", "CC": "/nowhere/cc"}
    environment["LOGSIG_CODEGEN_CACHE"] = str(tmp_path / "cache")
    assert run_python(code, env=environment).stdout == "2.0\n"


def test_the_name_tells_versions_of_the_interface_apart(tmp_path: Path) -> None:
    include = jax_handlers.include_dir()
    header = Path("xla", "ffi", "api", "c_api.h")
    other = tmp_path / "include"
    (other / header).parent.mkdir(parents=True)
    text = (include / header).read_text().replace("#define XLA_FFI_API_MINOR ", "#define XLA_FFI_API_MINOR 9")
    (other / header).write_text(text)
    assert jax_handlers.ffi_version(other) != jax_handlers.ffi_version(include)
    assert jax_handlers.library_name(other) != jax_handlers.library_name(include)


def test_every_operation_on_rows_has_a_handler_and_no_compiler_warns(tmp_path: Path) -> None:
    sources = jax_sources()
    for name, operation in OPERATIONS.items():
        for suffix, kinds in (("", (ROWS, CONVERSION)), ("_on_gpu", (ROWS,))):
            assert (f"XLA_FFI_Error *logsig_jax_{name}{suffix}(" in sources[SOURCE]) == (
                operation.kind in kinds or name in ("log_sig", "log_sig_backprop")
            )
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "this test needs a C compiler"
    flags = ["-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Wvla", "-Werror"]
    headers = ["-I", ".", "-isystem", str(jax_handlers.include_dir())]
    subprocess.run([compiler, *flags, *headers, SOURCE], cwd=tmp_path, check=True)


def test_without_jaxlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax_handlers, "find_spec", lambda name: None)
    with pytest.raises(lg.CompilerNotFoundError, match=r"pip install 'logsig-codegen\[jax\]'"):
        jax_handlers.include_dir()
    assert "pip install" in targets.named("jax").found()


def test_missing_kernels_and_wrong_calls_are_errors_of_xla() -> None:
    """What only programs that were not made by this package can do."""

    def raw(target: str, shape: tuple[int, ...], *arrays: Any, **attributes: int) -> Any:
        result = jax.ShapeDtypeStruct(shape, arrays[0].dtype)
        numbers = {name: np.int64(value) for name, value in attributes.items()}
        return jax.ffi.ffi_call(handlers.PREFIX + target, result)(*arrays, **numbers)

    rows = jnp.zeros((2, M))
    with pytest.raises(Exception, match=r"call logsig_codegen.load\(2, 77\).prepare\(\"combine\"\)"):
        raw("combine", (2, M), rows, rows, dimension=2, degree=77)
    with pytest.raises(Exception, match="Wrong number of operands"):
        raw("combine", (2, M), rows, dimension=D, degree=N)
    with pytest.raises(Exception, match="no such state"):
        raw("log_sig", (2, M), jnp.zeros((2, 4, D)), dimension=D, degree=N, state=7)
    with pytest.raises(Exception, match=r"call logsig_codegen.load\(2, 77\).prepare\(\"conversions\"\)"):
        raw("sig_to_log_sig", (2, M), rows, dimension=2, degree=77)
    with pytest.raises(Exception, match="A map is missing"):
        raw("map", (2, M), rows, maps=1)


def test_the_kernel_that_was_called_last_serves(tmp_path: Path) -> None:
    other = lg.load(D, N, artifacts=lg.generate(D, N, tmp_path, operations=("join", "log_sig"), march="x86-64").path)
    left, right = np.ones((3, M)), np.ones((3, D))
    for kernel in (other, lg.load(D, N)):
        found = jax.jit(lambda x, y, kernel=kernel: kernel.join(x, y))(jnp.asarray(left), jnp.asarray(right))  # type: ignore[misc]
        np.testing.assert_array_equal(found, kernel.join(left, right))
