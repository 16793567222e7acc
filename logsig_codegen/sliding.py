"""Whether windows that overlap are computed from what they have in common, and what that costs."""

from __future__ import annotations

from logsig_codegen.problem import Problem


def slides(problem: Problem, window: int, step: int) -> bool:
    """Whether windows of so many points, so many steps apart, are computed from what they have in common.

    Depends on nothing else, so that the numbers of a window do not depend on what is beside it. The library decides by
    the same numbers, :func:`sliding_costs`.
    """
    joined, each, once, by_product = sliding_costs(problem)
    return window - 1 > (each * step + once if step <= joined else 2 * step + by_product)


def sliding_costs(problem: Problem) -> tuple[int, int, int, int]:
    """The steps between windows up to which chains go step by step, and what a window costs, in steps of a whole path.

    A window takes two joins for each step between windows, and a product; where windows are many steps apart, two steps
    for each, three products, and the moving of some rows. Decision 40 tells how the numbers were found.
    """
    return 10 if problem.degree <= 5 else 5, problem.degree + 1, problem.degree + 2, 280 // problem.degree
