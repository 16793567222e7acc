"""Dask arrays in chunks. Trusts ``log_sig`` of paths in memory, the area formula over integers, and identities."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

import logsig_codegen as lg
from logsig_codegen.dask import log_sig, log_sig_backprop
from logsig_codegen.distributed import LogSigPlugin

GENERATOR = np.random.default_rng(53)
PATHS = GENERATOR.standard_normal((3, 17, 2)).cumsum(1)
TIMES = GENERATOR.uniform(0.5, 1.5, 17).cumsum()
LENGTHS = np.array([17, 0, 8])
INTERVALS = np.array([[2, 15], [0, 16], [3, 5], [4, 4], [5, 4], [16, 16]])
FOR_EACH = np.stack([INTERVALS, INTERVALS[::-1], np.minimum(INTERVALS + 1, 16)])
MOMENTS = np.array([[TIMES[0], TIMES[-1]], [TIMES[2] + 0.1, TIMES[9]], [TIMES[3] + 0.1, TIMES[3] + 0.2]])
CALLS: list[dict[str, Any]] = [
    {"method": 2},
    {"method": 0, "scalar_term": True, "lead_lag": True},
    {"lengths": LENGTHS, "time_aug": True},
    {"windows": (3, 2), "time_aug": True, "end_time": 3.0},
    {"windows": (13, 2), "lead_lag": True, "lengths": LENGTHS},
    {"windows": [(4, 1), (30, 1)]},
    {"windows": (6.0, 1.5), "times": TIMES, "time_aug": True, "lengths": LENGTHS},
    {"intervals": INTERVALS, "lengths": LENGTHS},
    {"intervals": FOR_EACH, "times": np.stack([TIMES] * 3), "time_aug": True},
    {"intervals": MOMENTS, "times": TIMES, "lead_lag": True},
    {"stream": True, "lead_lag": True, "method": 0, "scalar_term": True},
    {"stream": True, "time_aug": True, "lengths": LENGTHS, "method": 2},
]


def lazy(*chunks: int) -> Any:
    """The paths in chunks along time."""
    return da.from_array(PATHS, ((2, 1), chunks, (1, 1)))


@pytest.mark.parametrize("options", CALLS, ids=lambda options: "-".join(options))
def test_chunks_along_time_change_nothing_but_roundings(options: dict[str, Any]) -> None:
    path = lazy(5, 1, 4, 7)
    expected, found = lg.log_sig(PATHS, 2, **options), log_sig(path, 2, **options)
    several = isinstance(expected, list)
    for one, other in zip(expected if several else [expected], found if several else [found], strict=True):
        assert other.shape == one.shape
        np.testing.assert_allclose(other.compute(), one, rtol=1e-13, atol=1e-13)
    d_out = [GENERATOR.standard_normal(one.shape) for one in expected] if several else np.ones(expected.shape)
    gradient = log_sig_backprop(d_out, path, 2, **options)
    assert gradient.chunks == path.chunks
    expected = lg.log_sig_backprop(d_out, PATHS, 2, **options)
    np.testing.assert_allclose(gradient.compute(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"windows": (3, 2), "lengths": LENGTHS},
        {"stream": True},
        {"missing": "linear", "count_observations": True},
        {"windows": (4.0, 2.0), "times": np.sort(GENERATOR.uniform(0, 20, (3, 17)))},
    ],
)
def test_chunks_along_the_batch_give_the_same_bits(options: dict[str, Any]) -> None:
    path, expected = lazy(17), lg.log_sig(PATHS, 2, **options)
    found = log_sig(path, 2, **options)
    assert found.chunks[0] == (2, 1)
    assert np.array_equal(found.compute(), expected)
    d_out = GENERATOR.standard_normal(expected.shape)
    gradient = log_sig_backprop(da.from_array(d_out), path, 2, **options)
    assert np.array_equal(gradient.compute(), lg.log_sig_backprop(d_out, PATHS, 2, **options))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("chunks", [(17,), (6, 11), (9, 7, 1)])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 5)])
def test_what_came_before(chunks: tuple[int, ...], shape: tuple[int, ...], stream: bool) -> None:
    initial = GENERATOR.standard_normal(shape)
    expected = lg.log_sig(PATHS, 3, initial=initial, stream=stream)
    rows = log_sig(lazy(*chunks), 3, initial=da.from_array(initial), stream=stream)
    np.testing.assert_allclose(rows, expected, rtol=1e-12)
    d_out = GENERATOR.standard_normal(expected.shape)
    found = dask.compute(*log_sig_backprop(d_out, lazy(*chunks), 3, initial=initial, stream=stream))
    for one, other in zip(found, lg.log_sig_backprop(d_out, PATHS, 3, initial=initial, stream=stream), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


def test_windows_that_reach_into_the_next_chunk_are_no_products() -> None:
    """Each is computed from its points, as intervals are: the same bits, in chunks by where they begin."""
    found = log_sig(lazy(6, 6, 5), 3, windows=(5, 2), method=2)
    assert found.chunks == ((2, 1), (3, 3, 1), (5,))
    begin = np.arange(0, 13, 2)
    expected = lg.log_sig(PATHS, 3, intervals=np.stack([begin, begin + 4], -1), method=2)
    assert np.array_equal(found.compute(), expected)


@settings(max_examples=10)
@given(st.data())
def test_integers_give_exact_areas_in_any_chunks(data: st.DataObject) -> None:
    """Of degree 2 all numbers are halves of integers; gradients of the area are differences of points."""
    chunks = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any))
    length = sum(chunks)
    path = np.array(data.draw(st.lists(st.tuples(*[st.integers(-99, 99)] * 2), min_size=length, max_size=length)))
    ends = st.integers(0, length - 1)
    pairs = np.sort(np.array(data.draw(st.lists(st.tuples(ends, ends), min_size=1, max_size=4))), axis=1)
    array = da.from_array(path.astype(float), (tuple(chunks), -1))
    found, gradient = dask.compute(
        log_sig(array, 2, intervals=pairs),
        log_sig_backprop(np.array([0.0, 0.0, 1.0]), array, 2, intervals=pairs),
        scheduler="synchronous",
    )
    expected = np.zeros((length, 2))
    for row, (first, last) in zip(found, pairs, strict=True):
        x = path[first : last + 1]
        doubled = sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(x - x[0], np.diff(x, axis=0), strict=False))
        assert row.tolist() == [*(x[-1] - x[0]), doubled / 2]
        around = np.concatenate([x[1:], x[:1]]) - np.concatenate([x[-1:], x[:-1]])  # the area of a closed polygon
        expected[first : last + 1] += np.stack([around[:, 1], -around[:, 0]], -1) / 2
    assert np.array_equal(gradient, expected)


def test_single_paths_single_precision_and_nothing_at_all() -> None:
    single = da.from_array(PATHS[0].astype(np.float32), (5, 2))
    found = log_sig(single, 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.compute(), lg.log_sig(PATHS[0], 2), rtol=1e-5)
    for shape, chunks in (((0, 9, 2), ((0,), (4, 5), 2)), ((2, 0, 2), (2, 1, 2)), ((2, 9, 2), (2, (0, 4, 0, 5), 2))):
        for options in ({}, {"windows": (12, 1)}, {"intervals": np.zeros((0, 2), int)}, {"stream": True}):
            path, expected = da.zeros(shape, chunks=chunks), lg.log_sig(np.zeros(shape), 2, **options)
            assert log_sig(path, 2, **options).compute().shape == expected.shape
            assert log_sig_backprop(expected, path, 2, **options).compute().shape == shape


def test_nothing_is_computed_before_it_is_asked_for_and_names_depend_on_the_arguments_only() -> None:
    def fail(block: Any) -> Any:
        raise RuntimeError("a block was computed")

    path = da.map_blocks(fail, lazy(8, 9), dtype=float, meta=np.empty((0, 0, 0)))
    for options in CALLS:
        rows = log_sig(path, 2, **options)
        if not isinstance(rows, list):
            assert rows.name == log_sig(path, 2, **options).name
            d_out = da.ones(rows.shape)
            gradient = log_sig_backprop(d_out, path, 2, **options)
            assert gradient.name == log_sig_backprop(d_out, path, 2, **options).name
    with pytest.raises(RuntimeError, match="a block was computed"):
        rows.compute()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"missing": "raise"}, lg.UnsupportedError, "missing: .* one chunk along time, path.rechunk.* got 2 chunks"),
        ({"time_aug": True, "lengths": LENGTHS, "end_time": 0.0}, lg.UnsupportedError, "end_time: "),
        ({"times": np.stack([TIMES] * 3), "windows": (2.0, 1.0)}, lg.UnsupportedError, "times: "),
        ({"intervals": da.zeros((1, 2), dtype=int)}, lg.UnsupportedError, "intervals: .* in memory"),
        ({"initial": np.zeros((4, 1, 3))}, lg.UnsupportedError, r"initial: .* broadcasts to \(3,\)"),
        ({"initial": [0.0, 0.0, 0.0]}, TypeError, "initial: expected a Dask array or a numpy array, got list"),
        ({"intervals": [[3, 17]]}, ValueError, r"intervals\[0\]: "),
        ({"lengths": [17, 18, 0]}, ValueError, "lengths: expected values from 0 to 17"),
    ],
)
def test_errors_come_at_once(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        log_sig(lazy(8, 9), 2, **options)


def test_what_is_no_dask_array_or_has_no_shape_is_refused() -> None:
    with pytest.raises(TypeError, match="path: expected a Dask array, got ndarray"):
        log_sig(PATHS, 2)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        log_sig(lazy(8, 9)[da.from_array(np.array([True, False, True]))], 2)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two processes that may hold 400 MB each, compile nothing, and find the kernels of the tests' cache."""
    lg.prepare_log_sig(2, 2, 2, gradients=True)
    lg.prepare_log_sig(2, 3, 2, gradients=True)
    settings = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "400MB", "dashboard_address": None}
    with LocalCluster(env={"LOGSIG_CODEGEN_BUILD": "never"}, **settings) as cluster, Client(cluster) as client:
        yield client


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_plug_in_loads_kernels_on_workers(client: Client) -> None:
    def mapped() -> bool:
        with open("/proc/self/maps") as maps:
            return "liblogsig_d2_n3" in maps.read()

    assert set(client.run(mapped).values()) == {False}
    client.register_plugin(LogSigPlugin(2, 3))
    assert set(client.run(mapped).values()) == {True}
    with pytest.raises(lg.BuildForbiddenError, match="LOGSIG_CODEGEN_BUILD"):
        client.register_plugin(LogSigPlugin(29, 2))  # no other test has built it


