"""Drawings of brackets and programs: where boxes stand and which lines join them; a template makes SVG of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from logsig_codegen.algebra.lyndon import LyndonBasis
from logsig_codegen.ir.lie import LieProgram
from logsig_codegen.ir.program import NONE, Program, count_terms

MOST_NODES = 120
"""Programs with more values than this are drawn a level at a time."""
_ACROSS, _DOWN, _BOX, _MARGIN = 132, 30, 104, 8


@dataclass(frozen=True)
class Box:
    """A node, its middle in pixels; ``kind`` is ``"input"``, ``"step"`` or ``"result"``."""

    x: int
    y: int
    label: str
    title: str
    kind: str


@dataclass(frozen=True)
class Figure:
    """A drawing, its size in pixels; a line goes from ``(x1, y1)`` to ``(x2, y2)``."""

    title: str
    width: int
    height: int
    box_width: int
    boxes: tuple[Box, ...]
    lines: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Node:
    """A node before it has a place; ``sources`` are positions of earlier nodes."""

    label: str
    title: str
    kind: str
    sources: tuple[int, ...] = ()


def bracket_tree(basis: LyndonBasis, coordinate: int) -> Figure:
    """The bracket of a coordinate as a binary tree, its letters below."""
    boxes: list[Box] = []
    lines: list[tuple[int, int, int, int]] = []
    leaves = 0

    def place(position: int, depth: int) -> tuple[int, int]:
        nonlocal leaves
        left, right = basis.factors[position]
        y = 14 + 30 * depth
        if left < 0:
            x = 18 + 30 * leaves
            leaves += 1
            boxes.append(Box(x, y, basis.bracket(position), "a letter", "input"))
            return x, y
        sides = [place(side, depth + 1) for side in (left, right)]
        x = (sides[0][0] + sides[1][0]) // 2
        lines.extend((x, y, *side) for side in sides)
        boxes.append(Box(x, y, "[,]", basis.bracket(position), "step"))
        return x, y

    place(coordinate, 0)
    height = max(box.y for box in boxes) + 14
    return Figure(
        f"{basis.bracket(coordinate)} as a tree", 36 + 30 * (leaves - 1), height, 26, tuple(boxes), tuple(lines)
    )


def plan_graph(plan: LieProgram) -> Figure:
    """The vectors of a plan; each comes with the statement that makes it."""
    results = {name for port in plan.outputs for name in port.vectors}
    nodes: list[Node] = []
    places: dict[str, int] = {}
    for port in plan.inputs:
        for degree, name in enumerate(port.vectors, start=1):
            places[name] = len(nodes)
            nodes.append(Node(name, f"{port.operand}, degree {degree}", "input"))
    for statement in plan.statements:
        name = statement.target.name
        operands = dict.fromkeys(places[one] for term in statement.terms for one in term.operands)
        places[name] = len(nodes)
        kind = "result" if name in results else "step"
        nodes.append(Node(name, f"{statement.text()}, degree {statement.target.degree}", kind, tuple(operands)))
    return graph(f"the plan {plan.name}", nodes)


def program_graph(program: Program) -> Figure:
    """The values of a straight-line program; of a large one, its levels: values that depend on earlier levels only."""
    size = program.first + len(program.instructions)
    nodes = list(_values(program) if size <= MOST_NODES else _levels(program))
    whole = "values" if size <= MOST_NODES else "levels"
    return graph(f"the {whole} of {program.name}", nodes)


def _values(program: Program) -> Iterator[Node]:
    names = [f"{operand.name}[{index}]" for operand in program.inputs for index in range(operand.length)]
    for name in names:
        yield Node(name, f"input {name}", "input")
    results = {value: f"{one.name}[{k}]" for one in program.outputs for k, value in enumerate(one.values)}
    for (value, terms), text in zip(program.numbered(), program.text().splitlines(), strict=False):
        sources = dict.fromkeys(one for _, *factors in terms for one in factors if one != NONE)
        label = results.get(value, f"t{value - program.first}")
        kind = "result" if value in results else "step"
        yield Node(f"{label} · {count_terms(terms).total}", text, kind, tuple(sources))


def _levels(program: Program) -> Iterator[Node]:
    """A node for the inputs, and one for each level, after the one before it."""
    levels = [0] * program.first
    values: dict[int, int] = {}
    work: dict[int, int] = {}
    for _, terms in program.numbered():
        level = 1 + max(levels[one] for _, *factors in terms for one in factors if one != NONE)
        levels.append(level)
        values[level] = values.get(level, 0) + 1
        work[level] = work.get(level, 0) + count_terms(terms).total
    yield Node(f"{program.first:,} inputs", "inputs", "input")
    for position, level in enumerate(sorted(values)):
        title = f"level {level}: {values[level]:,} values, {work[level]:,} operations"
        yield Node(f"{values[level]:,} · {work[level]:,}", title, "step", (position,))


def graph(title: str, nodes: Sequence[Node]) -> Figure:
    """Nodes in columns: each stands to the right of all its sources, and near them."""
    column: list[int] = []
    middle: list[float] = []
    for node in nodes:
        column.append(1 + max((column[one] for one in node.sources), default=-1))
        middle.append(0.0)
    columns: list[list[int]] = [[] for _ in range(1 + max(column))]
    for position, number in enumerate(column):
        columns[number].append(position)
    tallest = max(map(len, columns))
    for members in columns:
        near = {one: [middle[source] for source in nodes[one].sources] for one in members}
        members.sort(key=lambda one: sum(near[one]) / max(1, len(near[one])))
        top = (tallest - len(members)) / 2
        for row, one in enumerate(members):
            middle[one] = top + row
    xs = [_MARGIN + _BOX // 2 + _ACROSS * number for number in column]
    ys = [_MARGIN + round((row + 0.5) * _DOWN) for row in middle]
    boxes = tuple(Box(x, y, node.label, node.title, node.kind) for x, y, node in zip(xs, ys, nodes, strict=True))
    lines = tuple(
        (xs[source] + _BOX // 2, ys[source], xs[one] - _BOX // 2, ys[one])
        for one, node in enumerate(nodes)
        for source in node.sources
    )
    width = 2 * _MARGIN + _BOX + _ACROSS * (len(columns) - 1)
    return Figure(title, width, 2 * _MARGIN + _DOWN * tallest, _BOX, boxes, lines)
