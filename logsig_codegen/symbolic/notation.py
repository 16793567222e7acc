r"""How formulas are written: plain text, LaTeX, SymPy's Python and MathML, from one set of rules.

Equations of coordinates (:mod:`~logsig_codegen.symbolic.equation`) and series of brackets
(:mod:`~logsig_codegen.symbolic.terms`) are sums of products; they call a :class:`Notation` for every part, and know no
format themselves. A name is a base with indices after underscores, ``omega_2`` or ``l_0_11``; ``d_`` in front marks a
derivative. Numbers are positive: signs belong to sums.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby

Piece = tuple[bool, str]
"""A part of a sum: whether it is subtracted, and its text."""


@dataclass(frozen=True)
class Notation:
    """The rules of one format, functions from rendered parts to rendered text.

    Attributes
    ----------
    name : callable
        From the name of a symbol.
    number : callable
        From a positive fraction.
    power : callable
        From a base and an exponent of at least two.
    times : str
        What stands between factors.
    bracket : callable
        From the two sides of a Lie bracket.
    group : callable
        From a sum that is a factor.
    signs : tuple of str
        Minus before the first part of a sum; plus and minus between two.
    equals : str
        What stands between the two sides of an equation.
    zero : str
        The sum of nothing.
    """

    name: Callable[[str], str]
    number: Callable[[Fraction], str]
    power: Callable[[str, int], str]
    times: str
    bracket: Callable[[str, str], str]
    group: Callable[[str], str]
    signs: tuple[str, str, str]
    equals: str
    zero: str

    def product(self, factors: Sequence[str], coefficient: Fraction = Fraction(1)) -> str:
        """A positive coefficient times rendered factors."""
        numbers = () if coefficient == 1 else (self.number(coefficient),)
        return self.times.join([*numbers, *factors])

    def monomial(self, names: Sequence[str]) -> tuple[str, ...]:
        """The factors of commuting symbols, equal ones side by side, as powers."""
        powers = ((self.name(name), len(list(same))) for name, same in groupby(names))
        return tuple(base if power == 1 else self.power(base, power) for base, power in powers)

    def total(self, pieces: Sequence[Piece]) -> str:
        """A sum."""
        if not pieces:
            return self.zero
        first, plus, minus = self.signs
        (negative, body), *others = pieces
        return (first if negative else "") + body + "".join((minus if sign else plus) + text for sign, text in others)

    def equation(self, name: str, right: str) -> str:
        """``name = right``, of a name that is not yet rendered."""
        return f"{self.name(name)}{self.equals}{right}"


def parts(name: str) -> tuple[bool, str, str]:
    """Whether a name is that of a derivative, its base, and its indices, which commas separate."""
    base, _, index = name.removeprefix("d_").partition("_")
    return name.startswith("d_"), base, index.replace("_", ",")


def _latex_name(name: str) -> str:
    derivative, base, index = parts(name)
    base = f"\\{base}" if len(base) > 1 else base
    base = rf"\bar{{{base}}}" if derivative else base
    return f"{base}_{{{index}}}" if index else base


def _latex_number(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _sympy_number(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"Rational({value.numerator},{value.denominator})"


_GREEK = {"omega": "ω", "Omega": "Ω"}


def _mathml_name(name: str) -> str:
    derivative, base, index = parts(name)
    symbol = f"<mi>{_GREEK.get(base, base)}</mi>"
    symbol = f"<mover>{symbol}<mo>¯</mo></mover>" if derivative else symbol
    return f"<msub>{symbol}<mn>{index}</mn></msub>" if index else symbol


def _mathml_number(value: Fraction) -> str:
    if value.denominator == 1:
        return f"<mn>{value}</mn>"
    return f"<mfrac><mn>{value.numerator}</mn><mn>{value.denominator}</mn></mfrac>"


BREAK = "</math> <math>"
"""Between two elements in MathML: a place where a line may end, for browsers break no line inside of one."""


def _mathml_fence(content: str, opening: str, closing: str) -> str:
    return f'<mo stretchy="false">{opening}</mo>{content}<mo stretchy="false">{closing}</mo>'


TEXT = Notation(
    name=str,
    number=str,
    power="{}**{}".format,
    times="*",
    bracket="[{},{}]".format,
    group="({})".format,
    signs=("-", " + ", " - "),
    equals=" = ",
    zero="0",
)
"""Polynomials as plain text, which Python and SymPy can parse."""
WORDS = replace(TEXT, times=" ")
"""Series of words and brackets as plain text: nothing stands between the letters of a word."""
LATEX = Notation(
    name=_latex_name,
    number=_latex_number,
    power="{}^{{{}}}".format,
    times=" ",
    bracket="[{},{}]".format,
    group=r"\bigl({}\bigr)".format,
    signs=("-", " + ", " - "),
    equals=" = ",
    zero="0",
)
"""LaTeX whose lines may be broken inside the brackets of a group."""
SYMPY = replace(TEXT, number=_sympy_number, bracket="bracket({}, {})".format)
"""Python that makes SymPy's expressions, given its symbols and a function ``bracket``."""
MATHML = Notation(
    name=_mathml_name,
    number=_mathml_number,
    power="<msup>{}<mn>{}</mn></msup>".format,
    times="<mo>\u2062</mo>",
    bracket=lambda left, right: _mathml_fence(f"{left}<mo>,</mo>{right}", "[", "]"),
    group=lambda content: _mathml_fence(content, "(", ")"),
    signs=('<mo form="prefix">−</mo>', f'{BREAK}<mo form="infix">+</mo>', f'{BREAK}<mo form="infix">−</mo>'),
    equals="<mo>=</mo>",
    zero="<mn>0</mn>",
)
"""The content of one or more ``<math>`` elements: :data:`BREAK` ends one and begins the next."""

_WIDTH = 100


def wrapped(line: str, indent: str = "    ") -> str:
    """A line as lines of at most 100 columns, as far as spaces allow; ``indent`` begins all but the first.

    A comment at the end, after ``#``, is not divided.
    """
    whole = line.replace("  # ", "  #\N{NO-BREAK SPACE}")
    lines = textwrap.wrap(whole, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def sympy_module(title: str, symbols: Iterable[str], groups: Mapping[str, Iterable[str]], *, lie: bool = False) -> str:
    """Python that makes dictionaries of SymPy's expressions.

    Parameters
    ----------
    title : str
        A line of comment.
    symbols : iterable of str
        The names that occur.
    groups : mapping
        From the name of a dictionary to its entries, each ``"key": expression,``, perhaps with a comment.
    lie : bool
        Whether the symbols do not commute; brackets are written as commutators then.
    """
    options = ", commutative=False" if lie else ""
    lines = [f"# {title}", "from sympy import Rational, Symbol", ""]
    lines += [f'{name} = Symbol("{name}"{options})' for name in symbols]
    if lie:
        lines += ["", "", "def bracket(a, b):", "    return a*b - b*a", ""]
    for name, entries in groups.items():
        lines += ["", f"{name} = {{", *(wrapped(f"    {entry}", " " * 8) for entry in entries), "}"]
    return "\n".join(lines)
