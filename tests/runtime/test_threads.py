"""``n_jobs``, and calls from several threads and from forked processes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from processes import RunPython

import logsig_codegen as lg
from logsig_codegen.runtime import loader, threads


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_processors", lambda: 8)
    expected = {1: 1, 2: 2, 8: 8, 9: 8, 10**18: 8, -1: 8, -2: 7, -8: 1, -9: 1, -(10**18): 1}
    assert {n_jobs: threads.thread_count(n_jobs) for n_jobs in expected} == expected
    assert threads.thread_count(np.int64(-2)) == 7


@pytest.mark.parametrize("wrong", [True, False, np.True_, 1.0, np.float64(1), "1", None])
def test_wrong_types(wrong: object) -> None:
    kernel = lg.load(2, 2)
    for call in (threads.thread_count, lambda n_jobs: kernel.join(np.zeros(3), np.zeros(2), n_jobs=n_jobs)):
        with pytest.raises(TypeError, match="n_jobs: expected an integer, got"):
            call(wrong)


def test_zero_is_an_error() -> None:
    kernel = lg.load(2, 2)
    rows = np.zeros((2, 3))
    for call in (
        lambda: kernel.join(rows, np.zeros((2, 2)), n_jobs=0),
        lambda: kernel.join_backprop(rows, rows, np.zeros((2, 2)), n_jobs=0),
        lambda: lg.log_sig_join(rows, np.zeros((2, 2)), 2, 2, n_jobs=0),
    ):
        with pytest.raises(ValueError, match=r"n_jobs: .*got 0"):
            call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_bit_depends_on_threads_batch_position_or_alignment(dtype: type) -> None:
    kernel = lg.load(3, 3)
    random = np.random.default_rng(1)
    log_sig = random.normal(size=(1003, kernel.size)).astype(dtype)
    displacement = random.normal(size=(1003, 3)).astype(dtype)
    d_out = random.normal(size=(1003, kernel.size)).astype(dtype)
    whole = kernel.join(log_sig, displacement)
    gradients = kernel.join_backprop(d_out, log_sig, displacement)
    for n_jobs in (2, -1):
        assert kernel.join(log_sig, displacement, n_jobs=n_jobs).tobytes() == whole.tobytes()
        again = kernel.join_backprop(d_out, log_sig, displacement, n_jobs=n_jobs)
        assert [x.tobytes() for x in again] == [x.tobytes() for x in gradients]
    for start, stop in ((0, 1), (5, 6), (3, 11), (7, 40), (1, 1003), (900, 1003)):
        part = slice(start, stop)
        assert kernel.join(log_sig[part], displacement[part]).tobytes() == whole[part].tobytes()
        again = kernel.join_backprop(d_out[part], log_sig[part], displacement[part])
        assert [x.tobytes() for x in again] == [x[part].tobytes() for x in gradients]
    shifted = np.empty(log_sig.size + 3, dtype)[3:].reshape(log_sig.shape)
    shifted[...] = log_sig
    assert kernel.join(shifted, displacement).tobytes() == whole.tobytes()


def test_calls_from_several_python_threads() -> None:
    kernel = lg.load(3, 3)
    random = np.random.default_rng(2)
    inputs = [(random.normal(size=(500, kernel.size)), random.normal(size=(500, 3))) for _ in range(16)]
    expected = [kernel.join(*pair).tobytes() for pair in inputs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pair: kernel.join(*pair, n_jobs=2).tobytes(), inputs * 4))
    assert found == expected * 4


def test_groups_are_opened_once_and_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that want the same group wait for one of them; those that want another one do not wait."""
    lg.clear_cache()
    opened = []
    both_at_work = threading.Barrier(2, timeout=60)

    def find(problem: lg.Problem, group: str, *_: object) -> Any:
        opened.append(group)
        both_at_work.wait()  # fails unless the other group is opened meanwhile
        return SimpleNamespace(library=SimpleNamespace(functions={}))

    monkeypatch.setattr(loader, "_find", find)
    kernel = loader.obtain(2, 2)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(kernel.loaded.group, ["bracket", "stream"] * 4))
    assert sorted(opened) == ["bracket", "stream"]
    assert len(set(map(id, found[::2]))) == len(set(map(id, found[1::2]))) == 1
    lg.clear_cache()


def test_a_forked_child_works_after_its_parent_used_threads(run_python: RunPython) -> None:
    output = run_python(
        """
        import multiprocessing, numpy as np, logsig_codegen as lg
        from logsig_codegen.runtime.threads import thread_count
        kernel = lg.load(3, 3)
        log_sig, displacement = np.ones((5000, kernel.size)), np.ones((5000, 3))
        # Two threads, however many processors there are: the pool that does not survive a fork must exist.
        function = kernel.functions("join")["float64"]
        from logsig_codegen.runtime import threads
        threads.usable_processors = lambda: 2
        expected = kernel.join(log_sig, displacement, n_jobs=2)

        def work(_):
            return kernel.join(log_sig, displacement, n_jobs=2).tobytes() == expected.tobytes(), thread_count(-1)

        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map_async(work, range(4)).get(timeout=60))
        print(thread_count(2))
        """,
        timeout=120,
    ).stdout
    assert output == f"{[(True, 1)] * 4}\n2\n"
