"""Data frames as paths: a row is a point, a column a channel. Those of pandas and polars are told by their methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def is_frame(value: Any) -> bool:
    """Whether it is a data frame of pandas or polars, or behaves like one."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def split(frame: Any, column: Any) -> tuple[list[Any], Any] | None:
    """The rows of each path and the paths' names, both in the order in which they come; ``None`` for one table.

    Parameters
    ----------
    frame : data frame
    column : str or None
        A column, or a level of the index, which is not among the columns of the result; by default all levels but the
        last, of several.
    """
    if column is None and len(_levels(frame)) < 2:
        return None
    if hasattr(frame, "partition_by"):
        _check_column(frame, "column_id", column)
        pieces = frame.partition_by(column, maintain_order=True)
        return [part.drop(column) for part in pieces], [part[column][0] for part in pieces]
    grouped = frame.groupby(**_key(frame, column), sort=False, dropna=False, observed=True)
    dropped = [column] if column in frame.columns else []
    return [part.drop(columns=dropped) for _, part in grouped], grouped.size().index


def _key(frame: Any, column: Any) -> dict[str, Any]:
    """What pandas is to group by."""
    levels = _levels(frame)
    if column is None:
        return {"level": 0 if len(levels) == 2 else list(range(len(levels) - 1))}
    if column in levels and column not in frame.columns:
        return {"level": column}
    _check_column(frame, "column_id", column)
    return {"by": column}


def read(frames: Sequence[Any], times: Any) -> tuple[list[Any], list[Array] | None]:
    """The channels of each path, a frame, and its times; in the order of time, if ``times`` is a name.

    Raises
    ------
    ValueError
        For a name that is not there, and for times of another type than numbers and dates.
    """
    if not isinstance(times, str):
        return list(frames), None
    channels, moments = [], []
    for frame in frames:
        found = in_seconds(_column(frame, "times", times))
        order = np.argsort(found, kind="stable")
        kept = [name for name in frame.columns if name != times]
        rows = frame[kept]
        channels.append(rows.iloc[order] if hasattr(rows, "iloc") else rows[order])
        moments.append(found[order])
    return channels, moments


def _levels(frame: Any) -> list[Any]:
    """The names of the levels of the index, if there is one."""
    return list(frame.index.names) if hasattr(frame, "index") else []


def _check_column(frame: Any, argument: str, name: Any) -> None:
    if name not in frame.columns:
        raise ValueError(f"{argument}: expected one of {[*frame.columns, *_levels(frame)]}, got {name!r}")


def _column(frame: Any, argument: str, name: Any) -> Any:
    """A column, or a level of the index; ``index`` is the last of the levels, as pandas calls one without a name."""
    levels = _levels(frame)
    if name not in frame.columns:
        if name in levels:
            return frame.index.get_level_values(name)
        if name == "index" and levels:
            return frame.index.get_level_values(-1)
    _check_column(frame, argument, name)
    return frame[name]


def in_seconds(column: Any) -> Array:
    """Times as double precision: numbers, or seconds since 1970 (of lengths of time: seconds)."""
    if getattr(column, "dtype", None) is not None and hasattr(column.dtype, "tz"):  # pandas, with a time zone
        column = column.to_numpy("datetime64[ns]")
    found = np.asarray(column)
    if found.dtype.kind in "mM":
        start = np.zeros((), found.dtype)
        return (found - start) / np.timedelta64(1, "s")
    if found.dtype.kind not in "iuf":
        raise ValueError(f"times: expected numbers or dates, got dtype {found.dtype}")
    return found.astype(np.float64)
