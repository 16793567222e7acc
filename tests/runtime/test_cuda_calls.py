"""Calls on the GPU's side of the run time, with the device replaced by an emulated grid: layouts, shapes, gradients.

The kernels are the generated ones, compiled by the host's compiler; the truth is the C kernels, which have tests of
their own, on the same numbers. Tensors lie in host memory, so that every other part is what runs on a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from emulated import EmulatedPrograms, Emulation, emulate_launches
from torch_cases import overload

import logsig_codegen as lg
from logsig_codegen.compiler import compile_problem
from logsig_codegen.operations import DERIVED_GROUPS, GROUPS, Operation, columns
from logsig_codegen.runtime.cuda import calls, driver, paths
from logsig_codegen.runtime.cuda.driver import Loaded, NoKernelError
from logsig_codegen.runtime.cuda.paths import PathCall
from logsig_codegen.runtime.registry import provide
from logsig_codegen.runtime.request import PathOptions, path_request

D, N = 3, 3
SIZE = 14


@pytest.fixture(scope="module")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Emulation:
    return Emulation(tmp_path_factory.mktemp("cuda"), compile_problem(lg.Problem(D, N), groups=tuple(GROUPS)))


@pytest.fixture
def programs(emulation: Emulation, monkeypatch: pytest.MonkeyPatch) -> EmulatedPrograms:
    return emulate_launches(emulation, monkeypatch)


@pytest.fixture
def kernel(programs: EmulatedPrograms) -> lg.LogSigKernel:
    return lg.load(D, N)


def normal(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64).to(dtype)


LAYOUTS = {
    "one sample": ((), ()),
    "rows": ((70,), (70,)),
    "no rows": ((0,), (0,)),
    "broadcast": ((4, 1), (4, 5)),
    "one row for all": ((), (33,)),
    "more axes": ((2, 3, 4), (3, 1)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("operation", ["join", "combine"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products(kernel: lg.LogSigKernel, layout: str, operation: str, dtype: torch.dtype) -> None:
    left, right = LAYOUTS[layout]
    first = normal(*left, SIZE, dtype=dtype)
    second = normal(*right, D if operation == "join" else SIZE, dtype=dtype)
    out = calls.product(kernel, operation, first, second)
    expected = getattr(kernel, operation)(first.numpy(), second.numpy())
    assert np.array_equal(out.numpy(), expected)
    d_out = normal(*expected.shape, dtype=dtype)
    gradients = calls.product_backprop(kernel, operation, d_out, first, second)
    truth = getattr(kernel, f"{operation}_backprop")(d_out.numpy(), first.numpy(), second.numpy())
    for gradient, array in zip(gradients, truth, strict=True):
        assert gradient.shape == array.shape
        np.testing.assert_allclose(gradient.numpy(), array, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-12)


SECOND = [operation for group in DERIVED_GROUPS for operation in GROUPS[group]]


@pytest.mark.parametrize("batch", [1, 33, 200])
@pytest.mark.parametrize("operation", SECOND, ids=lambda operation: operation.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_second_derivatives(kernel: lg.LogSigKernel, operation: Operation, batch: int, dtype: torch.dtype) -> None:
    """Of any number of rows; those of some operands lie apart."""
    tensors = []
    for place, name in enumerate(operation.inputs):
        width = columns(lg.Problem(D, N), name)
        tensors.append(normal(batch, width + place, dtype=dtype)[:, place:])
    found = calls.rows(kernel, operation.name, tensors)
    provide(kernel)
    expected = overload(operation.name)(*tensors, D, N)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    if not operation.like:
        found, expected = (found,), (expected,)
    for one, truth in zip(found, expected, strict=True):
        torch.testing.assert_close(one, truth, **tolerance)


def test_any_strides(kernel: lg.LogSigKernel) -> None:
    wide = normal(40, 2 * SIZE + 3)
    arrangements = {
        "columns of a wider array": wide[:, 3 : 3 + SIZE],
        "every other row": wide[::2, :SIZE],
        "transposed": normal(SIZE, 40).T,
        "every other column": wide[:, : 2 * SIZE : 2],
        "batch axes swapped": normal(5, 8, SIZE).transpose(0, 1),
        "one number beyond an aligned address": normal(40 * SIZE + 1)[1:].reshape(40, SIZE),
    }
    for name, log_sig in arrangements.items():
        displacement = normal(*log_sig.shape[:-1], D)
        out = calls.product(kernel, "join", log_sig, displacement)
        assert np.array_equal(out.numpy(), kernel.join(log_sig.numpy(), displacement.numpy())), name


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "signature": {"state": "signature"},
    "lengths": {"lengths": np.array([0, 1, 2, 9, 17, 40, 40] * 5)},
    "initial": {"initial": (35, SIZE)},
    "initial, one for all": {"initial": (SIZE,)},
    "windows": {"windows": (7, 3)},
    "windows of padded paths": {"windows": (7, 3), "lengths": np.array([0, 1, 2, 9, 17, 40, 40] * 5)},
    "stream": {"stream": True},
    "stream of padded paths": {"stream": True, "lengths": np.array([0, 1, 2, 9, 17, 40, 40] * 5)},
    "stream with initial": {"stream": True, "initial": (35, SIZE)},
    "stream with one initial for all": {"stream": True, "initial": (SIZE,)},
    "stream of padded paths with initial": {
        "stream": True,
        "initial": (35, SIZE),
        "lengths": np.array([0, 1, 2, 9, 17, 40, 40] * 5),
    },
    "Lyndon words": {"method": 1},
    "expanded": {"method": 0},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_paths(kernel: lg.LogSigKernel, case: str, dtype: torch.dtype) -> None:
    options = {"lengths": None, "initial": None, "stream": False, "windows": None, "state": None, "method": 2}
    options.update(CASES[case])
    path = 0.3 * normal(35, 40, D, dtype=dtype)
    if options["initial"] is not None:
        options["initial"] = normal(*options["initial"], dtype=dtype)
    compare(kernel, path, options, dtype)


def test_lists_of_paths(kernel: lg.LogSigKernel) -> None:
    for dtype in (torch.float32, torch.float64):
        paths = [normal(length, D, dtype=dtype) for length in (3, 1, 17, 0, 40)]
        for stream in (False, True):
            compare(kernel, paths, {"lengths": None, "initial": None, "windows": None, "stream": stream}, dtype)


def stream(lengths: Any = None, initial: torch.Tensor | None = None) -> dict[str, Any]:
    return {"lengths": lengths, "initial": initial, "windows": None, "stream": True}


def test_streams_of_any_layout(kernel: lg.LogSigKernel) -> None:
    """Axes, gaps, one path for all, a point, no point, no path."""
    wide = 0.3 * normal(4, 5, 9, 2 * D)
    paths = {
        "axes": wide[..., :D].contiguous(),
        "gaps": wide[:, :, 2:7].reshape(20, 5, 2 * D)[::2].reshape(10, 10, D),
        "columns of a wider array": wide[..., D:],
        "one for all": wide[0, 0, :, :D].expand(6, 9, D),
        "one path": wide[0, 0, :, :D],
        "a point": wide[0, :, :1, :D],
        "no point": wide[0, :, :0, :D],
        "no path": wide[0, :0, :, :D],
    }
    for path in paths.values():
        for initial in (None, normal(SIZE), normal(*path.shape[:-2], 2 * SIZE)[..., SIZE:]):
            compare(kernel, path, stream(initial=initial), path.dtype)
    listed = [normal(length, D) for length in (3, 1, 17, 0, 40)]
    for initial in (normal(SIZE), normal(5, SIZE)):
        compare(kernel, listed, stream(initial=initial), initial.dtype)


def test_a_stream_is_one_launch(kernel: lg.LogSigKernel) -> None:
    """Its gradient is one too, after the derivatives by the points were set to zero."""
    path, initial = normal(3, 20, D), normal(3, SIZE)
    request = path_request(path, D, N, PathOptions(stream=True), initial=initial)
    call, before = PathCall(kernel, request, 1), driver.launches()
    out = call.forward(path, initial)
    assert driver.launches() - before == 1
    call.backward(torch.ones_like(out), out, path, initial)
    assert driver.launches() - before == 3
    call.backward(torch.ones_like(out), None, path, initial)
    assert driver.launches() - before == 6


STREAMS = {"stream", "stream_backprop"}


@pytest.mark.parametrize(
    "refused", [STREAMS, {"stream"}, {"stream_backprop"}], ids=lambda names: "+".join(sorted(names))
)
def test_streams_without_a_kernel_are_joins(
    kernel: lg.LogSigKernel, programs: EmulatedPrograms, refused: set[str]
) -> None:
    programs.refused |= refused
    path = 0.3 * normal(7, 6, D)
    lengths = np.array([0, 1, 2, 3, 4, 5, 6])
    for initial in (None, normal(7, SIZE), normal(SIZE)):
        for given in (None, lengths):
            compare(kernel, path, stream(given, initial), path.dtype)
        compare(
            kernel, [path[index, :length] for index, length in enumerate(lengths)], stream(None, initial), path.dtype
        )


def test_a_stream_needs_no_kernel_that_nothing_can_compile(
    kernel: lg.LogSigKernel, programs: EmulatedPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joins do, until there is one; other kernels have to be there."""
    path, binary, there = 0.3 * normal(4, 5, D), programs.binary, [False]

    def none(operation: str, *others: Any) -> Any:
        if operation in {*STREAMS, "log_sig"} and not there[0]:
            raise lg.CompilerNotFoundError("no compiler")
        return binary(operation, *others)

    monkeypatch.setattr(programs, "binary", none)
    compare(kernel, path, stream(), path.dtype)
    request = path_request(path, D, N, PathOptions())
    with pytest.raises(lg.CompilerNotFoundError):
        PathCall(kernel, request, 1).forward(path)
    there[0] = True
    PathCall(kernel, request, 1).forward(path)
    before = driver.launches()
    compare(kernel, path, stream(), path.dtype)
    assert driver.launches() - before < 10


