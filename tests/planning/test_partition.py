"""The partition of a state among warps: it covers the words, each part is closed, and parts are balanced."""

from __future__ import annotations

import pytest

import logsig_codegen as lg
from logsig_codegen.compiler import PathKernel, compile_problem
from logsig_codegen.gpu.cooperative import WARPS, cooperative_plan
from logsig_codegen.gpu.partition import operations_by_word, partition, partition_form
from logsig_codegen.plans.prefix_signature import prefix_words
from logsig_codegen.plans.slots import layout


@pytest.mark.parametrize("problem", [(1, 1), (2, 1), (1, 3), (2, 5), (3, 4), (5, 3), (10, 2)], ids=str)
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_cover_the_words_and_are_closed_under_prefixes(problem: tuple[int, int], parts: int) -> None:
    words = prefix_words(lg.Problem(*problem))
    parts_of_it = partition(lg.Problem(*problem), parts)
    assert sorted(k for part in parts_of_it for k in part.own) == list(range(len(words)))
    for part in parts_of_it:
        assert part.own <= set(part.words)
        carried = {words[k] for k in part.words}
        assert all(word[:k] in carried for word in carried for k in range(1, len(word)))


@pytest.mark.parametrize("problem", [(2, 2), (2, 5), (3, 4), (10, 2)], ids=str)
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_parts_of_a_form_share_the_degrees_below_only(problem: tuple[int, int], parts: int) -> None:
    lower, slots, middle = layout(lg.Problem(*problem))
    found = partition_form(lg.Problem(*problem), parts)
    zero = problem[0] if problem[1] == 2 else 0  # [i, i]
    assert sum(len(part.own) for part in found) == len(set().union(*(part.own for part in found)))
    assert sum(len(part.own) for part in found) == lower + slots - zero + middle
    for part in found:
        assert set(part.words) == part.own | set(range(lower))
        numbers = {k - lower - slots for k in part.own if k >= lower + slots}
        assert {(k - lower) // problem[0] for k in part.own if lower <= k < lower + slots} == numbers
        assert abs(len(numbers) - middle / parts) < 1


@pytest.mark.parametrize("problem", [(2, 6), (3, 5), (5, 4), (10, 3)], ids=str)
@pytest.mark.parametrize("parts", [2, 4, 8])
def test_parts_are_balanced(problem: tuple[int, int], parts: int) -> None:
    """The words of a part differ from an equal share of the operations by less than one word does."""
    words = prefix_words(lg.Problem(*problem))
    weights = operations_by_word(words)
    share, heaviest = sum(weights.values()) / parts, max(weights.values())
    for part in partition(lg.Problem(*problem), parts):
        assert abs(sum(weights[words[k]] for k in part.own) - share) <= heaviest


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_weights_are_the_operations_of_a_step(parts: int) -> None:
    """What the partition balances, the programs of the parts have, but for the prefixes that two parts compute."""
    problem = lg.Problem(5, 4)
    (kernel,) = compile_problem(problem, groups=("log_sig_by_signature",)).kernels
    assert isinstance(kernel, PathKernel)
    steps = [step.program.operations.total for step in cooperative_plan(kernel, problem, "float32", parts).steps]
    assert max(steps) <= 1.5 * min(steps)
    step = kernel.phase("step")
    assert step is not None
    assert step.operations.total <= sum(steps) <= 1.5 * step.operations.total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cooperative_warps_fit(dtype: str) -> None:
    """Registers of the resident warps that the compiler is asked for, and shared memory of a block, of what fits."""
    problem = lg.Problem(5, 4)
    (kernel,) = compile_problem(problem, groups=("log_sig_by_signature",)).kernels
    assert isinstance(kernel, PathKernel)
    plans = [cooperative_plan(kernel, problem, dtype, warps) for warps in WARPS]
    assert any(plan.fits for plan in plans)
    for plan in plans:
        if plan.fits:
            occupancy = plan.occupancy(dtype)
            assert occupancy.warps == len(plan.parts)
            assert 32 * occupancy.warps * occupancy.blocks * occupancy.registers <= 65_536
            assert occupancy.warp_bytes <= 163 * 1024
