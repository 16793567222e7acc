"""Log-signatures of whole paths, and the transforms of paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from logsig_codegen.errors import UnsupportedError
from logsig_codegen.functional._arguments import augmented, check_bool
from logsig_codegen.problem import Problem, check_positive_integer
from logsig_codegen.runtime import loader, transforms
from logsig_codegen.runtime.arrays import check_out, plain, wants_out
from logsig_codegen.runtime.checks import TORCH, check_problem, check_types, is_tensor, kind_of
from logsig_codegen.runtime.coordinates import log_sig_size
from logsig_codegen.runtime.kernel import ArrayOrTensor
from logsig_codegen.runtime.path_checks import check_call, check_lengths, check_method, check_out_backward
from logsig_codegen.runtime.rows import check_width
from logsig_codegen.runtime.threads import thread_count


def log_sig(
    path: ArrayOrTensor | Sequence[ArrayOrTensor],
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    correction: None = None,
    n_jobs: SupportsIndex = 1,
    lengths: Any = None,
    initial: ArrayOrTensor | None = None,
    stream: bool = False,
    windows: tuple[int, int] | None = None,
    state: str | None = None,
    out: ArrayOrTensor | None = None,
) -> ArrayOrTensor:
    """Log-signatures of piecewise linear paths; :meth:`LogSigKernel.log_sig` describes the last six arguments.

    Parameters
    ----------
    path : array, shape (..., length, dimension), or list of arrays of shape (length, dimension)
        Points of the paths.
    degree : int
        Truncation degree, at least 1.
    time_aug : bool
        Add time, from 0 to ``end_time``, as the last channel.
    lead_lag : bool
        Replace the path by its lead-lag transform, lag channels first.
    end_time : float
        Time of the last point, with ``time_aug``.
    method : int
        Coordinates of the result: 0 expanded, 1 Lyndon words, 2 and 3 Lyndon brackets.
    scalar_term : bool
        Whether an expanded result begins with the coefficient of the empty word, 0.
    correction
        Only ``None``.
    n_jobs : int
        Threads: 1 serial, -1 all processors.

    Returns
    -------
    array, shape (..., log_sig_length(dimension, degree)), or (..., sig_length(dimension, degree)) for method 0

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type, dtype, shape or value.
    UnsupportedError
        For a ``correction``.
    """
    options: dict[str, Any] = {
        "lengths": lengths, "initial": initial, "stream": stream, "windows": windows, "state": state,
    }  # fmt: skip
    tensors = is_tensor(path)
    untransformed = time_aug is False and lead_lag is False and type(end_time) is float
    if not tensors and untransformed and scalar_term is False and correction is None:
        known = loader.made(path, degree)
        if known is not None:
            return known.log_sig(path, method=method, n_jobs=n_jobs, out=out, **options)  # type: ignore[no-any-return]
    check_bool("scalar_term", scalar_term)
    dimension, length = _check(path, degree, time_aug, lead_lag, method, correction, n_jobs)
    changed, options["lengths"] = _transformed(path, lengths, time_aug, lead_lag, end_time)
    options.update(method=method, n_jobs=n_jobs)
    scalar = scalar_term and method == 0
    if tensors:
        from logsig_codegen.runtime.torch_ops import calls

        if out is not None:
            wants_out(TORCH, out)
        result: Any = calls.log_sig(changed, dimension, length, **options)
        return _with_scalar(result) if scalar else result  # type: ignore[no-any-return]
    if out is not None:
        _check_out(out, path, changed, Problem(dimension, length), scalar, options)
    result = loader.obtain(dimension, length).log_sig(changed, out=None if scalar else out, **options)
    if not scalar:
        return result  # type: ignore[no-any-return]
    with_scalar = _with_scalar(result)
    if out is None:
        return with_scalar  # type: ignore[no-any-return]
    out[...] = with_scalar
    return out


def log_sig_backprop(
    d_out: ArrayOrTensor,
    path: ArrayOrTensor | Sequence[ArrayOrTensor],
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    method: int = 1,
    scalar_term: bool = False,
    correction: None = None,
    n_jobs: SupportsIndex = 1,
    lengths: Any = None,
    initial: ArrayOrTensor | None = None,
    stream: bool = False,
    windows: tuple[int, int] | None = None,
    state: str | None = None,
    out: ArrayOrTensor | tuple[ArrayOrTensor, ArrayOrTensor] | None = None,
) -> Any:
    """Gradients with respect to the points of the paths of :func:`log_sig`.

    Parameters
    ----------
    d_out : array
        Derivative of a scalar with respect to the result; broadcasts to its shape.
    path, degree and all others
        The arguments of :func:`log_sig`.
    out : numpy array, or with ``initial`` a pair of them, optional
        Receives the result; see :meth:`LogSigKernel.log_sig_backprop`.

    Returns
    -------
    d_path : array of the shape of path, or list of them
        With ``initial``: the pair ``(d_path, d_initial)``.
    """
    options: dict[str, Any] = {
        "lengths": lengths, "initial": initial, "stream": stream, "windows": windows, "state": state,
    }  # fmt: skip
    tensors = is_tensor(path)
    untransformed = time_aug is False and lead_lag is False and type(end_time) is float
    if not tensors and untransformed and scalar_term is False and correction is None:
        known = loader.made(path, degree)
        if known is not None:
            return known.log_sig_backprop(d_out, path, method=method, n_jobs=n_jobs, out=out, **options)
    check_bool("scalar_term", scalar_term)
    dimension, length = _check(path, degree, time_aug, lead_lag, method, correction, n_jobs)
    changed, options["lengths"] = _transformed(path, lengths, time_aug, lead_lag, end_time)
    given = {"d_out": d_out, "path": path, "initial": initial}
    if scalar_term and method == 0:
        d_out = _without_scalar(d_out, Problem(dimension, length))
    options.update(method=method, n_jobs=n_jobs)
    if tensors:
        from logsig_codegen.runtime.torch_ops import calls

        if out is not None:
            wants_out(TORCH, out)
        gradients = calls.log_sig_backprop(d_out, changed, dimension, length, **options)  # type: ignore[arg-type]
        d_path, rest = gradients if initial is not None else (gradients, None)
        if time_aug or lead_lag:
            d_path = _transformed_back(d_path, path, lengths, time_aug, lead_lag)
        return d_path if initial is None else (d_path, rest)
    transformed = time_aug or lead_lag
    targets = None
    if out is not None and transformed and wants_out(kind_of("d_out", d_out), out):
        arrays = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
        targets = check_out_backward(out, path, initial, arrays)
    kernel = loader.obtain(dimension, length)
    if not transformed:
        return kernel.log_sig_backprop(d_out, path, out=out, **options)
    gradients = kernel.log_sig_backprop(d_out, changed, **options)
    d_path, *others = gradients if initial is not None else (gradients,)
    results = (_transformed_back(d_path, path, lengths, time_aug, lead_lag), *others)
    for target, result in zip(targets or (), results, strict=False):
        target[...] = result
    results = targets or results
    return results[0] if initial is None else results


def transform_path(
    path: ArrayOrTensor,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """Add time as the last channel of paths, and double their channels by the lead-lag transform (lag first).

    Parameters
    ----------
    path : array, shape (..., length, dimension)
    time_aug, lead_lag, end_time
        As for :func:`log_sig`.
    n_jobs : int
        Checked, and not needed: this is a copy.

    Returns
    -------
    array, shape (..., new length, new dimension)
        ``lead_lag`` makes ``2 length - 1`` points of ``2 dimension`` channels, ``time_aug`` one channel more.
    """
    thread_count(n_jobs)
    _check_types({"path": path})
    _check_axes("path", path)
    _check_transform(path, time_aug, lead_lag, end_time)
    return _transform(path, None, time_aug, lead_lag, end_time)  # type: ignore[no-any-return]


def transform_path_backprop(
    derivs: ArrayOrTensor,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    n_jobs: SupportsIndex = 1,
) -> ArrayOrTensor:
    """Gradients with respect to the path of :func:`transform_path`, of the path's shape.

    Parameters
    ----------
    derivs : array, shape (..., new length, new dimension)
        Derivative of a scalar with respect to the transformed path.
    time_aug, lead_lag, end_time, n_jobs
        The arguments of :func:`transform_path`.
    """
    thread_count(n_jobs)
    _check_types({"derivs": derivs})
    _check_axes("derivs", derivs)
    _check_transform(derivs, time_aug, lead_lag, end_time)
    return _pull(derivs, None, {"time_aug": time_aug, "lead_lag": lead_lag})  # type: ignore[no-any-return]


def _with_scalar(result: Any) -> Any:
    """An expanded log-signature with the coefficient of the empty word in front."""
    if isinstance(result, np.ndarray):
        return np.concatenate([np.zeros((*result.shape[:-1], 1), result.dtype), result], axis=-1)
    import torch

    return torch.cat([result.new_zeros((*result.shape[:-1], 1)), result], dim=-1)


def _without_scalar(d_out: Any, problem: Problem) -> Any:
    """The derivative with respect to an expanded log-signature without its scalar term, which is constant."""
    check_types({"d_out": d_out})
    check_width("d_out", d_out, (log_sig_size(problem, 0) + 1,), "with scalar_term")
    return d_out[..., 1:]


def _check_out(out: Any, path: Any, changed: Any, problem: Problem, scalar: bool, options: dict[str, Any]) -> None:
    """Check ``out`` of :func:`log_sig` for arrays: its shape, and that it shares no memory with them."""
    others = {name: value for name, value in options.items() if name not in ("method", "n_jobs")}
    threads = thread_count(options["n_jobs"])
    checked = check_call(problem, changed, method=options["method"], threads=threads, **others)
    ragged = isinstance(path, (list, tuple))
    inputs: dict[str, Any] = {f"path[{i}]": one for i, one in enumerate(path)} if ragged else {"path": path}
    if wants_out(checked.kind, out):
        check_out("out", out, (*checked.shape[:-1], checked.shape[-1] + scalar), inputs)


def _check(
    path: Any,
    degree: SupportsIndex,
    time_aug: bool,
    lead_lag: bool,
    method: int,
    correction: None,
    n_jobs: SupportsIndex,
) -> tuple[int, int]:
    """Dimension and degree of a path's problem, after its transforms."""
    if correction is not None:
        raise UnsupportedError("correction: there are no kernels for corrected log-signatures; expected None")
    thread_count(n_jobs)
    check_method(method)
    paths = path if isinstance(path, (list, tuple)) else [path]
    if not paths:
        raise ValueError("path: expected at least one path, got an empty list")
    _check_types({f"path[{index}]" if path is paths else "path": value for index, value in enumerate(paths)})
    for index, value in enumerate(paths):
        _check_axes(f"path[{index}]" if path is paths else "path", value)
    dimension = check_positive_integer("path: last dimension", paths[0].shape[-1])
    problem = check_problem(augmented(dimension, time_aug, lead_lag), degree)
    return problem.dimension, problem.degree


