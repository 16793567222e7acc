"""Proofs of the plans for paths: step and logarithm of the logarithmic derivative, and gradients.

The degree parts ``w_k`` of a state, ``l_k`` of a logarithm and the displacement ``v`` are symbols, and both sides are
expanded into words of them, as in :mod:`logsig_codegen.symbolic.proof`. What is proved, for every dimension:

* a step gives ``e^-v w e^v + v``;
* the logarithm of a state is the logarithm of the ``S`` with ``D S = S w`` and ``S_0 = 1``, where ``D`` multiplies
  degree ``k`` by ``k``;
* a form goes back over a displacement by the transpose of ``x -> e^-v x e^v``, the derivative with respect to the
  displacement is the transpose of ``e^-v d(e^v)``, and the form at the end that of the change of ``log(e^l (1 + y))``.

A linear form is a word with one letter ``d_n``, the input form on degree ``n``: the form ``x -> d_n(p x q)`` is written
``q d_n p``. Then ``<ad*_a f, x> = <f, [a, x]>`` makes the coadjoint action a
commutator, ``ad*_a f = f a - a f``, and two forms are equal on all Lie algebras if their words are.

Steps have few words. The number of words of conversions doubles with each degree; above ``PATH_PROOF_LIMIT`` the
identities are checked at a random point instead (:mod:`~logsig_codegen.symbolic.matrices`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import factorial
from typing import TypeVar

from logsig_codegen.algebra.lyndon import Word
from logsig_codegen.algebra.tensor import (
    Tensor,
    TensorAlgebra,
    Words,
    add_scaled,
    commutator,
    concatenate,
    logarithm_coefficients,
)
from logsig_codegen.errors import PlanProofError
from logsig_codegen.ir.lie import LieAlgebra, LieProgram
from logsig_codegen.stages import stage
from logsig_codegen.symbolic.matrices import PRIME, Diagonal, Matrix, MatrixAlgebra, MatrixForms
from logsig_codegen.symbolic.proof import FreeAlgebra, evaluate_plan

PATH_PROOF_LIMIT = 9
"""Largest degree at which conversions are proved: about half a second with their derivatives."""

DISPLACEMENT = 0
"""The letter of ``v``; that of degree ``k`` of the state or logarithm is ``k``, that of the form ``d_k`` is ``-k``."""
_MARK = 1 << 20  # plus k: the letter of a change in degree k of the state; plus 0: of a change in v

Element = TypeVar("Element")
Parts = Mapping[int, Words]
"""Homogeneous parts by degree, from 1 on."""


@stage("prove")
def verify_path_plan(program: LieProgram) -> None:
    """Prove a plan of :mod:`~logsig_codegen.plans.path_step` or :mod:`~logsig_codegen.plans.path_gradient`.

    Which one it is follows from its operands.

    Parameters
    ----------
    program : LieProgram
        ``state, displacement -> next_state`` (a step); ``state -> out``; ``d_state, displacement -> d_previous_state,
        d_displacement``; or ``d_out, log_sig -> d_state``.

    Raises
    ------
    PlanProofError
        Naming the first wrong degree and word, with both coefficients; or what makes the plan malformed.
    """
    inputs = {port.operand: len(port.vectors) for port in program.inputs}
    outputs = {port.operand: len(port.vectors) for port in program.outputs}
    n = program.degree
    shapes: list[tuple[dict[str, int], dict[str, int], tuple[str, ...], _Specification, bool]] = [
        ({"state": n, "displacement": 1}, {"next_state": n}, (), _step, False),
        ({"state": n}, {"out": n}, (), _to_log_sig, True),
        (
            {"d_state": n, "displacement": 1},
            {"d_previous_state": n, "d_displacement": 1},
            ("d_state",),
            _form_back,
            False,
        ),
        ({"d_out": n, "log_sig": n}, {"d_state": n}, ("d_out",), _form_at_the_end, True),
    ]
    for wanted, results, duals, specification, doubles in shapes:
        if (inputs, outputs, program.dual_inputs) == (wanted, results, duals):
            if doubles and n > PATH_PROOF_LIMIT:
                _check_randomly(program)
            else:
                _prove(program, specification(n))
            return
    raise PlanProofError(f"{program.name}: expected a plan of a path of degree {n}, got {inputs} -> {outputs}")


_Specification = Callable[[int], Mapping[str, Parts]]


# -- what is to be proved ---------------------------------------------------------------------------------------------


def _letters(degree: int) -> dict[int, Words]:
    return {k: {(k,): Fraction(1)} for k in range(1, degree + 1)}


def _marks(degree: int) -> dict[int, Words]:
    return {k: {(_MARK + k,): Fraction(1)} for k in range(1, degree + 1)}


def _conjugate(parts: Parts, degree: int) -> dict[int, Words]:
    """``e^{-v} x e^v``."""
    result: dict[int, Words] = {n: {} for n in range(1, degree + 1)}
    for k, words in parts.items():
        for i in range(degree - k + 1):
            for j in range(degree - k - i + 1):
                factor = Fraction((-1) ** i, factorial(i) * factorial(j))
                left, right = {(DISPLACEMENT,) * i: 1}, {(DISPLACEMENT,) * j: 1}
                add_scaled(result[i + j + k], factor, concatenate(concatenate(left, words), right))
    return result


def _changed(n: int) -> Words:
    """The product rule: in ``v^n``, one ``v`` after the other is replaced by its change."""
    return {(DISPLACEMENT,) * a + (_MARK,) + (DISPLACEMENT,) * (n - 1 - a): 1 for a in range(n)}


def _step(degree: int) -> Mapping[str, Parts]:
    result = _conjugate(_letters(degree), degree)
    add_scaled(result[1], 1, {(DISPLACEMENT,): Fraction(1)})
    return {"next_state": result}


def _to_log_sig(degree: int) -> Mapping[str, Parts]:
    """``S_n`` is the sum of ``S_{n-k} w_k``, divided by ``n``."""
    signature: Tensor = [{(): Fraction(1)}]
    for n in range(1, degree + 1):
        total: Words = {}
        for k in range(1, n + 1):
            add_scaled(total, Fraction(1, n), concatenate(signature[n - k], {(k,): 1}))
        signature.append(total)
    return {"out": _parts(TensorAlgebra(degree).log(signature))}


def _form_back(degree: int) -> Mapping[str, Parts]:
    forms = _transposed(_conjugate(_marks(degree), degree))
    change: dict[int, Words] = {n: {} for n in range(1, degree + 1)}
    for i in range(degree):
        for j in range(1, degree - i + 1):
            factor = Fraction((-1) ** i, factorial(i) * factorial(j))
            add_scaled(change[i + j], factor, concatenate({(DISPLACEMENT,) * i: 1}, _changed(j)))
    return {"d_previous_state": forms, "d_displacement": {1: _transposed(change)[0]}}


def _form_at_the_end(degree: int) -> Mapping[str, Parts]:
    """The differential of the series of the logarithm at ``e^l``, in the direction ``e^l y``."""
    algebra = TensorAlgebra(degree)
    signature = algebra.exp([{}, *_letters(degree).values()])
    change = algebra.product(signature, [{}, *_marks(degree).values()])
    unipotent: Tensor = [{}, *signature[1:]]
    power, differential = algebra.exp(algebra.zero()), algebra.zero()
    total: dict[int, Words] = {n: {} for n in range(1, degree + 1)}
    for coefficient in logarithm_coefficients(degree)[1:]:
        added = algebra.product(power, change)
        pairs = zip(algebra.product(differential, unipotent), added, strict=True)
        differential = [add_scaled(x, 1, y) for x, y in pairs]
        power = algebra.product(power, unipotent)
        for n in total:
            add_scaled(total[n], coefficient, differential[n])
    return {"d_state": _transposed(total)}


def log_change(
    algebra: LieAlgebra[Element], degree: int, log: Mapping[int, Element], y: Mapping[int, Element]
) -> dict[int, Element]:
    """The change of the logarithm ``l`` of ``S`` when that changes to ``S (1 + y)``: ``ad_l / (1 - e^{-ad_l}) y``."""
    result = {n: algebra.zero() for n in y}
    term = y
    for coefficient in _inverse_phi(degree):
        for n, element in term.items():
            result[n] = algebra.add_scaled(result[n], coefficient, element)
        following = {}
        for n in range(min(term, default=degree) + 1, degree + 1):
            total = algebra.zero()
            for k in range(1, n):
                if n - k in term:
                    total = algebra.add_scaled(total, 1, algebra.bracket(log[k], term[n - k]))
            following[n] = total
        term = following
    return result


def _inverse_phi(degree: int) -> list[Fraction]:
    """Taylor coefficients of ``z / (1 - e^-z)``, below ``z**degree``."""
    phi = [Fraction((-1) ** k, factorial(k + 1)) for k in range(degree)]
    inverse: list[Fraction] = []
    for n in range(degree):
        inverse.append(Fraction(int(n == 0)) - sum(phi[k] * inverse[n - k] for k in range(1, n + 1)))
    return inverse


def _transposed(change: Parts) -> dict[int, Words]:
    """By degree of what changes (0: the displacement): the sum over ``n`` of the forms ``d_n`` on ``change[n]``."""
    forms: dict[int, Words] = {}
    for n, words in change.items():
        for word, x in words.items():
            (place,) = (index for index, letter in enumerate(word) if letter >= _MARK)
            turned = (*word[place + 1 :], -n, *word[:place])
            add_scaled(forms.setdefault(word[place] - _MARK, {}), x, {turned: 1})
    return forms


def _parts(tensor: Tensor) -> dict[int, Words]:
    return dict(enumerate(tensor[1:], start=1))


# -- proofs -----------------------------------------------------------------------------------------------------------


class _Forms(FreeAlgebra):
    """Words, with linear forms among them."""

    def coadjoint(self, actor: Words, form: Words) -> Words:
        return commutator(form, actor)


def _prove(program: LieProgram, expected: Mapping[str, Parts]) -> None:
    values = evaluate_plan(program, _Forms(), dict(_symbols(program)))
    for name, vector in program.vectors.items():
        degree = -vector.degree if vector.dual else vector.degree
        for word in values[name]:
            if sum(letter or 1 for letter in word) != degree:
                raise PlanProofError(
                    f"{program.name}: {name} is declared of degree {degree} but contains {_text(word)}"
                )
    for port in program.outputs:
        for degree, name in enumerate(port.vectors, start=1):
            right = expected[port.operand][degree]
            difference = add_scaled(dict(values[name]), -1, right)
            if difference:
                word = min(difference)
                raise PlanProofError(
                    f"{program.name}: {port.operand}: degree {degree}: the coefficient of {_text(word)} in {name} is "
                    f"{values[name].get(word, 0)}, expected {right.get(word, 0)}"
                )


def _symbols(program: LieProgram) -> Iterator[tuple[str, Words]]:
    for port in program.inputs:
        for degree, name in enumerate(port.vectors, start=1):
            letter = -degree if port.operand in program.dual_inputs else degree
            yield name, {(DISPLACEMENT if port.operand == "displacement" else letter,): 1}


def _text(word: Word) -> str:
    """A word as text, for example ``w2 v``; of a logarithm, too, the letters are written ``w``."""
    return " ".join("v" if letter == DISPLACEMENT else f"w{letter}" if letter > 0 else f"d{-letter}" for letter in word)


# -- checks at a random point -----------------------------------------------------------------------------------------


def _check_randomly(program: LieProgram) -> None:
    """Check a conversion, or the form at the end of a path, in matrices with random entries."""
    algebra, source = MatrixForms(program.degree), random.Random(program.degree)
    point = {
        port.operand: [algebra.random(k, source) for k, _ in enumerate(port.vectors, start=1)]
        for port in program.inputs
    }
    inputs = {name: x for port in program.inputs for name, x in zip(port.vectors, point[port.operand], strict=True)}
    values = evaluate_plan(program, algebra, inputs)
    for name, vector in program.vectors.items():
        if values[name].weight not in (-1, vector.degree):
            raise PlanProofError(f"{program.name}: {name} is of degree {vector.degree}, not {values[name].weight}")
    found = {port.operand: [values[name] for name in port.vectors] for port in program.outputs}
    if "out" in found:
        logarithm = _matrix_log(algebra, point["state"])[1:]
        for degree, (one, other) in enumerate(zip(found["out"], logarithm, strict=True), start=1):
            if one != other:
                raise PlanProofError(f"{program.name}: out: degree {degree} is wrong at a random point")
        return
    change = [algebra.random(k, source) for k in range(1, program.degree + 1)]
    log, moved = (dict(enumerate(parts, start=1)) for parts in (point["log_sig"], change))
    by_degree = log_change(algebra, program.degree, log, moved)
    given = sum(algebra.pair(form, by_degree[n]) for n, form in enumerate(point["d_out"], start=1))
    if (given - sum(map(algebra.pair, found["d_state"], change))) % PRIME:
        raise PlanProofError(f"{program.name}: d_state is not the transpose of the change")


def _matrix_log(algebra: MatrixAlgebra, state: Sequence[Diagonal]) -> Matrix:
    signature = algebra.constant(1)[:1]
    for n in range(1, algebra.degree + 1):
        total = algebra.zero()
        for k in range(1, n + 1):
            total = algebra.add_scaled(total, Fraction(1, n), algebra.product(signature[n - k], state[k - 1]))
        signature.append(total)
    return algebra.power_series(logarithm_coefficients(algebra.degree), [algebra.constant(0)[0], *signature[1:]])
