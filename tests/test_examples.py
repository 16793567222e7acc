"""The example on real recordings, and the benchmarks in short.

Trusts pySigLib for the features and the labels of the data for the answers.
"""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pysiglib
import pytest
import torch
from processes import process_environment

import logsig_codegen as lg

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


def load(name: str) -> ModuleType:
    """An example as a module."""
    specification = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[module.__name__] = module  # dataclasses look there
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return load("basic_motions")


def test_features_are_log_signatures(example: ModuleType) -> None:
    """Each row equals what pySigLib computes by another algorithm, and the last state of the stream."""
    train, test = example.read_recordings()
    kernel = lg.load(6, 3)
    pysiglib.prepare_log_sig(6, 3, 2)
    for part in (train, test):
        assert part.paths.shape == (40, 100, 6)
        expected = pysiglib.log_sig(part.paths, 3, method=2)
        found = example.log_signatures(kernel, part.paths)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        *_, last = example.stream(kernel, part.paths)
        np.testing.assert_allclose(found, last, rtol=1e-9, atol=1e-9)


def test_every_state_of_the_stream_is_one_of_a_prefix(example: ModuleType) -> None:
    train, _ = example.read_recordings()
    kernel = lg.load(6, 2)
    pysiglib.prepare_log_sig(6, 2, 2)
    states = [state.copy() for state in example.stream(kernel, train.paths)]
    assert len(states) == 99
    for length in (2, 37, 100):
        expected = pysiglib.log_sig(train.paths[:, :length].copy(), 2, method=2)
        np.testing.assert_allclose(states[length - 2], expected, rtol=1e-9, atol=1e-9)