def _check_types(arguments: dict[str, Any]) -> None:
    """Check kinds and dtypes; those of tensors are the operators' business, for autocast may change them."""
    if not is_tensor(list(arguments.values())):
        check_types(arguments)


def _check_axes(name: str, value: Any) -> None:
    if value.ndim < 2:
        raise ValueError(f"{name}: expected shape (..., length, dimension), got {tuple(value.shape)}")


def _check_transform(path: Any, time_aug: bool, lead_lag: bool, end_time: float) -> None:
    check_bool("time_aug", time_aug)
    check_bool("lead_lag", lead_lag)
    if not is_tensor(path):
        transforms.check_end_time(end_time)
        return
    from logsig_codegen.runtime.torch_ops import calls

    calls.check_end_time(end_time)


def _transformed(path: Any, lengths: Any, time_aug: bool, lead_lag: bool, end_time: float) -> tuple[Any, Any]:
    """The path (or list of paths) and lengths that the kernel gets."""
    _check_transform(path, time_aug, lead_lag, end_time)
    if not (time_aug or lead_lag):
        return path, lengths
    if isinstance(path, (list, tuple)):
        return [_transform(one, None, time_aug, lead_lag, end_time) for one in path], lengths
    if lengths is None:
        return _transform(path, None, time_aug, lead_lag, end_time), None
    points = _lengths(path, lengths)
    changed = _transform(path, points, time_aug, lead_lag, end_time)
    return changed, (2 * points - 1).clip(0) if lead_lag else points


