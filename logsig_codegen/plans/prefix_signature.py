"""A path as its signature on prefixes of Lyndon words: a step, and the conversion to the logarithm.

The coefficients of a group element on the Lyndon words determine it. When a path is extended by ``v``, the coefficient
on a word changes by coefficients on its prefixes only::

    S(x*v)_w = sum_k S(x)_{w_1 … w_{n-k}} v_{w_{n-k+1}} … v_{w_n} / k!

for which the Horner scheme ``h_{ua} = S_{ua} + h_u v_a/(n - |u|)``, from ``h = 1`` on the empty word to ``h_w``, takes
one multiply-add per prefix. The *state* holds the coefficients on all non-empty prefixes of Lyndon words, ordered by
length, then lexicographically; it is little longer than a log-signature.

The logarithm ``l`` is computed degree by degree. With ``A_j = 1/j! + l A_{j+1}`` (so ``exp(l) = 1 + l A_1``) the
coefficient of ``S`` on a word is ``l_w`` plus products of coefficients of lower degree; on Lyndon words this gives the
*word coordinates* of ``l``, and a unitriangular system those on brackets (Reutenauer, Free Lie Algebras, chapter 5).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import factorial

from logsig_codegen.algebra.basis_maps import brackets_to_expanded, brackets_to_words, expanded_size, word_place
from logsig_codegen.algebra.lyndon import Word, lyndon_basis
from logsig_codegen.ir.program import NONE, Instruction, Operand, Program, Result, Term
from logsig_codegen.passes.dead import drop_dead_instructions
from logsig_codegen.problem import Problem

PLAN = "prefix-signature"


@lru_cache(maxsize=16)
def prefix_words(problem: Problem) -> tuple[Word, ...]:
    """The non-empty prefixes of Lyndon words, ordered by length, then lexicographically."""
    basis = lyndon_basis(problem.dimension, problem.degree)
    prefixes = {word[:k] for word in basis.words for k in range(1, len(word) + 1)}
    return tuple(sorted(prefixes, key=lambda word: (len(word), word)))


# -- steps ------------------------------------------------------------------------------------------------------------


class _Builder:
    """Collects the instructions of a program."""

    def __init__(self, problem: Problem, inputs: tuple[Operand, ...]) -> None:
        self.problem = problem
        self.inputs = inputs
        self.first = sum(operand.length for operand in inputs)
        self.instructions: list[Instruction] = []

    def emit(self, terms: list[Term]) -> int:
        """Number of the sum of ``terms``."""
        if len(terms) == 1 and terms[0][0] == 1 and terms[0][2] == NONE:
            return terms[0][1]
        self.instructions.append(tuple(terms))
        return self.first + len(self.instructions) - 1

    def program(self, name: str, outputs: tuple[Result, ...]) -> Program:
        return drop_dead_instructions(Program(self.problem, name, self.inputs, tuple(self.instructions), outputs))


def signature_step(problem: Problem) -> Program:
    """One segment: from ``state`` and ``displacement`` to ``next_state``."""
    words = prefix_words(problem)
    builder = _Builder(problem, (Operand("state", len(words)), Operand("displacement", problem.dimension)))
    values = _horner(builder, words, range(len(words)), len(words))
    return builder.program("step", (Result("next_state", tuple(values[word] for word in words)),))


def _horner(builder: _Builder, words: tuple[Word, ...], state: range, displacement: int) -> dict[Word, int]:
    """Emit ``S(x*v)`` on ``words``; ``displacement`` is the number of the first letter's displacement."""
    place = dict(zip(words, state, strict=True))
    letters = _Letters(builder, displacement)
    result: dict[Word, int] = {}
    for length in range(len(words[-1]) if words else 0, 0, -1):
        targets = [word for word in words if len(word) == length]
        letters.prepare(length)
        chain: dict[Word, int] = {}
        for word in targets:
            before = _before(builder, letters, chain, place, word)
            result[word] = builder.emit([(1, place[word], NONE), *before])
    return result


