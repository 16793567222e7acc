"""The table of operations: names, groups, and the default state."""

from __future__ import annotations

import pytest

import logsig_codegen as lg
from logsig_codegen.compiler import compile_problem
from logsig_codegen.operations import (
    GROUPS,
    OPERATIONS,
    STATES,
    available_groups,
    default_state,
    group_of,
    groups_to_prepare,
    path_operation,
)
from logsig_codegen.problem import Problem


def test_every_operation_has_one_group() -> None:
    for group, operations in GROUPS.items():
        for operation in operations:
            assert group_of(operation.name) == group
            assert OPERATIONS[operation.name] is operation
            assert operation.backward == any(name.startswith("d_") for name in operation.outputs)
    assert path_operation("log_derivative") == "log_sig"
    assert path_operation("signature") == "log_sig_by_signature"
    assert {path_operation(state, backward=True) for state in STATES} == {"log_sig_backprop"}


@pytest.mark.parametrize(
    ("problem", "state"),
    [
        ((2, 2), "log_derivative"), ((3, 2), "signature"), ((5, 3), "log_derivative"), ((8, 3), "signature"),
        ((4, 4), "log_derivative"), ((5, 4), "signature"), ((2, 8), "log_derivative"), ((3, 6), "signature"),
        ((3, 7), "log_derivative"), ((20, 3), "signature"), ((30, 3), "log_derivative"), ((100, 2), "log_derivative"),
    ],
)  # fmt: skip
def test_the_default_state(problem: tuple[int, int], state: str) -> None:
    assert default_state(Problem(*problem)) == state


def test_the_signature_is_not_there_for_large_problems() -> None:
    large = Problem(10, 5)
    assert [group for group in GROUPS if group not in available_groups(large)] == ["log_sig_by_signature"]
    assert available_groups(Problem(5, 3)) == tuple(GROUPS)
    with pytest.raises(lg.ProblemTooLargeError, match="state: expected 'log_derivative'"):
        compile_problem(large, groups=("log_sig_by_signature",))


def test_what_is_prepared_with_and_without_gradients() -> None:
    """A join is built without its gradient; whoever asks for gradients gets those of everything."""
    assert [operation.name for operation in GROUPS["join"]] == ["join"]
    assert groups_to_prepare(Problem(2, 3), gradients=False) == ("join", "combine", "log_sig")
    names = ("join", "combine", "log_sig", "stream", "windows")
    every = tuple(group for group in GROUPS if group.removesuffix("_backprop") in names)
    assert groups_to_prepare(Problem(2, 3), ("join", "combine", "stream", "windows")) == every
    assert all(f"{name}_backprop" in every for name in names)
