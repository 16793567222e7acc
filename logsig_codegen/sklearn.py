"""Log-signatures as features for scikit-learn. Only importing this module imports scikit-learn.

>>> import numpy as np
>>> from logsig_codegen.sklearn import LogSignature
>>> LogSignature(degree=2).fit(np.zeros((8, 50, 3))).get_feature_names_out()
array(['x0', 'x1', 'x2', '[x0,x1]', '[x0,x2]', '[x1,x2]'], dtype=object)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from logsig_codegen import _frames
from logsig_codegen._features import Array, FeatureOptions, Paths, learn, names, paths_of, table

__all__ = ["LogSignature"]


class LogSignature(FeatureOptions, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Log-signatures of paths, one row for each: a table of features for any estimator of scikit-learn.

    Paths come as

    * an array ``(n, length, channels)``; one of two axes, ``(n, length)``, has paths of a single channel;
    * a list of arrays ``(length, channels)``, which may have different lengths;
    * a list of data frames of pandas or polars: columns are channels, and their names those of the features;
    * one long data frame, with ``column_id`` or an index of several levels. A row of the result, a pandas frame if
      that came, is a path, in the order in which they come.

    Options are keywords of :func:`logsig_codegen.log_sig`, but for what is said here; ``fit`` checks them.

    Parameters
    ----------
    degree : int
        Truncation degree, at least 1.
    windows, intervals
        Log-signatures of parts of the paths, one beside the other. As many windows as fit the longest path of those
        that were fitted. Intervals are ``(W, 2)``, the same for all paths. In a path that ends before they do, they
        end there.
    times : array of shape (length,), int, or str; optional
        Times of the points of all paths (a shorter path has the first of them), or the channel that has them and is no
        channel of the path then: its number, or in data frames the name of a column, or of a level of the index.
        Strictly increasing; rows of data frames are put into their order. Dates are seconds since 1970.
    time_aug, lead_lag, end_time, count_observations
        Transforms of the paths.
    basepoint : bool
        Paths begin with a point of zeros (after missing values are filled in, before the transforms), as long before
        the first point as that is before the second. Otherwise log-signatures do not depend on where a path begins.
    missing : {"raise", "linear", "forward"} or None
        What is done about values that are NaN.
    method : int
        0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
    n_jobs : int
        Threads: 1 serial, -1 all processors.
    dtype : dtype, optional
        ``float32`` or ``float64``; by default that of the data, if it is one of these, or else ``float64``.
    column_id : str, optional
        In a long data frame: the column, or level of the index, that says which path a row belongs to. By default all
        levels but the last, of several.

    Attributes
    ----------
    n_channels_in_ : int
        Channels of the paths, without that of ``times``.
    n_features_in_ : int
        The same; for an array of two axes the length of the paths.
    feature_names_in_ : array of str
        Names of the channels of data frames; of a table ``(n, length)`` those of its columns.
    """

    def __init__(
        self,
        degree: int = 2,
        *,
        column_id: Any = None,
        windows: Any = None,
        intervals: Any = None,
        times: Any = None,
        time_aug: bool = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        basepoint: bool = False,
        missing: str | None = "raise",
        count_observations: bool = False,
        method: int = 2,
        n_jobs: int = 1,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            degree, windows=windows, intervals=intervals, times=times, time_aug=time_aug, lead_lag=lead_lag,
            end_time=end_time, basepoint=basepoint, missing=missing, count_observations=count_observations,
            method=method, n_jobs=n_jobs, dtype=dtype,
        )  # fmt: skip
        self.column_id = column_id

    def fit(self, X: Any, y: Any = None) -> LogSignature:
        """Check the options, and record names and number of the channels, and the longest path if there are windows.

        Parameters
        ----------
        X : array, list or data frame
            Paths; see the class.
        y
            Not used.

        Raises
        ------
        TypeError, ValueError
            For paths and options that are none.
        """
        paths, _ = self._read(X, reset=True)
        self._learnt = learn(self, paths)
        self.n_channels_in_ = paths.channels
        return self

    def transform(self, X: Any) -> Any:
        """Log-signatures, an array ``(n, features)``; a row depends on its path only.

        Raises
        ------
        TypeError, ValueError
            For paths that are none, or have other channels than those that were fitted.
        """
        check_is_fitted(self)
        paths, labels = self._read(X, reset=False)
        rows = table(self, self._learnt, paths)
        if labels is None or not hasattr(X, "index"):
            return rows
        import pandas

        return pandas.DataFrame(rows, index=labels, columns=self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> Array:
        """Names of the features: brackets or words of the channels' names, those of windows after ``w0:``, ``w1:``, …

        Parameters
        ----------
        input_features : names, optional
            Of the channels, where they have none; ``x0``, ``x1``, … by default.
        """
        check_is_fitted(self)
        known = getattr(self, "feature_names_in_", None)
        channels = [f"x{index}" for index in range(self.n_channels_in_)]
        if input_features is not None:
            given = np.asarray(input_features, dtype=object)
            if known is not None and not np.array_equal(known, given):
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(given) != self.n_features_in_:
                expected = f"number of features ({self.n_features_in_})"
                raise ValueError(f"input_features should have length equal to {expected}, got {len(given)}")
            known = given
        if known is not None and not self._one_channel:
            channels = list(known)
        return np.array([*names(self, self._learnt, channels)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing != "raise"
        tags.transformer_tags.preserves_dtype = [] if self.dtype is not None else ["float64", "float32"]
        return tags

    def _read(self, X: Any, *, reset: bool) -> tuple[Paths, Any]:
        """Paths, and their names if they came in a long data frame."""
        labels = None
        if _frames.is_frame(X):
            found = _frames.split(X, self.column_id)
            if found is not None:
                X, labels = found
        elif isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
            X = list(X)
        one_channel = False
        times: list[Array] | None = None
        if isinstance(X, (list, tuple)) and X and _frames.is_frame(X[0]):
            X, times = _frames.read(X, self.times)
            for index, frame in enumerate(X):
                validate_data(self, frame, reset=reset and index == 0, skip_check_array=True)
            values: Any = [self._numbers(one) for one in X]
        elif (ragged := _is_ragged(X)) or _axes(X) == 3:
            values = [self._numbers(_as_columns(one)) for one in X] if ragged else self._numbers(X)
            validate_data(self, values[0], reset=reset, skip_check_array=True)
        else:
            values = validate_data(self, X, reset=reset, **self._checks())[..., None]
            one_channel = True
        if reset:
            self._one_channel = one_channel
        return paths_of(values, self, times), labels

    def _numbers(self, value: Any) -> Array:
        found: Array = check_array(value, allow_nd=True, input_name="X", estimator=self, **self._checks())
        return found

    def _checks(self) -> dict[str, Any]:
        """What has to be checked of numbers."""
        finite: bool | str = self.missing == "raise" or (self.missing is not None and "allow-nan")
        return {"dtype": (np.float64, np.float32), "ensure_all_finite": finite}


def _is_ragged(X: Any) -> bool:
    """Whether it is a list of arrays of two axes, or of arrays of one with different lengths."""
    if not isinstance(X, (list, tuple)) or not X:
        return False
    dimensions = {getattr(one, "ndim", 0) for one in X}
    return dimensions == {2} or (dimensions == {1} and len({len(one) for one in X}) > 1)


def _axes(X: Any) -> int:
    return int(X.ndim) if hasattr(X, "ndim") else np.asarray(X).ndim


def _as_columns(one: Any) -> Any:
    return np.asarray(one)[:, None] if one.ndim == 1 else one
