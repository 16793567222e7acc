"""``lengths`` of calls on tensors: where they are looked at, and that those on a GPU are not.

Tensors on a GPU are torch's fake ones, which have a device and a shape, and raise where somebody wants their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import logsig_codegen as lg
from logsig_codegen.runtime.torch_ops.lengths import as_lengths, of_list

PATH = torch.randn(4, 12, 2, generator=torch.Generator().manual_seed(3))
ARRAY = PATH.numpy()
POINTS = [12, 3, 0, 1]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "time, expanded": {"time_aug": True, "method": 0},
    "lead-lag": {"lead_lag": True},
    "stream": {"stream": True},
    "windows": {"windows": (3, 1)},
}


@pytest.fixture
def fakes() -> Iterator[None]:
    with FakeTensorMode():
        yield


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_lengths_on_a_gpu_are_not_looked_at(options: str, dtype: torch.dtype) -> None:
    path, lengths = torch.empty(4, 12, 2, device="cuda"), torch.empty(4, dtype=dtype, device="cuda")
    out = lg.log_sig(path, 3, lengths=lengths, **OPTIONS[options])
    assert out.device.type == "cuda"
    assert out.shape == lg.log_sig(ARRAY, 3, lengths=POINTS, **OPTIONS[options]).shape


@pytest.mark.usefixtures("fakes")
def test_what_can_be_seen_of_them_is_checked() -> None:
    path = torch.empty(4, 12, 2, device="cuda")
    with pytest.raises(ValueError, match=r"lengths: expected shape \(4,\), that of the batch, got \(3,\)"):
        lg.log_sig(path, 3, lengths=torch.empty(3, dtype=torch.int64, device="cuda"))
    with pytest.raises(TypeError, match="lengths: expected integers, got dtype float32"):
        lg.log_sig(path, 3, lengths=torch.empty(4, device="cuda"))
    with pytest.raises(ValueError, match="lengths: expected values from 0 to 12, got 0 to 13"):
        lg.log_sig(path, 3, lengths=[13, 0, 1, 2])


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize("options", OPTIONS)
def test_lengths_go_where_the_paths_are(options: str) -> None:
    path = torch.empty(4, 12, 2, device="cuda")
    for lengths in (POINTS, np.array(POINTS), torch.empty(4, dtype=torch.int64)):
        assert as_lengths(path, lengths).device.type == "cuda"  # type: ignore[union-attr]
        assert lg.log_sig(path, 3, lengths=lengths, **OPTIONS[options]).device.type == "cuda"


@pytest.mark.parametrize("options", OPTIONS)
def test_lengths_of_every_kind_on_the_host(options: str) -> None:
    expected = lg.log_sig(ARRAY, 3, lengths=POINTS, **OPTIONS[options])
    for lengths in (POINTS, np.array(POINTS), torch.tensor(POINTS), torch.tensor(POINTS, dtype=torch.int32)):
        assert np.array_equal(lg.log_sig(PATH, 3, lengths=lengths, **OPTIONS[options]).numpy(), expected)


def test_a_list_has_lengths_of_its_own() -> None:
    paths = [PATH[0], PATH[1, :3]]
    assert of_list(paths).tolist() == [12, 3]
    for lengths in ([12, 3], torch.tensor([12, 3])):
        with pytest.raises(ValueError, match="lengths: expected None with a list of paths"):
            lg.log_sig(paths, 3, lengths=lengths)


def test_wrong_tensors_on_the_host() -> None:
    with pytest.raises(ValueError, match="lengths: expected values from 0 to 12, got -1 to 3"):
        lg.log_sig(PATH, 3, lengths=torch.tensor([3, -1, 0, 1]))
    with pytest.raises(TypeError, match="lengths: expected integers, got dtype float32"):
        lg.log_sig(PATH, 3, lengths=torch.ones(4))
    with pytest.raises(ValueError, match="lengths: expected shape"):
        lg.log_sig(PATH, 3, lengths=torch.tensor([3, 1]))
