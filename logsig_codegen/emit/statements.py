"""Schedules as C statements: the body of each part of a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from logsig_codegen.algebra.surd import Coefficient, magnitude
from logsig_codegen.emit.printer import c_number, constant_name
from logsig_codegen.ir.program import NONE, Term
from logsig_codegen.ir.schedule import Compute, Event, Fetch, Flush, Forget, Read, Reload, Save, Schedule, Store

TERMS_PER_LINE = 3

SHORT_NAMES = {
    "log_sig": "l",
    "displacement": "v",
    "out": "z",
    "d_out": "g",
    "d_log_sig": "dl",
    "d_displacement": "dv",
    "log_sig1": "l",
    "log_sig2": "k",
    "d_log_sig1": "dl",
    "d_log_sig2": "dk",
    "state": "w",
    "next_state": "w",
    "previous_state": "w",
    "d_state": "dw",
    "d_previous_state": "dw",
    "before": "before",
    "after": "after",
    "t_log_sig": "tl",
    "t_displacement": "tv",
    "t_log_sig1": "tl",
    "t_log_sig2": "tk",
    "t_out": "tz",
    "d_d_log_sig": "hl",
    "d_d_displacement": "hv",
    "d_d_log_sig1": "hl",
    "d_d_log_sig2": "hk",
    "d_d_out": "hg",
    "left": "l",
    "right": "k",
    "actor": "l",
    "form": "g",
}
"""Names of the operands' vectors inside a kernel."""


