"""Arguments of public functions that mean something other libraries and people's files mean, by kind.

Truth is plain numpy (an end minus a start, a slice of a path) or the same call with the argument spelled otherwise.
"""

from __future__ import annotations

import pickle
import time
import types
from typing import Any

import numpy as np
import pytest
import torch

import logsig_codegen as lg
from logsig_codegen import functional, nn, torch_api
from logsig_codegen.runtime import threads
from logsig_codegen.runtime.request import PathOptions, path_request
from logsig_codegen.runtime.torch_ops import paths as operators
from logsig_codegen.runtime.transforms import Transform

RNG = np.random.default_rng(5)
PATH = RNG.normal(size=(4, 9, 2))


# -- the request ----------------------------------------------------------------------------------------------------


def test_options_have_one_normal_form() -> None:
    plain = PathOptions(True, None, "signature", 1, -1)
    assert plain == PathOptions(np.True_, None, np.str_("signature"), np.int64(1), np.int8(-1))  # type: ignore[arg-type]
    assert PathOptions(windows=[np.int64(5), 1]) == PathOptions(windows=(5, 1))  # type: ignore[arg-type]
    assert len({PathOptions(windows=np.array([5, 1])), PathOptions(windows=(5, 1))}) == 1  # type: ignore[arg-type]
    assert Transform(np.True_, False, np.float32(2)) == Transform(True, False, 2.0)  # type: ignore[arg-type]


def test_the_schema_is_that_of_the_value() -> None:
    options = (
        "int dimension, int degree, bool stream=False, int[]? windows=None, str? state=None, int method=2, int n_jobs=1"
    )
    assert f"int dimension, int degree, {PathOptions.schema()}" == options
    assert operators.log_sig.overload._schema.arguments[5].name == "stream"


@pytest.mark.parametrize(
    "options",
    [{}, {"stream": True}, {"windows": (3, 2)}, {"windows": (30, 2)}, {"method": 0}, {"lead_lag": True, "method": 1}],
)
@pytest.mark.parametrize("scalar_term", [False, True])
def test_the_shape_of_a_request_is_that_of_the_result(options: dict[str, Any], scalar_term: bool) -> None:
    transform = Transform(lead_lag=options.get("lead_lag", False))
    plain = PathOptions(**{name: one for name, one in {"method": 1, **options}.items() if name != "lead_lag"})
    for path in (PATH, PATH[0], PATH[:, :1], PATH[:0]):
        request = path_request(path, None, 3, plain, transform=transform, scalar_term=scalar_term)
        assert request.shape == lg.log_sig(path, 3, scalar_term=scalar_term, **options).shape
        fake = operators._forward_fake(
            torch.empty(*path.shape[:-2], transform.length(path.shape[-2]), transform.channels(2), device="meta"),
            None, None, request.problem.dimension, 3, *plain.arguments,
        )  # fmt: skip
        assert tuple(fake.shape[:-1]) == request.shape[:-1]


# -- numbers of points ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [5, np.int64(5), np.array(5), np.array(5, np.uint8), torch.tensor(5)])
@pytest.mark.parametrize("options", [{}, {"lead_lag": True}, {"time_aug": True}, {"windows": (3, 1)}, {"stream": True}])
def test_one_path_has_one_length(lengths: Any, options: dict[str, Any]) -> None:
    expected = lg.log_sig(PATH[0, :5], 3, **options)
    found = [lg.log_sig(PATH[0], 3, lengths=lengths, **options)]
    tensor = torch.from_numpy(PATH[0]).requires_grad_()
    found.append(lg.log_sig(tensor, 3, lengths=lengths, **options).detach().numpy())
    for one in found:
        count = len(expected) if expected.ndim > 1 else None
        np.testing.assert_allclose(one[:count], expected, atol=1e-12)
    d_out = np.ones_like(found[0])
    assert lg.log_sig_backprop(d_out, PATH[0], 3, lengths=lengths, **options).shape == PATH[0].shape
    assert lg.log_sig_backprop(torch.from_numpy(d_out), tensor, 3, lengths=lengths, **options).shape == PATH[0].shape


