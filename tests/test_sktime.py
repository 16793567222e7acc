"""The transformer for sktime. Trusts sktime's own checks, and ``log_sig`` of each series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sktime.datatypes import convert_to
from sktime.utils.estimator_checks import check_estimator

import logsig_codegen as lg
from logsig_codegen.sktime import LogSignature

SERIES = np.random.default_rng(7).standard_normal((4, 2, 11)).cumsum(axis=2)


@pytest.mark.slow
def test_the_checks_of_sktime() -> None:
    found = check_estimator(LogSignature, raise_exceptions=True, verbose=False)
    assert set(found.values()) == {"PASSED"}
    assert len(found) > 200


@pytest.mark.parametrize("mtype", ["numpy3D", "nested_univ", "pd-multiindex", "df-list"])
def test_features_are_log_signatures(mtype: str) -> None:
    panel = convert_to(SERIES, mtype)
    found = LogSignature(3).fit_transform(panel)
    assert np.array_equal(found, lg.log_sig(SERIES.swapaxes(1, 2), 3, method=2))
    assert len(found.columns) == len(set(found.columns)) == 5
    assert found.columns[2] == f"[{found.columns[0]},{found.columns[1]}]"


def test_the_time_index_of_series_of_different_lengths() -> None:
    lengths, names = (11, 3, 7, 5), ["price", "volume"]
    series = [one[:, :length].T for one, length in zip(SERIES, lengths, strict=True)]
    times = [np.arange(length) ** 2 for length in lengths]
    panel = pd.concat(
        [pd.DataFrame(one, columns=names, index=at) for one, at in zip(series, times, strict=True)],
        keys=["d", "a", "c", "b"],
        names=["instance", "time"],
    )
    found = LogSignature(2, times="index", time_aug=True).fit_transform(panel)
    expected = lg.log_sig(series, 2, method=2, time_aug=True, times=[at.astype(float) for at in times])
    np.testing.assert_allclose(found.loc[["d", "a", "c", "b"]], expected, rtol=0, atol=1e-13)
    assert list(found.columns) == ["price", "volume", "index", "[price,volume]", "[price,index]", "[volume,index]"]
