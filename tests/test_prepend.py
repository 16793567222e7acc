"""Paths preceded by a displacement, ``log(e^v e^l)``.

Trusts the definition in the truncated tensor algebra over fractions, and the identity
``log(e^v e^l) = -log(e^{-l} e^{-v})``, which makes it a join of other arguments.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import logsig_codegen as lg
from logsig_codegen import nn, torch_api
from logsig_codegen.algebra.lyndon import lyndon_basis
from logsig_codegen.algebra.tensor import TensorAlgebra, embed, lie_coordinates
from logsig_codegen.cli import main
from logsig_codegen.compiler import candidate_plans, compile_problem
from logsig_codegen.errors import PlanProofError
from logsig_codegen.plans.opposite import opposite
from logsig_codegen.problem import Problem
from logsig_codegen.symbolic.proof import check_join_plan_randomly, prove_join_plan

PROBLEMS = [(1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (2, 5), (3, 3), (5, 2)]


def exactly(problem: Problem, log_sig: Sequence[Any], displacement: Sequence[Any]) -> list[Any]:
    basis, algebra = lyndon_basis(problem.dimension, problem.degree), TensorAlgebra(problem.degree)
    before = [*displacement, *[0] * (problem.size - problem.dimension)]
    product = algebra.product(algebra.exp(embed(basis, before)), algebra.exp(embed(basis, log_sig)))
    return lie_coordinates(basis, algebra.log(product))


def arguments(problem: Problem, seed: int) -> tuple[list[Fraction], list[Fraction]]:
    source = random.Random(seed)
    log_sig, displacement = (
        [Fraction(source.randint(-8, 8), 8) for _ in range(count)] for count in (problem.size, problem.dimension)
    )
    return log_sig, displacement


@pytest.mark.parametrize("numbers", PROBLEMS)
def test_exactly(numbers: tuple[int, int]) -> None:
    problem, kernel = Problem(*numbers), lg.load(*numbers)
    points = [arguments(problem, seed) for seed in range(3)]
    expected = np.array([[float(x) for x in exactly(problem, *point)] for point in points])
    log_sig, displacement = (np.array([[float(x) for x in point[k]] for point in points]) for k in (0, 1))
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 1e-5)):
        given = log_sig.astype(dtype), displacement.astype(dtype)
        found = kernel.join(*given, prepend=True)
        np.testing.assert_allclose(found, expected, atol=tolerance * max(1, abs(expected).max()))
        np.testing.assert_array_equal(lg.log_sig_join(*given, *numbers, prepend=True), found)
        np.testing.assert_array_equal(kernel.join(*given, prepend=np.True_), found)
        out = np.empty_like(found)
        assert kernel.join(*given, prepend=True, out=out) is out
        np.testing.assert_array_equal(out, found)


@given(st.sampled_from(PROBLEMS), st.integers(0, 2**32 - 1))
def test_a_join_of_what_is_turned_round(numbers: tuple[int, int], seed: int) -> None:
    kernel, source = lg.load(*numbers), np.random.default_rng(seed)
    log_sig = source.uniform(-1, 1, (3, kernel.size))
    displacement, d_out = source.uniform(-1, 1, (3, kernel.dimension)), source.uniform(-1, 1, (3, kernel.size))
    expected = -kernel.join(-log_sig, -displacement)
    np.testing.assert_allclose(kernel.join(log_sig, displacement, prepend=True), expected, atol=1e-12)
    gradients = kernel.join_backprop(d_out, -log_sig, -displacement)
    for found, one in zip(kernel.join_backprop(d_out, log_sig, displacement, prepend=True), gradients, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-12)


def test_every_plan_is_proved_and_costs_no_more() -> None:
    for numbers in (*PROBLEMS, (2, 7), (10, 3), (20, 2), (4, 4)):
        problem = Problem(*numbers)
        for plan in candidate_plans(problem):
            if plan.degree > 1:
                with pytest.raises(PlanProofError, match="degree 2"):
                    prove_join_plan(plan, displacement_first=True)
            prove_join_plan(opposite(plan), displacement_first=True)
            check_join_plan_randomly(opposite(plan), displacement_first=True)
            prove_join_plan(opposite(opposite(plan)))
        usual, turned = (
            compile_problem(problem, groups=groups).kernels
            for groups in ([f"{name}{kind}" for kind in ("", "_backprop", "_second")] for name in ("join", "join_left"))
        )
        for one, other in zip(turned, usual, strict=True):
            assert one.operations.total <= other.operations.total  # type: ignore[union-attr]


def test_tensors() -> None:
    source = torch.Generator().manual_seed(5)
    log_sig = torch.randn(4, 14, generator=source, dtype=torch.float64, requires_grad=True)
    displacement = torch.randn(4, 3, generator=source, dtype=torch.float64, requires_grad=True)
    found = nn.LogSigJoin(3, 3, prepend=True)(log_sig, displacement)
    torch.testing.assert_close(found, torch_api.log_sig_join(log_sig, displacement, 3, 3, prepend=True), rtol=0, atol=0)
    torch.testing.assert_close(found, -lg.log_sig_join(-log_sig, -displacement, 3, 3))
    d_out = torch.ones_like(found)
    expected = torch.autograd.grad(found, (log_sig, displacement), d_out)
    kernel = lg.load(3, 3)
    with torch.no_grad():
        for call in (
            lambda: lg.log_sig_join_backprop(d_out, log_sig, displacement, 3, 3, prepend=True),
            lambda: kernel.join_backprop(d_out, log_sig, displacement, prepend=True),
        ):
            for one, other in zip(call(), expected, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert repr(nn.LogSigJoin(3, 3, prepend=True)) == "LogSigJoin(dimension=3, degree=3, prepend=True)"


@pytest.mark.parametrize("prepend", [1, None, "yes"])
def test_prepend_is_a_bool(prepend: Any) -> None:
    kernel, log_sig, displacement = lg.load(2, 2), np.zeros(3), np.zeros(2)
    for call in (
        lambda: kernel.join(log_sig, displacement, prepend=prepend),
        lambda: kernel.join_backprop(log_sig, log_sig, displacement, prepend=prepend),
        lambda: lg.log_sig_join(log_sig, displacement, 2, 2, prepend=prepend),
        lambda: lg.log_sig_join_backprop(log_sig, log_sig, displacement, 2, 2, prepend=prepend),
        lambda: nn.LogSigJoin(2, 2, prepend=prepend),
    ):
        with pytest.raises(TypeError, match="prepend: expected a bool"):
            call()


def test_it_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ("show", "--dim", "2", "--degree", "3", "--operations", "join_left,join_left_backprop", "--what")
    assert main([*shown, "program"]) == 0
    assert "# join_left, plan" in capsys.readouterr().out
    assert main([*shown, "source"]) == 0
    assert "out = log(exp(displacement) exp(log_sig)), row by row." in capsys.readouterr().out
    assert main([*shown, "report", "--format", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["operations"]) == {"join_left", "join_left_backprop"}
    assert "join_left" in lg.load(2, 3).source("cuda", group="join_left")


def test_the_name_stands_in_few_files() -> None:
    root = Path(lg.__file__).parent
    folders = [root, root.parent / "templates"]
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in (".py", ".h", ".c", ".cuh", ".j2") and path.name != "_abi.py"
    ]
    assert len(files) > 100
    found = [path.name for path in files if re.search("join_left", path.read_text(encoding="utf-8"))]
    assert 1 <= len(found) <= 5, found