def test_activities_are_recognised(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Four activities, ten recordings of each to be judged on: a guess is right one time in four."""
    accuracy = example.run([1, 2, 3])
    assert accuracy["train"] >= 0.95
    assert accuracy["test"] >= 0.85
    assert f"test {accuracy['test']:.3f}" in capsys.readouterr().out


def test_speakers_are_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    """Nine speakers, recordings of 7 to 29 samples: a guess is right one time in nine."""
    vowels = load("japanese_vowels")
    accuracy = vowels.run([1, 2])
    assert accuracy["test"] >= 0.93
    assert f"test {accuracy['test']:.3f}" in capsys.readouterr().out


def test_ragged_features_are_those_of_single_recordings() -> None:
    vowels = load("japanese_vowels")
    train, _ = vowels.read_recordings()
    features = vowels.log_signatures(train.paths[:20], 2)
    for path, found in zip(train.paths[:20], features, strict=True):
        assert np.array_equal(vowels.log_signatures([path], 2)[0], found)
        pysiglib.prepare_log_sig(12, 2, 2, time_aug=True)
        expected = pysiglib.log_sig(np.concatenate([np.zeros((1, 12)), path]), 2, method=2, time_aug=True)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_a_recurrent_network_learns_the_speakers(capsys: pytest.CaptureFixture[str]) -> None:
    """The loss falls, and with pySigLib's join it is the same one; nine speakers: a guess is right one time in nine."""
    threads = torch.get_num_threads()
    try:
        found = load("speaker_rnn").run(20)
    finally:
        torch.set_num_threads(threads)
    mine, other = found["logsig-codegen"], found["pySigLib"]
    np.testing.assert_allclose(mine.losses, other.losses, rtol=1e-6)
    assert mine.losses[-1] < 0.2 < 2.0 < mine.losses[0]
    assert mine.accuracy() == other.accuracy() >= 0.85
    assert "times as long" in capsys.readouterr().out


def test_a_log_ode_model_learns_from_irregular_recordings(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the moments, two thirds of the values; four activities: a guess is right one time in four."""
    found = load("irregular_recordings").run(60)
    assert found["last"] < 0.6 < 1.2 < found["first"]
    assert min(found["train"], found["test"]) >= 0.7
    assert "33% of the values missing" in capsys.readouterr().out


@pytest.mark.long
def test_a_log_ncde_learns_the_speakers(capsys: pytest.CaptureFixture[str]) -> None:
    """The loss falls, and with signax's log-signatures it is the same one; nine speakers: a guess is right 1 in 9."""
    double = jax.config.jax_enable_x64
    try:
        found = load("log_ncde").run(15, candidates=(4, 7), compare=True)
    finally:
        jax.config.update("jax_enable_x64", double)
    mine, other = found["logsig-codegen"], found["signax"]
    np.testing.assert_allclose(mine.losses, other.losses, rtol=1e-6)
    assert mine.losses[-1] < 0.2 < 2.0 < mine.losses[0]
    printed = capsys.readouterr().out
    assert "on recordings kept apart" in printed
    assert "times as long" in printed


def test_a_state_moves_along_fields_and_brackets() -> None:
    """The velocity of the log-NCDE, by Jacobians."""
    example = load("log_ncde")
    model = example.LogNCDE(example.ours, 4, jax.random.key(0))
    state, log_sig = (jax.random.normal(jax.random.key(k), (size,)) for k, size in ((1, example.HIDDEN), (2, 15)))

    def fields(at: jax.Array) -> jax.Array:
        return model.fields(at).reshape(5, -1)

    f, derivatives = fields(state), jax.jacobian(fields)(state)
    expected = log_sig[:5] @ f
    for area, (i, j) in zip(log_sig[5:], combinations(range(5), 2), strict=True):
        expected += area * (derivatives[j] @ f[i] - derivatives[i] @ f[j])
    np.testing.assert_allclose(model.velocity(state, log_sig), expected, rtol=1e-4, atol=1e-4)


def test_rolling_areas_and_forecasts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Areas are those of the polygon that closes a window; log-signatures forecast more than volatilities do."""
    prices = load("rolling_prices")
    _, path = prices.read_prices()
    found, brackets = prices.rolling(path, 100)
    for first in (0, 1234, len(path) - 100):
        x, y = (path[first : first + 100] - path[first]).T
        closed = 0.5 * float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
        assert found[first, brackets.index("[0,1]")] == pytest.approx(closed, abs=1e-12)
    returns = np.diff(path[:, 0])
    last = prices.volatility(path, 20)[-1]
    assert last == pytest.approx(0.5 * np.log(np.sum(returns[-20:] ** 2)), rel=1e-9)
    scores = prices.run(tmp_path / "areas.png")
    assert (tmp_path / "areas.png").read_bytes().startswith(b"\x89PNG")
    assert scores["log-signatures"] > scores["volatilities"] > 0.2
    assert "largest area: +0.0410" in capsys.readouterr().out


def saved(path: Path) -> list[dict[str, str]]:
    """Rows of measurements; the first line is about the machine."""
    with path.open(encoding="utf-8", newline="") as file:
        assert file.readline().startswith("# ")
        return list(csv.DictReader(file))


def test_the_benchmark_of_calls_in_torch_runs(tmp_path: Path) -> None:
    result = tmp_path / "torch.csv"
    command = [sys.executable, str(ROOT / "benchmarks" / "torch_overhead.py"), "--problem", "2,3", "--seconds", "0.5"]
    own = process_environment({"LOGSIG_CODEGEN_CACHE": str(tmp_path / "cache")})  # others expect operators in Python
    done = subprocess.run([*command, "--results", str(result)], env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = saved(result)
    assert {"torch.add", "C++ extension"} <= {row["call"] for row in rows}
    assert all(float(row["microseconds"]) > 0 for row in rows)


def test_the_benchmark_of_joins_runs_and_saves(tmp_path: Path) -> None:
    """A short run of one problem: the tables are printed, the numbers saved, the figure drawn."""
    result, figure = tmp_path / "join.csv", tmp_path / "join.png"
    command = [sys.executable, str(ROOT / "benchmarks" / "join.py"), "--minutes", "0.02", "--problem", "2,3"]
    done = subprocess.run(
        [*command, "--results", str(result), "--plot", str(figure)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = saved(result)
    assert {(row["operation"], row["dtype"]) for row in rows} == {
        (operation, dtype) for operation in ("join", "backprop") for dtype in ("float32", "float64")
    }
    assert all(float(row[name]) > 0 for row in rows for name in ("ours", "peer", "ratio"))
    assert "pySigLib's time over ours" in done.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_benchmark_of_windows_in_models_runs(tmp_path: Path) -> None:
    result = tmp_path / "jobs.csv"
    command = [sys.executable, str(ROOT / "benchmarks" / "jobs.py"), "--job", "SCP2", "--seconds", "0.1"]
    done = subprocess.run([*command, "--results", str(result)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = saved(result)
    assert [row["dtype"] for row in rows] == ["float64", "float32"]
    assert all(float(row[name]) > 0 for row in rows for name in ("forward", "backward", "copy", "ratio", "ratio_back"))
    assert "faster than pySigLib 4.0" in done.stdout


def test_the_benchmark_of_jax_programs_runs(tmp_path: Path) -> None:
    result = tmp_path / "jax.csv"
    command = [sys.executable, str(ROOT / "benchmarks" / "jax_programs.py"), "--problem", "2,3", "--seconds", "0.1"]
    done = subprocess.run([*command, "--results", str(result)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = saved(result)
    assert {row["job"] for row in rows} == {"joins", "log_sig", "log_sig, gradient"}
    assert {row["package"] for row in rows} >= {"logsig-codegen", "pySigLib (2)", "signax"}
    assert all(float(row["microseconds"]) > 0 for row in rows)
    assert "the fastest of them" in done.stdout


def test_the_benchmark_of_single_calls_runs(tmp_path: Path) -> None:
    result = tmp_path / "call.csv"
    command = [sys.executable, str(ROOT / "benchmarks" / "call.py"), "--problem", "2,3", "--results", str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    times = {row["call"]: float(row["microseconds"]) for row in saved(result)}
    assert times["kernel.join"] > 0
    assert times["load, cached"] < times["load, cold"]
