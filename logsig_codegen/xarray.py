"""Log-signatures of xarray's data arrays, with named dimensions. Only importing this module imports xarray.

>>> import numpy as np, xarray as xr
>>> from logsig_codegen.xarray import log_sig
>>> paths = xr.DataArray(np.zeros((4, 50, 2)), dims=("station", "time", "wind"), coords={"wind": ["u", "v"]})
>>> log_sig(paths, 2, time_dim="time", channel_dim="wind").coords["log_sig"].values.tolist()
['u', 'v', '[u,v]']
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, SupportsIndex

import numpy as np
import xarray as xr

from logsig_codegen import functional
from logsig_codegen._features import FeatureOptions, Learnt, names
from logsig_codegen._frames import in_seconds
from logsig_codegen.runtime.parts import is_several

__all__ = ["log_sig"]


def log_sig(
    data: xr.DataArray,
    degree: SupportsIndex,
    *,
    time_dim: Hashable,
    channel_dim: Hashable,
    method: int = 2,
    windows: Any = None,
    intervals: Any = None,
    times: Any = None,
    lengths: Any = None,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    missing: str | None = None,
    count_observations: bool = False,
    n_jobs: SupportsIndex = 1,
) -> Any:
    """Log-signatures along a dimension of a data array.

    Parameters
    ----------
    data : xarray.DataArray
        Of float32 or float64. On numpy arrays the result is computed at once, on Dask arrays lazily, in chunks as
        ``logsig_codegen.dask`` says.
    degree : int
        Truncation degree, at least 1.
    time_dim, channel_dim : hashable
        Dimensions that the points of a path, and its channels, lie along. All others are the batch.
    times : str, array, or DataArray
        Times of the points, or the name of the coordinate that has them, which also names the channel of ``time_aug``;
        dates count in seconds.
    lengths : int, array or DataArray
        An array has the dimensions of the batch, in their order in ``data``.
    method, windows, intervals, and all others
        As for :func:`logsig_codegen.log_sig`. ``intervals``: an array.

    Returns
    -------
    xarray.DataArray, or for a list of windows a list of them
        Dimensions: the batch, ``window`` with ``windows`` or ``intervals``, and ``log_sig``. Along the latter stand the
        names of the coordinates: brackets of the channels, for methods 0 and 1 words.

    Raises
    ------
    TypeError, ValueError, UnsupportedError
        As the functions that compute it; for anything but a data array, and dimensions that it has not.
    """
    if not isinstance(data, xr.DataArray):
        raise TypeError(f"data: expected an xarray.DataArray, got {type(data).__name__}")
    for name, dim in (("time_dim", time_dim), ("channel_dim", channel_dim)):
        if dim not in data.dims:
            raise ValueError(f"{name}: expected one of {', '.join(map(str, data.dims))}, got {dim}")
    options: dict[str, Any] = {
        "time_aug": time_aug, "lead_lag": lead_lag, "end_time": end_time, "missing": missing,
        "count_observations": count_observations, "method": method, "n_jobs": n_jobs,
    }  # fmt: skip
    channels = data.coords[channel_dim].values if channel_dim in data.coords else range(data.sizes[channel_dim])
    described = FeatureOptions(degree, times=times, **options)  # type: ignore[arg-type]
    coordinates = list(names(described, Learnt(len(channels), 0, None), [str(one) for one in channels]))
    batch = [dim for dim in data.dims if dim not in (time_dim, channel_dim)]
    options["times"] = _times(data, times, batch, time_dim)
    options["lengths"] = _in_order(lengths, batch, data)

    def call(windows: Any) -> xr.DataArray:
        rows = [] if windows is None and intervals is None else ["window"]
        found = xr.apply_ufunc(
            _log_sig, data, input_core_dims=[[time_dim, channel_dim]], output_core_dims=[[*rows, "log_sig"]],
            dask="allowed", kwargs={**options, "degree": degree, "windows": windows, "intervals": intervals},
        )  # fmt: skip
        named: xr.DataArray = found.assign_coords(log_sig=coordinates)
        return named

    return [call(one) for one in windows] if is_several(windows) else call(windows)


def _log_sig(path: Any, **options: Any) -> Any:
    """That of numpy arrays, or lazily that of Dask's."""
    if isinstance(path, np.ndarray):
        return functional.log_sig(path, **options)
    from logsig_codegen import dask

    return dask.log_sig(path, **options)


def _times(data: xr.DataArray, times: Any, batch: list[Hashable], time_dim: Hashable) -> Any:
    """Times as numbers in memory, for all paths or each."""
    found = data.coords[times] if isinstance(times, str) else times
    if isinstance(found, xr.DataArray):
        found = found.values if found.dims == (time_dim,) else _in_order(found, [*batch, time_dim], data)
    return None if found is None else in_seconds(found)


def _in_order(numbers: Any, dims: list[Hashable], data: xr.DataArray) -> Any:
    """A data array as an array of these dimensions of ``data``; anything else as it came."""
    if not isinstance(numbers, xr.DataArray):
        return numbers
    missing = {dim: data.sizes[dim] for dim in dims if dim not in numbers.dims}
    return numbers.expand_dims(missing).transpose(*dims).values
