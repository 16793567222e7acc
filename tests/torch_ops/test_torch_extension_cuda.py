"""The C++ extension and CUDA tensors: registry, choice of binaries, launches, paths in pieces, gradients, errors.

There is no GPU: CUDA tensors lie in the host's memory, the driver runs kernels on an emulated grid. Trusts the kernels
for the CPU, which straight-line kernels for GPUs agree with bit for bit.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_cases import CASES, overload
from torch_extension import INTERVALS, NATIVE, Built, OnHost

import logsig_codegen as lg
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.cuda.sources import Image, cuda_sources
from logsig_codegen.emit.torch import IMAGES, images_source


def test_the_text_of_images() -> None:
    sources = cuda_sources(compile_problem(lg.Problem(2, 2), groups=("join",)))
    images = [Image(kernel, 0, f"{kernel.symbol}.fatbin") for kernel in sources.kernels]
    text = images_source(lg.Problem(2, 2), images)
    assert text == images_source(lg.Problem(2, 2), images)
    for kernel in sources.kernels:
        assert f'LOGSIG_IMAGE({kernel.symbol}_0, "{kernel.symbol}.fatbin")' in text
        samples, warps, warp_bytes, together = kernel.launch
        assert (
            f'"{kernel.symbol}", {{{{{samples}, {warps}, {warp_bytes}, {together}}}}}, 0, {kernel.symbol}_0}}' in text
        )
    assert IMAGES.endswith(".h")


@pytest.mark.slow
def test_values_are_those_of_the_cpu(built: Built, on_host: OnHost, tmp_path: Path) -> None:
    """Every case of every operator that has kernels, bit for bit, and first derivatives."""
    with_kernels = {name for name, dtype in built.cuda if dtype == "float64"}
    assert {"join", "combine_backprop", "log_sig", "log_sig_by_signature", "log_sig_backprop"} <= with_kernels
    chosen = {}
    for name, one in CASES.items():
        path = one.operator.startswith("log_sig")
        if one.operator not in NATIVE & (with_kernels | INTERVALS) or (path and one.expands):
            continue  # methods 0 and 1 need Python
        if path and one.others[2:3] == (True,) and "stream" not in with_kernels:
            continue
        chosen[name] = (one.operator, one.tensors, one.others)
    assert len(chosen) > 20
    torch.save(chosen, tmp_path / "cases.pt")
    output = on_host(
        f"""
        cases, results = torch.load({str(tmp_path / "cases.pt")!r}, weights_only=False), {{}}
        first = lambda x: x if isinstance(x, tuple) else (x,)
        for name, (operator, tensors, others) in cases.items():
            function = getattr(ops, operator).default
            given = [one if one is None else up(one) for one in tensors]
            leaves = [one for one in given if one is not None and one.is_floating_point()]
            differentiable = operator in ("join", "combine", "log_sig", "log_sig_intervals")
            for leaf in leaves:
                leaf.requires_grad_(differentiable)
            found = first(function(*given, *others))
            assert all(one.device == torch.device("cuda", 0) for one in found), name
            if operator == "log_sig_intervals":  # numbers on the host
                again = function(given[0].detach(), tensors[1], *others)
                assert torch.equal(down(again), down(found[0].detach())), name
            gradients = []
            if differentiable:
                found[0].sum().backward()
                gradients = [down(leaf.grad) for leaf in leaves]
            results[name] = [down(one) for one in found], gradients
        torch.save(results, {str(tmp_path / "results.pt")!r})
        """
    )
    assert output.stderr.count("launch") > len(chosen)
    results = torch.load(tmp_path / "results.pt")
    for name, (operator, tensors, others) in chosen.items():
        given = [
            one.clone().requires_grad_() if one is not None and one.is_floating_point() else one for one in tensors
        ]
        expected = overload(operator)(*given, *others)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found, gradients = results[name]
        for one, two in zip(found, expected, strict=True):
            assert torch.equal(one, two), name
        if gradients:
            expected[0].sum().backward()
            leaves = [one for one in given if one is not None and one.is_floating_point()]
            for one, leaf in zip(gradients, leaves, strict=True):
                torch.testing.assert_close(one, leaf.grad, rtol=1e-13, atol=1e-13, msg=name)


@pytest.mark.slow
def test_long_paths_go_in_pieces(built: Built, on_host: OnHost, tmp_path: Path) -> None:
    """Forward and backward, ragged, in windows, after something; in both states."""
    torch.manual_seed(1)
    path = torch.randn(3, 800, 2, dtype=torch.float64) / 20
    lengths, before = torch.tensor([800, 1, 333]), torch.randn(5, dtype=torch.float64)
    calls = [
        (path, None, None, 2, 3),
        (path, lengths, before, 2, 3, False, None, "signature"),
        (path, None, None, 2, 3, False, None, "log_derivative"),
        (path, lengths, None, 2, 3, False, [250, 40]),
        (path[:2, :150], lengths[1:] // 3, None, 2, 3, False, [60, 2]),
        (path[:, :0], None, None, 2, 3),
        (path[:0], None, None, 2, 3),
        (path[:, :300].transpose(0, 1), None, before, 2, 3),
    ]
    torch.save(calls, tmp_path / "calls.pt")
    on_host(
        f"""
        results = []
        for path, lengths, before, *options in torch.load({str(tmp_path / "calls.pt")!r}):
            for place in (up, lambda x: x):  # lengths on the device, and on the host
                leaves = [up(path).requires_grad_(), *([] if before is None else [up(before).requires_grad_()])]
                points = lengths if lengths is None else place(lengths)
                found = ops.log_sig(leaves[0], points, *leaves[1:] or [None], *options)
                found.cumsum(0).sum().backward()
                results.append([down(found), *(down(leaf.grad) for leaf in leaves)])
        torch.save(results, {str(tmp_path / "results.pt")!r})
        """
    )
    results = iter(torch.load(tmp_path / "results.pt"))
    for path, lengths, before, *options in calls:  # type: ignore[misc]
        leaves = [path.clone().requires_grad_(), *([] if before is None else [before.clone().requires_grad_()])]
        expected = overload("log_sig")(leaves[0], lengths, *leaves[1:] or [None], *options)
        expected.cumsum(0).sum().backward()
        for _ in range(2):
            for one, two in zip(next(results), [expected, *(leaf.grad for leaf in leaves)], strict=True):
                torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
def test_errors(on_host: OnHost) -> None:
    output = on_host(
        """
        zeros = lambda *shape, **kind: up(torch.zeros(*shape, **kind))
        for call in (
            lambda: ops.join(zeros(4), zeros(2), 2, 3),
            lambda: ops.join(zeros(5), torch.zeros(2), 2, 3),
            lambda: ops.join(zeros(5, dtype=torch.half), zeros(2, dtype=torch.half), 2, 3),
            lambda: ops.join(zeros(3), zeros(2), 2, 2),
            lambda: ops.log_sig(zeros(3, 2), torch.tensor(4), None, 2, 3),
            lambda: ops.log_sig(zeros(3, 2), up(torch.tensor(-1)), None, 2, 3),
            lambda: ops.log_sig(zeros(3, 2), None, None, 2, 3, False, None, None, 0),
        ):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, str(error).splitlines()[0])
            else:
                print("nothing")
        print(ops.join(zeros(0, 5), zeros(2), 2, 3).shape)
        """
    ).stdout.splitlines()
    beginnings = [
        "ValueError log_sig: expected last dimension 5",
        "TypeError displacement: expected device cuda:0, that of the others, got cpu",
        "TypeError log_sig: expected dtype float32 or float64, got float16",
        "NotImplementedError no kernel of join on a GPU for (dimension=2, degree=2) and Float",
        "ValueError lengths: expected values from 0 to 3",
        "RuntimeError lengths: expected values from 0 to 3",
        "NotImplementedError method: expected 2 or 3",
        "torch.Size([0, 5])",
    ]
    assert len(output) == len(beginnings), output
    for line, beginning in zip(output, beginnings, strict=True):
        assert line.startswith(beginning), line


@pytest.mark.slow
def test_the_best_binary_is_chosen(on_host: OnHost) -> None:
    """Made for the architecture (9.0), else for several, else for an earlier one of its kind; never for another."""
    output = on_host(
        """
        import ctypes
        kept = []
        def add(degree, architectures):
            for number in architectures:
                image = ctypes.create_string_buffer(f"/nowhere/{number}".encode())
                kept.append(image)
                shape = [32, 1, 64, 0]
                ops._add_cuda_kernel(2, degree, "join", "float32", "logsig_x", shape, number, ctypes.addressof(image))
        cases = {4: (80, 0, 90, 100), 5: (80, 87, 100), 6: (80, 0, 100), 7: (100, 86), 8: (91,)}
        for degree, architectures in cases.items():
            add(degree, architectures)
            size = (None, 2, 3, 5, 8, 14, 23, 41, 71)[degree]
            try:
                ops.join(up(torch.zeros(1, size)), up(torch.zeros(1, 2)), 2, degree)
            except Exception as error:
                print(degree, type(error).__name__, str(error).splitlines()[0])
        """
    )
    loaded = [line for line in output.stderr.splitlines() if line.startswith("load")]
    assert loaded == ["load 90", "load 0"]
    lines = output.stdout.splitlines()
    assert len(lines) == 5
    for line, degree in zip((lines[0], lines[2]), (4, 6), strict=True):
        error = "RuntimeError cuModuleLoadData: CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available"
        assert line == f"{degree} {error}"
    for line in (lines[1], lines[3], lines[4]):
        assert "NotImplementedError no kernel of join on a GPU" in line


@pytest.mark.slow
def test_python_adds_kernels(on_host: OnHost, emulated_folder: Path) -> None:
    """Of a problem that the extension does not have, from a folder of kernels for GPUs."""
    output = on_host(
        """
        import logsig_codegen as lg
        from logsig_codegen.runtime.cuda import driver
        driver.device = lambda ordinal: driver.Device("sm_90", 2)
        import logsig_codegen.torch_api
        torch.manual_seed(0)
        path = torch.randn(2, 5, 3, dtype=torch.float64)
        print(torch.equal(down(ops.log_sig(up(path), None, None, 3, 2)), ops.log_sig(path, None, None, 3, 2)))
        left, right = torch.randn(4, 6), torch.randn(1, 3)
        print(torch.equal(down(ops.join(up(left), up(right), 3, 2)), ops.join(left, right, 3, 2)))
        """,
        LOGSIG_CODEGEN_PATH=str(emulated_folder),
    )
    assert output.stdout.split() == ["True", "True"]
    assert output.stderr.count("launch") == 2
