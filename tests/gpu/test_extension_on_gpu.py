"""The C++ extension on a GPU, in a process without the Python package: values, gradients, streams, graphs, no waiting.

Trusts the extension's kernels for the CPU.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from on_gpu import MARKS
from processes import RunPython

import logsig_codegen as lg

pytestmark = MARKS


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    major, minor = torch.cuda.get_device_capability()
    folder = lg.generate(
        3, 3, tmp_path_factory.mktemp("torch"), targets=("torch",), architectures=(f"sm_{major}{minor}",)
    )
    return folder.path / str(folder.manifest["extension"]["library"])


def test_values_gradients_and_launches(built: Path, run_python: RunPython) -> None:
    run_python(
        f"""
        import sys, torch
        torch.ops.load_library({str(built)!r})
        assert "logsig_codegen" not in sys.modules
        ops, size = torch.ops.logsig_codegen, 14
        torch.manual_seed(0)

        def check(call, *tensors, tolerance):
            results = []
            for device in ("cpu", "cuda"):
                leaves = [one if one is None else one.detach().to(device) for one in tensors]
                for leaf in leaves:
                    if leaf is not None and leaf.is_floating_point():
                        leaf.requires_grad_()
                found = call(*leaves)
                assert found.device.type == device
                (found * torch.arange(1, found.shape[-1] + 1, device=device).to(found.dtype)).sum().backward()
                gradients = [leaf.grad for leaf in leaves if leaf is not None and leaf.is_floating_point()]
                results.append([found.detach().cpu(), *(one.cpu() for one in gradients)])
            for one, two in zip(*results, strict=True):
                assert torch.isfinite(two).all()
                assert (one - two).norm() <= tolerance * max(one.norm(), 1e-30)

        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
            random = lambda *shape: torch.randn(*shape, dtype=dtype)
            join = lambda l, v: ops.join(l, v, 3, 3)
            combine = lambda a, b: ops.combine(a, b, 3, 3)
            for batch in ((), (1,), (7, 5), (100_000,)):
                check(join, random(*batch, size), random(*batch, 3), tolerance=tolerance)
                check(combine, random(*batch, size), random(*batch, size), tolerance=tolerance)
            check(join, random(4, 1, size), random(5, 3), tolerance=tolerance)
            check(join, random(size, 9).T, random(9, 6)[:, ::2], tolerance=tolerance)
            for state in (None, "signature", "log_derivative"):
                whole = lambda p, n, i: ops.log_sig(p, n, i, 3, 3, False, None, state)
                lengths = torch.tensor([20, 1, 0, 7])
                check(whole, random(4, 20, 3), lengths, random(size), tolerance=tolerance)
                check(whole, random(3, 1000, 3) / 30, None, None, tolerance=20 * tolerance)
            windows = lambda p: ops.log_sig(p, None, None, 3, 3, False, [6, 2])
            check(windows, random(4, 20, 3), tolerance=tolerance)
            intervals = lambda p, i: ops.log_sig_intervals(p, i, 3, 3)
            check(intervals, random(4, 20, 3), torch.tensor([[0, 19], [5, 4], [3, 9]]), tolerance=tolerance)
            check(intervals, random(2, 20, 3), torch.tensor([[[0, 19]], [[3, 9]]]), tolerance=tolerance)
            stream = lambda p, n, i: ops.log_sig(p, n, i, 3, 3, True)
            check(stream, random(33, 12, 3), None, random(size), tolerance=tolerance)
            check(stream, random(4, 20, 3), torch.tensor([20, 1, 0, 7]), None, tolerance=tolerance)

        # Nothing waits for the device, calls are captured, and run in the current stream.
        path = torch.randn(64, 30, 3, device="cuda", requires_grad=True)
        left, step = torch.randn(64, size, device="cuda", requires_grad=True), torch.randn(64, 3, device="cuda")
        lengths = torch.randint(0, 31, (64,), device="cuda")
        pairs = torch.tensor([[0, 29], [5, 9]], device="cuda")

        def work():
            found = ops.join(left, step, 3, 3).sum() + ops.log_sig(path, lengths, left, 3, 3).sum()
            found = found + ops.log_sig_intervals(path, pairs, 3, 3).sum()
            # A graph of autograd that is kept would tie its leaves to the stream it was made in.
            return found.detach(), *torch.autograd.grad(found, (left, path))

        work()
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        work()
        torch.cuda.set_sync_debug_mode("default")
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(3):
                work()
        side.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = work()
        with torch.no_grad():
            path.copy_(torch.randn_like(path))
        graph.replay()
        torch.cuda.synchronize()
        for one, two in zip(captured, work(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
        """,
        env={"PYTHONFAULTHANDLER": "1"},  # a crash says in which line
        timeout=500,
    )


def test_python_adds_kernels(built: Path, run_python: RunPython) -> None:
    """Of another problem, compiled when they are wanted; conversions and second derivatives by Python."""
    run_python(
        f"""
        import torch
        torch.ops.load_library({str(built)!r})
        import logsig_codegen as lg
        torch.manual_seed(0)
        for device in ("cpu", "cuda"):
            torch.manual_seed(0)
            path = torch.randn(5, 9, 2, dtype=torch.float64).to(device).requires_grad_()
            out = lg.log_sig(path, 4, method=1).square().sum()
            (first,) = torch.autograd.grad(out, path, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), path)
            found = [out.detach().cpu(), first.detach().cpu(), second.cpu()]
            if device == "cpu":
                expected = found
        for one, two in zip(found, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)
        """
    )
