"""The same sources for 64-bit ARM: cross-compiled, run by an emulator, compared with exact results.

Both tools are ordinary packages (Debian, Ubuntu: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, and qemu-user or
qemu-user-static).
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from exact import TOLERANCE, Array, case, error
from native import write_sources

from logsig_codegen import compiler
from logsig_codegen.build.toolchain import FLAGS, OPENMP
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.c import c_sources
from logsig_codegen.problem import Problem

COMPILER = "aarch64-linux-gnu-gcc"
EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")  # of the packages qemu-user and qemu-user-static
EMULATOR = next((name for name in EMULATORS if shutil.which(name)), None)
MISSING = [*(() if shutil.which(COMPILER) else (COMPILER,)), *(() if EMULATOR else (" or ".join(EMULATORS),))]

DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "NAME.h"

static void get(REAL *numbers, size_t count)
{
    if (fread(numbers, sizeof(REAL), count, stdin) != count) exit(2);
}

static void put(const REAL *numbers, size_t count)
{
    if (fwrite(numbers, sizeof(REAL), count, stdout) != count) exit(2);
}

int main(int argc, char **argv)
{
    enum { M = PREFIX_SIZE, D = PREFIX_DIMENSION };
    const ptrdiff_t batch = argc == 2 ? atoi(argv[1]) : 0;
    const size_t wide = (size_t)batch * M, narrow = (size_t)batch * D;
    REAL *const g = malloc(3 * wide * sizeof(REAL)), *const l = g + wide, *const z = l + wide;
    REAL *const v = malloc(2 * narrow * sizeof(REAL)), *const dv = v + narrow;
    get(g, wide);
    get(l, wide);
    get(v, narrow);
    if (NAME_join_SUFFIX(l, M, v, D, z, M, batch, 2)) return 3;
    put(z, wide);
    if (NAME_join_backprop_SUFFIX(g, M, l, M, v, D, z, M, dv, D, batch, 2)) return 3;
    put(z, wide);
    put(dv, narrow);
    return 0;
}
"""


@dataclass(frozen=True)
class Emulated:
    """A program that reads arguments, and writes the join and its gradients."""

    program: Path
    problem: Problem

    def __call__(self, d_out: Array, log_sig: Array, displacement: Array) -> list[Array]:
        batch, m = log_sig.shape
        sent = b"".join(array.tobytes() for array in (d_out, log_sig, displacement))
        assert EMULATOR is not None
        command = [EMULATOR, str(self.program), str(batch)]
        received = subprocess.run(command, input=sent, capture_output=True, check=True).stdout
        numbers = np.frombuffer(received, log_sig.dtype)
        pieces = np.split(numbers, [batch * m, 2 * batch * m])
        return [piece.reshape(batch, -1) for piece in pieces]


def build(folder: Path, problem: Problem, bits: int) -> Emulated:
    """Compile for ARM without a warning, into one static program."""
    name = f"logsig_{problem.name}"
    driver = DRIVER.replace("NAME", name).replace("PREFIX", name.upper())
    driver = driver.replace("REAL", {64: "double", 32: "float"}[bits]).replace("SUFFIX", f"f{bits}")
    (folder / "driver.c").write_text(driver)
    units = [unit for unit in c_sources(compile_problem(problem)) if unit.name != "module.c"]
    write_sources(folder, units)
    flags = [*(flag.text for flag in FLAGS), OPENMP.text, "-Wall", "-Wextra", "-Werror", f"-DLOGSIG_REAL_BITS={bits}"]
    sources = ["driver.c", *(unit.name for unit in units if unit.language == "c")]
    for command in (
        [COMPILER, *flags, "-c", *sources],
        [COMPILER, "-static", *(f"{source[:-2]}.o" for source in sources), OPENMP.text, "-o", "driver", "-Wl,-w"],
    ):
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")
    return Emulated(folder / "driver", problem)


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize(
    ("dimension", "degree", "form"), [(1, 1, "unrolled"), (2, 5, "unrolled"), (5, 3, "unrolled"), (3, 4, "tables")]
)
def test_arm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dimension: int, degree: int, form: str, bits: int
) -> None:
    """Exact up to rounding, and each row has the same bits in batches of every size."""
    if form == "tables":
        monkeypatch.setattr(compiler, "UNROLLED_OPERATIONS", -1)
    emulated = build(tmp_path, Problem(dimension, degree), bits)
    known = case(dimension, degree)
    dtype = np.dtype(f"f{bits // 8}")
    inputs = [array[:70].astype(dtype) for array in (known.d_out, known.log_sig, known.displacement)]
    results = emulated(*inputs)
    count = len(known.out)
    for found, exact in zip(results, (known.out, known.d_log_sig, known.d_displacement), strict=True):
        assert error(found[:count], exact, known.problem) <= TOLERANCE[dtype]
    for rows in (slice(0, 1), slice(5, 6), slice(3, 20), slice(33, 70)):
        for found, whole in zip(emulated(*(array[rows] for array in inputs)), results, strict=True):
            np.testing.assert_array_equal(found, whole[rows])
