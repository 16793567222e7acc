"""Partition of the words of a signature, or of the numbers of a form, among warps: no part needs another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from logsig_codegen.algebra.lyndon import Word, lyndon_basis
from logsig_codegen.plans.prefix_signature import prefix_words
from logsig_codegen.plans.slots import layout, slot_terms
from logsig_codegen.problem import Problem


@dataclass(frozen=True)
class Part:
    """The words of a signature, or the numbers of a form, that one warp carries.

    Attributes
    ----------
    words : tuple of int
        Its words, closed under prefixes, by place in the state; or numbers of a form, in the order of
        :class:`~logsig_codegen.plans.slots.Layout`; ascending.
    own : frozenset of int
        Those among them that this part contributes to the result. Each of the state belongs to one part.
    """

    words: tuple[int, ...]
    own: frozenset[int]


def partition(problem: Problem, parts: int) -> tuple[Part, ...]:
    """The words of the state as ``parts`` ranges in alphabetical order, of about as many operations each."""
    words = prefix_words(problem)
    place = {word: index for index, word in enumerate(words)}
    weights = operations_by_word(words)
    total, done = sum(weights.values()), 0
    ranges: list[list[Word]] = [[] for _ in range(parts)]
    for word in sorted(words):
        ranges[min(parts - 1, (2 * done + weights[word]) * parts // (2 * total))].append(word)
        done += weights[word]
    found = []
    for own in ranges:
        closed = {word[:k] for word in own for k in range(1, len(word) + 1)}
        found.append(Part(tuple(sorted(place[word] for word in closed)), frozenset(place[word] for word in own)))
    return tuple(found)


def partition_form(problem: Problem, parts: int) -> tuple[Part, ...]:
    """Ranges of the last degree but one with their slots, as equal as can be; all parts have the degrees below."""
    lower, slots, middle = layout(problem)
    used = [k for k, terms in enumerate(slot_terms(problem)) if terms]
    found = []
    for index in range(parts):
        mine = range(index * middle // parts, (index + 1) * middle // parts)
        of_mine = [lower + k for k in used if k // problem.dimension in mine]
        own = {*of_mine, *(lower + slots + j for j in mine), *(range(lower) if index == 0 else ())}
        found.append(Part(tuple(sorted(own | set(range(lower)))), frozenset(own)))
    return tuple(found)


def operations_by_word(words: Sequence[Word]) -> dict[Word, int]:
    """Operations that a step spends on each word: its own sum, and one for every length of words it is a prefix of."""
    longer: dict[Word, set[int]] = {word: set() for word in words}
    for word in words:
        for k in range(1, len(word)):
            longer[word[:k]].add(len(word))
    return {word: 1 + len(lengths) for word, lengths in longer.items()}


@lru_cache(maxsize=16)
def lyndon_places(problem: Problem) -> tuple[int, ...]:
    """Where the Lyndon words are among the words of the state: the logarithm reads no others."""
    place = {word: index for index, word in enumerate(prefix_words(problem))}
    return tuple(place[word] for word in lyndon_basis(problem.dimension, problem.degree).words)
