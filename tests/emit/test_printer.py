"""Constants as C text: the nearest number of either format, also after a real compiler has read them."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native import COMPILERS

from logsig_codegen.algebra.surd import SQRT5, Coefficient, magnitude
from logsig_codegen.emit.printer import c_number, constant_name

CONSTANTS: list[Coefficient] = [
    *(0, 1, -1, 2, 1 << 24, (1 << 24) + 1, -(1 << 53)),
    *(Fraction(1, 3), Fraction(-1, 720), Fraction(863, 60480), Fraction(1, (1 << 24) - 1), Fraction(1, (1 << 24) + 1)),
    *(Fraction(-(10**9), 7), Fraction(3, 10**12), Fraction(6, 3)),
    *(SQRT5, SQRT5 / 20 + Fraction(1, 4), -SQRT5 / 7, SQRT5 * 0 + Fraction(1, 3)),
]


def value(text: str, dtype: type[np.float64] | type[np.float32]) -> float:
    """What C makes of the text, in the given format."""
    match = re.fullmatch(r"\(logsig_real\)(-?\d+)(?: / (\d+))?", text)
    if match is None:
        return float(dtype(float.fromhex(text.removeprefix("(logsig_real)"))))
    quotient = dtype(int(match[1]))
    return float(quotient / dtype(int(match[2])) if match[2] else quotient)


@given(st.one_of(st.integers(-(1 << 24), 1 << 24), st.fractions(-1000, 1000, max_denominator=16000)))
def test_small_fractions_are_the_nearest_number_in_both_formats(number: Coefficient) -> None:
    """numpy rounds a long double, which has bits to spare for these."""
    exact = Fraction(number)  # type: ignore[arg-type]
    assert value(c_number(number), np.float64) == float(exact)
    nearest = np.float32(np.longdouble(exact.numerator) / np.longdouble(exact.denominator))
    assert value(c_number(number), np.float32) == float(nearest)


@given(st.one_of(st.fractions(), st.builds(lambda a, b: a + b * SQRT5, st.fractions(), st.fractions())))
def test_every_constant_is_the_nearest_double(number: Coefficient) -> None:
    assert value(c_number(number), np.float64) == float(number)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3, "(logsig_real)3"),
        (-1, "(logsig_real)-1"),
        (Fraction(1, 6), "(logsig_real)1 / 6"),
        (Fraction(-5, 3), "(logsig_real)-5 / 3"),
        (Fraction(8, 4), "(logsig_real)2"),
        (SQRT5 * 0 + Fraction(1, 3), "(logsig_real)1 / 3"),
        (SQRT5, "(logsig_real)0x1.1e3779b97f4a8p+1"),
        (Fraction(1, 10**9), "(logsig_real)0x1.12e0be826d695p-30"),
    ],
)
def test_text(number: Coefficient, text: str) -> None:
    assert c_number(number) == text


def test_names_tell_constants_apart() -> None:
    numbers = [magnitude(number) for number in CONSTANTS]
    distinct = list(dict.fromkeys(numbers))
    names = [constant_name(number, known) for known, number in enumerate(distinct)]
    assert len(set(names)) == len(distinct)
    assert all(re.fullmatch(r"[a-z]\w*", name) for name in names)
    assert constant_name(Fraction(2, 3), 0) == "c2_3"
    assert constant_name(4, 0) == "c4"


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(("real", "dtype"), [("double", np.float64), ("float", np.float32)])
def test_a_compiler_reads_the_same_numbers(
    tmp_path: Path, compiler: str, real: str, dtype: type[np.float64] | type[np.float32]
) -> None:
    numbers = ",\n".join(c_number(number) for number in CONSTANTS)
    (tmp_path / "constants.c").write_text(
        f"#include <stdio.h>\ntypedef {real} logsig_real;\nstatic const logsig_real numbers[] = {{\n{numbers}\n}};\n"
        "int main(void)\n{\n    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)\n"
        '        printf("%a\\n", (double)numbers[i]);\n    return 0;\n}\n'
    )
    command = [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "constants.c", "-o", "constants"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    printed = subprocess.run([tmp_path / "constants"], check=True, capture_output=True, text=True).stdout.split()
    assert [float.fromhex(text) for text in printed] == [value(c_number(number), dtype) for number in CONSTANTS]
