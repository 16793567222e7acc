"""The modules of :mod:`logsig_codegen.nn`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, SupportsIndex

import torch
from torch import Tensor, nn

from logsig_codegen import functional
from logsig_codegen.functional import log_sig_length, sig_length
from logsig_codegen.functional._arguments import non_negative
from logsig_codegen.functional.paths import forward
from logsig_codegen.problem import check_positive_integer
from logsig_codegen.runtime.checks import check_bool
from logsig_codegen.runtime.parts import Parts, check_any_windows, for_each, windows_in_points
from logsig_codegen.runtime.request import PathOptions
from logsig_codegen.runtime.threads import check_jobs
from logsig_codegen.runtime.torch_ops import preparation
from logsig_codegen.runtime.torch_ops.calls import check_path_tensors
from logsig_codegen.runtime.torch_ops.lengths import as_lengths
from logsig_codegen.runtime.transforms import Transform, filled

_MOST_NUMBERS = 2**40
"""A model of more would not fit the memory."""


class LogSig(nn.Module):
    """Log-signatures of paths; :func:`logsig_codegen.log_sig` describes the options.

    Parameters
    ----------
    dimension, degree : int
        Channels of the paths before ``time_aug`` and ``lead_lag``; truncation degree.
    stream : bool
        All expanding log-signatures instead of the last.
    windows : (size, stride), or list of them, optional
        Log-signatures of windows instead, counted in points after the transforms, or with ``times`` in their unit. A
        list of them gives a list of results.
    time_aug, lead_lag, end_time, missing, count_observations
        Transforms of the path.
    method : int
        Coordinates of the result: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
    n_jobs : int
        Threads: 1 serial, -1 all processors.

    Attributes
    ----------
    options, transform
        The options above in normal form: ``options`` has ``stream``, ``windows`` (if it is one pair of integers),
        ``method`` and ``n_jobs``, ``transform`` the others.
    windows
        As given, in tuples.
    out_features : int
        Length of the last axis of the result.
    """

    def __init__(
        self,
        dimension: SupportsIndex,
        degree: SupportsIndex,
        *,
        stream: bool = False,
        windows: Any = None,
        time_aug: bool = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        missing: str | None = None,
        count_observations: bool = False,
        method: int = 2,
        n_jobs: SupportsIndex = 1,
    ) -> None:
        super().__init__()
        self.dimension = check_positive_integer("dimension", dimension)
        self.degree = check_positive_integer("degree", degree)
        self.windows = check_any_windows(windows)
        plain = self.windows if windows_in_points(self.windows) else None
        self.options = PathOptions(stream, plain, None, method, n_jobs)  # type: ignore[arg-type]
        self.transform = Transform(time_aug, lead_lag, end_time, missing, count_observations)
        length = sig_length if self.options.method == 0 else log_sig_length
        self.out_features = length(self.transform.channels(self.dimension), self.degree)

    def forward(
        self,
        path: Tensor,
        lengths: Any = None,
        initial: Tensor | None = None,
        *,
        intervals: Any = None,
        times: Any = None,
    ) -> Any:
        """Log-signatures.

        Parameters
        ----------
        path : tensor, shape (..., length, dimension), or list of tensors of shape (length, dimension)
        lengths : integers of shape (...), optional
            Points of each path of a padded batch.
        initial : tensor, optional
            Log-signatures, in Lyndon brackets, of what came before.
        intervals, times : optional
            As for :func:`logsig_codegen.log_sig`.

        Returns
        -------
        tensor, shape (..., out_features); (..., length - 1, out_features) or (..., windows, out_features)
            For a list of windows a list of them.

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong type, dtype or shape.
        """

        def call(windows: Any, parts: Parts) -> Any:
            options = self.options if windows == self.options.windows else replace(self.options, windows=windows)
            return forward(path, self.dimension, self.degree, options, self.transform, False, lengths, initial, parts)

        return for_each(self.windows, intervals, times, None, call)

    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr``: dimension, degree, and what is not the default."""
        changed: Iterable[str] = (
            f"{one.name}={getattr(value, one.name)!r}"
            for value in (self.options, self.transform)
            for one in fields(value)
            if getattr(value, one.name) != one.default
        )
        if self.windows != self.options.windows:
            changed = (*changed, f"windows={self.windows!r}")
        return ", ".join((f"dimension={self.dimension}", f"degree={self.degree}", *changed))