@pytest.mark.slow
def test_two_processes(client: Client) -> None:
    for options in CALLS[:1] + CALLS[7:8]:
        expected = lg.log_sig(PATHS, 3, **options)
        rows = log_sig(lazy(5, 1, 4, 7), 3, **options)
        gradient = log_sig_backprop(expected, lazy(5, 1, 4, 7), 3, **options)
        found = client.gather(client.compute([rows, gradient]))
        np.testing.assert_allclose(found[0], expected, rtol=1e-12, atol=1e-12)
        expected = lg.log_sig_backprop(expected, PATHS, 3, **options)
        np.testing.assert_allclose(found[1], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
def test_a_path_larger_than_the_memory_of_all_workers(client: Client) -> None:
    """Equal to the log-signature that grows chunk by chunk in this process; no worker was lost."""
    workers = client.run(os.getpid)
    path = da.random.default_rng(5).random((52 << 20, 2), chunks=(1 << 20, 2))
    assert path.nbytes > 2 * 400e6
    found = log_sig(path, 2, method=2).compute()
    assert client.run(os.getpid) == workers
    kernel, state, last = lg.load(2, 2), np.zeros(3), np.zeros((0, 2))
    for chunk in range(path.numblocks[0]):
        points = np.concatenate([last, path.blocks[chunk].compute(scheduler="synchronous")])
        state, last = kernel.log_sig(points, initial=state), points[-1:]
    np.testing.assert_allclose(found, state, rtol=1e-12, atol=1e-10)


@pytest.mark.slow
def test_gradients_of_a_path_whose_chunks_are_on_both_workers(client: Client) -> None:
    """They add up to nothing, as a shift changes nothing; and Euler's formula for scaled paths holds."""
    path, weights = da.random.default_rng(6).random((1 << 22, 2), chunks=(1 << 19, 2)), np.array([1.0, 2.0, 3.0])
    gradient = log_sig_backprop(weights, path, 2, method=2)
    total, scaled, rows = dask.compute(gradient.sum(0), (gradient * path).sum(), log_sig(path, 2, method=2))
    np.testing.assert_allclose(total, 0, atol=1e-9)
    np.testing.assert_allclose(scaled, rows @ (weights * [1, 1, 2]), rtol=1e-10)
