"""Rows that grow at the back and shrink at the front, ``(..., count, width)``, as streams keep them.

Rows are copied when they come and never altered afterwards, so that what was handed out, or is part of a graph of
torch, stays as it was.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from bisect import bisect_right
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import numpy as np

from logsig_codegen.runtime.arrays import Array
from logsig_codegen.runtime.checks import JAX, NUMPY, is_traced, namespace

_FEWEST = 16


def make_storage(kind: str, rows: Any) -> ArrayStorage | PiecesStorage:
    """Room for rows like ``rows``, shape (..., any, width), of the kind that ``check_types`` gave; still empty."""
    if kind == NUMPY:
        return ArrayStorage(rows.shape[:-2], rows.shape[-1], rows.dtype)
    return JaxStorage(rows) if kind == JAX else TensorStorage(rows)


class ArrayStorage:
    """Rows of numpy arrays, in one array that is doubled when it is full.

    At most four times the room of the rows, and at least sixteen rows, are kept.
    """

    def __init__(self, batch: tuple[int, ...], width: int, dtype: np.dtype[Any]) -> None:
        self._buffer: Array = np.empty((*batch, 0, width), dtype)
        self._row = (*batch, width)
        self._first = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._first

    def push(self, row: Any) -> bool:
        """Add a copy of one row, shape (..., width), if it is a plain array of the type of the others; whether it was.

        Where there is no room for it nothing is done either.
        """
        buffer, end = self._buffer, self._end
        if (
            type(row) is not np.ndarray
            or row.dtype is not buffer.dtype
            or row.shape != self._row
            or end >= buffer.shape[-2]
        ):
            return False
        if buffer.ndim == 2:
            buffer[end] = row
        else:
            buffer[..., end, :] = row
        self._end = end + 1
        return True

    def append(self, rows: Array) -> None:
        """Add a copy of ``rows``, shape (..., any, width)."""
        count = rows.shape[-2]
        if self._end + count > self._buffer.shape[-2]:
            self._move(max(len(self) + count, 2 * len(self), _FEWEST))
        self._buffer[..., self._end : self._end + count, :] = rows
        self._end += count

    def get(self, start: int, end: int) -> Array:
        """The rows from ``start`` up to ``end``, not included, both counted from the first row kept; not a copy."""
        return self._buffer[..., self._first + start : self._first + end, :]

    def drop(self, count: int) -> None:
        """Forget the first rows."""
        self._first += count
        if self._buffer.shape[-2] > max(4 * len(self), _FEWEST):
            self._move(max(2 * len(self), _FEWEST))

    def __getstate__(self) -> dict[str, Any]:
        return {"_buffer": self.get(0, len(self)).copy(), "_row": self._row, "_first": 0, "_end": len(self)}

    def _move(self, capacity: int) -> None:
        kept = self.get(0, len(self))
        shape = self._buffer.shape
        self._buffer = np.empty((*shape[:-2], capacity, shape[-1]), self._buffer.dtype)
        self._first, self._end = 0, kept.shape[-2]
        self._buffer[..., : self._end, :] = kept


class PiecesStorage:
    """Rows in pieces.

    Pieces that gradients can flow to are kept apart, so that dropped rows leave the graph; the others are joined in
    pairs of about the same size, so that there are few.
    """

    def __init__(self, none: Any) -> None:
        self._none = none  # no rows
        self._pieces: list[Any] = []
        self._ends: list[int] = []  # of the pieces, in rows ever appended
        self._first = 0

    def __len__(self) -> int:
        return self._last - self._first

    @property
    def _last(self) -> int:
        return self._ends[-1] if self._ends else self._first

    def append(self, rows: Any) -> None:
        """Add a copy of ``rows``, shape (..., any, width); a gradient flows through it unless recording is off."""
        if not rows.shape[-2]:
            return
        last = self._last
        with self.recording():
            self._pieces.append(self._copied(rows))
            self._ends.append(last + rows.shape[-2])
            while len(self._pieces) > 1 and self._may_join(*self._pieces[-2:]):
                self._pieces[-2:] = [self._joined(self._pieces[-2:])]
                del self._ends[-2]

    def get(self, start: int, end: int) -> Any:
        """The rows from ``start`` up to ``end``, not included, both counted from the first row kept."""
        start, end = self._first + start, self._first + end
        if start >= end:
            return self._none
        parts = []
        for index in range(bisect_right(self._ends, start), len(self._ends)):
            piece = self._pieces[index]
            before = self._ends[index] - piece.shape[-2]
            if before >= end:
                break
            parts.append(piece[..., max(start - before, 0) : end - before, :])
        return parts[0] if len(parts) == 1 else self._joined(parts)

    def drop(self, count: int) -> None:
        """Forget the first rows."""
        self._first += count
        whole = bisect_right(self._ends, self._first)
        del self._pieces[:whole], self._ends[:whole]
        if not self._pieces:
            return
        piece, left = self._pieces[0], self._ends[0] - self._first
        if 2 * left <= piece.shape[-2]:
            with self.recording():
                self._pieces[0] = self._copied(piece[..., -left:, :])

    def recording(self) -> AbstractContextManager[Any]:
        """In this context results depend on rows that gradients can flow to, whatever the caller's mode."""
        return nullcontext()

    def __getstate__(self) -> dict[str, Any]:
        kept = len(self) > 0
        return {
            "_none": self._none,
            "_pieces": [self._numbers(self.get(0, len(self)))] if kept else [],
            "_ends": [len(self)] if kept else [],
            "_first": 0,
        }

    def _may_join(self, first: Any, second: Any) -> bool:
        return not (self._has_gradient(first) or self._has_gradient(second)) and first.shape[-2] <= second.shape[-2]

    @abstractmethod
    def _copied(self, rows: Any) -> Any:
        """A copy that gradients flow through."""

    @abstractmethod
    def _joined(self, parts: list[Any]) -> Any:
        """Some rows after others."""

    @abstractmethod
    def _numbers(self, rows: Any) -> Any:
        """A copy without gradients."""

    @abstractmethod
    def _has_gradient(self, rows: Any) -> bool:
        """Whether gradients can flow to rows."""


