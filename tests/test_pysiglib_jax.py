"""The calls that pySigLib's front for JAX is tested with, by kind: arguments, coordinates, types, batches, gradients.

Trusts pySigLib's functions of numpy arrays, and their gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pysiglib
import pytest

from logsig_codegen import jax_api

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


@dataclass(frozen=True)
class Case:
    """A function of both packages, the shapes of its arrays without batch, and what comes after them."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    others: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        options = (f"{name}={value}" for name, value in self.options.items())
        return ", ".join((self.name, *map(str, (*self.shapes[0], *self.others)), *options))

    def ours(self, *arrays: Any) -> Any:
        return getattr(jax_api, self.name)(*arrays, *self.others, **self.options)

    def theirs(self, *arrays: Any) -> Any:
        return getattr(pysiglib, self.name)(*arrays, *self.others, **self.options)

    def gradients(self, d_out: Any, *arrays: Any) -> tuple[Any, ...]:
        """Of ``<d_out, result>``, by pySigLib."""
        if self.name == "log_sig":  # of paths it has those of the two steps only
            degree, transform = self.others[0], {**self.options}
            method = transform.pop("method")
            sig = pysiglib.sig(*arrays, degree, scalar_term=False, **transform)
            dimension = arrays[0].shape[-1]
            d_sig = pysiglib.sig_to_log_sig_backprop(sig, d_out, dimension, degree, method=method, **transform)
            return (pysiglib.sig_backprop(*arrays, sig, d_sig, degree, **transform),)
        backprop = getattr(pysiglib, f"{self.name}_backprop")
        operands = {"transform_path": (d_out,), "sig_to_log_sig": (*arrays, d_out), "logsig_to_sig": (*arrays, d_out)}
        found = backprop(*operands.get(self.name, (d_out, *arrays)), *self.others, **self.options)
        return found if isinstance(found, tuple) else (found,)


TIME, LAGS = {"time_aug": True}, {"lead_lag": True}
CASES = (
    Case("transform_path", ((5, 3),), (), TIME),
    Case("transform_path", ((4, 2),), (), LAGS),
    Case("transform_path", ((4, 2),), (), {**TIME, **LAGS, "end_time": 2.0}),
    Case("log_sig", ((7, 3),), (2,), {"method": 1}),
    Case("log_sig", ((7, 2),), (3,), {"method": 2}),
    Case("log_sig", ((6, 2),), (2,), {"method": 1, **TIME}),
    Case("log_sig", ((5, 2),), (2,), {"method": 2, **LAGS}),
    Case("log_sig_combine", ((6,), (6,)), (3, 2)),
    Case("log_sig_combine", ((6,), (6,)), (2, 2), TIME),
    Case("log_sig_combine", ((10,), (10,)), (2, 2), LAGS),
    Case("log_sig_join", ((5,), (2,)), (2, 3)),
    Case("sig_to_log_sig", ((12,),), (3, 2), {"method": 1}),
    Case("sig_to_log_sig", ((14,),), (2, 3), {"method": 2}),
    Case("sig_to_log_sig", ((12,),), (2, 2), {"method": 1, **TIME}),
    Case("sig_to_log_sig", ((20,),), (2, 2), {"method": 2, **LAGS}),
    Case("logsig_to_sig", ((5,),), (2, 3), {"method": 2, "scalar_term": True}),
    *(
        Case("linear_log_sig", ((2,),), (2, 3), {"method": method, "scalar_term": scalar_term})
        for method in range(4)
        for scalar_term in (False, True)
    ),
)


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    for dimension, degree in ((2, 3), (3, 2), (4, 2)):
        for method in range(4):
            pysiglib.prepare_log_sig(dimension, degree, method)


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_values_and_gradients_are_those_of_pysiglib(case: Case, dtype: str) -> None:
    """Eager, compiled, and mapped over the batch; gradients compiled."""
    source = np.random.default_rng(11)
    arrays = tuple((source.normal(size=(2, *shape)) * 0.5).astype(dtype) for shape in case.shapes)
    expected = case.theirs(*arrays)
    d_out = source.normal(size=expected.shape).astype(dtype)
    given = tuple(map(jnp.asarray, arrays))

    def close(found: Any, other: Any) -> None:
        assert found.dtype == dtype
        np.testing.assert_allclose(found, other, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])

    close(case.ours(*given), expected)
    close(jax.jit(case.ours)(*(one[0] for one in given)), expected[0])
    close(jax.vmap(case.ours)(*given), expected)
    places = tuple(range(len(given)))
    found = jax.jit(jax.grad(lambda *x: jnp.vdot(d_out, case.ours(*x)), places))(*given)
    for one, other in zip(found, case.gradients(d_out, *arrays), strict=True):
        close(one, other)
