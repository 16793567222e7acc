"""What runs on a GPU: every entry point with CUDA tensors, against the C kernels in float64; streams, graphs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from on_gpu import AVAILABLE, MARKS, PROBLEMS, TOLERANCE, close, exact, normal

import logsig_codegen as lg
from logsig_codegen.build.nvidia import nvcc_if_any
from logsig_codegen.runtime.cuda.programs import CudaPrograms

pytestmark = MARKS


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_products(problem: tuple[int, int], dtype: torch.dtype) -> None:
    kernel = lg.load(*problem)
    for batch in ((), (1,), (31,), (3, 5), (1000,)):
        log_sig, other = normal(*batch, kernel.size, dtype=dtype), normal(*batch, kernel.size, dtype=dtype)
        displacement, d_out = normal(*batch, kernel.dimension, dtype=dtype), normal(*batch, kernel.size, dtype=dtype)
        for operation, second in (("join", displacement), ("combine", other)):
            close(
                getattr(kernel, operation)(log_sig, second),
                getattr(kernel, operation)(exact(log_sig), exact(second)),
                TOLERANCE[dtype],
            )
            found = getattr(kernel, f"{operation}_backprop")(d_out, log_sig, second)
            truth = getattr(kernel, f"{operation}_backprop")(exact(d_out), exact(log_sig), exact(second))
            for gradient, array in zip(found, truth, strict=True):
                close(gradient, array, TOLERANCE[dtype])


@pytest.mark.parametrize("layout", ["wider", "every other row", "transposed", "unaligned", "one row", "broadcast"])
def test_layouts(layout: str) -> None:
    kernel = lg.load(5, 3)
    size, wide = kernel.size, normal(80, 2 * kernel.size + 1, dtype=torch.float32)
    log_sig = {
        "wider": wide[:, 3 : 3 + size],
        "every other row": wide[::2, :size],
        "transposed": normal(size, 40, dtype=torch.float32).T,
        "unaligned": wide.reshape(-1)[1 : 1 + 64 * size].reshape(64, size),
        "one row": wide[0, :size],
        "broadcast": wide[:40, None, :size],
    }[layout]
    displacement = (
        normal(*log_sig.shape[:-1][:1], 7, 5, dtype=torch.float32)
        if layout == "broadcast"
        else normal(*log_sig.shape[:-1], 5, dtype=torch.float32)
    )
    close(kernel.join(log_sig, displacement), kernel.join(exact(log_sig), exact(displacement)), 2e-5)
    d_out = normal(*kernel.join(log_sig, displacement).shape, dtype=torch.float32)
    found = kernel.join_backprop(d_out, log_sig, displacement)
    truth = kernel.join_backprop(exact(d_out), exact(log_sig), exact(displacement))
    for gradient, array in zip(found, truth, strict=True):
        close(gradient, array, 2e-5)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "log derivative": {"state": "log_derivative"},
    "signature": {"state": "signature"},
    "lengths": {"lengths": True},
    "initial": {"initial": True},
    "windows": {"windows": (9, 4)},
    "stream": {"stream": True},
    "stream of padded paths": {"stream": True, "lengths": True},
    "Lyndon words": {"method": 1},
    "expanded": {"method": 0},
}


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("problem", [(2, 4), (3, 3), (5, 3)], ids=str)
def test_paths(problem: tuple[int, int], option: str, dtype: torch.dtype) -> None:
    kernel = lg.load(*problem)
    options = dict(OPTIONS[option])
    batch, length = 70, 33
    if options.get("lengths"):
        options["lengths"] = np.random.default_rng().integers(0, length + 1, batch)
    path = (0.3 * normal(batch, length, kernel.dimension, dtype=dtype)).requires_grad_()
    initial = normal(batch, kernel.size, dtype=dtype).requires_grad_() if options.pop("initial", None) else None
    out = kernel.log_sig(path, initial=initial, **options)
    before = None if initial is None else exact(initial)
    close(out, kernel.log_sig(exact(path), initial=before, **options), 10 * TOLERANCE[dtype])
    d_out = normal(*out.shape, dtype=dtype)
    out.backward(d_out)
    truth = kernel.log_sig_backprop(exact(d_out), exact(path), initial=before, **options)
    d_path, d_initial = truth if initial is not None else (truth, None)
    assert path.grad is not None
    close(path.grad, d_path, 100 * TOLERANCE[dtype])
    if initial is not None:
        assert initial.grad is not None
        close(initial.grad, d_initial, 100 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("problem", [(3, 6), (5, 4), (10, 3), (20, 2)], ids=str)
def test_states_that_warps_share(problem: tuple[int, int], dtype: torch.dtype) -> None:
    """The logarithm has the bits of the C kernel; the gradient is a sum in another order."""
    kernel = lg.load(*problem)
    batch, length = 70, 40
    lengths = np.random.default_rng().integers(0, length + 1, batch)
    wide = 0.3 * normal(batch, length * kernel.dimension + 3, dtype=dtype)
    unaligned = wide[:, 1 : 1 + length * kernel.dimension].unflatten(1, (length, kernel.dimension))
    for path, given in ((unaligned.contiguous(), None), (unaligned, None), (unaligned.contiguous(), lengths)):
        points = path.detach().cpu().numpy()
        out = kernel.log_sig(path, lengths=given, state="signature")
        assert np.array_equal(out.cpu().numpy(), kernel.log_sig(points, lengths=given, state="signature"))
        d_out = normal(*out.shape, dtype=dtype)
        found = kernel.log_sig_backprop(d_out, path, lengths=given, state="signature")
        truth = kernel.log_sig_backprop(exact(d_out), exact(path), lengths=given, state="signature")
        close(found, truth, 100 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("problem", [(2, 4), (3, 3), (5, 3), (5, 4), (20, 2)], ids=str)
def test_windows_that_overlap(problem: tuple[int, int], dtype: torch.dtype) -> None:
    """In units without a middle, with one segment, with several; paths end early."""
    kernel = lg.load(*problem)
    path = 0.1 * normal(33, 300, kernel.dimension, dtype=dtype)
    lengths = np.random.default_rng(1).integers(0, 301, 33)
    for windows in ((17, 1), (100, 1), (60, 2)):
        for given in (None, lengths):
            found = kernel.log_sig(path, windows=windows, lengths=given)
            truth = kernel.log_sig(exact(path), windows=windows, lengths=given)
            close(found, truth, 10 * TOLERANCE[dtype])
            d_out = normal(*found.shape, dtype=dtype)
            gradient = kernel.log_sig_backprop(d_out, path, windows=windows, lengths=given)
            d_truth = kernel.log_sig_backprop(exact(d_out), exact(path), windows=windows, lengths=given)
            close(gradient, d_truth, 100 * TOLERANCE[dtype])


def test_lists_of_paths() -> None:
    kernel = lg.load(3, 3)
    paths = [normal(length, 3) for length in (3, 1, 17, 0, 40)]
    close(kernel.log_sig(paths), kernel.log_sig([exact(path) for path in paths]), 1e-11)


def test_functions_by_name_and_gradients() -> None:
    log_sig, displacement = normal(50, 14).requires_grad_(), normal(50, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, v: lg.log_sig_join(x, v, 3, 3), (log_sig, displacement), nondet_tol=0.0)
    out = lg.log_sig(normal(4, 9, 3), 3)
    close(lg.logsig_to_sig(out, 3, 3), lg.logsig_to_sig(exact(out), 3, 3), 1e-11)


def test_a_long_path() -> None:
    kernel = lg.load(2, 4)
    path = 0.05 * normal(3, 20_000, 2)
    close(kernel.log_sig(path), kernel.log_sig(exact(path)), 1e-9)


def test_no_rows() -> None:
    kernel = lg.load(3, 3)
    assert kernel.join(normal(0, 14), normal(0, 3)).shape == (0, 14)
    assert kernel.log_sig(normal(0, 5, 3)).shape == (0, 14)


def test_more_than_65535_blocks() -> None:
    kernel = lg.load(2, 4)
    rows = 70_000 * 32 * 4 + 17
    log_sig, displacement = normal(rows, 8, dtype=torch.float32), normal(rows, 2, dtype=torch.float32)
    out = kernel.join(log_sig, displacement)
    chosen = torch.cat([torch.arange(50), torch.randint(0, rows, (1000,)), torch.arange(rows - 50, rows)]).cuda()
    expected = kernel.join(exact(log_sig[chosen]), exact(displacement[chosen]))
    close(out[chosen], expected, 2e-5)
    assert torch.isfinite(out).all()


def test_current_stream() -> None:
    kernel = lg.load(3, 3)
    displacement = normal(100_000, 3, dtype=torch.float32)
    source = normal(100_000, 14, dtype=torch.float32)
    log_sig = torch.zeros_like(source)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(50_000_000)  # whatever does not wait for this stream reads zeros
        log_sig.copy_(source)
        out = kernel.join(log_sig, displacement)
    side.synchronize()
    close(out, kernel.join(exact(source), exact(displacement)), 2e-5)


def test_nothing_waits_for_the_device() -> None:
    kernel = lg.load(3, 3)
    log_sig, displacement, path = normal(100, 14), normal(100, 3), normal(100, 20, 3)
    kernel.log_sig_backprop(kernel.join(log_sig, displacement), path)  # everything is loaded
    torch.cuda.synchronize()
    torch.cuda._sleep(2_000_000_000)
    event = torch.cuda.Event()
    kernel.log_sig_backprop(kernel.join(log_sig, displacement), path)
    event.record()
    assert not event.query()
    torch.cuda.synchronize()


def test_graph() -> None:
    kernel = lg.load(3, 3)
    log_sig, displacement, path = normal(100, 14), normal(100, 3), normal(100, 20, 3)

    def work() -> tuple[torch.Tensor, ...]:
        out = kernel.join(log_sig, displacement)
        return out, *kernel.join_backprop(out, log_sig, displacement), kernel.log_sig_backprop(out, path)

    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = work()
    for tensor in (log_sig, displacement, path):
        tensor.copy_(torch.randn_like(tensor))
    graph.replay()
    torch.cuda.synchronize()
    for found, expected in zip(captured, work(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.skipif(AVAILABLE and torch.cuda.device_count() < 2, reason="one GPU only")
def test_several_devices() -> None:
    kernel = lg.load(3, 3)
    log_sig, displacement = normal(100, 14), normal(100, 3)
    here = kernel.join(log_sig, displacement)
    there = kernel.join(log_sig.to("cuda:1"), displacement.to("cuda:1"))
    assert there.device == torch.device("cuda:1")
    assert torch.equal(here.cpu(), there.cpu())
    with pytest.raises(TypeError, match="expected one device for all"):
        kernel.join(log_sig, displacement.to("cuda:1"))


def test_tensors_of_both_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match="expected one device for all"):
        lg.load(3, 3).join(normal(14), normal(3).cpu())


def test_results_do_not_depend_on_the_batch() -> None:
    kernel = lg.load(5, 3)
    log_sig, displacement = normal(1000, 55, dtype=torch.float32), normal(1000, 5, dtype=torch.float32)
    together = kernel.join(log_sig, displacement)
    assert torch.equal(together[:1], kernel.join(log_sig[:1], displacement[:1]))
    assert torch.equal(together[-7:], kernel.join(log_sig[-7:], displacement[-7:]))


def test_same_bits_as_the_processor() -> None:
    """Products and sums are contracted alike: a join of a straight-line program is the same number on both."""
    kernel = lg.load(3, 3)
    log_sig, displacement = normal(1000, 14, dtype=torch.float32), normal(1000, 3, dtype=torch.float32)
    expected = kernel.join(log_sig.cpu(), displacement.cpu())
    assert torch.equal(kernel.join(log_sig, displacement).cpu(), expected)


@pytest.mark.skipif(nvcc_if_any() is None, reason="no nvcc")
def test_kernels_compiled_ahead(tmp_path: Path) -> None:
    """Fat binaries of nvcc: code for this device, and code for another with PTX for later ones."""
    major, minor = torch.cuda.get_device_capability()
    for architectures in ((f"sm_{major}{minor}",), ("sm_80",)):
        folder = lg.generate(
            2, 3, tmp_path, targets=("cuda",), operations=("join",), dtypes=("float32",), architectures=architectures
        )
        programs = CudaPrograms(lg.Problem(2, 3), (str(folder.path),))
        launcher = programs.launcher("join", "float32", torch.cuda.current_device())
        assert launcher.kernel["binary"].endswith(".fatbin")
        log_sig, displacement = normal(1000, 5, dtype=torch.float32), normal(1000, 2, dtype=torch.float32)
        out = torch.empty_like(log_sig)
        rows = (log_sig.data_ptr(), 5, displacement.data_ptr(), 2, out.data_ptr(), 5)
        launcher(1000, rows, torch.cuda.current_stream().cuda_stream)
        close(out, lg.load(2, 3).join(exact(log_sig), exact(displacement)), 2e-5)


def test_a_copy_of_a_kernel_finds_its_kernels_again() -> None:
    kernel = copy.deepcopy(lg.load(3, 3))
    log_sig, displacement = normal(5, 14), normal(5, 3)
    close(kernel.join(log_sig, displacement), kernel.join(exact(log_sig), exact(displacement)), 1e-12)


def test_kernels_prepared_before_a_graph_is_captured() -> None:
    lg.prepare_log_sig(4, 2, 2, device="cuda")
    path = normal(10, 5, 4)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = lg.log_sig(path, 2, method=2)
    graph.replay()
    torch.cuda.synchronize()
    close(out, lg.log_sig(exact(path), 2, method=2), 1e-11)
