"""Structure constants against commutators of words, the laws of a Lie algebra, and counted entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsig_codegen.algebra.lyndon import Word, lyndon_basis
from logsig_codegen.algebra.structure import StructureConstants, structure_constants
from logsig_codegen.algebra.tensor import bracket_words, commutator

PROBLEMS = [(1, 4), (2, 8), (3, 5), (4, 4), (5, 3), (9, 2), (6, 1)]

# Entries and slots (pairs of basis elements with a non-zero bracket) of the types (1,2), (1,3), (2,2) in both orders,
# (1,4) and (2,3). They were counted by an earlier program, for the operation counts the plans are to reach.
COUNTS = {
    2: {(1, 2): (2, 2), (1, 3): (4, 4), (2, 2): (0, 0), (1, 4): (8, 6), (2, 3): (2, 2)},
    3: {(1, 2): (10, 9), (1, 3): (31, 24), (2, 2): (8, 6), (1, 4): (89, 54), (2, 3): (33, 24)},
    5: {(1, 2): (60, 50), (1, 3): (300, 200), (2, 2): (120, 90), (1, 4): (1416, 750), (2, 3): (595, 400)},
    10: {
        (1, 2): (570, 450),
        (1, 3): (5400, 3300),
        (2, 2): (2640, 1980),
        (1, 4): (50832, 24750),
        (2, 3): (22440, 14850),
    },
}


def pairs(dimension: int, degree: int) -> list[tuple[int, int]]:
    """Pairs of coordinates whose bracket is not truncated away."""
    words = lyndon_basis(dimension, degree).words
    return [(i, j) for i, u in enumerate(words) for j, v in enumerate(words) if len(u) + len(v) <= degree]


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_brackets_are_commutators(dimension: int, degree: int) -> None:
    constants = StructureConstants(lyndon_basis(dimension, degree))
    table = bracket_words(dimension, degree)
    for i, j in pairs(dimension, degree):
        words: defaultdict[Word, int] = defaultdict(int)
        for k, c in constants.bracket(i, j):
            for word, value in table[k].items():
                words[word] += c * value
        assert {word: value for word, value in words.items() if value} == commutator(table[i], table[j]), (i, j)


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_entries_are_ordered_non_zero_integers_of_the_right_degree(dimension: int, degree: int) -> None:
    basis = lyndon_basis(dimension, degree)
    constants = structure_constants(dimension, degree)
    for i, j in pairs(dimension, degree):
        entries = constants.bracket(i, j)
        coordinates = [k for k, _ in entries]
        assert coordinates == sorted(set(coordinates))
        assert all(type(c) is int and c for _, c in entries)
        assert all(len(basis.words[k]) == len(basis.words[i]) + len(basis.words[j]) for k in coordinates)


def combined(constants: StructureConstants, i: int, terms: Mapping[int, int]) -> dict[int, int]:
    """``[P_i, sum of c P_k]`` for the pairs ``k: c`` of ``terms``, without zeros."""
    total: defaultdict[int, int] = defaultdict(int)
    for j, factor in terms.items():
        for k, c in constants.bracket(i, j):
            total[k] += factor * c
    return {k: c for k, c in total.items() if c}


@pytest.mark.parametrize(("dimension", "degree"), [(2, 11), (3, 7), (5, 5)])
@settings(deadline=None)
@given(data=st.data())
def test_laws_of_a_lie_algebra(dimension: int, degree: int, data: st.DataObject) -> None:
    """Antisymmetry and Jacobi, on brackets far larger than words can be written out for."""
    basis = lyndon_basis(dimension, degree)
    constants = structure_constants(dimension, degree)
    a = data.draw(st.sampled_from(range(basis.offsets[degree - 2])))
    b = data.draw(st.sampled_from(range(basis.offsets[degree - len(basis.words[a]) - 1])))
    opposite = {k: -c for k, c in constants.bracket(b, a)}
    assert dict(constants.bracket(a, b)) == opposite
    assert constants.bracket(a, a) == ()
    left = degree - len(basis.words[a]) - len(basis.words[b])
    if left < 1:
        return
    c = data.draw(st.sampled_from(range(basis.offsets[left])))
    total: defaultdict[int, int] = defaultdict(int)
    for x, y, z in ((a, b, c), (b, c, a), (c, a, b)):
        for k, value in combined(constants, x, dict(constants.bracket(y, z))).items():
            total[k] += value
    assert not any(total.values())


@pytest.mark.parametrize(("dimension", "degree"), PROBLEMS)
def test_slots_list_every_non_zero_bracket_of_a_type_once(dimension: int, degree: int) -> None:
    basis = lyndon_basis(dimension, degree)
    constants = structure_constants(dimension, degree)
    for p in range(1, degree + 1):
        for q in range(p, degree - p + 1):
            found = {}
            for i, j, entries in constants.slots(p, q):
                key = basis.coordinates(p)[i], basis.coordinates(q)[j]
                assert key not in found
                found[key] = tuple((basis.coordinates(p + q)[k], c) for k, c in entries)
            expected = {
                (i, j): constants.bracket(i, j)
                for i in basis.coordinates(p)
                for j in basis.coordinates(q)
                if (p < q or i < j) and constants.bracket(i, j)
            }
            assert found == expected
            assert constants.slots(p, q) is constants.slots(p, q)


@pytest.mark.parametrize("dimension", COUNTS)
def test_counted_entries(dimension: int) -> None:
    constants = structure_constants(dimension, 5)
    counts = {}
    for p, q in COUNTS[dimension]:
        slots = constants.slots(p, q)
        both = 2 if p == q else 1
        counts[p, q] = both * sum(len(entries) for _, _, entries in slots), both * len(slots)
    assert counts == COUNTS[dimension]


@pytest.mark.parametrize(
    ("dimension", "sizes"), [(2, (2, 3, 6)), (3, (8, 18, 48)), (5, (40, 150, 624)), (10, (330, 2475, 19998))]
)
def test_counted_basis_elements(dimension: int, sizes: tuple[int, ...]) -> None:
    basis = lyndon_basis(dimension, 5)
    assert tuple(len(basis.coordinates(k)) for k in (3, 4, 5)) == sizes
