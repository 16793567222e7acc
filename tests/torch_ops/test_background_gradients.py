"""Gradients are built in the background once a tensor requires one. Trusts the manifests in the cache."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import logsig_codegen as lg
from logsig_codegen.build import background
from logsig_codegen.build.artifact import MANIFEST

pytestmark = pytest.mark.background
CALLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "join": lambda x: lg.log_sig_join(torch.ones(3, dtype=torch.float64), x, 2, 2),
    "log_sig": lambda x: lg.log_sig(torch.stack((torch.zeros_like(x), x, x * x)), 2),
}


def groups_in(folder: Path) -> list[str]:
    manifests = (folder / "kernels").glob(f"*/{MANIFEST}")
    return sorted(group for one in manifests for group in json.loads(one.read_text(encoding="utf-8"))["groups"])


def wait_until_idle() -> None:
    limit = time.monotonic() + 120
    while background._worker is not None:
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.fixture
def new_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path))
    lg.clear_cache()
    return tmp_path


@pytest.mark.parametrize("name", CALLS)
def test_a_gradient_is_there_once_a_tensor_requires_it(new_cache: Path, name: str) -> None:
    values = torch.tensor([1.0, 2.0], dtype=torch.float64)
    CALLS[name](values)
    with torch.no_grad():
        CALLS[name](values.clone().requires_grad_())
    wait_until_idle()
    assert groups_in(new_cache) == [name]
    result = CALLS[name](values.clone().requires_grad_())
    wait_until_idle()
    assert groups_in(new_cache) == [name, f"{name}_backprop"]
    result.sum().backward()
    wait_until_idle()
    assert groups_in(new_cache) == [name, f"{name}_backprop"]


def test_nothing_is_built_where_that_is_forbidden(new_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.tensor([1.0, 2.0], dtype=torch.float64)
    CALLS["join"](values)
    monkeypatch.setenv("LOGSIG_CODEGEN_BUILD", "never")
    result = CALLS["join"](values.requires_grad_())
    wait_until_idle()
    assert groups_in(new_cache) == ["join"]
    with pytest.raises(lg.BuildForbiddenError):
        result.sum().backward()