class PartPrinter:
    """Prints the events of one part; the variable names depend on the schedule alone."""

    def __init__(
        self,
        schedule: Schedule,
        rows: Mapping[str, int],
        comments: Mapping[str, Sequence[str]],
        homes: Mapping[str, str] | None = None,
        scratch: str = "frame + SCRATCH",
    ) -> None:
        """``homes`` tells where operands live that are not rows; an empty text: in an array of the operand's name.

        ``scratch`` tells where the slots are; an empty text: in the array ``s``.
        """
        program = schedule.program
        self.schedule = schedule
        self.row_of = {SHORT_NAMES[name]: row for name, row in rows.items() if name in SHORT_NAMES}
        self.homes = {SHORT_NAMES[name]: home for name, home in (homes or {}).items()}
        self.scratch = scratch
        self.comments = comments
        self.first = program.first
        self.inputs = [SHORT_NAMES[operand.name] for operand in program.inputs]
        self.outputs = [SHORT_NAMES[result.name] for result in program.outputs]
        columns = [operand.length for operand in program.inputs] + [len(result.values) for result in program.outputs]
        self.columns = dict(zip(self.inputs + self.outputs, columns, strict=True))
        self.moved: dict[str, int] = {}  # columns of rows in tiles that have been fetched or flushed
        self.where = [(o, k) for o, operand in enumerate(program.inputs) for k in range(operand.length)]
        self.locals: set[int] = set()
        self.finished: set[int] = set()
        self.saved: dict[int, int] = {}
        self.waiting: dict[int, int] = {}  # values that are in their slots alone
        self.declared: set[int] = set()
        self.copies: dict[int, int] = {}  # how many variables a scalar has had before
        self.used: dict[str, None] = {}
        self.constants: dict[Coefficient, str] = {}

    def body(self, events: Sequence[Event]) -> list[str]:
        """The lines of the part: pointers and constants it uses, then its statements."""
        pieces = _count_pieces(events)
        lines: list[str] = []
        for event in events:
            lines.extend(self.event(event, pieces))
        arrays = [text for name in self.used if (text := self.declaration(name))]
        constants = [
            f"const logsig_vec {name} = LOGSIG_SET1({c_number(number)});" for number, name in self.constants.items()
        ]
        return arrays + constants + lines

    def declaration(self, name: str) -> str:
        """What makes an array known; empty where its name is in scope already."""
        if name == "s":
            place = self.scratch
        elif name in self.homes:
            place = self.homes[name]
        elif self.schedule.in_tiles:
            return f"logsig_vec {name}[LOGSIG_WHOLE({self.columns[name]})];"
        else:
            place = f"rows[{self.row_of[name]}].at"
        return f"logsig_vec *const {name} = {place};" if place else ""

    def move(self, verb: str, name: str, upto: int) -> str:
        """The call that fetches or flushes columns of a row."""
        row = f"&rows[{self.row_of[name]}]"
        if not self.schedule.in_tiles:
            return f"logsig_{verb}({row}, {upto});"
        self.used[name] = None
        start, self.moved[name] = self.moved.get(name, 0), upto
        return f"logsig_{verb}_whole({row}, {name}, {start}, {upto}, {self.columns[name]});"

    def array(self, name: str, index: int) -> str:
        self.used[name] = None
        return f"{name}[{index}]"

    def event(self, event: Event, pieces: dict[int, int]) -> list[str]:
        match event:
            case Fetch(operand, _) if self.inputs[operand] in self.homes:
                return []
            case Flush(result, _) if self.outputs[result] in self.homes:
                return []
            case Fetch(operand, upto):
                return [self.move("fetch", self.inputs[operand], upto)]
            case Flush(result, upto):
                return [self.move("flush", self.outputs[result], upto)]
            case Read(value, kept):
                source = self.operand(value)
                self.locals.add(value)
                self.copies[value] = self.copies.get(value, -1) + 1
                name = self.local(value)
                if kept:
                    return [f"logsig_vec {name} = {source};", f"LOGSIG_KEEP({name});"]
                return [f"const logsig_vec {name} = {source};"]
            case Forget(value):
                self.locals.discard(value)
                if value in self.saved:
                    self.waiting[value] = self.saved[value]
                    self.copies[value] = self.copies.get(value, 0) + 1
                return []
            case Reload(value, slot, result, column):
                self.locals.add(value)
                self.waiting.pop(value, None)
                source = self.array("s", slot) if slot >= 0 else self.array(self.outputs[result], column)
                qualifier = "" if pieces.get(value) and value not in self.finished else "const "
                self.declared.add(value)
                return [f"{qualifier}logsig_vec {self.local(value)} = {source};"]
            case Save(value, slot):
                self.saved[value] = slot
                return [f"{self.array('s', slot)} = {self.local(value)};"]
            case Store(value, result, column):
                text = "LOGSIG_SET1(0)" if value == NONE else self.operand(value)
                name = self.schedule.program.outputs[result].name
                comment = self.comments.get(name, ())
                remark = f" /* {comment[column]} */" if comment else ""
                return [f"{self.array(self.outputs[result], column)} = {text};{remark}"]
            case Compute():
                return self.compute(event, pieces)

    def local(self, value: int) -> str:
        copy = self.copies.get(value, 0)
        suffix = f"_{copy}" if copy else ""
        if value < self.first:
            operand, column = self.where[value]
            return f"{self.inputs[operand]}{column}{suffix}"
        return f"t{value - self.first}{suffix}"

    def operand(self, value: int) -> str:
        if value in self.waiting:
            return self.array("s", self.waiting[value])
        if value in self.locals or value >= self.first:
            return self.local(value)
        operand, column = self.where[value]
        return self.array(self.inputs[operand], column)

    def constant(self, number: Coefficient) -> str:
        name = self.constants.get(number)
        if name is None:
            name = self.constants[number] = constant_name(number, len(self.constants))
        return name

    def compute(self, step: Compute, pieces: dict[int, int]) -> list[str]:
        """One piece of a sum, a few terms to a line."""
        name = self.local(step.value)
        lines: list[str] = []
        expression = "" if step.first else name
        for start in range(0, len(step.terms), TERMS_PER_LINE):
            for term in step.terms[start : start + TERMS_PER_LINE]:
                expression = self.add(term, expression)
            if step.value in self.declared:
                lines.append(f"{name} = {expression};")
            else:
                constant = "const " if pieces[step.value] == 1 and len(step.terms) <= TERMS_PER_LINE else ""
                lines.append(f"{constant}logsig_vec {name} = {expression};")
                self.declared.add(step.value)
            expression = name
        self.locals.add(step.value)
        if step.last:
            self.finished.add(step.value)
        return lines

    def add(self, term: Term, total: str) -> str:
        """The expression ``total + term``; an empty ``total`` is zero."""
        coefficient, left, right = term
        unit = coefficient in (1, -1)
        negative = float(coefficient) < 0
        if right != NONE and not unit:
            raise AssertionError("products have unit coefficients by the time they are printed")
        if right == NONE and unit:
            if not total:
                return f"LOGSIG_NEG({self.operand(left)})" if negative else self.operand(left)
            return f"LOGSIG_{'SUB' if negative else 'ADD'}({total}, {self.operand(left)})"
        if right != NONE:
            factors = f"{self.operand(left)}, {self.operand(right)}"
        elif not total:
            return f"LOGSIG_MUL({self.signed_constant(coefficient)}, {self.operand(left)})"
        else:
            factors = f"{self.constant(magnitude(coefficient))}, {self.operand(left)}"
        if not total:
            return f"LOGSIG_NEG(LOGSIG_MUL({factors}))" if negative else f"LOGSIG_MUL({factors})"
        return f"LOGSIG_{'FNMA' if negative else 'FMA'}({factors}, {total})"

    def signed_constant(self, coefficient: Coefficient) -> str:
        name = self.constant(magnitude(coefficient))
        return f"LOGSIG_NEG({name})" if float(coefficient) < 0 else name


def _count_pieces(events: Sequence[Event]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for event in events:
        if isinstance(event, Compute):
            counts[event.value] = counts.get(event.value, 0) + 1
    return counts