# -- what torch traces ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [2, -1])
@pytest.mark.parametrize(
    "options", [{}, {"stream": np.True_}, {"time_aug": True, "lead_lag": True, "end_time": 2, "method": np.int64(0)}]
)
def test_the_operating_system_is_not_asked_while_torch_traces(
    n_jobs: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> int:
        assert not torch.compiler.is_compiling()
        return 2

    monkeypatch.setattr(threads, "usable_processors", asked)
    module, x = nn.LogSig(2, 3, n_jobs=n_jobs, **options), torch.from_numpy(PATH)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), module(x))

    def function(x: torch.Tensor) -> torch.Tensor:
        joined = lg.log_sig_join(lg.log_sig(x, 3, method=2, n_jobs=n_jobs), x[:, 0], 2, 3, n_jobs=n_jobs)
        timed = lg.transform_path(x, time_aug=True, end_time=2.0, n_jobs=n_jobs)
        sigs = lg.logsig_to_sig(joined, 2, 3, method=2, n_jobs=n_jobs)
        log_sigs = lg.sig_to_log_sig(sigs, 2, 3, method=2, n_jobs=n_jobs)
        first = lg.linear_log_sig(timed[:, 0, :2], 2, 3, method=2, n_jobs=n_jobs)
        return lg.log_sig_change_method(lg.log_sig_combine(first, log_sigs, 2, 3, n_jobs=n_jobs), 2, 3, 2, 1)

    assert torch.equal(torch.compile(function, fullgraph=True, backend="aot_eager")(x), function(x))


# -- too large ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: lg.log_sig(np.zeros((2, 304128)), 2),
        lambda: lg.log_sig(np.zeros((2, 304128)), 2, stream=True, method=0),
        lambda: lg.log_sig([np.zeros((2, 304128)), np.zeros((1, 304128))], 2),
        lambda: lg.log_sig(np.zeros((3, 2, 304128)), 2, windows=(2, 1)),
        lambda: lg.log_sig(torch.zeros(2, 304128), 2),
        lambda: lg.log_sig(np.zeros((2, 152064)), 2, lead_lag=True),
        lambda: nn.LogSig(304128, 2)(torch.zeros(2, 304128)),
        lambda: lg.log_sig(np.zeros((2, 10**6)), 4),
    ],
)
def test_the_limit_is_asked_before_anything_is_allocated(call: Any) -> None:
    start = time.perf_counter()
    with pytest.raises(lg.ProblemTooLargeError, match=r"if its axes are swapped, pass np\.swapaxes\(path, -1, -2\)"):
        call()
    assert time.perf_counter() - start < 2.0


def test_the_hint_is_for_paths_of_more_channels_than_points() -> None:
    with pytest.raises(lg.ProblemTooLargeError) as caught:
        lg.log_sig(np.zeros((600, 500)), 3)
    assert "swapped" not in str(caught.value)


# -- flags and integers ---------------------------------------------------------------------------------------------

