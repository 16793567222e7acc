"""What a kernel tells about itself, and copies of it."""

from __future__ import annotations

import copy
import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pysiglib
import pytest

import logsig_codegen as lg
from logsig_codegen.compiler import compile_problem
from logsig_codegen.emit.c import c_sources
from logsig_codegen.emit.cuda.sources import cuda_sources
from logsig_codegen.runtime.groups import Opened


@pytest.fixture
def kernel() -> lg.LogSigKernel:
    """A kernel with nothing but its join loaded, whatever other tests did."""
    lg.clear_cache()
    return lg.load(2, 4)


def test_attributes(kernel: lg.LogSigKernel) -> None:
    assert (kernel.dimension, kernel.degree, kernel.size) == (2, 4, 8)
    assert repr(kernel) == "LogSigKernel(dimension=2, degree=4, size=8, basis='Lyndon brackets (method 2)')"
    assert list(kernel.words) == pysiglib.lyndon_words(2, 4)
    assert kernel.brackets == (
        "0", "1", "[0,1]", "[0,[0,1]]", "[[0,1],1]", "[0,[0,[0,1]]]", "[0,[[0,1],1]]", "[[[0,1],1],1]",
    )  # fmt: skip
    for name in ("dimension", "degree", "size"):
        with pytest.raises(AttributeError):
            setattr(kernel, name, 3)


def test_source_is_what_was_compiled(kernel: lg.LogSigKernel) -> None:
    units = c_sources(compile_problem(lg.Problem(2, 4), groups=("join",)))
    assert kernel.sources == {unit.name: unit.text for unit in units}
    text = kernel.source("c")
    assert all(unit.text in text for unit in units)
    assert kernel.source() == text
    with pytest.raises(ValueError, match="target: expected one of c, cuda, jax, torch, got 'fortran'"):
        kernel.source("fortran")


def test_source_for_a_gpu(kernel: lg.LogSigKernel) -> None:
    for group, file in (("log_sig", "log_sig.cu"), ("bracket", "coadjoint.cu"), ("join_second", "join_jvp.cu")):
        units = cuda_sources(compile_problem(lg.Problem(2, 4), groups=(group,))).units
        text = kernel.source("cuda", group=group)
        assert file in {unit.name for unit in units}
        assert all(unit.text in text for unit in units)
    with pytest.raises(ValueError, match=r"group: expected one of join, join_backprop, .*got 'log'"):
        kernel.source("cuda", group="log")


def test_source_of_a_group(kernel: lg.LogSigKernel) -> None:
    units = c_sources(compile_problem(lg.Problem(2, 4), groups=("log_sig",)), coordinates=False)
    text = kernel.source(group="log_sig")
    assert text == "\n".join(f"/* ==== {unit.name} ==== */\n{unit.text}" for unit in units)
    assert "log_sig.c" in text
    assert "join.c" not in text
    assert kernel.source("c", group="join") == kernel.source()
    for wrong in ("log", 3, ["join"]):
        with pytest.raises(ValueError, match="groups: expected names out of join, join_backprop"):
            kernel.source(group=wrong)


def test_a_wrong_group_loads_nothing() -> None:
    def refuse(group: str) -> Opened:
        raise AssertionError(f"opened {group}")

    kernel = lg.LogSigKernel(lg.Problem(2, 4), refuse)
    for wrong in ("log", "join_jvp", "", "JOIN", 3, ["join"]):
        with pytest.raises(ValueError, match="groups: expected names out of join, join_backprop, ") as caught:
            kernel.prepare("join", wrong)
        assert str(caught.value).endswith(f"got {wrong!r}")
    kernel.prepare()
    with pytest.raises(AssertionError, match="opened stream"):
        kernel.prepare("stream")


def test_report(kernel: lg.LogSigKernel) -> None:
    kernel.prepare("join_backprop")
    report = kernel.report
    compiled = compile_problem(lg.Problem(2, 4), groups=("join", "join_backprop")).report()
    for operation in ("join", "join_backprop"):
        counts = report.operations[operation]
        expected = compiled["operations"][operation]
        assert {**counts._asdict(), "total": counts.total} == expected
        assert counts.total == counts.multiply_adds + counts.additions + counts.scalings > 0
        assert report.plan[operation] in str(report)
        assert f"{counts.total:,}" in str(report)
    assert report.bytes_per_sample["join"] == {"float64": 8 * (8 + 8 + 2), "float32": 4 * (8 + 8 + 2)}
    assert report.path == kernel.path
    assert str(report.path) in str(report)
    assert report.compiler in str(report)
    assert "-O2" in report.flags
    assert json.loads(json.dumps(report.to_dict()))["operations"] == compiled["operations"]


def test_report_merges_what_is_loaded(kernel: lg.LogSigKernel) -> None:
    """In the order of the table of operations, whatever was loaded first; every program has its line."""
    assert "join" in kernel.report.plan
    kernel.prepare("log_sig", "combine_backprop", "combine", "join_backprop")
    report = kernel.report
    groups = ("join", "join_backprop", "combine", "combine_backprop", "log_sig")
    expected = compile_problem(lg.Problem(2, 4), groups=groups).report()
    assert report.to_dict()["operations"] == expected["operations"]
    names = ["join", "join_backprop", "combine", "combine_backprop", "log_sig.step", "log_sig.finish"]
    assert list(report.operations) == names
    assert (report.plan, report.form) == (expected["plan"], expected["form"])
    assert report.bytes_per_sample == expected["bytes_per_sample"]
    lines = [line.split() for line in str(report).splitlines()[2:8]]
    for name, line in zip(names, lines, strict=True):
        assert line[:3] == [name, report.plan[name.split(".")[0]], report.form[name.split(".")[0]]]
        assert line[6] == f"{report.operations[name].total:,}"
        assert line[7] == f"{report.bytes_per_sample[name.split('.')[0]]['float64']:,}"


def test_formulas_are_of_the_same_problem(kernel: lg.LogSigKernel) -> None:
    assert kernel.formulas.problem == lg.Problem(2, 4)
    assert kernel.formulas.show("coordinates") == lg.formulas(2, 4).show("coordinates")
    assert len(kernel.formulas.coordinates) == kernel.size


def test_copies_are_the_same_kernel(kernel: lg.LogSigKernel) -> None:
    assert pickle.loads(pickle.dumps(kernel)) is kernel
    assert copy.deepcopy(kernel) is kernel


def test_a_pickled_kernel_works_in_another_process(kernel: lg.LogSigKernel) -> None:
    log_sig, displacement = np.ones(8), np.array([0.5, -0.5])
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(kernel.join, log_sig, displacement).result(timeout=120)
    assert found.tobytes() == kernel.join(log_sig, displacement).tobytes()


@pytest.mark.parametrize("name", ["nothing", 3, None])
def test_functions_of_an_operation_that_there_is_not(name: object) -> None:
    with pytest.raises(ValueError, match="operation: expected one of join,"):
        lg.load(2, 3).functions(name)  # type: ignore[arg-type]
