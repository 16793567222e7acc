"""Tensors without a shape or strides are refused by name, whatever they are given for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

import logsig_codegen as lg
from logsig_codegen import nn

PATHS, ROWS = torch.zeros(2, 4, 2), torch.zeros(2, 3)
CALLS: dict[str, Callable[[Any], Any]] = {
    "log_sig": lambda make: lg.log_sig_join(make(3), torch.zeros(2, 2), 2, 2),
    "displacement": lambda make: lg.log_sig_join(ROWS, make(2), 2, 2),
    "d_out": lambda make: lg.log_sig_backprop(make(3), PATHS, 2),
    "log_sig1": lambda make: lg.log_sig_combine(make(3), ROWS, 2, 2),
    "path": lambda make: lg.log_sig(make(2), 2),
    "path[0]": lambda make: lg.log_sig([make(2)], 2),
    "initial": lambda make: lg.log_sig(PATHS, 2, initial=make(3)),
    "lengths": lambda make: lg.log_sig(PATHS, 2, lengths=make(2)),
    "sig": lambda make: lg.sig_to_log_sig(make(6), 2, 2),
    "displacement (degree 0)": lambda make: lg.linear_log_sig(make(2), 2, 0),
    "derivs": lambda make: lg.transform_path_backprop(make(3), time_aug=True),
    "point": lambda make: lg.LogSigStream(2, 2).push(make(2)),
    "points": lambda make: lg.LogSigStream(2, 2).push_batch(make(2)),
    "path (layer)": lambda make: nn.LogSig(2, 2)(make(2)),
    "path (model)": lambda make: nn.LogODE(2, 1, hidden=2, out_features=1, window=2)(make(2)),
}


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
@pytest.mark.parametrize("name", CALLS)
def test_nested_tensors(name: str, layout: torch.layout) -> None:
    def make(width: int) -> torch.Tensor:
        return torch.nested.nested_tensor([torch.zeros(3, width), torch.zeros(2, width)], layout=layout)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that its nested tensors will change
        with pytest.raises(TypeError) as caught:
            CALLS[name](make)
    assert str(caught.value).startswith(f"{name.partition(' ')[0]}: expected a dense tensor")


@pytest.mark.parametrize("name", CALLS)
def test_quantized_tensors(name: str) -> None:
    def make(width: int) -> torch.Tensor:
        return torch.quantize_per_tensor(torch.zeros(2, 4, width), 1.0, 0, torch.quint8)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that it will have none
        with pytest.raises((TypeError, ValueError)) as caught:
            CALLS[name](make)
    assert str(caught.value).startswith(f"{name.partition(' ')[0]}: ")