FLAGS: dict[str, Any] = {
    "stream": lambda flag: lg.log_sig(PATH, 3, stream=flag),
    "time_aug": lambda flag: lg.log_sig(PATH, 3, time_aug=flag),
    "lead_lag": lambda flag: lg.transform_path(PATH, lead_lag=flag),
    "scalar_term": lambda flag: lg.log_sig(PATH, 3, method=0, scalar_term=flag),
    "scalar_term of linear_log_sig": lambda flag: lg.linear_log_sig(PATH, 2, 3, method=0, scalar_term=flag),
    "scalar_term of logsig_to_sig": lambda flag: lg.logsig_to_sig(PATH, 2, 1, scalar_term=flag),
    "scalar_term of idx_to_word": lambda flag: np.array(lg.idx_to_word(5, 2, scalar_term=flag)),
    "lengths": lambda flag: np.array(lg.log_sig_length(2, 3, time_aug=flag, lead_lag=flag)),
    "sig_length": lambda flag: np.array(lg.sig_length(2, 3, scalar_term=flag)),
    "module": lambda flag: nn.LogSig(2, 3, stream=flag, lead_lag=flag)(torch.from_numpy(PATH)).numpy(),
    "tensors": lambda flag: lg.log_sig(torch.from_numpy(PATH), 3, stream=flag).numpy(),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags_of_numpy_are_flags(name: str) -> None:
    for flag in (True, False):
        for spelled in (np.bool_(flag), np.array(flag)):
            assert np.array_equal(FLAGS[name](spelled), FLAGS[name](flag))
    for wrong in (1, "yes", None, np.int64(1), np.array([True])):
        with pytest.raises(TypeError, match=": expected a bool, got "):
            FLAGS[name](wrong)


@pytest.mark.parametrize("integer", [np.int64, np.uint8, np.array])
def test_integers_of_numpy_are_integers(integer: Any) -> None:
    expected = lg.log_sig(PATH, 3, method=0, windows=(3, 2))
    sizes = integer(3), integer(2)
    found = lg.log_sig(PATH, integer(3), method=integer(0), windows=sizes, n_jobs=integer(1))
    assert np.array_equal(found, expected)
    tensor = torch.from_numpy(PATH)
    assert np.array_equal(lg.log_sig(tensor, integer(3), method=integer(0), windows=sizes).numpy(), expected)
    assert nn.LogSig(integer(2), integer(3), method=integer(0), n_jobs=integer(1)).out_features == expected.shape[-1]
    stream = lg.LogSigStream(integer(2), integer(3), method=integer(0))
    stream.push_batch(PATH)
    assert np.array_equal(stream.sig(integer(0), integer(2)), expected[:, 0])


# -- windows of transformed paths -----------------------------------------------------------------------------------


def test_windows_are_counted_in_points_of_the_transformed_path() -> None:
    found = lg.log_sig(PATH, 3, lead_lag=True, windows=(2 * 4 - 1, 2 * 3))
    expected = [lg.log_sig(PATH[:, start : start + 4], 3, lead_lag=True) for start in (0, 3)]
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-12)
    assert lg.log_sig(np.zeros((10, 2)), 2, lead_lag=True, windows=(5, 1)).shape[0] == 15
    assert "points of the transformed path" in str(lg.log_sig.__doc__)


# -- degrees one and zero -------------------------------------------------------------------------------------------

WIDE = RNG.normal(size=(3, 6, 10_000))


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: Any, **__: Any) -> Any:
        raise AssertionError("degree one needs no kernel")

    monkeypatch.setattr("logsig_codegen.runtime.loader._find", compiled)


