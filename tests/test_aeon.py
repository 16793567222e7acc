"""The transformer for aeon. Trusts aeon's own checks, and ``log_sig`` of each series."""

from __future__ import annotations

import numpy as np
import pytest

import logsig_codegen as lg
from logsig_codegen.aeon import LogSignature

SERIES = np.random.default_rng(7).standard_normal((4, 2, 11)).cumsum(axis=2)


def test_the_checks_of_aeon() -> None:
    from aeon.testing.estimator_checking import check_estimator  # takes as long as the whole of torch

    found = check_estimator(LogSignature, raise_exceptions=True)
    assert set(found.values()) == {"PASSED"}
    assert len(found) > 30


def test_features_are_log_signatures() -> None:
    expected = lg.log_sig(SERIES.swapaxes(1, 2), 3, method=2)
    assert np.array_equal(LogSignature(3).fit_transform(SERIES), expected)


def test_series_of_different_lengths_and_a_channel_of_times() -> None:
    series = [one[:, :length] for one, length in zip(SERIES, (11, 3, 7, 5), strict=True)]
    with_times = [np.concatenate([one, np.arange(one.shape[1])[None] ** 2.0]) for one in series]
    model = LogSignature(2, windows=(4.0, 4.0), times=2, time_aug=True).fit(with_times)
    found = model.transform(with_times).reshape(4, -1, 6)
    assert found.shape[1] == 25
    for row, one in zip(found, series, strict=True):
        times = np.arange(one.shape[1]) ** 2.0
        inside = lg.log_sig(one.T, 2, method=2, time_aug=True, times=times, windows=(4.0, 4.0))
        np.testing.assert_allclose(row[: len(inside)], inside, rtol=0, atol=1e-13)


def test_missing_values_are_refused_or_filled_in() -> None:
    gaps = SERIES.copy()
    gaps[1, 0, 3] = np.nan
    with pytest.raises(ValueError, match="missing"):
        LogSignature().fit_transform(gaps)
    expected = lg.log_sig(gaps.swapaxes(1, 2), 2, method=2, missing="linear")
    assert np.array_equal(LogSignature(missing="linear").fit_transform(gaps), expected)