def _lengths(path: Any, lengths: Any) -> Any:
    """Numbers of points, as an array or a tensor like the path."""
    if isinstance(path, np.ndarray):
        return check_lengths(lengths, tuple(path.shape[:-2]), int(path.shape[-2]))
    from logsig_codegen.runtime.torch_ops.lengths import as_lengths

    return as_lengths(path, lengths)


def _transform(path: Any, lengths: Any, time_aug: bool, lead_lag: bool, end_time: float) -> Any:
    options = {"time_aug": time_aug, "lead_lag": lead_lag, "end_time": end_time, "lengths": lengths}
    if isinstance(path, np.ndarray):
        return transforms.transform(plain(path), **options)
    from logsig_codegen.runtime.torch_ops import calls

    return calls.transform_path(path, lengths, time_aug, lead_lag, end_time)


def _transformed_back(d_path: Any, path: Any, lengths: Any, time_aug: bool, lead_lag: bool) -> Any:
    options = {"time_aug": time_aug, "lead_lag": lead_lag}
    if isinstance(path, (list, tuple)):
        return [_pull(one, None, options) for one in d_path]
    return _pull(d_path, None if lengths is None else _lengths(path, lengths), options)


def _pull(d_path: Any, lengths: Any, options: dict[str, Any]) -> Any:
    if isinstance(d_path, np.ndarray):
        return transforms.transform_backprop(plain(d_path), lengths=lengths, **options)
    from logsig_codegen.runtime.torch_ops import calls

    return calls.transform_path_backprop(d_path, lengths, **options)
