"""The identity every stage of the compiler carries: a dimension and a degree."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from functools import cached_property
from typing import SupportsIndex

from logsig_codegen.errors import ProblemTooLargeError, shown

LARGEST_DEGREE = 10_000
"""Degrees beyond this are refused even for one letter, where only the first one matters."""
LARGEST_SIZE_BITS = 62
"""Problems with more than two to this power coordinates are refused: no address space holds one log-signature."""
LARGEST_INTEGER = 2**63 - 1
"""Integers beyond this, or its negative, count nothing that fits a computer."""
_NAME = re.compile(r"d([1-9][0-9]{0,8})_n([1-9][0-9]{0,3})")


def check_positive_integer(name: str, value: SupportsIndex) -> int:
    """Return ``value`` as a plain ``int`` of at least 1.

    Raises
    ------
    TypeError
        If ``value`` is a bool or not an integer (Python's or numpy's).
    ValueError
        If ``value`` is smaller than 1, or does not fit 64 bits.
    """
    number = check_size(name, as_integer(name, value))
    if number < 1:
        raise ValueError(f"{name}: expected at least 1, got {number}")
    return number


def as_integer(name: str, value: object) -> int:
    """Return an integer, Python's or numpy's, as a plain ``int``; raise ``TypeError`` for anything else."""
    if type(value) is int:
        return value
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    kind = type(value).__name__.rstrip("_")
    raise TypeError(f"{name}: expected an integer, got {kind} {shown(value)}")


def check_size(name: str, number: int) -> int:
    """Return ``number``; raise ``ValueError`` if it does not fit 64 bits (printing it might fail too)."""
    if not -LARGEST_INTEGER <= number <= LARGEST_INTEGER:
        raise ValueError(f"{name}: expected an integer that fits 64 bits, got one of {number.bit_length()} bits")
    return number


def moebius(n: int) -> int:
    """The Möbius function of ``n >= 1``."""
    sign, factor = 1, 2
    while factor * factor <= n:
        if n % factor == 0:
            n //= factor
            if n % factor == 0:
                return 0
            sign = -sign
        factor += 1
    return -sign if n > 1 else sign


def witt(dimension: int, degree: int) -> int:
    """Number of Lyndon words of length ``degree`` on ``dimension`` letters (Witt's formula)."""
    total = 0
    for divisor in range(1, degree + 1):
        if degree % divisor == 0:
            total += moebius(degree // divisor) * int(dimension**divisor)
    return total // degree


@dataclass(frozen=True)
class Problem:
    """A dimension ``d`` (number of letters, path channels) and a truncation degree ``N``.

    Raises ``TypeError`` for anything but integers, ``ValueError`` for values below 1, and ``ProblemTooLargeError``
    (which is a ``ValueError``) for problems no computer has room for.
    """

    dimension: int
    degree: int

    def __post_init__(self) -> None:
        for name in ("dimension", "degree"):
            number = as_integer(name, getattr(self, name))
            if number > LARGEST_INTEGER:
                raise ProblemTooLargeError(
                    f"{name}: with one of {number.bit_length()} bits, a log-signature has more "
                    f"than 2**{LARGEST_SIZE_BITS} coordinates"
                )
            object.__setattr__(self, name, check_positive_integer(name, number))
        # The last degree has about dimension**degree / degree words; in logarithms, for the power may be astronomic.
        if self.degree * math.log2(self.dimension) - math.log2(self.degree) > LARGEST_SIZE_BITS:
            raise ProblemTooLargeError(
                f"dimension, degree: a log-signature of dimension {self.dimension} and degree {self.degree} has more "
                f"than 2**{LARGEST_SIZE_BITS} coordinates"
            )
        if self.degree > LARGEST_DEGREE:
            raise ProblemTooLargeError(f"degree: expected at most {LARGEST_DEGREE}, got {self.degree}")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of coordinates of degree 1, 2, …, N."""
        if self.dimension == 1:
            return (1,) + (0,) * (self.degree - 1)
        return tuple(witt(self.dimension, degree) for degree in range(1, self.degree + 1))

    @cached_property
    def size(self) -> int:
        """Number of coordinates of a log-signature."""
        return sum(self.sizes)

    @cached_property
    def words(self) -> int:
        """Number of words of length 1, 2, …, N: coordinates of a signature without scalar term."""
        return sum(int(self.dimension**length) for length in range(1, self.degree + 1))

    @property
    def name(self) -> str:
        """Short name used for folders and symbols, for example ``d5_n3``."""
        return f"d{self.dimension}_n{self.degree}"

    @staticmethod
    def named(name: str) -> Problem | None:
        """The problem whose :attr:`name` this is, if there is one."""
        match = _NAME.fullmatch(name)
        return None if match is None else Problem(int(match[1]), int(match[2]))
