"""Checks of plain arguments that several functions share."""

from __future__ import annotations

from typing import Literal, SupportsIndex

from logsig_codegen.errors import shown
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime.checks import check_integer, check_problem
from logsig_codegen.runtime.transforms import Transform

Device = Literal["cpu", "cuda", "both"]


def augmented(dimension: int, time_aug: bool, lead_lag: bool) -> int:
    """Channels of a path after its transforms."""
    if type(dimension) is not int:
        dimension = check_positive_integer("dimension", dimension)
    return Transform(time_aug, lead_lag).channels(dimension)


def augmented_problem(
    dimension: SupportsIndex, degree: SupportsIndex, time_aug: bool = False, lead_lag: bool = False
) -> Problem:
    """The problem of a dimension before, and a degree."""
    return check_problem(augmented(check_positive_integer("dimension", dimension), time_aug, lead_lag), degree)


def non_negative(name: str, value: SupportsIndex) -> int:
    """Return ``value`` as an ``int`` of at least 0."""
    number = check_integer(name, value)
    if number < 0:
        raise ValueError(f"{name}: expected at least 0, got {number}")
    return number


def check_device(device: object) -> None:
    """Raise for anything but a device's name."""
    if not isinstance(device, str):
        raise TypeError(f"device: expected a string, got {type(device).__name__} {shown(device)}")
    if device not in ("cpu", "cuda", "both"):
        raise ValueError(f"device: expected 'cpu', 'cuda' or 'both', got {shown(device)}")