class LogSigJoin(nn.Module):
    """Log-signatures extended by one straight segment each: ``log(exp(log_sig) exp(displacement))``.

    Parameters
    ----------
    dimension, degree : int
        At least 1 each.
    prepend : bool
        Whether the segments precede the paths: ``log(exp(displacement) exp(log_sig))``.
    n_jobs : int
        Threads: 1 serial, -1 all processors.

    Attributes
    ----------
    size : int
        Length of a log-signature.
    """

    def __init__(
        self, dimension: SupportsIndex, degree: SupportsIndex, *, prepend: bool = False, n_jobs: SupportsIndex = 1
    ) -> None:
        super().__init__()
        self.dimension = check_positive_integer("dimension", dimension)
        self.degree = check_positive_integer("degree", degree)
        self.prepend = check_bool("prepend", prepend)
        self.n_jobs = check_jobs(n_jobs)
        self.size = log_sig_length(self.dimension, self.degree)

    def forward(self, log_sig: Tensor, displacement: Tensor) -> Tensor:
        """``(..., size)`` and ``(..., dimension)`` to ``(..., size)``; leading axes broadcast."""
        return functional.log_sig_join(
            log_sig, displacement, self.dimension, self.degree, prepend=self.prepend, n_jobs=self.n_jobs
        )

    def start(self, *batch: int, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
        """The log-signature of paths that have not begun: zeros, ``(*batch, size)``.

        Raises
        ------
        TypeError, ValueError
            For a batch shape that is none, and for a type or a device that torch has no zeros for.
        """
        shape = [non_negative(f"batch[{axis}]", length) for axis, length in enumerate(batch)]
        try:
            return torch.zeros(*shape, self.size, dtype=dtype, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"batch, dtype, device: {error}") from error

    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr``."""
        prepend = ", prepend=True" if self.prepend else ""
        jobs = f", n_jobs={self.n_jobs}" if self.n_jobs != 1 else ""
        return f"dimension={self.dimension}, degree={self.degree}{prepend}{jobs}"


class LogODE(nn.Module):
    """A recurrent model driven by log-signatures: one step of the log-ODE method per window of the path.

    The path is cut into windows that share their end points, the last one of what is left. Over a window with
    log-signature ``L`` the state moves by ``f(state) L``, where ``f`` is a small network whose values are matrices;
    degree one is an Euler step of the controlled equation, higher degrees see how the channels moved together within
    the window.

    Parameters
    ----------
    dimension, degree : int
        Channels of the path, and truncation degree; time is added as a further channel.
    hidden : int
        Length of the state.
    out_features : int
        Length of the result.
    window : int
        Steps of the path per window.
    width : int
        Width of the hidden layer of ``f``.
    missing : {"raise", "linear", "forward"}, optional
        What is done about values that are NaN; see :func:`logsig_codegen.log_sig`.

    Raises
    ------
    TypeError, ValueError
        For numbers of the wrong type or size.
    RuntimeError
        From torch, where there is not enough memory for the parameters.

    Examples
    --------
    >>> import torch
    >>> model = LogODE(3, 2, hidden=16, out_features=4, window=5)
    >>> model(torch.zeros(8, 51, 3)).shape
    torch.Size([8, 4])
    """

    def __init__(
        self,
        dimension: SupportsIndex,
        degree: SupportsIndex,
        *,
        hidden: int,
        out_features: int,
        window: int,
        width: int = 64,
        missing: str | None = None,
    ) -> None:
        super().__init__()
        self.hidden = check_positive_integer("hidden", hidden)
        self.window = check_positive_integer("window", window)
        out_features = check_positive_integer("out_features", out_features)
        width = check_positive_integer("width", width)
        self.log_sig, self.filling = LogSig(dimension, degree, time_aug=True), filled(missing)
        channels, size = self.log_sig.dimension + 1, self.log_sig.out_features
        numbers = self.hidden * (channels + width + width * size + out_features)
        if numbers > _MOST_NUMBERS:
            raise ValueError(f"hidden, out_features, width: a model of about {numbers:.0e} numbers is too large")
        self.first = nn.Linear(channels, self.hidden)
        self.field = nn.Sequential(
            nn.Linear(self.hidden, width), nn.Tanh(), nn.Linear(width, self.hidden * size), nn.Tanh()
        )
        self.readout = nn.Linear(self.hidden, out_features)
        self.scale = 1.0 / size

    def forward(self, path: Tensor, lengths: Any = None, times: Any = None) -> Tensor:
        """``(batch, length, dimension)`` to ``(batch, out_features)``.

        Parameters
        ----------
        path : tensor, shape (..., length, dimension)
        lengths : integers of shape (...), optional
            Points of each path of a padded batch; the state stays as it is beyond them.
        times : tensor, shape (length,) or (..., length), optional
            Increasing; from 0 to 1 in equal steps by default.

        Raises
        ------
        TypeError, ValueError
            For a path of the wrong type or shape; without autocast its dtype and device are those of the parameters.
        """
        self._check_path(path)
        counts = as_lengths(path, lengths)
        moments = None if times is None else preparation.times_of(path, counts, times)
        if self.filling:
            path = preparation.fill(path, counts, moments, self.filling)
        first = torch.arange((path.shape[-2] + self.window - 2) // self.window, device=path.device) * self.window
        pairs = torch.stack([first, (first + self.window).clamp(max=path.shape[-2] - 1)], -1)
        log_sigs = self.log_sig(path, counts, intervals=pairs, times=times)
        start = path.new_zeros(1) if moments is None else moments[..., :1].to(path.dtype)
        state = self.first(torch.cat([path[..., 0, :], start.expand(*path.shape[:-2], 1)], -1))
        for index in range(log_sigs.shape[-2]):
            field = self.field(state).unflatten(-1, (self.hidden, -1))
            state = state + (field @ log_sigs[..., index, :, None]).squeeze(-1) * self.scale
        return self.readout(state)  # type: ignore[no-any-return]

    def _check_path(self, path: Tensor) -> None:
        if not isinstance(path, Tensor):
            raise TypeError(f"path: expected a torch tensor, got {type(path).__name__}")
        check_path_tensors({"path": path})
        if not path.shape[-2]:
            raise ValueError(f"path: expected at least 1 point, got shape {tuple(path.shape)}")
        like = self.first.weight
        if (path.dtype, path.device) != (like.dtype, like.device) and not torch.is_autocast_enabled(path.device.type):
            expected, came = (f"{one.dtype} on {one.device}" for one in (like, path))
            raise TypeError(f"path: expected {expected}, as the parameters are, got {came}")

    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr``."""
        return f"window={self.window}" + (f", missing={self.filling.missing!r}" if self.filling else "")


for _module in (LogODE, LogSig, LogSigJoin):
    _module.__module__ = "logsig_codegen.nn"  # where pickle finds them
