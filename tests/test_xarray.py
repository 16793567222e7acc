"""Data arrays with named dimensions. Trusts ``log_sig`` of the numbers in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import logsig_codegen as lg
from logsig_codegen.xarray import log_sig

POINTS = np.random.default_rng(54).standard_normal((3, 20, 2))
DATA = xr.DataArray(
    POINTS.transpose(2, 1, 0),
    dims=("wind", "time", "station"),
    coords={"wind": ["u", "v"], "time": pd.date_range("2024-01-01", periods=20, freq="h"), "station": list("abc")},
)
ALONG: dict[str, Any] = {"time_dim": "time", "channel_dim": "wind"}


def test_dimensions_and_names() -> None:
    found = log_sig(DATA, 2, **ALONG)
    assert found.dims == ("station", "log_sig")
    assert found.coords["log_sig"].values.tolist() == ["u", "v", "[u,v]"]
    assert found.coords["station"].values.tolist() == ["a", "b", "c"]
    assert np.array_equal(found.values, lg.log_sig(POINTS, 2, method=2))
    assert log_sig(DATA.drop_vars("wind"), 2, method=1, **ALONG).coords["log_sig"].values.tolist() == ["0", "1", "0,1"]


def test_windows_of_dates_and_lengths_by_dimension() -> None:
    lengths = xr.DataArray([20, 3, 9], dims="station")
    options = {"windows": (6 * 3600.0, 3600.0), "time_aug": True}
    found = log_sig(DATA, 2, times="time", lengths=lengths, **options, **ALONG)
    assert found.dims == ("station", "window", "log_sig")
    assert found.coords["log_sig"].values.tolist() == ["u", "v", "time", "[u,v]", "[u,time]", "[v,time]"]
    expected = lg.log_sig(POINTS, 2, method=2, times=3600.0 * np.arange(20), lengths=[20, 3, 9], **options)
    np.testing.assert_allclose(found.values, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"windows": (5, 2), "times": "time", "time_aug": True}])
def test_arrays_of_dask_stay_lazy(options: dict[str, Any]) -> None:
    found = log_sig(DATA.chunk({"time": 7, "station": 2}), 2, **options, **ALONG)
    assert found.chunks is not None
    xr.testing.assert_allclose(found.compute(), log_sig(DATA, 2, **options, **ALONG))


def test_several_windows_and_times_for_each_path() -> None:
    times = xr.DataArray(np.random.default_rng(0).uniform(1, 2, (20, 3)).cumsum(0), dims=("time", "station"))
    found = log_sig(DATA, 2, times=times, windows=[(4.0, 2.0), (9.0, 3.0)], **ALONG)
    expected = lg.log_sig(POINTS, 2, method=2, times=times.values.T, windows=[(4.0, 2.0), (9.0, 3.0)])
    assert [np.array_equal(one, other) for one, other in zip(found, expected, strict=True)] == [True, True]


def test_errors_name_the_argument() -> None:
    with pytest.raises(TypeError, match=r"data: expected an xarray\.DataArray, got ndarray"):
        log_sig(POINTS, 2, **ALONG)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="time_dim: expected one of wind, time, station, got hour"):
        log_sig(DATA, 2, time_dim="hour", channel_dim="wind")