@pytest.mark.usefixtures("no_compiler")
def test_degree_one_is_end_minus_start() -> None:
    ends = WIDE[:, -1] - WIDE[:, 0]
    initial = RNG.normal(size=(3, WIDE.shape[-1]))
    lengths = np.array([6, 0, 3])
    for path in (WIDE, torch.from_numpy(WIDE)):
        before = initial if path is WIDE else torch.from_numpy(initial)

        def same(found: Any, expected: Any) -> None:
            assert np.array_equal(np.asarray(found), expected)

        for method in (0, 1, 2, 3):
            same(lg.log_sig(path, 1, method=method), ends)
        np.testing.assert_allclose(np.asarray(lg.log_sig(path, 1, initial=before)), ends + initial, rtol=1e-12)
        counted = np.stack([ends[0], 0 * ends[1], WIDE[2, 2] - WIDE[2, 0]])
        same(lg.log_sig(path, 1, lengths=lengths), counted)
        same(lg.log_sig(path, 1, stream=True), WIDE[:, 1:] - WIDE[:, :1])
        streamed = np.asarray(lg.log_sig(path, 1, stream=True, lengths=lengths, initial=before))
        assert np.array_equal(streamed[1], np.broadcast_to(initial[1], (5, WIDE.shape[-1])))
        np.testing.assert_allclose(streamed[2, -1], counted[2] + initial[2], rtol=1e-12)
        same(lg.log_sig(path, 1, windows=(3, 2)), WIDE[:, [2, 4]] - WIDE[:, [0, 2]])
        same(lg.log_sig([path[0], path[1, :2], path[2, :0]], 1)[1], WIDE[1, 1] - WIDE[1, 0])
    out = np.empty_like(ends)
    assert lg.log_sig(WIDE, 1, out=out) is out
    assert np.array_equal(out, ends)
    stream = lg.LogSigStream(WIDE.shape[-1], 1)
    stream.push_batch(WIDE)
    stream.pop_front()
    stream.pop_front()
    np.testing.assert_allclose(stream.sig_all()[-1], ends, rtol=1e-9, atol=1e-9)
    lg.prepare_log_sig(2, 0, 2)


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    "options",
    [
        {}, {"lengths": [3, 0]}, {"stream": True, "lengths": [3, 2]}, {"windows": (3, 1), "lengths": [4, 2]},
        {"initial": True}, {"initial": True, "stream": True}, {"lead_lag": True, "time_aug": True},
    ],
)  # fmt: skip
def test_gradients_of_degree_one(options: dict[str, Any]) -> None:
    """By finite differences, of both orders; arrays and tensors alike."""
    path = torch.from_numpy(RNG.normal(size=(2, 4, 3))).requires_grad_()
    leaves, rest = [path], dict(options)
    if rest.pop("initial", False):
        leaves.append(torch.from_numpy(RNG.normal(size=3)).requires_grad_())

    def function(path: torch.Tensor, initial: torch.Tensor | None = None) -> torch.Tensor:
        return lg.log_sig(path, 1, initial=initial, **rest)

    assert torch.autograd.gradcheck(function, leaves, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, leaves)
    out = function(*leaves)
    d_out = torch.from_numpy(RNG.normal(size=out.shape))
    expected = torch.autograd.grad(out, leaves, d_out)
    initial = leaves[1].detach().numpy() if len(leaves) > 1 else None
    found = lg.log_sig_backprop(d_out.numpy(), path.detach().numpy(), 1, initial=initial, **rest)
    for one, other in zip(found if initial is not None else (found,), expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-12)


def test_points_that_do_not_count_are_not_read() -> None:
    path = np.full((2, 4, 3), np.nan)
    path[0, :2] = [[1, 2, 3], [2, 4, 6]]
    assert np.array_equal(lg.log_sig(path, 1, lengths=[2, 0]), [[1, 2, 3], [0, 0, 0]])


def test_degree_zero_is_that_of_pysiglib() -> None:
    """``(..., 0)``, or the scalar term alone."""
    v = RNG.normal(size=(4, 2))
    for x in (v, torch.from_numpy(v).requires_grad_()):
        assert lg.linear_log_sig(x, 2, 0).shape == (4, 0)
        assert lg.linear_log_sig(x, 2, 0, method=1, scalar_term=True).shape == (4, 0)
        scalar = lg.linear_log_sig(x, 2, 0, method=0, scalar_term=True)
        assert (scalar.shape, scalar.sum().item()) == ((4, 1), 0.0)
    scalar.sum().backward()
    assert torch.equal(x.grad, torch.zeros(4, 2))
    assert np.array_equal(lg.linear_log_sig_backprop(np.zeros((4, 0)), v, 2, 0), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="displacement: expected last dimension 3 for degree 0, got 2"):
        lg.linear_log_sig(v, 3, 0)
    for method in (0, 1, 2):
        lg.prepare_log_sig(2, 0, method)
    with pytest.raises(ValueError, match="dimension: expected at least 1, got 0"):
        lg.prepare_log_sig(0, 0, 2)


# -- emptiness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: lg.LogSigStream(2, 2), lambda: lg.LogSigWindowStream(2, 2, 3)])
def test_an_empty_push_decides_nothing(make: Any) -> None:
    stream = make()
    stream.push_batch(np.zeros((4, 0, 2)))
    assert stream.batch_shape is None
    points = torch.from_numpy(PATH).float()
    stream.push_batch(points)
    stream.push_batch(points[:, :0])
    expected = make()
    expected.push_batch(points)
    found = [(one.sig() if isinstance(one, lg.LogSigWindowStream) else one.sig(0, 8)) for one in (stream, expected)]
    assert torch.equal(*found)
    with pytest.raises(ValueError, match="points: expected last dimension 2"):
        make().push_batch(np.zeros((4, 0, 3)))