class _Letters:
    """The displacement, and its quotients by small integers."""

    def __init__(self, builder: _Builder, displacement: int) -> None:
        self.builder = builder
        self.scaled = {1: [displacement + a for a in range(builder.problem.dimension)]}

    def prepare(self, most: int) -> None:
        """Emit the quotients by 2 … ``most``."""
        for divisor in range(2, most + 1):
            if divisor not in self.scaled:
                self.scaled[divisor] = [self.builder.emit([(Fraction(1, divisor), v, NONE)]) for v in self.scaled[1]]


def _before(
    builder: _Builder, letters: _Letters, chain: dict[Word, int], place: dict[Word, int], word: Word
) -> list[Term]:
    """The term that a step adds to the coefficient on ``word``; emits the chain ``h`` along its proper prefixes.

    ``place`` has the numbers of ``S(x)`` on them, ``chain`` those of the chain that are emitted already.
    """
    for k in range(1, len(word)):
        prefix = word[:k]
        if prefix not in chain:
            v = letters.scaled[len(word) - k + 1][prefix[-1]]
            before: list[Term] = [(1, chain[prefix[:-1]], v)] if k > 1 else [(1, v, NONE)]
            chain[prefix] = builder.emit([(1, place[prefix], NONE), *before])
    v = letters.scaled[1][word[-1]]
    return [(1, chain[word[:-1]], v)] if len(word) > 1 else [(1, v, NONE)]


# -- the logarithm ----------------------------------------------------------------------------------------------------


class _Exponential:
    """The coefficients of ``exp(l)`` on words, as sums over their prefixes; ``l`` grows degree by degree."""

    def __init__(self, builder: _Builder) -> None:
        self.builder = builder
        d, n = builder.problem.dimension, builder.problem.degree
        self.basis = lyndon_basis(d, n)
        self.expansion = brackets_to_expanded(d, n)
        self.starts = [expanded_size(d, k - 1) for k in range(1, n + 1)]
        self.brackets: list[int] = []  # the numbers of the coordinates known so far
        self.letters: dict[Word, int] = {}
        self.tails: dict[tuple[int, Word], int] = {}

    def coefficient(self, word: Word) -> int:
        """Number of the coefficient of ``l`` on a word, ``NONE`` where it vanishes."""
        found = self.letters.get(word)
        if found is None:
            row = self.expansion.row(self.starts[len(word) - 1] + word_place(word, self.builder.problem.dimension))
            terms: list[Term] = [(c, self.brackets[index], NONE) for index, c in row.items()]
            found = self.letters[word] = self.builder.emit(terms) if terms else NONE
        return found

    def tail(self, j: int, word: Word) -> int:
        """Number of the coefficient of ``A_j`` on a word, ``NONE`` where it vanishes."""
        found = self.tails.get((j, word))
        if found is None:
            terms = self.products(j, word)
            whole = self.coefficient(word)
            if whole != NONE:
                terms.insert(0, (Fraction(1, factorial(j + 1)), whole, NONE))
            found = self.tails[j, word] = self.builder.emit(terms) if terms else NONE
        return found

    def products(self, j: int, word: Word) -> list[Term]:
        """The terms of ``(l A_{j+1})_word`` that split the word."""
        terms: list[Term] = []
        for cut in range(1, len(word)):
            head = self.coefficient(word[:cut])
            rest = self.tail(j + 1, word[cut:]) if head != NONE else NONE
            if rest != NONE:
                terms.append((1, head, rest))
        return terms


def signature_to_log_sig(problem: Problem) -> Program:
    """From ``state`` to the logarithm, ``out``, in Lyndon brackets."""
    words = prefix_words(problem)
    place = {word: number for number, word in enumerate(words)}
    builder = _Builder(problem, (Operand("state", len(words)),))
    exponential = _Exponential(builder)
    basis, triangle = exponential.basis, brackets_to_words(problem.dimension, problem.degree)
    for degree in range(1, problem.degree + 1):
        for index in basis.coordinates(degree):
            word = basis.words[index]
            split: list[Term] = [(-c, a, b) for c, a, b in exponential.products(0, word)]
            others = [(-c, exponential.brackets[k], NONE) for k, c in triangle.row(index).items() if k != index]
            builder.instructions.append(((1, place[word], NONE), *split, *others))
            exponential.brackets.append(builder.first + len(builder.instructions) - 1)
    return builder.program("finish", (Result("out", tuple(exponential.brackets)),))
