"""What the tests on a GPU share: their marks, random tensors there, and what is close to the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

AVAILABLE = torch.cuda.is_available()
MARKS = [pytest.mark.gpu, pytest.mark.skipif(not AVAILABLE, reason="no NVIDIA GPU")]
PROBLEMS = ((2, 1), (1, 3), (2, 4), (2, 7), (3, 3), (5, 3), (3, 5), (5, 4), (10, 3))
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}


def normal(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, device="cuda", dtype=dtype)


def exact(tensor: Any) -> Any:
    return tensor.detach().double().cpu().numpy()


def close(found: torch.Tensor, expected: Any, tolerance: float) -> None:
    array = exact(found)
    assert array.shape == expected.shape
    assert np.isfinite(array).all()
    assert np.linalg.norm(array - expected) <= tolerance * max(np.linalg.norm(expected), 1e-30)