def test_what_carries_a_path(kernel: lg.LogSigKernel, programs: EmulatedPrograms) -> None:
    """Where there is no kernel for the state that is asked for, the other one; where there is none, an error."""
    options: dict[str, Any] = {"lengths": None, "initial": None, "windows": None, "stream": False}
    programs.refused.add("log_sig_by_signature")
    path = 0.3 * normal(3, 8, D)
    compare(kernel, path, {**options, "state": "signature"}, path.dtype)
    programs.refused.add("log_sig")
    programs._loaded, programs._problems = Loaded(), {}
    request = path_request(path, D, N, PathOptions())
    with pytest.raises(NoKernelError, match=r"log_sig: there is no kernel for a GPU for \(dimension=3, degree=3\)"):
        PathCall(kernel, request, 1).forward(path)


def test_a_step_of_a_stream_is_a_join_to_the_last_bit(kernel: lg.LogSigKernel, programs: EmulatedPrograms) -> None:
    path, results = 0.3 * normal(40, 9, D, dtype=torch.float32), []
    request = path_request(path, D, N, PathOptions(stream=True))
    results.append(PathCall(kernel, request, 1).forward(path))
    programs.refused |= STREAMS
    programs._loaded, programs._problems = Loaded(), {}
    results.append(PathCall(kernel, request, 1).forward(path))
    assert torch.equal(*results)


