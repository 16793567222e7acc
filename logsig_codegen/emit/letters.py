"""Row functions in loops over the letters: a Lie program of degree two as calls of ``logsig_letters.h``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from logsig_codegen.compiler import Kernel
from logsig_codegen.emit.path_view import FunctionText, PathKernelView
from logsig_codegen.emit.printer import c_number
from logsig_codegen.emit.view import head, parameters, symbol
from logsig_codegen.ir.lie import Bracket, Coadjoint, LieProgram, Scaled, Statement
from logsig_codegen.operations import OPERATIONS, columns
from logsig_codegen.problem import Problem


def letters_view(problem: Problem, kernel: Kernel) -> PathKernelView:
    """The view of an operation on rows of which :func:`logsig_codegen.compiler.in_loops` is true."""
    operation = OPERATIONS[kernel.operation]
    assert kernel.lie is not None
    rows = tuple(port.operand for port in (*kernel.lie.inputs, *kernel.lie.outputs))
    described = (f"Plan: {kernel.plan}, in loops over the letters, a letter per lane.",)
    return PathKernelView(
        symbol=symbol(problem, operation.name),
        title=f"{operation.title}: dimension {problem.dimension}, degree {problem.degree}.",
        introduction=tuple(head(problem, described)),
        engine="logsig_letters.h",
        letters=problem.dimension,
        tables=False,
        frame=(f"#define FRAME ({room(kernel.lie)} * LOGSIG_LETTERS_LENGTH)",),
        functions=(row_function(operation.name, kernel.lie),),
        parameters=parameters(operation.name, "logsig_real"),
        entry=(
            f"const logsig_operand operands[{len(rows)}] = {{",
            *(f"    {{{name}, {name}_stride, {columns(problem, name)}, 0}}," for name in rows),
            "};",
            f"const int far = logsig_is_far(operands, {len(rows)}, batch);",
            f"const logsig_letters_job job = {{operands, {len(rows)}, {operation.name}, far}};",
        ),
        run="logsig_share(&job, logsig_walk_rows, FRAME, batch, n_jobs)",
    )


def row_function(name: str, lie: LieProgram) -> FunctionText:
    """What is computed of one row; ``rows`` are the operands of ``lie``, inputs first."""
    return FunctionText(
        "One row.", f"LOGSIG_NOINLINE void {name}(logsig_real *const *rows, logsig_vec *frame)", tuple(_lines(lie))
    )


def room(lie: LieProgram) -> int:
    """How many vectors of letters a row function needs in its frame."""
    return len(_letters(lie))


def _used(lie: LieProgram) -> set[str]:
    used = {name for statement in lie.statements for term in statement.terms for name in term.operands}
    return used.union(name for port in lie.outputs for name in port.vectors)


def _letters(lie: LieProgram) -> tuple[str, ...]:
    """The vectors of degree one that a row function has to do with."""
    used = _used(lie)
    given = (name for port in lie.inputs for name in port.vectors if name in used)
    names = (*given, *(statement.target.name for statement in lie.statements))
    return tuple(name for name in dict.fromkeys(names) if lie.vectors[name].degree == 1)


def _lines(lie: LieProgram) -> Iterator[str]:
    used, degree = _used(lie), {name: vector.degree for name, vector in lie.vectors.items()}
    for place, name in enumerate(_letters(lie)):
        yield f"logsig_vec *const {name} = frame + {place} * LOGSIG_LETTERS_LENGTH;"
    for row, port in enumerate(lie.inputs):
        for name in port.vectors:
            if name in used and degree[name] == 1:
                yield f"logsig_read_letters(rows[{row}], {name});"
            elif name in used:
                yield f"const logsig_real *const {name} = rows[{row}];"
    outputs = [(row, name) for row, port in enumerate(lie.outputs, len(lie.inputs)) for name in port.vectors]
    computed = {statement.target.name for statement in lie.statements}
    for row, name in outputs:
        if degree[name] == 2 and name not in computed:  # first: they are read in order, and then from the cache
            yield f"logsig_copy_words(rows[{row}], {name});"
    for group in _in_order(lie):
        yield f"/* {'; '.join(statement.text() for statement in group)} */"
        if degree[group[0].target.name] == 2:
            yield from _words(group[0], next(row for row, name in outputs if name == group[0].target.name))
            continue
        if not _coadjoints(group[0]):
            yield _each_letter(group[0].target.name, _sum(group[0]))
            continue
        for statement in group:
            yield _each_letter(statement.target.name, "LOGSIG_SET1(0)")
        yield from _actions(group)
        for statement in group:
            if len(statement.terms) > len(_coadjoints(statement)):
                yield _each_letter(statement.target.name, _sum(statement, f"{statement.target.name}[c]"))
    for row, name in outputs:
        if degree[name] == 1:
            yield f"logsig_write_letters(rows[{row}], {name});"


def _in_order(lie: LieProgram) -> Iterator[tuple[Statement, ...]]:
    """The statements, one by one; those with coadjoint actions together, since they read the same form."""
    left = list(lie.statements)
    known = {name for port in lie.inputs for name in port.vectors}
    while left:
        ready = [one for one in left if all(name in known for term in one.terms for name in term.operands)]
        plain = [one for one in ready if not _coadjoints(one)]
        group = tuple(plain[:1] or ready)
        yield group
        known.update(one.target.name for one in group)
        left = [one for one in left if one not in group]


def _coadjoints(statement: Statement) -> list[Coadjoint]:
    return [term for term in statement.terms if isinstance(term, Coadjoint)]


def _each_letter(name: str, value: str) -> str:
    return f"for (int c = 0; c < LOGSIG_LETTERS_LENGTH; c++) {name}[c] = {value};"


def _sum(statement: Statement, text: str = "") -> str:
    """Vector ``c`` of ``text``, if any, and the linear terms of a statement, rounded as in straight-line code."""
    scaled = [term for term in statement.terms if isinstance(term, Scaled)]
    for term in sorted(scaled, key=lambda term: term.coefficient != 1):
        x, number = f"{term.vector}[c]", f"LOGSIG_SET1({c_number(term.coefficient)})"
        if term.coefficient == 1:
            text = f"LOGSIG_ADD({text}, {x})" if text else x
        else:
            text = f"LOGSIG_FMA({number}, {x}, {text})" if text else f"LOGSIG_MUL({number}, {x})"
    return text or "LOGSIG_SET1(0)"


def _words(statement: Statement, row: int) -> Iterator[str]:
    given = [term.vector for term in statement.terms if isinstance(term, Scaled) and term.coefficient == 1]
    brackets = [term for term in statement.terms if isinstance(term, Bracket) and term.coefficient in (1, -1)]
    assert len(given) + len(brackets) == len(statement.terms), statement.text()
    if not statement.terms:
        yield f"logsig_clear_words(rows[{row}]);"
        return
    listed = (f"{{{term.left}, {term.right}, {int(term.coefficient == -1)}}}" for term in brackets)
    arrays = (
        (f"const logsig_real *const given_{row}[{len(given)}] = {{{', '.join(given)}}};",) if given else (),
        (f"const logsig_letters_bracket brackets_{row}[{len(brackets)}] = {{{', '.join(listed)}}};",),
    )
    yield from (line for lines in arrays for line in lines)
    rows = f"given_{row}" if given else "NULL"
    yield f"logsig_write_words(rows[{row}], {rows}, {len(given)}, brackets_{row}, {len(brackets)});"


def _actions(group: Sequence[Statement]) -> Iterator[str]:
    actions = [(one.target.name, term) for one in group for term in _coadjoints(one)]
    if not actions:
        return
    (form,) = {term.form for _, term in actions}
    assert all(term.coefficient in (1, -1) for _, term in actions)
    listed = (f"{{{term.actor}, {target}, {int(term.coefficient == -1)}}}" for target, term in actions)
    yield f"const logsig_letters_action actions[{len(actions)}] = {{{', '.join(listed)}}};"
    yield f"logsig_act({form}, actions, {len(actions)});"
