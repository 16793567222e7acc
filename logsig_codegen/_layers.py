"""The modules of :mod:`logsig_codegen.nn`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, SupportsIndex

import torch
from torch import Tensor, nn

from logsig_codegen import functional
from logsig_codegen.functional import log_sig_length, sig_length
from logsig_codegen.functional.paths import forward
from logsig_codegen.problem import check_positive_integer
from logsig_codegen.runtime.checks import check_bool
from logsig_codegen.runtime.request import PathOptions
from logsig_codegen.runtime.threads import check_jobs
from logsig_codegen.runtime.transforms import Transform

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
    windows : (size, stride), optional
        Log-signatures of windows instead; counted in points after the transforms.
    time_aug, lead_lag, end_time
        Transforms of the path.
    method : int
        Coordinates of the result: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
    n_jobs : int
        Threads: 1 serial, -1 all processors.

    Attributes
    ----------
    options, transform
        The options above in normal form: ``options`` has ``stream``, ``windows``, ``method`` and ``n_jobs``,
        ``transform`` the others.
    out_features : int
        Length of the last axis of the result.
    """

    def __init__(
        self,
        dimension: SupportsIndex,
        degree: SupportsIndex,
        *,
        stream: bool = False,
        windows: tuple[int, int] | None = None,
        time_aug: bool = False,
        lead_lag: bool = False,
        end_time: float = 1.0,
        method: int = 2,
        n_jobs: SupportsIndex = 1,
    ) -> None:
        super().__init__()
        self.dimension = check_positive_integer("dimension", dimension)
        self.degree = check_positive_integer("degree", degree)
        self.options = PathOptions(stream, windows, None, method, n_jobs)  # type: ignore[arg-type]
        self.transform = Transform(time_aug, lead_lag, end_time)
        length = sig_length if self.options.method == 0 else log_sig_length
        self.out_features = length(self.dimension, self.degree, time_aug=time_aug, lead_lag=lead_lag)

    def forward(self, path: Tensor, lengths: Any = None, initial: Tensor | None = None) -> Tensor:
        """Log-signatures.

        Parameters
        ----------
        path : tensor, shape (..., length, dimension), or list of tensors of shape (length, dimension)
        lengths : integers of shape (...), optional
            Points of each path of a padded batch.
        initial : tensor, optional
            Log-signatures, in Lyndon brackets, of what came before.

        Returns
        -------
        tensor, shape (..., out_features); (..., length - 1, out_features) or (..., windows, out_features)

        Raises
        ------
        TypeError, ValueError
            For arguments of the wrong type, dtype or shape.
        """
        return forward(  # type: ignore[no-any-return]
            path, self.dimension, self.degree, self.options, self.transform, False, lengths, initial
        )

    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr``: dimension, degree, and what is not the default."""
        changed = (
            f"{one.name}={getattr(value, one.name)!r}"
            for value in (self.options, self.transform)
            for one in fields(value)
            if getattr(value, one.name) != one.default
        )
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
        """The log-signature of paths that have not begun: zeros, ``(*batch, size)``."""
        return torch.zeros(*batch, self.size, dtype=dtype, device=device)

    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr``."""
        prepend = ", prepend=True" if self.prepend else ""
        jobs = f", n_jobs={self.n_jobs}" if self.n_jobs != 1 else ""
        return f"dimension={self.dimension}, degree={self.degree}{prepend}{jobs}"


class LogODE(nn.Module):
    """A recurrent model driven by log-signatures: one step of the log-ODE method per window of the path.

    The path is cut into windows that share their end points. Over a window with log-signature ``L`` the state moves by
    ``f(state) L``, where ``f`` is a small network whose values are matrices; degree one is an Euler step of the
    controlled equation, higher degrees see how the channels moved together within the window.

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
    ) -> None:
        super().__init__()
        self.hidden = check_positive_integer("hidden", hidden)
        self.window = check_positive_integer("window", window)
        out_features = check_positive_integer("out_features", out_features)
        width = check_positive_integer("width", width)
        channels = check_positive_integer("dimension", dimension) + 1
        self.log_sig = LogSig(channels, degree, windows=(self.window + 1, self.window))
        size = self.log_sig.out_features
        numbers = self.hidden * (channels + width + width * size + out_features)
        if numbers > _MOST_NUMBERS:
            raise ValueError(f"hidden, out_features, width: a model of about {numbers:.0e} numbers is too large")
        self.first = nn.Linear(channels, self.hidden)
        self.field = nn.Sequential(
            nn.Linear(self.hidden, width), nn.Tanh(), nn.Linear(width, self.hidden * size), nn.Tanh()
        )
        self.readout = nn.Linear(self.hidden, out_features)
        self.scale = 1.0 / size

    def forward(self, path: Tensor) -> Tensor:
        """``(batch, length, dimension)`` to ``(batch, out_features)``; points after the last whole window are unread.

        ``length`` is at least ``window + 1``, or the state does not move.
        """
        timed = functional.transform_path(path, time_aug=True)
        log_sigs = self.log_sig(timed)
        state = self.first(timed[..., 0, :])
        for index in range(log_sigs.shape[-2]):
            field = self.field(state).unflatten(-1, (self.hidden, -1))
            state = state + (field @ log_sigs[..., index, :, None]).squeeze(-1) * self.scale
        return self.readout(state)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr``."""
        return f"window={self.window}"


for _module in (LogODE, LogSig, LogSigJoin):
    _module.__module__ = "logsig_codegen.nn"  # where pickle finds them
