"""Checks of plain arguments that several functions share."""

from __future__ import annotations

import operator
from typing import Literal, SupportsIndex

from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime.checks import check_problem

Device = Literal["cpu", "cuda", "both"]


def augmented(dimension: int, time_aug: bool, lead_lag: bool) -> int:
    """Channels of a path after its transforms."""
    check_bool("time_aug", time_aug)
    check_bool("lead_lag", lead_lag)
    return (2 * dimension if lead_lag else dimension) + (1 if time_aug else 0)


def augmented_problem(
    dimension: SupportsIndex, degree: SupportsIndex, time_aug: bool = False, lead_lag: bool = False
) -> Problem:
    """The problem of a dimension before, and a degree."""
    return check_problem(augmented(check_positive_integer("dimension", dimension), time_aug, lead_lag), degree)


def non_negative(name: str, value: SupportsIndex) -> int:
    """Return ``value`` as an ``int`` of at least 0."""
    if not isinstance(value, bool) and type(value).__name__ != "bool_":
        try:
            if operator.index(value) == 0:
                return 0
        except TypeError:
            pass
    try:
        return check_positive_integer(name, value)
    except ValueError:
        raise ValueError(f"{name}: expected at least 0, got {value}") from None


def check_bool(name: str, value: object) -> None:
    """Raise ``TypeError`` for anything but a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected a bool, got {type(value).__name__} {value!r}")


def check_device(device: object) -> None:
    """Raise for anything but a device's name."""
    if not isinstance(device, str):
        raise TypeError(f"device: expected a string, got {type(device).__name__} {device!r}")
    if device not in ("cpu", "cuda", "both"):
        raise ValueError(f"device: expected 'cpu', 'cuda' or 'both', got {device!r}")
