"""Tables by which a path is walked alone, a letter per lane: which words follow which prefix."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from logsig_codegen.algebra.lyndon import Word
from logsig_codegen.compiler import PathKernel, in_loops
from logsig_codegen.operations import FORWARD, OPERATIONS
from logsig_codegen.passes.repeat import REGISTER_STATE
from logsig_codegen.plans import prefix_signature
from logsig_codegen.problem import Problem

FEWEST_LETTERS = 4
"""With fewer letters most lanes would be empty."""


def walks_alone(problem: Problem, kernel: PathKernel) -> bool:
    """Whether blocks of few paths are walked path by path, by ``logsig_alone.h``; the results are the same."""
    if kernel.plan != prefix_signature.PLAN or OPERATIONS[kernel.operation].kind != FORWARD:
        return False
    many = problem.dimension >= FEWEST_LETTERS and kernel.state_size > REGISTER_STATE
    return many and not in_loops(problem, kernel.operation)


def alone_defines(problem: Problem) -> Iterator[str]:
    """What ``logsig_alone.h`` has to be told."""
    words = prefix_signature.prefix_words(problem)
    d, degree = problem.dimension, problem.degree
    counts = [sum(len(word) == k for word in words) for k in range(1, degree + 1)]
    prefixes = words[: len(words) - counts[-1]]
    followers = dict.fromkeys(prefixes, 0)
    begins: dict[Word, int] = {}
    for number, word in enumerate(words[d:], start=d):
        followers[word[:-1]] += 1
        begins.setdefault(word[:-1], number)
    firsts = {prefix: d - count for prefix, count in followers.items()}  # the last letters of the alphabet follow
    longest = ((number, prefix) for number, prefix in enumerate(prefixes) if len(prefix) == degree - 1)
    rows = sorted((firsts[prefix], number, begins[prefix]) for number, prefix in longest if prefix in begins)
    yield f"#define LOGSIG_DEGREE {degree}"
    yield f"#define LOGSIG_PREFIXES {len(prefixes) + 1}"
    yield f"#define LOGSIG_CHAINS {sum((degree - k) * parents for k, parents in enumerate([1, *counts[:-2]], start=1))}"
    yield from _table("unsigned short word_counts[]", map(str, counts))
    yield from _table("unsigned char first_letters[]", map(str, firsts.values()))
    yield from _table("unsigned short row_counts[]", (str(sum(first == a for first, _, _ in rows)) for a in range(d)))
    yield from _table("unsigned short last_rows[][2]", (f"{{{prefix},{begin}}}" for _, prefix, begin in rows))


def _table(name: str, items: Iterable[str]) -> Iterator[str]:
    yield f"static const {name} = {{"
    for line in textwrap.wrap(", ".join(items), 116, break_long_words=False):
        yield f"    {line}"
    yield "};"
