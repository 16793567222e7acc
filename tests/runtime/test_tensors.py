"""Torch tensors through every entry point: values, gradients, clear errors; operators are tested in ``torch_ops``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import peer
import pytest
import torch
from processes import RunPython

import logsig_codegen as lg
import logsig_codegen.torch_api

D, N, M = 3, 3, 14
Join = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
ENTRIES: dict[str, Join] = {
    "kernel": lambda log_sig, displacement: lg.load(D, N).join(log_sig, displacement),
    "functional": lambda log_sig, displacement: lg.log_sig_join(log_sig, displacement, D, N),
    "torch_api": lambda log_sig, displacement: logsig_codegen.torch_api.log_sig_join(log_sig, displacement, D, N),
}


@pytest.fixture(params=sorted(ENTRIES))
def join(request: pytest.FixtureRequest) -> Join:
    return ENTRIES[request.param]


def tensor(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64, grad: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_(grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_type_dtype_device_and_values(join: Join, dtype: torch.dtype) -> None:
    log_sig, displacement = tensor(5, M, dtype=dtype), tensor(5, D, seed=1, dtype=dtype)
    result = join(log_sig, displacement)
    assert type(result) is torch.Tensor
    assert (result.dtype, result.device, result.requires_grad) == (dtype, log_sig.device, False)
    expected = peer.join(log_sig.numpy(), displacement.numpy(), D, N)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-13 if dtype == torch.float64 else 1e-5, atol=1e-5)
    if dtype == torch.float64:
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("left", "right"), [((), ()), ((4,), (4,)), ((4,), ()), ((), (4,)), ((2, 1), (3,)), ((0,), (1,))]
)
def test_gradients_agree_with_difference_quotients(join: Join, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    log_sig, displacement = tensor(*left, M, grad=True), tensor(*right, D, seed=1, grad=True)
    assert torch.autograd.gradcheck(join, (log_sig, displacement))


def test_gradients_of_one_argument_only(join: Join) -> None:
    log_sig, displacement = tensor(4, M), tensor(4, D, seed=1)
    for which in (0, 1):
        inputs = [log_sig.clone(), displacement.clone()]
        inputs[which].requires_grad_()
        join(*inputs).sum().backward()
        assert inputs[1 - which].grad is None
        expected = peer.join_backprop(np.ones((4, M)), log_sig.numpy(), displacement.numpy(), D, N)[which]
        assert inputs[which].grad is not None
        np.testing.assert_allclose(inputs[which].grad.numpy(), expected, rtol=1e-12, atol=1e-13)


def test_strides_negations_and_parameters(join: Join) -> None:
    wide = tensor(M + 4, 8)
    log_sig = wide.T[::2, 2:-2]  # (4, M), columns apart
    displacement = torch.complex(tensor(4, D), tensor(4, D, seed=1)).conj().imag  # negated when it is next read
    assert displacement.is_neg()
    parameter = torch.nn.Parameter(log_sig)
    expected = peer.join(log_sig.numpy(), displacement.resolve_neg().numpy(), D, N)
    for first in (log_sig, parameter):
        np.testing.assert_allclose(join(first, displacement).detach().numpy(), expected, rtol=1e-13, atol=1e-13)


def test_no_grad_is_respected(join: Join) -> None:
    log_sig, displacement = tensor(4, M, grad=True), tensor(4, D, seed=1, grad=True)
    with torch.no_grad():
        assert not join(log_sig, displacement).requires_grad
    with torch.inference_mode():
        assert not join(log_sig, displacement).requires_grad
    assert join(log_sig, displacement).requires_grad


def test_second_derivatives_are_there(join: Join) -> None:
    log_sig, displacement = tensor(4, M, grad=True), tensor(4, D, seed=1, grad=True)
    (first,) = torch.autograd.grad(join(log_sig, displacement).sum(), displacement, create_graph=True)
    assert first.requires_grad
    assert torch.autograd.gradgradcheck(join, (log_sig[:1], displacement[:1]))
    gradient, _ = lg.load(D, N).join_backprop(tensor(4, M, seed=2, grad=True), log_sig, displacement)
    assert gradient.requires_grad


def test_an_argument_changed_before_the_backward_is_noticed(join: Join) -> None:
    log_sig, displacement = tensor(4, M), tensor(4, D, seed=1, grad=True)
    result = join(log_sig, displacement)
    log_sig.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.sum().backward()


def test_backprop_of_tensors() -> None:
    kernel = lg.load(D, N)
    d_out, log_sig, displacement = tensor(4, M, seed=2), tensor(4, M), tensor(D, seed=1)
    found = kernel.join_backprop(d_out, log_sig, displacement)
    again = lg.log_sig_join_backprop(d_out, log_sig, displacement, D, N)
    expected = peer.join_backprop(d_out.numpy(), log_sig.numpy(), displacement.numpy(), D, N)
    for one, two, other in zip(found, again, expected, strict=True):
        assert type(one) is torch.Tensor
        assert torch.equal(one, two)
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("log_sig", "displacement", "error", "message"),
    [
        (torch.zeros(M), np.zeros(D, np.float32), TypeError, "expected"),
        (np.zeros(M), torch.zeros(D), TypeError, "expected"),
        (torch.zeros(M), torch.zeros(D, dtype=torch.float64), TypeError, "log_sig is float32, displacement is float64"),
        (torch.zeros(M, dtype=torch.float16), torch.zeros(D), TypeError, "float32 or float64, got float16"),
        (torch.zeros(M, dtype=torch.bfloat16), torch.zeros(D), TypeError, "got bfloat16"),
        (torch.zeros(M, dtype=torch.int64), torch.zeros(D), TypeError, "got int64"),
        (torch.zeros(M, dtype=torch.complex64), torch.zeros(D), TypeError, "got complex64"),
        (torch.zeros(2, M).to_sparse(), torch.zeros(D), TypeError, "log_sig: expected a dense tensor"),
        (torch.zeros(M, device="meta"), torch.zeros(D), TypeError, "expected device meta, that of the others, got cpu"),
        (torch.zeros(M - 1), torch.zeros(D), ValueError,
         rf"^log_sig: expected last dimension {M} for \(dimension={D}, degree={N}\), got {M - 1}$"),
        (torch.tensor(1.0), torch.zeros(D), ValueError, "log_sig: expected last dimension"),
        (torch.zeros(2, M), torch.zeros(3, D), ValueError, "cannot be broadcast together"),
        ([0.0] * M, torch.zeros(D), TypeError, "log_sig: expected"),
    ],
)  # fmt: skip
def test_wrong_arguments(join: Join, log_sig: Any, displacement: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        join(log_sig, displacement)


def test_mixed_array_types_are_named() -> None:
    with pytest.raises(TypeError, match="log_sig is torch tensor, displacement is numpy array"):
        lg.load(D, N).join(torch.zeros(M), np.zeros(D, np.float32))  # type: ignore[type-var]


def elsewhere(device: torch.device) -> type[torch.Tensor]:
    """What a tensor on another device says about itself, for machines without one."""
    return type("Elsewhere", (torch.Tensor,), {"device": device})


def test_a_device_without_kernels(join: Join) -> None:
    there = elsewhere(torch.device("xpu", 0))
    with pytest.raises(lg.UnsupportedError, match=r"log_sig: there are no kernels for device xpu:0.*\.cpu\(\)"):
        join(torch.zeros(M).as_subclass(there), torch.zeros(D))


def test_tensors_without_data_have_results_without_data(join: Join) -> None:
    result = join(torch.zeros(4, 1, M, device="meta"), torch.zeros(3, D, device="meta"))
    assert (result.device.type, result.shape) == ("meta", (4, 3, M))


def test_tensors_on_several_devices(join: Join) -> None:
    there = elsewhere(torch.device("cuda", 0))
    with pytest.raises(TypeError, match="expected one device for all, got log_sig is cuda:0, displacement is cpu"):
        join(torch.zeros(M).as_subclass(there), torch.zeros(D))


def test_out_is_for_numpy() -> None:
    with pytest.raises(TypeError, match="out: expected None"):
        lg.load(D, N).join(torch.zeros(M), torch.zeros(D), out=torch.zeros(M))


def test_learning_recovers_a_displacement() -> None:
    log_sig = tensor(M)
    target = lg.load(D, N).join(log_sig, torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64))
    guess = torch.zeros(D, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([guess], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = ((lg.log_sig_join(log_sig, guess, D, N) - target) ** 2).sum()
        value.backward()
        return value

    optimiser.step(loss)
    np.testing.assert_allclose(guess.detach().numpy(), [0.3, -0.2, 0.1], atol=1e-5)


def test_forked_data_loaders(run_python: RunPython) -> None:
    output = run_python(
        f"""
        import torch, logsig_codegen as lg
        from logsig_codegen.runtime import threads
        threads.usable_processors = lambda: 2
        kernel = lg.load({D}, {N})
        kernel.join(torch.ones(5000, {M}), torch.ones(5000, {D}), n_jobs=2)  # the parent has threads now

        class Data(torch.utils.data.Dataset):
            def __len__(self):
                return 8
            def __getitem__(self, index):
                return kernel.join(torch.ones(3000, {M}), torch.full((3000, {D}), float(index)), n_jobs=2)[0]

        loader = torch.utils.data.DataLoader(Data(), num_workers=2, multiprocessing_context="fork", timeout=60)
        rows = torch.cat(list(loader))
        expected = kernel.join(torch.ones(8, {M}), torch.arange(8.0)[:, None].expand(8, {D}))
        print(torch.equal(rows, expected))
        """,
        timeout=120,
    ).stdout
    assert output == "True\n"


def test_lengths_of_any_kind() -> None:
    """A list, an array, a tensor: the same numbers of points."""
    path = torch.randn(3, 5, D, dtype=torch.float64)
    kernel = lg.load(D, N)
    expected = kernel.log_sig(path.numpy(), lengths=[5, 0, 2])
    for lengths in ([5, 0, 2], np.array([5, 0, 2]), torch.tensor([5, 0, 2])):
        np.testing.assert_array_equal(kernel.log_sig(path, lengths=lengths).numpy(), expected)
