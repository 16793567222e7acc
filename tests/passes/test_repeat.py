"""Several steps at once: the same numbers, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from logsig_codegen.compiler import log_derivative_kernel, signature_kernel
from logsig_codegen.ir.interpret import interpret
from logsig_codegen.passes.repeat import repeat
from logsig_codegen.problem import Problem


@pytest.mark.parametrize("make", [log_derivative_kernel, signature_kernel])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_the_same_bits(make: object, times: int) -> None:
    kernel = make(Problem(3, 4))  # type: ignore[operator]
    step = kernel.phase("step").program
    source = np.random.default_rng(times)
    state, moves = list(source.normal(size=kernel.state_size)), source.normal(size=(times, 3))
    several = repeat(step, times)
    several.verify()
    found = interpret(several, {"state": state, "displacement": moves.reshape(-1)})["next_state"]
    for move in moves:
        state = interpret(step, {"state": state, "displacement": move})["next_state"]
    assert found == state
    assert several.operations.total == times * step.operations.total
