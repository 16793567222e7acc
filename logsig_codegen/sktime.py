"""Log-signatures as a transformer of sktime. Only importing this module imports sktime."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from sktime.transformations.base import BaseTransformer

from logsig_codegen import _frames
from logsig_codegen._features import TRIED, FeatureOptions, Paths, learn, names, paths_of, table

__all__ = ["LogSignature"]


class LogSignature(FeatureOptions, BaseTransformer):  # type: ignore[misc]
    """Log-signatures of series, one row for each: a series or a panel of them, of any of sktime's types, to a table.

    Series may have different lengths, and the columns of the table are named by their channels. Parameters as for
    :class:`logsig_codegen.sklearn.LogSignature`, but for ``column_id``; ``times="index"`` takes the time index. Where
    values are missing, ``missing`` decides.

    Examples
    --------
    >>> import numpy as np
    >>> from logsig_codegen.sktime import LogSignature
    >>> list(LogSignature(degree=2).fit_transform(np.zeros((8, 2, 50))).columns)
    ['var_0', 'var_1', '[var_0,var_1]']
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "The logsig-codegen authors",
        "maintainers": "The logsig-codegen authors",
        "scitype:transform-input": "Series",
        "scitype:transform-output": "Primitives",
        "scitype:instancewise": True,
        "X_inner_mtype": "pd-multiindex",
        "y_inner_mtype": "None",
        "fit_is_empty": False,
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:unequal_length:removes": True,
        "capability:missing_values": True,
        "capability:missing_values:removes": True,
        "capability:categorical_in_X": False,
    }

    def _fit(self, X: Any, y: Any = None) -> LogSignature:
        paths, channels, _ = self._read(X)
        self._learnt = learn(self, paths)
        self._names = list(names(self, self._learnt, channels))
        return self

    def _transform(self, X: Any, y: Any = None) -> Any:
        paths, _, instances = self._read(X)
        return pd.DataFrame(table(self, self._learnt, paths), index=instances, columns=self._names)

    def _read(self, X: Any) -> tuple[Paths, list[str], Any]:
        """Paths, the names of their channels, and those of the paths."""
        found = _frames.split(X, None)
        assert found is not None, "a panel has an index of two levels"
        series, instances = found
        frames, times = _frames.read(series, self.times)
        channels = [str(name) for name in frames[0].columns]
        return paths_of([one.to_numpy() for one in frames], self, times), channels, instances

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """What sktime's own checks try: parts, transforms and missing values."""
        return list(TRIED)