class TensorStorage(PiecesStorage):
    """Rows of torch tensors."""

    def __init__(self, like: Any) -> None:
        super().__init__(like.detach()[..., :0, :].clone())

    def append(self, rows: Any) -> None:
        """See :meth:`PiecesStorage.append`."""
        import torch

        # A copy made while recording is off has no graph; say so before recording is switched on.
        super().append(rows if torch.is_grad_enabled() else rows.detach())

    def recording(self) -> AbstractContextManager[Any]:
        """See :meth:`PiecesStorage.recording`."""
        import torch

        stack = ExitStack()
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        return stack

    def _copied(self, rows: Any) -> Any:
        import torch

        return rows.clone(memory_format=torch.contiguous_format)

    def _joined(self, parts: list[Any]) -> Any:
        import torch

        return torch.cat(parts, dim=-2)

    def _numbers(self, rows: Any) -> Any:
        return rows.detach().clone()

    def _has_gradient(self, rows: Any) -> bool:
        return bool(rows.requires_grad)


class JaxStorage(PiecesStorage):
    """Rows of JAX arrays: numpy's where their numbers are in the host's memory, so that nothing is compiled for each
    length; what is traced stays as it is."""

    def __init__(self, like: Any) -> None:
        super().__init__(np.zeros((*like.shape[:-2], 0, like.shape[-1]), like.dtype))

    def _copied(self, rows: Any) -> Any:
        on_host = isinstance(rows, np.ndarray) or (not is_traced(rows) and _is_on_host(rows))
        return np.array(rows, order="C") if on_host else rows

    def _joined(self, parts: list[Any]) -> Any:
        return namespace(*parts).concatenate(parts, axis=-2)

    def _numbers(self, rows: Any) -> Any:
        return np.array(rows)

    def _has_gradient(self, rows: Any) -> bool:
        return is_traced(rows)


def _is_on_host(array: Any) -> bool:
    return all(device.platform == "cpu" for device in array.devices())


def as_jax(rows: Any) -> Any:
    """Rows as an array of JAX."""
    return sys.modules["jax.numpy"].asarray(rows)
