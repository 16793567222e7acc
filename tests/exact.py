"""Floating-point arguments whose exact results are known, and how far from them a result may be."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from logsig_codegen.algebra.tensor import join_oracle, join_vjp_oracle
from logsig_codegen.problem import Problem

Array = np.ndarray[Any, np.dtype[Any]]
TOLERANCE: dict[np.dtype[Any], float] = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 1e-5}


@dataclass(frozen=True)
class Case:
    """Rows of arguments that both formats hold exactly; exact results for the first rows."""

    problem: Problem
    d_out: Array
    log_sig: Array
    displacement: Array
    out: list[list[Fraction]]
    d_log_sig: list[list[Fraction]]
    d_displacement: list[list[Fraction]]


@lru_cache(maxsize=32)
def case(dimension: int, degree: int, rows: int = 300, exact_rows: int = 3) -> Case:
    """Random numbers with 24 significant bits, in double precision."""
    problem = Problem(dimension, degree)
    source = np.random.default_rng([dimension, degree])
    shapes = ((rows, problem.size), (rows, problem.size), (rows, dimension))
    d_out, log_sig, displacement = (source.standard_normal(shape, np.float32).astype(np.float64) for shape in shapes)
    out, d_log_sig, d_displacement = [], [], []
    for row in range(exact_rows):
        form, left, right = ([Fraction(x) for x in array[row].tolist()] for array in (d_out, log_sig, displacement))
        out.append(join_oracle(dimension, degree, left, right))
        gradient = join_vjp_oracle(dimension, degree, form, left, right)
        d_log_sig.append(gradient[0])
        d_displacement.append(gradient[1])
    return Case(problem, d_out, log_sig, displacement, out, d_log_sig, d_displacement)


def error(found: Array, expected: list[list[Fraction]], problem: Problem) -> float:
    """The largest relative error; each degree is measured by its largest coordinate in the row."""
    worst = 0.0
    for row, exact in zip(found, expected, strict=True):
        start = 0
        for size in problem.sizes:
            block = exact[start : start + size]
            scale = max(map(abs, block), default=0)
            for x, y in zip(row[start : start + size].tolist(), block, strict=True):
                worst = max(worst, float(abs(Fraction(x) - y) / scale))
            start += size
            if start == len(exact):
                break
    return worst
