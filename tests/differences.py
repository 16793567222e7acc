"""Gradients by difference quotients."""

from __future__ import annotations

from typing import Any

import numpy as np


def numeric_gradient(function: Any, x: Any, d_out: Any, step: float = 1e-5) -> Any:
    """The derivative of ``(d_out * function(x)).sum()`` by every entry of ``x``."""
    result = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        result[index] = ((function(up) - function(down)) * d_out).sum() / (2 * step)
    return result
