"""Processors and their features; truth is what the kernel's documented files mean, written out by hand."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from logsig_codegen.build import cpu

ROOT = Path(__file__).resolve().parent.parent.parent


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_second_version_of_control_groups_the_tightest_limit_of_all_parents_binds(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "max 100000\n")
    write(tmp_path / "outer/cpu.max", "150000 100000\n")
    write(tmp_path / "outer/inner/cpu.max", "400000 100000\n")
    assert cpu.read_quota(["0::/outer/inner"], tmp_path) == 1.5
    assert cpu.read_quota(["0::/"], tmp_path) is None


def test_first_version_of_control_groups(tmp_path: Path) -> None:
    write(tmp_path / "cpu/job/cpu.cfs_quota_us", "250000\n")
    write(tmp_path / "cpu/job/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    assert cpu.read_quota(["4:cpu:/job", "3:memory:/elsewhere"], tmp_path) == 2.5
    assert cpu.read_quota(["4:cpu:/"], tmp_path) is None


def test_a_group_that_is_not_visible_leaves_the_root_s_limit(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "200000 100000\n")
    assert cpu.read_quota(["0::/docker/0123"], tmp_path) == 2.0


PROGRAM = """
#define _GNU_SOURCE
#include "logsig_threads.h"
int main(int argc, char **argv)
{
    const double quota = argc > 2 ? logsig_read_quota(argv[1], argv[2]) : logsig_own_quota();
    return printf("%.17g %d", quota, logsig_usable_processors(argc > 2 ? 0 : quota)) < 0;
}
"""


def test_the_extension_of_torch_counts_the_same(tmp_path: Path) -> None:
    """The C header beside this module, on trees of both versions and on this process."""
    (tmp_path / "program.c").write_text(PROGRAM)
    program, header = tmp_path / "program", str(ROOT / "templates" / "c" / "include")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{header}", "-fsanitize=address,undefined"]
    subprocess.run(["cc", *flags, str(tmp_path / "program.c"), "-o", str(program)], check=True)

    def counted(*arguments: str) -> tuple[float, int]:
        printed = subprocess.run([str(program), *arguments], check=True, capture_output=True, text=True).stdout.split()
        return float(printed[0]), int(printed[1])

    root = tmp_path / "root"
    write(root / "outer/inner/cpu.max", "max 100000\n")
    write(root / "outer/cpu.max", "150000 100000\n")
    write(root / "single/cpu.max", "50000 100000\n")
    for controllers in ("cpu", "cpu,cpuacct"):
        write(root / controllers / "job/cpu.cfs_quota_us", "250000\n")
        write(root / controllers / "job/cpu.cfs_period_us", "100000\n")
        write(root / controllers / "cpu.cfs_quota_us", "-1\n")
    for lines in (
        ["0::/outer/inner"], ["0::/"], ["0::/outer/inner", "0::/single"], ["4:cpu:/job", "3:memory:/elsewhere"],
        ["4:cpu:/"], ["4:cpu,cpuacct:/job"], ["4:cpuset:/job", "5:cpuacct:/job"], ["0::/outer/hidden"], [],
    ):  # fmt: skip
        groups = tmp_path / "cgroup"
        groups.write_text("".join(f"{line}\n" for line in lines))
        assert counted(str(groups), str(root))[0] == (cpu.read_quota(lines, root) or 0)
    assert counted()[1] == cpu.usable_processors()


def test_the_quota_is_rounded_up_and_never_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for quota, expected in ((None, 8), (0.2, 1), (1.5, 2), (3.0, 3), (64.0, 8)):
        monkeypatch.setattr(cpu, "_quota", lambda quota=quota: quota)
        assert cpu.usable_processors() == expected


def test_affinity_is_respected() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cpu.usable_processors() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_features_the_compiler_uses_for_this_machine_are_features_this_machine_has() -> None:
    macros = subprocess.run(
        ["cc", "-march=native", "-dM", "-E", "-x", "c", "/dev/null"], capture_output=True, text=True, check=True
    ).stdout
    required = cpu.required_features(macros)
    assert cpu.missing_features(required) == ()
    known = cpu.features()
    assert known is not None
    if "avx2" in known:
        assert "avx2" in required


def test_missing_features_are_named_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "features", lambda: frozenset({"avx", "avx2"}))
    assert cpu.missing_features(("fma", "avx2", "avx512f")) == ("avx512f", "fma")
    monkeypatch.setattr(cpu, "features", lambda: None)
    assert cpu.missing_features(("fma",)) == ()
