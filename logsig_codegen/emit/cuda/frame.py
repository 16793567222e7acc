"""Where the vectors of a Lie program live while a block works on it: operands at their homes, the rest in scratch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from logsig_codegen.ir.lie import LieProgram, Scaled
from logsig_codegen.problem import Problem


class BlockFrame:
    """Places of all vectors, in numbers from the beginning of a frame.

    An output whose home is that of an input takes its place in the statement that defines it if that statement is the
    last one to read the input, and reads it number by number only; else it waits in scratch room and is copied at the
    end. Scratch room is reused: a vector's place goes back after the last statement that reads it.

    Attributes
    ----------
    places : dict
        Vector to place.
    end : int
        Numbers the frame has.
    """

    def __init__(self, program: LieProgram, problem: Problem, homes: Mapping[str, int], scratch: int) -> None:
        """``homes``: operand to place, the same for an output that replaces an input; ``scratch``: where room is."""
        self.program = program
        self.sizes = {name: problem.sizes[vector.degree - 1] for name, vector in program.vectors.items()}
        self.places: dict[str, int] = {}
        self.targets: list[tuple[str, int]] = []  # outputs with the place each must end up at
        self.end = scratch
        self._inputs: dict[int, str] = {}
        self._last = self._last_uses()
        for port in program.inputs:
            for name, place in self._port(port.vectors, homes[port.operand]):
                self.places[name] = place
                self._inputs[place] = name
        defined = {statement.target.name: index for index, statement in enumerate(program.statements)}
        for port in program.outputs:
            for name, place in self._port(port.vectors, homes[port.operand]):
                self.targets.append((name, place))
                if name in self.places and self.places[name] != place:
                    self._last[name] = len(program.statements)
        for name, place in self.targets:
            if name not in self.places and self._may_take(name, place, defined):
                self.places[name] = place
        self._allocate()

    def _port(self, vectors: tuple[str, ...], home: int) -> Iterator[tuple[str, int]]:
        for name in vectors:
            yield name, home
            home += self.sizes[name]

    def _last_uses(self) -> dict[str, int]:
        return {
            name: index
            for index, statement in enumerate(self.program.statements)
            for term in statement.terms
            for name in term.operands
        }

    def _may_take(self, name: str, place: int, defined: Mapping[str, int]) -> bool:
        index = defined.get(name)
        occupant = self._inputs.get(place)
        if index is None:
            return False
        if occupant is None or not self.sizes[name]:
            return True
        if any(occupant == other for other, _ in self.targets):
            return False
        last = self._last.get(occupant, -1)
        statement = self.program.statements[index]
        by_number = all(isinstance(term, Scaled) for term in statement.terms if occupant in term.operands)
        return last < index or (last == index and by_number)

    def _allocate(self) -> None:
        late = {name for name, place in self.targets if self.places.get(name) != place}
        free: dict[int, list[int]] = {}
        scratch: set[str] = set()
        for index, statement in enumerate(self.program.statements):
            target = statement.target.name
            if target not in self.places:
                room = free.setdefault(self.sizes[target], [])
                if room:
                    self.places[target] = room.pop()
                else:
                    self.places[target], self.end = self.end, self.end + self.sizes[target]
                scratch.add(target)
            for name in dict.fromkeys(name for term in statement.terms for name in term.operands):
                if name in scratch and self._last[name] == index and name not in late:
                    free.setdefault(self.sizes[name], []).append(self.places[name])

    def copies(self) -> Iterator[tuple[str, int]]:
        """Outputs that are not where they belong when all statements are done: those that are inputs first."""
        waiting = [(name, place) for name, place in self.targets if self.places[name] != place and self.sizes[name]]
        inputs = set(self._inputs.values())
        yield from sorted(waiting, key=lambda item: item[0] not in inputs)

    def used(self, operand: str) -> int:
        """How many leading columns of an input are read, or passed on."""
        passed = {name for name, _ in self.targets}
        (port,) = (port for port in self.program.inputs if port.operand == operand)
        columns = needed = 0
        for name in port.vectors:
            columns += self.sizes[name]
            if name in self._last or name in passed:
                needed = columns
        return needed
