"""Log-signatures as a transformer of aeon, channel-first as its collections. Only importing this module imports aeon.

>>> import numpy as np
>>> from logsig_codegen.aeon import LogSignature
>>> LogSignature(degree=2).fit_transform(np.zeros((8, 3, 50))).shape
(8, 6)
"""

from __future__ import annotations

from typing import Any, ClassVar

from aeon.transformations.collection import BaseCollectionTransformer

from logsig_codegen._features import TRIED, Array, FeatureOptions, learn, paths_of, table

__all__ = ["LogSignature"]


class LogSignature(FeatureOptions, BaseCollectionTransformer):  # type: ignore[misc]
    """Log-signatures of a collection of series, one row for each: ``(n, channels, length)`` to ``(n, features)``.

    Series may have different lengths. Parameters as for :class:`logsig_codegen.sklearn.LogSignature`, but for
    ``column_id``; ``times`` is an array, or the number of a channel. Where values are missing, ``missing`` decides.
    """

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": ["np-list", "numpy3D"],
        "output_data_type": "Tabular",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "capability:multithreading": True,
        "removes_unequal_length": True,
        "removes_missing_values": True,
    }

    def _fit(self, X: Any, y: Any = None) -> LogSignature:
        self._learnt = learn(self, paths_of(_points_first(X), self))
        return self

    def _transform(self, X: Any, y: Any = None) -> Array:
        return table(self, self._learnt, paths_of(_points_first(X), self))

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """What aeon's own checks try: parts, transforms and missing values."""
        return list(TRIED)


def _points_first(X: Any) -> Any:
    return [one.T for one in X] if isinstance(X, list) else X.swapaxes(1, 2)
