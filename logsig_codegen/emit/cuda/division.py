"""The words of a signature shared out: each part has the prefixes of all of its words, and needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from logsig_codegen.algebra.lyndon import Word, lyndon_basis
from logsig_codegen.plans.prefix_signature import prefix_words
from logsig_codegen.problem import Problem


@dataclass(frozen=True)
class Part:
    """What one warp carries.

    Attributes
    ----------
    words : tuple of int
        Its words, with their prefixes, by place in the state; ascending.
    own : tuple of int
        Those among them that no part before has: each word is some part's own.
    """

    words: tuple[int, ...]
    own: frozenset[int]


def divide(problem: Problem, parts: int) -> tuple[Part, ...]:
    """The words of the state as so many ranges in alphabetical order, of about as many operations each."""
    words = prefix_words(problem)
    place = {word: index for index, word in enumerate(words)}
    weights = _weights(words)
    ordered = sorted(words)
    total, done, chosen = sum(weights.values()), 0, list[list[Word]]([[] for _ in range(parts)])
    for word in ordered:
        chosen[min(parts - 1, (2 * done + weights[word]) * parts // (2 * total))].append(word)
        done += weights[word]
    found = []
    for own in chosen:
        closed = {word[:k] for word in own for k in range(1, len(word) + 1)}
        found.append(Part(tuple(sorted(place[word] for word in closed)), frozenset(place[word] for word in own)))
    return tuple(found)


def _weights(words: Sequence[Word]) -> dict[Word, int]:
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