def compare(kernel: lg.LogSigKernel, path: Any, options: dict[str, Any], dtype: torch.dtype) -> None:
    """Result and gradients against those of the C kernels."""
    method, initial = options.pop("method", 2), options["initial"]
    lengths = options.pop("lengths")
    wanted = PathOptions(method=method, **{name: one for name, one in options.items() if name != "initial"})
    request = path_request(path, kernel.dimension, kernel.degree, wanted, lengths=lengths, initial=initial)
    paths = path if isinstance(path, list) else [path]
    call = PathCall(kernel, request, len(paths))
    options["lengths"] = lengths
    inputs = (*paths, *(() if initial is None else (initial,)))
    out = call.forward(*inputs)
    options["initial"] = None if initial is None else initial.numpy()
    arrays = [x.numpy() for x in path] if isinstance(path, list) else path.numpy()
    expected = kernel.log_sig(arrays, method=method, **options)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-11, "atol": 1e-12}
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.numpy(), expected, **tolerance)
    d_out = normal(*expected.shape, dtype=dtype)
    truth = kernel.log_sig_backprop(d_out.numpy(), arrays, method=method, **options)
    d_path, *rest = truth if initial is not None else (truth,)
    gradients = [*(d_path if isinstance(d_path, list) else [d_path]), *rest]
    for known in (out, None):
        found = call.backward(d_out, known, *inputs)
        for gradient, array in zip(found, gradients, strict=True):
            assert gradient.shape == array.shape
            np.testing.assert_allclose(gradient.numpy(), array, **tolerance)


@pytest.mark.parametrize("batch", [1, 3])
def test_long_paths_are_cut_into_pieces(kernel: lg.LogSigKernel, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = 0.1 * normal(batch, 900, D)
    for lengths in (None, np.array([900, 5, 0][:batch])):
        compare(kernel, path, {"lengths": lengths, "initial": None, "windows": None, "stream": False}, path.dtype)
    compare(kernel, path, {"lengths": None, "initial": None, "windows": (400, 100), "stream": False}, path.dtype)
    compare(
        kernel, [*path, path[0, :0]], {"lengths": None, "initial": None, "windows": None, "stream": False}, path.dtype
    )
    monkeypatch.setattr(paths, "ROOM", 1)  # one path at a time
    compare(kernel, path, {"lengths": None, "initial": None, "windows": None, "stream": False}, path.dtype)


def test_padding_is_not_read(kernel: lg.LogSigKernel) -> None:
    path = normal(4, 30, D)
    lengths = np.array([30, 11, 1, 0])
    for row, length in enumerate(lengths):
        path[row, length:] = float("nan")
    compare(kernel, path, {"lengths": lengths, "initial": None, "windows": None, "stream": False}, path.dtype)


@pytest.mark.parametrize("batch", [31, 32, 33, 200])
def test_batches_that_are_not_whole_tiles(kernel: lg.LogSigKernel, batch: int) -> None:
    log_sig, displacement = normal(batch, SIZE), normal(batch, D)
    expected = kernel.join(log_sig.numpy(), displacement.numpy())
    assert np.array_equal(calls.product(kernel, "join", log_sig, displacement).numpy(), expected)


def test_what_lies_behind_the_results_stays(emulation: Emulation, tmp_path: Path) -> None:
    rows = 33
    log_sig, displacement = normal(rows, SIZE).numpy(), normal(rows, D).numpy()
    out = np.full((rows + 1, SIZE), 7.0)
    emulation.kernel("join", "float64")([log_sig, SIZE, displacement, D, out, SIZE, rows], warps=2, blocks=1)
    assert (out[rows] == 7.0).all()
    assert not (out[:rows] == 7.0).any()