# -- messages that name the way out ---------------------------------------------------------------------------------


class Frame:
    """What a data frame looks like to somebody who does not import its library."""

    columns = ("time", "price")
    dtypes = (np.dtype("datetime64[ns]"), np.dtype(float))

    def to_numpy(self) -> None: ...


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (np.array([[1.0, 2.0], ["x", 3.0]], object), r"got object; column 0 holds what is no number, such as 'x'"),
        (np.array([[1.0, 2.0], [2.0, None]], object), r"got object; column 1 holds what is no number, such as None"),
        (np.array([[1.0, 2.0]], object), r"got object; convert it by path\.astype\(float\)"),
        (np.zeros((3, 2), np.int64), r"got int64; convert it by path\.astype\(float\)"),
        (np.zeros((3, 2), np.float16), r"got float16; convert it by path\.astype\(float\)"),
        (np.zeros((3, 2), ">f8"), r"got >f8; convert it by path\.astype\(float\)"),
        (np.zeros(3, [("x", float), ("y", float)]), r"structured_to_unstructured\(path, dtype=float\)"),
        ([[0.0, 1.0], [2.0, 3.0]], r"got list; convert it by np\.asarray\(path, dtype=float\)"),
        (Frame(), r"got Frame; convert it by path\.to_numpy\(dtype=float\), after .* 'time' \(datetime64\[ns\]\)"),
        (torch.zeros(3, 2, dtype=torch.int64), r"got int64; convert it by path\.double\(\)"),
    ],
)
def test_messages_name_the_way_out(path: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        lg.log_sig(path, 2)


# -- namespaces -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [lg, functional, torch_api, nn], ids=lambda module: module.__name__)
def test_nothing_is_public_but_what_is_listed(module: types.ModuleType) -> None:
    names = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    assert {name for name, value in names.items() if not isinstance(value, types.ModuleType)} <= set(module.__all__)
    modules = [value.__name__ for value in names.values() if isinstance(value, types.ModuleType)]
    assert all(name.startswith("logsig_codegen.") for name in modules)


def test_what_is_listed_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(torch_api.log_sig)) is torch_api.log_sig
    assert pickle.loads(pickle.dumps(torch_api.log_sig_join)) is torch_api.log_sig_join
    assert (
        repr(pickle.loads(pickle.dumps(nn.LogSig(2, 3, stream=True)))) == "LogSig(dimension=2, degree=3, stream=True)"
    )


# -- integers beyond 64 bits ----------------------------------------------------------------------------------------

