"""Numpy arrays of every layout, and the errors; results are compared with pySigLib's, sample by sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import peer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logsig_codegen as lg

D, N, M = 3, 3, 14
Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(scope="module")
def kernel() -> lg.LogSigKernel:
    return lg.load(D, N)


def close(found: Array, expected: Array) -> None:
    tolerance = 1e-13 if found.dtype == np.float64 else 1e-5
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance * max(1.0, np.abs(expected).max(initial=0))
    )


def arrays(batch: tuple[int, ...], width: int, seed: int, dtype: Any = np.float64) -> Array:
    return np.random.default_rng(seed).normal(size=(*batch, width)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3), (2, 1, 9), (33,), (0,), (3, 0), (0, 2)])
def test_batches(kernel: lg.LogSigKernel, dtype: Any, batch: tuple[int, ...]) -> None:
    log_sig, displacement, d_out = (arrays(batch, w, i, dtype) for i, w in enumerate((M, D, M)))
    close(kernel.join(log_sig, displacement), peer.join(log_sig, displacement, D, N))
    found = kernel.join_backprop(d_out, log_sig, displacement)
    for one, other in zip(found, peer.join_backprop(d_out, log_sig, displacement, D, N), strict=True):
        close(one, other)
    assert found[0].shape == log_sig.shape
    assert found[1].shape == displacement.shape


@pytest.mark.parametrize(("d", "n"), [(1, 1), (1, 4), (4, 1), (2, 5), (5, 2), (2, 7)])
def test_problems(d: int, n: int) -> None:
    kernel = lg.load(d, n)
    log_sig, displacement, d_out = (arrays((19,), w, i) for i, w in enumerate((kernel.size, d, kernel.size)))
    close(kernel.join(log_sig, displacement), peer.join(log_sig, displacement, d, n))
    expected = peer.join_backprop(d_out, log_sig, displacement, d, n)
    for one, other in zip(kernel.join_backprop(d_out, log_sig, displacement), expected, strict=True):
        close(one, other)


def test_gradients_are_difference_quotients(kernel: lg.LogSigKernel) -> None:
    log_sig, displacement, d_out = (arrays((), w, i) for i, w in enumerate((M, D, M)))
    gradients = kernel.join_backprop(d_out, log_sig, displacement)
    step = 1e-5
    for which, width in ((0, M), (1, D)):
        for index in range(width):
            sides = []
            for sign in (1, -1):
                inputs = [log_sig.copy(), displacement.copy()]
                inputs[which][index] += sign * step
                sides.append(d_out @ peer.join(*inputs, D, N))
            assert gradients[which][index] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-7, abs=1e-8)


layouts = st.sampled_from(
    ["plain", "every other row", "backwards", "wide rows", "columns backwards", "every other column", "fortran",
     "read-only", "unaligned", "shared row", "subclass"]
)  # fmt: skip


def laid_out(array: Array, layout: str) -> Array:
    """An array equal to ``array`` with the memory layout wanted."""
    batch, width = array.shape[:-1], array.shape[-1]
    if layout == "every other row" and batch:
        array = np.repeat(array, 2, axis=-2)[..., ::2, :]
    elif layout == "backwards" and batch:
        array = np.flip(np.flip(array, 0).copy(), 0)
    elif layout == "wide rows":
        array = np.concatenate([array, array, array], axis=-1)[..., width : 2 * width]
    elif layout == "columns backwards":
        array = array[..., ::-1].copy()[..., ::-1]
    elif layout == "every other column":
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    elif layout == "fortran":
        array = np.asfortranarray(array)
    elif layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
    elif layout == "unaligned":
        buffer = np.empty(array.nbytes + 1, np.uint8)
        view = buffer[1:].view(array.dtype).reshape(array.shape)
        view[...] = array
        array = view
    elif layout == "shared row" and batch:
        array = np.broadcast_to(array[..., :1, :], array.shape)
    elif layout == "subclass":
        array = array.view(type("Mine", (np.ndarray,), {}))
    return array


@settings(max_examples=60, deadline=None)
@given(
    batch=st.lists(st.integers(0, 4), max_size=3).map(tuple),
    drop=st.tuples(*[st.integers(0, 3)] * 3),
    ones=st.tuples(*[st.sets(st.integers(0, 2))] * 3),
    layout=st.tuples(layouts, layouts, layouts),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_jobs=st.sampled_from([1, 2]),
)
def test_broadcasting_and_strides(
    batch: tuple[int, ...], drop: Any, ones: Any, layout: Any, dtype: Any, n_jobs: int
) -> None:
    kernel = lg.load(D, N)
    inputs = []
    for which, width in enumerate((M, D, M)):
        shape = tuple(1 if axis in ones[which] else length for axis, length in enumerate(batch))[drop[which] :]
        inputs.append(laid_out(arrays(shape, width, which, dtype), layout[which]))
    log_sig, displacement, d_out = inputs
    before = [x.tobytes() for x in inputs]
    result = kernel.join(log_sig, displacement, n_jobs=n_jobs)
    close(result, peer.join(np.asarray(log_sig), np.asarray(displacement), D, N))
    d_out = d_out[(0,) * max(0, d_out.ndim - result.ndim)] if 0 not in d_out.shape else result
    if np.broadcast_shapes(d_out.shape, result.shape) != result.shape:
        with pytest.raises(ValueError, match="d_out must broadcast to the shape of the result"):
            kernel.join_backprop(d_out, log_sig, displacement)
        return
    found = kernel.join_backprop(d_out, log_sig, displacement, n_jobs=n_jobs)
    expected = peer.join_backprop(np.asarray(d_out), np.asarray(log_sig), np.asarray(displacement), D, N)
    for one, other in zip(found, expected, strict=True):
        assert type(one) is np.ndarray
        close(one, other)
    assert [x.tobytes() for x in inputs] == before


def test_sums_over_many_samples_in_float32_stay_accurate(kernel: lg.LogSigKernel) -> None:
    count = 100_000
    displacement = np.full(D, 0.1, np.float32)
    log_sig = np.full((count, M), 0.1, np.float32)
    d_out = np.ones((count, M), np.float32)
    one = kernel.join_backprop(d_out[0], log_sig[0], displacement)[1]
    total = kernel.join_backprop(d_out, log_sig, displacement)[1]
    np.testing.assert_allclose(total, one.astype(np.float64) * count, rtol=1e-6)


def test_nan_and_infinity_stay_in_their_sample(kernel: lg.LogSigKernel) -> None:
    log_sig, displacement, d_out = (arrays((70,), w, i) for i, w in enumerate((M, D, M)))
    clean = kernel.join(log_sig, displacement), *kernel.join_backprop(d_out, log_sig, displacement)
    log_sig[3, 0], displacement[20, 1], d_out[41, 2] = np.nan, np.inf, np.nan
    others = np.ones(70, bool)
    others[[3, 20, 41]] = False
    found = kernel.join(log_sig, displacement), *kernel.join_backprop(d_out, log_sig, displacement)
    for one, other in zip(found, clean, strict=True):
        assert one[others].tobytes() == other[others].tobytes()
    assert not np.isfinite(found[0][3]).all()
    assert not np.isfinite(found[0][20]).all()
    for row in (3, 20, 41):
        assert not np.isfinite(found[1][row]).all()


@pytest.mark.parametrize("layout", ["plain", "rows apart", "columns apart", "backwards", "fortran"])
def test_out(kernel: lg.LogSigKernel, layout: str) -> None:
    log_sig, displacement, d_out = (arrays((6,), w, i) for i, w in enumerate((M, D, M)))

    def target(width: int) -> Array:
        return {
            "plain": np.zeros((6, width)),
            "rows apart": np.zeros((6, width + 5))[:, 2 : 2 + width],
            "columns apart": np.zeros((6, 2 * width))[:, ::2],
            "backwards": np.zeros((6, width))[::-1],
            "fortran": np.zeros((6, width), order="F"),
        }[layout]

    out = target(M)
    assert kernel.join(log_sig, displacement, out=out) is out
    assert out.tobytes() == kernel.join(log_sig, displacement).tobytes()
    pair = target(M), target(D)
    returned = kernel.join_backprop(d_out, log_sig, displacement, out=pair)
    assert [id(x) for x in returned] == [id(x) for x in pair]
    for one, other in zip(pair, kernel.join_backprop(d_out, log_sig, displacement), strict=True):
        assert one.tobytes() == other.tobytes()
    for left, right, into in (
        (log_sig[:1], displacement, (target(M)[:1], target(D))),
        (log_sig, displacement[0], (target(M), np.zeros(D))),
    ):
        kernel.join_backprop(d_out, left, right, out=into)
        for one, other in zip(into, kernel.join_backprop(d_out, left, right), strict=True):
            assert one.tobytes() == other.tobytes()


def test_out_leaves_the_space_between_its_rows_alone(kernel: lg.LogSigKernel) -> None:
    log_sig, displacement = arrays((50,), M, 0), arrays((50,), D, 1)
    room = np.full((50, M + 2), 7.0)
    kernel.join(log_sig, displacement, out=room[:, 1:-1])
    assert (room[:, [0, -1]] == 7.0).all()


def test_wrong_out(kernel: lg.LogSigKernel) -> None:
    log_sig, displacement, d_out = (arrays((4,), w, i) for i, w in enumerate((M, D, M)))
    frozen = np.zeros((4, M))
    frozen.flags.writeable = False
    room = np.zeros((4, M + 1))
    overlapping = np.lib.stride_tricks.as_strided(np.zeros(M + 3), (4, M), (8, 8))
    shared = np.lib.stride_tricks.as_strided(np.zeros(M), (4, M), (0, 8))
    for out, error, message in (
        ([0.0] * M, TypeError, "out: expected a numpy array, got list"),
        (np.zeros((4, M), np.float32), TypeError, "out: expected dtype float64, got float32"),
        (np.zeros((4, M), ">f8"), TypeError, "out: expected dtype float64, got >f8"),
        (np.ma.zeros((4, M)), TypeError, "out: expected a numpy array, got MaskedArray"),
        (np.zeros((3, M)), ValueError, rf"out: expected shape \(4, {M}\), got \(3, {M}\)"),
        (np.zeros((1, 4, M)), ValueError, "out: expected shape"),
        (frozen, ValueError, "out: .*read-only"),
        (overlapping, ValueError, "out: .*overlaps itself"),
        (shared, ValueError, "out: .*overlaps itself"),
        (log_sig, ValueError, "out: .*overlaps log_sig"),
        (log_sig[::-1], ValueError, "out: .*overlaps log_sig"),
    ):
        with pytest.raises(error, match=message):
            kernel.join(log_sig, displacement, out=out)  # type: ignore[type-var]
    with pytest.raises(ValueError, match=r"out: .*overlaps displacement"):
        kernel.join(log_sig, room[:, :D], out=room[:, 1:])
    beside = np.zeros((4, M + D))
    beside[:, M:] = displacement
    kernel.join(log_sig, beside[:, M:], out=beside[:, :M])  # interleaved rows share no element
    assert beside[:, :M].tobytes() == kernel.join(log_sig, displacement).tobytes()
    good = np.zeros((4, M)), np.zeros((4, D))
    for out, error, message in (
        (good[0], TypeError, r"out: expected a pair of arrays \(d_log_sig, d_displacement\), got ndarray"),
        ((good[0],), TypeError, "out: expected a pair"),
        ((good[0], np.zeros((4, M))), ValueError, r"out\[1\]: expected shape"),
        ((d_out, good[1]), ValueError, r"out\[0\]: .*overlaps d_out"),
        ((good[0], good[0][:, :D]), ValueError, r"out\[1\]: .*overlaps out\[0\]"),
    ):
        with pytest.raises(error, match=message):
            kernel.join_backprop(d_out, log_sig, displacement, out=out)


@pytest.mark.parametrize(
    ("log_sig", "displacement", "error", "message"),
    [
        ([0.0] * M, np.zeros(D), TypeError, "log_sig: expected a numpy array or a torch tensor, got list"),
        (np.zeros(M), (0.0,) * D, TypeError, "displacement: expected a numpy array or a torch tensor, got tuple"),
        (None, np.zeros(D), TypeError, "log_sig: expected a numpy array or a torch tensor, got NoneType"),
        (1.0, np.zeros(D), TypeError, "log_sig: expected a numpy array or a torch tensor, got float"),
        (np.zeros(M, int), np.zeros(D), TypeError, "log_sig: expected dtype float32 or float64 .*, got int64"),
        (np.zeros(M, complex), np.zeros(D), TypeError, "got complex128"),
        (np.zeros(M, np.float16), np.zeros(D), TypeError, "got float16"),
        (np.zeros(M, np.longdouble), np.zeros(D), TypeError, "log_sig: expected dtype"),
        (np.zeros(M, bool), np.zeros(D), TypeError, "got bool"),
        (np.zeros(M, object), np.zeros(D), TypeError, "got object"),
        (np.zeros(M, ">f8"), np.zeros(D), TypeError, "native byte order, got >f8"),
        (np.zeros(M), np.zeros(D, np.float32), TypeError, "one dtype .* log_sig is float64, displacement is float32"),
        (np.ma.zeros(M), np.zeros(D), TypeError, "log_sig: expected a plain array, got a masked array"),
        (np.array(1.0), np.zeros(D), ValueError, f"log_sig: expected last dimension {M} .*got an array without axes"),
        (np.zeros(M), np.array(1.0), ValueError, f"displacement: expected last dimension {D} .*without axes"),
        (np.zeros(M - 1), np.zeros(D), ValueError,
         rf"^log_sig: expected last dimension {M} for \(dimension={D}, degree={N}\), got {M - 1}$"),
        (np.zeros(M + 1), np.zeros(D), ValueError, f"log_sig: expected last dimension {M} .*, got {M + 1}"),
        (np.zeros((2, 0)), np.zeros(D), ValueError, "log_sig: expected last dimension"),
        (np.zeros((M, 2)), np.zeros((D, 2)), ValueError, "log_sig: expected last dimension"),
        (np.zeros(M), np.zeros(D + 1), ValueError, f"displacement: expected last dimension {D} .*, got {D + 1}"),
        (np.zeros((2, M)), np.zeros((3, D)), ValueError, r"cannot be broadcast.* log_sig \(2,\), displacement \(3,\)"),
        (np.zeros((0, M)), np.zeros((3, D)), ValueError, "cannot be broadcast together"),
        (np.zeros((2, 3, M)), np.zeros((2, D)), ValueError, "cannot be broadcast together"),
    ],
)  # fmt: skip
def test_wrong_arguments(log_sig: Any, displacement: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lg.load(D, N).join(log_sig, displacement)
    with pytest.raises(error, match=message):
        lg.log_sig_join(log_sig, displacement, D, N)
    d_out = np.zeros(M)
    with pytest.raises(error):
        lg.load(D, N).join_backprop(d_out, log_sig, displacement)


def test_wrong_d_out(kernel: lg.LogSigKernel) -> None:
    log_sig, displacement = np.zeros((4, M)), np.zeros((4, D))
    for d_out, error, message in (
        ([0.0] * M, TypeError, "d_out: expected a numpy array"),
        (np.zeros((4, M), np.float32), TypeError, "d_out is float32"),
        (np.zeros((4, D)), ValueError, "d_out: expected last dimension"),
        (np.zeros((3, M)), ValueError, r"d_out \(3,\), log_sig \(4,\), displacement \(4,\)"),
        (np.zeros((2, 4, M)), ValueError, "d_out must broadcast to the shape of the result"),
    ):
        with pytest.raises(error, match=message):
            kernel.join_backprop(d_out, log_sig, displacement)  # type: ignore[type-var]
    one = kernel.join_backprop(np.ones(M), log_sig, displacement)
    all_of_them = kernel.join_backprop(np.ones((4, M)), log_sig, displacement)
    assert [x.tobytes() for x in one] == [x.tobytes() for x in all_of_them]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_are_read_as_plain_arrays(kernel: lg.LogSigKernel, tmp_path: Any) -> None:
    matrix = np.asmatrix(arrays((2,), M, 0))
    mapped = np.memmap(tmp_path / "v", dtype=np.float64, mode="w+", shape=(2, D))
    mapped[...] = 1.0
    result = kernel.join(matrix, mapped)
    assert type(result) is np.ndarray
    assert result.tobytes() == kernel.join(np.asarray(matrix), np.ones((2, D))).tobytes()


def test_results_never_share_memory_with_inputs() -> None:
    kernel = lg.load(4, 1)
    log_sig, displacement = np.ones((3, 4)), np.zeros((3, 4))
    for result in (kernel.join(log_sig, displacement), *kernel.join_backprop(log_sig, log_sig, displacement)):
        assert not np.shares_memory(result, log_sig)
        assert not np.shares_memory(result, displacement)


def test_wrong_arguments_are_found_before_anything_is_allocated(kernel: lg.LogSigKernel) -> None:
    huge = np.broadcast_to(np.zeros(M), (2**40, M))  # 112 TiB, should anybody copy it or make its result
    for call in (
        lambda: kernel.join(huge, np.zeros((3, D))),
        lambda: kernel.join(huge, np.zeros(D), n_jobs=0),
        lambda: kernel.join(huge, np.zeros(D), out=np.zeros(M)),
        lambda: kernel.join_backprop(huge, np.zeros(M), np.zeros(D)),
    ):
        with pytest.raises(ValueError, match=r"broadcast|n_jobs|out: expected shape"):
            call()
