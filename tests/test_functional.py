"""The functions with pySigLib's names: same names, argument order, defaults and results, better errors."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peer
import pysiglib
import pysiglib.torch_api
import pytest

import logsig_codegen as lg
import logsig_codegen.torch_api
from logsig_codegen import functional

NAMES = [
    "clear_cache", "idx_to_word", "is_lyndon", "linear_log_sig", "linear_log_sig_backprop", "log_sig",
    "log_sig_combine", "log_sig_combine_backprop", "log_sig_join", "log_sig_join_backprop", "log_sig_length",
    "logsig_to_sig", "logsig_to_sig_backprop", "lyndon_words", "lyndon_words_of_length", "prepare_log_sig",
    "set_cache_dir", "sig_length", "sig_to_log_sig", "sig_to_log_sig_backprop", "transform_path",
    "transform_path_backprop", "word_to_idx", "words", "words_of_length",
]  # fmt: skip
OURS = ["log_sig_backprop", "log_sig_joins", "log_sig_joins_backprop", "logsig_windows", "hall_windows"]
OURS += [f"log_sig_{name}{end}" for name in ("change_method", "from_hall", "to_hall") for end in ("", "_backprop")]
"""Functions pySigLib has not."""
FURTHER = {
    "out", "gradients", "prepend", "lengths", "initial", "stream", "windows", "state", "intervals", "times", "missing",
    "count_observations",
}  # fmt: skip
"""Arguments pySigLib has not."""


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_pysiglib_s(name: str) -> None:
    ours = dict(inspect.signature(getattr(lg, name)).parameters)
    theirs = dict(inspect.signature(inspect.unwrap(getattr(pysiglib, name))).parameters)
    assert [(p.name, p.kind, p.default) for p in ours.values() if p.name not in FURTHER] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


def test_all_names_are_at_top_level() -> None:
    assert sorted(functional.__all__) == sorted(NAMES + OURS)
    for name in functional.__all__:
        assert getattr(lg, name) is getattr(functional, name)
        assert name in lg.__all__


def test_torch_api_has_the_same_functions() -> None:
    for name in logsig_codegen.torch_api.__all__:
        assert hasattr(pysiglib.torch_api, name) or name in OURS
        assert getattr(logsig_codegen.torch_api, name).__name__ == name
        if hasattr(functional, name):
            ours, base = (inspect.signature(getattr(at, name)) for at in (logsig_codegen.torch_api, functional))
            assert list(ours.parameters) == [
                other for other in base.parameters if (name, other) != ("log_sig_join", "out")
            ]


@pytest.mark.parametrize("d", range(6))
@pytest.mark.parametrize("n", range(6))
def test_words(d: int, n: int) -> None:
    assert lg.words(d, n) == pysiglib.words(d, n)
    assert lg.words_of_length(d, n) == pysiglib.words_of_length(d, n)
    assert lg.lyndon_words(d, n) == pysiglib.lyndon_words(d, n)
    assert lg.lyndon_words_of_length(d, n) == pysiglib.lyndon_words_of_length(d, n)
    for word in lg.words(min(d, 3), n):
        assert lg.is_lyndon(word) == pysiglib.is_lyndon(word)


@pytest.mark.parametrize("scalar_term", [False, True])
def test_positions_of_words(scalar_term: bool) -> None:
    for d in (1, 2, 3, 7):
        for position in range(200):
            word = lg.idx_to_word(position, d, scalar_term=scalar_term)
            assert word == pysiglib.idx_to_word(position, d, scalar_term=scalar_term)
            assert lg.word_to_idx(word, d, scalar_term=scalar_term) == position
            assert pysiglib.word_to_idx(word, d, scalar_term=scalar_term) == position


def test_positions_are_those_in_the_list_of_words() -> None:
    listed = lg.words(3, 4)
    assert [lg.word_to_idx(word, 3, scalar_term=True) for word in listed] == list(range(len(listed)))


@pytest.mark.parametrize("time_aug", [False, True])
@pytest.mark.parametrize("lead_lag", [False, True])
def test_lengths(time_aug: bool, lead_lag: bool) -> None:
    flags = {"time_aug": time_aug, "lead_lag": lead_lag}
    for d in range(6):
        for n in range(7):
            for scalar_term in (False, True):
                expected = pysiglib.sig_length(d, n, scalar_term=scalar_term, **flags)
                if (time_aug or lead_lag or d) and d + time_aug:
                    assert lg.sig_length(d, n, scalar_term=scalar_term, **flags) == expected
            if d and n:
                assert lg.log_sig_length(d, n, **flags) == pysiglib.log_sig_length(d, n, **flags)
    assert lg.log_sig_length(5, 3) == len(lg.lyndon_words(5, 3)) == 55
    assert lg.log_sig_length(2, 60) == pysiglib.log_sig_length(2, 60)


def test_signatures_of_no_channels() -> None:
    assert [lg.sig_length(0, n) for n in (0, 1, 5)] == [pysiglib.sig_length(0, n) for n in (0, 1, 5)] == [0, 0, 0]
    assert lg.sig_length(0, 3, scalar_term=True) == 1


def test_join_and_backprop_without_preparation() -> None:
    random = np.random.default_rng(5)
    log_sig, d_out, displacement = random.normal(size=(6, 5)), random.normal(size=(6, 5)), random.normal(size=(6, 2))
    lg.clear_cache()
    found = lg.log_sig_join(log_sig, displacement, 2, 3)
    np.testing.assert_allclose(found, peer.join(log_sig, displacement, 2, 3), rtol=1e-13, atol=1e-13)
    lg.clear_cache()
    gradients = lg.log_sig_join_backprop(d_out, log_sig, displacement, 2, 3, n_jobs=-1)
    expected = peer.join_backprop(d_out, log_sig, displacement, 2, 3)
    for one, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    out = np.empty((6, 5))
    assert lg.log_sig_join(log_sig, displacement, 2, 3, n_jobs=2, out=out) is out
    assert out.tobytes() == found.tobytes()


def test_numpy_integers_are_integers() -> None:
    result = lg.log_sig_join(np.zeros(3), np.ones(2), np.int32(2), np.uint8(2))
    assert result.tolist() == [1.0, 1.0, 0.0]
    assert lg.words_of_length(np.int64(2), 1) == [(0,), (1,)]


def test_wrong_arguments_build_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("loaded a kernel before all arguments were checked")

    lg.clear_cache()
    monkeypatch.setattr("logsig_codegen.runtime.loader.load", refuse)
    good, v = np.zeros(5), np.zeros(2)
    for call, error in (
        (lambda: lg.log_sig_join(good, v, 2, 4), ValueError),
        (lambda: lg.log_sig_join(good, v, 3, 2), ValueError),
        (lambda: lg.log_sig_join(good.astype(int), v, 2, 3), TypeError),
        (lambda: lg.log_sig_join(good, v, 2, 3, n_jobs=0), ValueError),
        (lambda: lg.log_sig_join(good, v, 2, 3, n_jobs=True), TypeError),
        (lambda: lg.log_sig_join(good, v, 2, 3, out=good), ValueError),
        (lambda: lg.log_sig_join_backprop(good[:3], good, v, 2, 3), ValueError),
        (lambda: lg.log_sig_join_backprop(good, good, v, 2, 3, n_jobs=0), ValueError),
        (lambda: lg.log_sig_join_backprop(good, good, v, 2, 3, out=(good, v)), ValueError),
        (lambda: lg.prepare_log_sig(2, 3, 4), ValueError),
    ):
        with pytest.raises(error):
            call()


def test_prepare_prepares_what_the_method_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    class Kernel:
        def __init__(self, *problem: int) -> None:
            asked.append(problem)

        def prepare(self, *groups: str) -> None:
            asked.append(groups)

    monkeypatch.setattr("logsig_codegen.runtime.loader.obtain", Kernel)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for method in (0, 1, 2):
        lg.prepare_log_sig(2, 3, method, time_aug=True, lead_lag=True, use_disk=True, device="cpu")
        lg.prepare_log_sig(2, 3, method)
    assert asked == [(5, 3), ("combine", "log_sig"), (2, 3), ("combine", "log_sig")] * 3
    asked.clear()
    lg.prepare_log_sig(2, 3, 3)
    lg.prepare_log_sig(2, 3, 0, gradients=True)
    with_join = ("join", "combine", "log_sig")
    with_gradient = ("combine", "combine_backprop", "log_sig", "log_sig_backprop")
    assert asked == [(2, 3), with_join, (2, 3), with_gradient]
    with pytest.raises(lg.UnsupportedError, match="device: torch sees no CUDA device"):
        lg.prepare_log_sig(2, 3, 2, device="cuda")


@pytest.mark.parametrize("method", [0, 1, 2, 3])
def test_nothing_is_built_after_it_was_prepared(method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("looked for something that should have been prepared")

    lg.clear_cache()
    lg.prepare_log_sig(2, 3, method, gradients=True)
    monkeypatch.setattr("logsig_codegen.runtime.loader.cached", refuse)
    for length in (5, 500):
        path = np.random.default_rng(0).standard_normal((2, length, 2))
        result = lg.log_sig(path, 3, method=method)
        lg.log_sig_backprop(np.ones_like(result), path, 3, method=method)
    if method == 3:
        lg.log_sig_combine(result, lg.log_sig_join(result, path[:, 0], 2, 3), 2, 3)
    lg.clear_cache()


@pytest.mark.usefixtures("unoptimised")
@pytest.mark.parametrize(
    "call",
    [
        lambda: lg.load(2, 3),
        lambda: lg.log_sig(np.zeros((4, 2)), 3),
        lambda: lg.log_sig_combine(np.zeros(5), np.zeros(5), 2, 3),
        lambda: lg.log_sig(np.zeros((4, 2)), 3, stream=True),
        lambda: lg.prepare_log_sig(2, 3, 2),
    ],
)
def test_who_calls_with_too_large_a_problem_can_follow_the_advice(
    call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("logsig_codegen.cost.DEFAULT_MAX_TERMS", 1)
    monkeypatch.setenv("LOGSIG_CODEGEN_CACHE", str(tmp_path))
    lg.clear_cache()
    with pytest.raises(lg.ProblemTooLargeError, match="the limit is 1") as caught:
        call()
    assert "Pass max_terms" not in str(caught.value)
    advice = re.search(r"Call logsig_codegen\.(load\(2, 3, max_terms=\d+\)) to build", str(caught.value))
    assert advice is not None
    kept = pickle.loads(pickle.dumps(caught.value))
    assert (str(kept), kept.terms) == (str(caught.value), caught.value.terms)
    eval(advice[1], {"load": lg.load})
    call()
    lg.clear_cache()


WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: lg.log_sig_length(0, 3), ValueError, "dimension: expected at least 1, got 0"),
    (lambda: lg.log_sig_length(2, 0), ValueError, "degree: expected at least 1, got 0"),
    (lambda: lg.log_sig_length(2.0, 3), TypeError, "dimension: expected an integer, got float 2.0"),  # type: ignore[arg-type]
    (lambda: lg.log_sig_length(True, 3), TypeError, "dimension: expected an integer, got bool True"),
    (lambda: lg.log_sig_length(2, 3, time_aug=1), TypeError, "time_aug: expected a bool, got int 1"),  # type: ignore[arg-type]
    (lambda: lg.log_sig_length(2, 70), ValueError, "does not fit 64 bits"),
    (lambda: lg.log_sig_length(2, 10**12), ValueError, "does not fit 64 bits"),
    (lambda: lg.sig_length(-1, 3), ValueError, "dimension: expected at least 0, got -1"),
    (lambda: lg.sig_length(2, 64), ValueError, "does not fit 64 bits"),
    (lambda: lg.sig_length(10**9, 10**12), ValueError, "does not fit 64 bits"),
    (lambda: lg.sig_length(2, 3, scalar_term=None), TypeError, "scalar_term: expected a bool"),  # type: ignore[arg-type]
    *(
        (call, ValueError, f"alphabet_size, {name}: the words on .* would take more than 1,073,741,824 bytes")
        for name, call in [
            ("max_length", lambda: lg.words(10, 30)),
            ("max_length", lambda: lg.words(2, 10**12)),
            ("max_length", lambda: lg.words(1, 10**12)),
            ("max_length", lambda: lg.words(1, 2**25)),
            ("max_length", lambda: lg.words(2, 23)),
            ("max_length", lambda: lg.words(2**62, 2**62)),
            ("length", lambda: lg.words_of_length(1000, 5)),
            ("length", lambda: lg.words_of_length(1, 2**40)),
            ("length", lambda: lg.words_of_length(3, 2**40)),
            ("length", lambda: lg.lyndon_words_of_length(3, 20)),
            ("length", lambda: lg.lyndon_words_of_length(2, 2**62)),
            ("max_length", lambda: lg.lyndon_words(50, 10)),
            ("max_length", lambda: lg.lyndon_words(2**62, 1)),
            ("idx", lambda: lg.idx_to_word(10**18, 1)),
        ]
    ),
    (lambda: lg.word_to_idx((1,) * 64, 2), ValueError, "word: its position: expected an integer that fits 64 bits"),
    (lambda: lg.idx_to_word(2**70, 2), ValueError, "idx: expected an integer that fits 64 bits, got one of 71 bits"),
    (lambda: lg.words(-1, 2), ValueError, "alphabet_size: expected at least 0, got -1"),
    (lambda: lg.words(2, 2.0), TypeError, "max_length: expected an integer, got float"),  # type: ignore[arg-type]
    (lambda: lg.words(False, 2), TypeError, "alphabet_size: expected an integer, got bool"),
    (lambda: lg.lyndon_words_of_length(2, -1), ValueError, "length: expected at least 0, got -1"),
    (lambda: lg.is_lyndon([0, 1]), TypeError, "word: expected a tuple of integers, got list"),  # type: ignore[arg-type]
    (lambda: lg.is_lyndon("01"), TypeError, "word: expected a tuple of integers, got str"),  # type: ignore[arg-type]
    (lambda: lg.is_lyndon((0, -1)), ValueError, "word: expected at least 0, got -1"),
    (lambda: lg.is_lyndon((0, 1.0)), TypeError, "word: expected an integer, got float"),  # type: ignore[arg-type]
    (lambda: lg.word_to_idx((2,), 2), ValueError, r"word: expected letters from 0 to 1, got \(2,\)"),
    (lambda: lg.word_to_idx((), 2), ValueError, "word: the empty word"),
    (lambda: lg.idx_to_word(-1, 2), ValueError, "idx: expected at least 0, got -1"),
    (lambda: lg.idx_to_word(0, 0), ValueError, "alphabet_size: expected at least 1, got 0"),
    (lambda: lg.prepare_log_sig(2, 3, 4), ValueError, "method: expected 0, 1, 2 or 3, got 4"),
    (lambda: lg.prepare_log_sig(2, 3, -1), ValueError, "method: expected at least 0, got -1"),
    (lambda: lg.prepare_log_sig(2, 3, True), TypeError, "method: expected an integer, got bool"),
    (
        lambda: lg.prepare_log_sig(2, 3, 2, device="gpu"),
        ValueError,
        "device: expected 'cpu', 'cuda' or 'both', got 'gpu'",
    ),  # type: ignore[arg-type]
    (lambda: lg.prepare_log_sig(0, 3, 0), ValueError, "dimension: expected at least 1, got 0"),
    (lambda: lg.clear_cache(device=1), TypeError, "device: expected a string"),  # type: ignore[arg-type]
    (lambda: lg.clear_cache(use_disk="no"), TypeError, "use_disk: expected a bool"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_few_words_take_little_memory() -> None:
    """Whatever their length: the limit on memory counts what is really made."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert lg.words_of_length(0, 2**31) == lg.words_of_length(0, 2**62) == []
    assert lg.words_of_length(0, 0) == lg.words(0, 2**62) == [()]
    assert lg.lyndon_words(1, 2**62) == [(0,)]
    assert lg.lyndon_words_of_length(1, 2**62) == lg.lyndon_words(0, 2**62) == []
    assert len(lg.words_of_length(1, 1000)[0]) == 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