HUGE = 2**70
TENSOR = torch.from_numpy(PATH)
SIGS = np.zeros((3, 5))
BIG: dict[str, tuple[str, Any]] = {
    **{
        f"{name}, {kind}": (name, call)
        for kind, x, sigs in (("array", PATH, SIGS), ("tensor", TENSOR, torch.zeros(3, 5).double()))
        for name, call in {
            "windows[0]": lambda n, x=x: lg.log_sig(x, 3, windows=(n, 1)),
            "windows[1]": lambda n, x=x: lg.log_sig(x, 3, windows=(2, n)),
            "n_jobs": lambda n, x=x: lg.log_sig(x, 3, n_jobs=n),
            "n_jobs of a gradient": lambda n, x=x, s=sigs: lg.log_sig_backprop(s[0], x, 3, method=2, n_jobs=n),
            "n_jobs of a join": lambda n, x=x, s=sigs: lg.log_sig_join(s, x[:3, 0], 2, 3, n_jobs=n),
            "n_jobs of a product": lambda n, s=sigs: lg.log_sig_combine(s, s, 2, 3, n_jobs=n),
            "n_jobs of a conversion": lambda n, s=sigs: lg.logsig_to_sig(s, 2, 3, n_jobs=n),
            "n_jobs of a transform": lambda n, x=x: lg.transform_path(x, n_jobs=n),
            "method": lambda n, x=x: lg.log_sig(x, 3, method=n),
            "source": lambda n, s=sigs: lg.log_sig_change_method(s, 2, 3, n, 1),
            "degree": lambda n, x=x: lg.log_sig(x, n),
            "degree of a join": lambda n, x=x, s=sigs: lg.log_sig_join(s, x[:3, 0], 2, n),
            "dimension of a join": lambda n, x=x, s=sigs: lg.log_sig_join(s, x[:3, 0], n, 3),
            "dimension": lambda n, s=sigs: lg.log_sig_to_hall(s, n, 3),
            "lengths": lambda n, x=x: lg.log_sig(x, 3, lengths=[n] * 4),
            "end_time": lambda n, x=x: lg.log_sig(x, 3, time_aug=True, end_time=n if n < 0 else n**30),
        }.items()
    },
    "max_terms": ("max_terms", lambda n: lg.load(2, 3, max_terms=n)),
    "dimension of load": ("dimension", lambda n: lg.load(n, 3)),
    "degree of load": ("degree", lambda n: lg.load(1, n)),
    "degree of a length": ("degree", lambda n: lg.log_sig_length(2, n)),
    "dimension of a length": ("dimension", lambda n: lg.sig_length(n, 2)),
    "jobs": ("jobs", lambda n: lg.generate(2, 2, "/dev/null/out", jobs=n)),
    "alphabet_size": ("alphabet_size", lambda n: lg.words(n, 2)),
    "letter": ("word", lambda n: lg.is_lyndon((0, n))),
    "window_size": ("window_size", lambda n: lg.LogSigWindowStream(2, 3, n)),
    "stride": ("stride", lambda n: lg.LogSigWindowStream(2, 3, 2, stride=n)),
    "keep": ("keep", lambda n: lg.LogSigWindowStream(2, 3, 2, keep=n)),
    "start": ("start", lambda n: lg.LogSigStream(2, 3).sig(n, 2)),
    "n_jobs of a stream": ("n_jobs", lambda n: lg.LogSigStream(2, 3, n_jobs=n)),
    "n_jobs of a module": ("n_jobs", lambda n: nn.LogSigJoin(2, 3, n_jobs=n)),
    "hidden": ("hidden", lambda n: nn.LogODE(2, 2, hidden=n, out_features=1, window=2)),
    "out_features": ("out_features", lambda n: nn.LogODE(2, 2, hidden=2, out_features=n, window=2)),
    "width": ("width", lambda n: nn.LogODE(2, 2, hidden=2, out_features=1, window=2, width=n)),
}


@pytest.mark.parametrize("case", BIG)
def test_integers_that_fit_no_computer(case: str) -> None:
    """Of 71 bits, of more digits than Python prints, and negative."""
    name, call = BIG[case]
    argument = name.split(" ")[0]
    for number in (HUGE, 2**20_000, -HUGE, -(2**20_000)):
        if argument == "end_time" and number == -HUGE:
            continue  # a float has it
        with pytest.raises((TypeError, ValueError)) as caught:
            call(number)
        assert argument in str(caught.value)


def test_an_empty_batch_has_an_empty_list_of_lengths() -> None:
    for path in (PATH[:0], torch.from_numpy(PATH[:0])):
        assert tuple(lg.log_sig(path, 3, lengths=[]).shape) == (0, 5)
        assert tuple(lg.log_sig(path, 3, lengths=(), stream=True).shape) == (0, 8, 5)
        d_out = np.zeros((0, 5)) if isinstance(path, np.ndarray) else torch.zeros(0, 5).double()
        assert tuple(lg.log_sig_backprop(d_out, path, 3, lengths=[]).shape) == (0, 9, 2)


@pytest.mark.parametrize("lengths", [[[1], [2, 3]], "abcd", {3}, [1.0] * 4, object(), torch.ones(4).bfloat16()])
def test_lengths_that_are_no_integers(lengths: Any) -> None:
    for path in (PATH, TENSOR):
        with pytest.raises((TypeError, ValueError), match="lengths: expected"):
            lg.log_sig(path, 3, lengths=lengths)
