"""Functions with the names, argument order, defaults and results of pySigLib 4.0: changing the import is enough.

Where pySigLib accepts what makes no sense, or fails with a bare ``Exception``, these raise ``TypeError`` or
``ValueError`` with the argument's name. Nothing has to be prepared before it is used.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from typing import Any, Literal, SupportsIndex

from logsig_codegen.algebra import lyndon
from logsig_codegen.build import cache
from logsig_codegen.build.cache import set_cache_dir
from logsig_codegen.errors import UnsupportedError
from logsig_codegen.problem import check_positive_integer, witt
from logsig_codegen.runtime import loader
from logsig_codegen.runtime.arrays import check_join, check_join_backprop
from logsig_codegen.runtime.checks import check_problem
from logsig_codegen.runtime.kernel import ArrayOrTensor
from logsig_codegen.runtime.threads import thread_count

__all__ = [
    "clear_cache",
    "idx_to_word",
    "is_lyndon",
    "log_sig_join",
    "log_sig_join_backprop",
    "log_sig_length",
    "lyndon_words",
    "lyndon_words_of_length",
    "prepare_log_sig",
    "set_cache_dir",
    "sig_length",
    "word_to_idx",
    "words",
    "words_of_length",
]

Word = tuple[int, ...]
Device = Literal["cpu", "cuda", "both"]

_MAX_WORDS = 50_000_000  # a list of more would fill the memory before anyone could read it
_MAX_LENGTH = 2**63 - 1


def log_sig_join(
    log_sig: ArrayOrTensor,
    displacement: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    n_jobs: SupportsIndex = 1,
    out: ArrayOrTensor | None = None,
) -> ArrayOrTensor:
    """Extend log-signatures by one straight segment each; :meth:`LogSigKernel.join` describes arrays and errors.

    Parameters
    ----------
    log_sig : array, shape (..., log_sig_length(dimension, degree))
        Coordinates in the Lyndon bracket basis.
    displacement : array, shape (..., dimension)
        End minus start of the segments.
    dimension, degree : int
        At least 1 each. Their kernel is loaded, or built, on first use.
    n_jobs : int
        Threads: 1 serial, -1 all processors.
    out : numpy array, optional
        Receives the result.

    Returns
    -------
    array, shape (..., log_sig_length(dimension, degree))
    """
    kernel = loader.loaded(dimension, degree)
    if kernel is None:
        problem = check_problem(dimension, degree)
        thread_count(n_jobs)
        check_join(problem, {"log_sig": log_sig, "displacement": displacement}, out)
        kernel = loader.load(dimension, degree)
    return kernel.join(log_sig, displacement, n_jobs=n_jobs, out=out)


def log_sig_join_backprop(
    d_out: ArrayOrTensor,
    log_sig: ArrayOrTensor,
    displacement: ArrayOrTensor,
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    n_jobs: SupportsIndex = 1,
    out: tuple[ArrayOrTensor, ArrayOrTensor] | None = None,
) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """Gradients with respect to the arguments of :func:`log_sig_join`; see :meth:`LogSigKernel.join_backprop`.

    Parameters
    ----------
    d_out : array, shape (..., log_sig_length(dimension, degree))
        Derivative of a scalar with respect to the result of the join.
    log_sig, displacement, dimension, degree, n_jobs
        As for :func:`log_sig_join`.
    out : pair of numpy arrays, optional
        Receives the gradients.

    Returns
    -------
    d_log_sig, d_displacement : array, shapes of log_sig and displacement
    """
    kernel = loader.loaded(dimension, degree)
    if kernel is None:
        problem = check_problem(dimension, degree)
        thread_count(n_jobs)
        check_join_backprop(problem, {"d_out": d_out, "log_sig": log_sig, "displacement": displacement}, out)
        kernel = loader.load(dimension, degree)
    return kernel.join_backprop(d_out, log_sig, displacement, n_jobs=n_jobs, out=out)


def prepare_log_sig(
    dimension: SupportsIndex,
    degree: SupportsIndex,
    method: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    use_disk: bool = False,
    device: Device = "both",
) -> None:
    """Load, or build, the kernels of a problem now instead of on first use.

    Parameters
    ----------
    dimension, degree : int
        Channels of the path before augmentation, and truncation degree; at least 1 each.
    method : int
        0 expanded signatures (nothing to prepare), 1 Lyndon words, 2 and 3 Lyndon brackets.
    time_aug, lead_lag : bool
        Whether a time channel is added and the channels are doubled.
    use_disk : bool
        Accepted for compatibility: compiled kernels are always kept on disk.
    device : {"cpu", "cuda", "both"}
        ``"both"`` prepares what there is.

    Raises
    ------
    UnsupportedError
        For ``device="cuda"``, for which there are no kernels.
    """
    number = _non_negative("method", method)
    if number > 3:
        raise ValueError(f"method: expected 0, 1, 2 or 3, got {number}")
    _check_bool("use_disk", use_disk)
    _check_device(device)
    problem = check_problem(_augmented(check_positive_integer("dimension", dimension), time_aug, lead_lag), degree)
    if number == 0:
        return
    if device == "cuda":
        raise UnsupportedError("device: there are no kernels for 'cuda'; 'cpu' and 'both' prepare those for the CPU")
    loader.load(problem.dimension, problem.degree)


def clear_cache(*, use_disk: bool = False, device: Device = "both") -> None:
    """Forget the kernels this process has loaded, and with ``use_disk`` delete those in the cache folder too.

    Kernels somebody still holds stay usable.
    """
    _check_bool("use_disk", use_disk)
    _check_device(device)
    loader.forget()
    if use_disk:
        cache.clear()


def log_sig_length(
    dimension: SupportsIndex, degree: SupportsIndex, *, time_aug: bool = False, lead_lag: bool = False
) -> int:
    """Number of coordinates of a log-signature: Lyndon words of length 1 to ``degree`` (Witt's formula).

    ``lead_lag`` doubles the dimension, then ``time_aug`` adds one to it.

    Raises
    ------
    ValueError
        If dimension or degree is below 1, or the result does not fit 64 bits.
    """
    letters = _augmented(check_positive_integer("dimension", dimension), time_aug, lead_lag)
    longest = check_positive_integer("degree", degree)
    if letters == 1:
        return 1
    # There are at least letters**degree / (2 degree) words of the last length alone.
    if longest * (letters.bit_length() - 1) > 64 + 1 + longest.bit_length():
        raise ValueError(_too_long("log-signature", letters, longest))
    length = sum(witt(letters, degree) for degree in range(1, longest + 1))
    if length > _MAX_LENGTH:
        raise ValueError(_too_long("log-signature", letters, longest))
    return length


def sig_length(
    dimension: SupportsIndex,
    degree: SupportsIndex,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    scalar_term: bool = False,
) -> int:
    """Number of coordinates of a signature: words of length 1 to ``degree``, and the empty word with ``scalar_term``.

    ``lead_lag`` doubles the dimension, then ``time_aug`` adds one to it. Dimension and degree may be 0.

    Raises
    ------
    ValueError
        If dimension or degree is negative, or the result does not fit 64 bits.
    """
    letters = _augmented(_non_negative("dimension", dimension), time_aug, lead_lag)
    longest = _non_negative("degree", degree)
    _check_bool("scalar_term", scalar_term)
    if letters > 1 and longest * (letters.bit_length() - 1) > 64:
        raise ValueError(_too_long("signature", letters, longest))
    length = _count_words(letters, longest)
    if length > _MAX_LENGTH:
        raise ValueError(_too_long("signature", letters, longest))
    return length if scalar_term else length - 1


def words_of_length(alphabet_size: SupportsIndex, length: SupportsIndex) -> list[Word]:
    """All words of one length on the letters ``0 … alphabet_size-1``, in lexicographic order.

    ``words_of_length(2, 2)`` is ``[(0, 0), (0, 1), (1, 0), (1, 1)]``.
    """
    letters, number = _non_negative("alphabet_size", alphabet_size), _non_negative("length", length)
    _check_count(letters, number)
    return list(itertools.product(range(letters), repeat=number))


def words(alphabet_size: SupportsIndex, max_length: SupportsIndex) -> list[Word]:
    """All words of length 0 to ``max_length``, ordered by length, then lexicographically.

    ``words(2, 1)`` is ``[(), (0,), (1,)]``.
    """
    letters, longest = _non_negative("alphabet_size", alphabet_size), _non_negative("max_length", max_length)
    _check_count(letters, longest)
    if letters == 0:
        return [()]
    return [word for length in range(longest + 1) for word in itertools.product(range(letters), repeat=length)]


def lyndon_words_of_length(alphabet_size: SupportsIndex, length: SupportsIndex) -> list[Word]:
    """All Lyndon words of one length, in lexicographic order.

    ``lyndon_words_of_length(2, 3)`` is ``[(0, 0, 1), (0, 1, 1)]``.
    """
    number = _non_negative("length", length)
    return [word for word in lyndon_words(alphabet_size, number) if len(word) == number]


def lyndon_words(alphabet_size: SupportsIndex, max_length: SupportsIndex) -> list[Word]:
    """All Lyndon words of length 1 to ``max_length``, ordered by length, then lexicographically.

    This is the order of a log-signature's coordinates. ``lyndon_words(2, 2)`` is ``[(0,), (1,), (0, 1)]``.
    """
    letters, longest = _non_negative("alphabet_size", alphabet_size), _non_negative("max_length", max_length)
    if letters == 0 or longest == 0:
        return []
    if letters == 1:
        return [(0,)]
    _check_count(letters, longest)
    return list(lyndon.lyndon_words(letters, longest))


def is_lyndon(word: Word) -> bool:
    """Whether a word is a Lyndon word: not empty, and smaller than each of its proper suffixes."""
    return lyndon.is_lyndon(_check_word(word))


def word_to_idx(word: Word, alphabet_size: SupportsIndex, *, scalar_term: bool = False) -> int:
    """Position of a word's coordinate in a signature; the inverse of :func:`idx_to_word`.

    With ``scalar_term`` position 0 is the empty word's; without it the empty word has no position (``ValueError``).
    """
    letters = _non_negative("alphabet_size", alphabet_size)
    _check_bool("scalar_term", scalar_term)
    checked = _check_word(word, letters)
    if not checked and not scalar_term:
        raise ValueError("word: the empty word has no position in a signature without scalar term, got ()")
    position = 0
    for letter in checked:
        position = position * letters + letter + 1
    return position if scalar_term else position - 1


def idx_to_word(idx: SupportsIndex, alphabet_size: SupportsIndex, *, scalar_term: bool = False) -> Word:
    """The word whose coordinate stands at position ``idx`` of a signature; the inverse of :func:`word_to_idx`."""
    letters = check_positive_integer("alphabet_size", alphabet_size)
    _check_bool("scalar_term", scalar_term)
    position = _non_negative("idx", idx) + (0 if scalar_term else 1)
    if letters == 1 and position > _MAX_WORDS:
        raise ValueError(f"idx: expected at most {_MAX_WORDS} on an alphabet of one letter, got {idx!r}")
    word = []
    while position:
        position, letter = divmod(position - 1, letters)
        word.append(letter)
    return tuple(reversed(word))


def _augmented(dimension: int, time_aug: bool, lead_lag: bool) -> int:
    _check_bool("time_aug", time_aug)
    _check_bool("lead_lag", lead_lag)
    return (2 * dimension if lead_lag else dimension) + (1 if time_aug else 0)


def _non_negative(name: str, value: SupportsIndex) -> int:
    if not isinstance(value, bool) and type(value).__name__ != "bool_":
        try:
            if operator.index(value) == 0:
                return 0
        except TypeError:
            pass
    try:
        return check_positive_integer(name, value)
    except ValueError:
        raise ValueError(f"{name}: expected at least 0, got {value}") from None


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected a bool, got {type(value).__name__} {value!r}")


def _check_device(device: object) -> None:
    if not isinstance(device, str):
        raise TypeError(f"device: expected a string, got {type(device).__name__} {device!r}")
    if device not in ("cpu", "cuda", "both"):
        raise ValueError(f"device: expected 'cpu', 'cuda' or 'both', got {device!r}")


def _check_word(word: Iterable[Any], letters: int | None = None) -> Word:
    if not isinstance(word, tuple):
        raise TypeError(f"word: expected a tuple of integers, got {type(word).__name__} {word!r}")
    checked = tuple(_non_negative("word", letter) for letter in word)
    if letters is not None and any(letter >= letters for letter in checked):
        raise ValueError(f"word: expected letters from 0 to {letters - 1}, got {word!r}")
    return checked


def _count_words(letters: int, longest: int) -> int:
    """Words of length 0 to ``longest``."""
    return longest + 1 if letters == 1 else (letters ** (longest + 1) - 1) // (letters - 1)


def _check_count(letters: int, longest: int) -> None:
    """Refuse to list more words than anyone can use, before the first of them is made."""
    # On one letter the words are few but long: their letters count.
    bits = 2 * longest.bit_length() - 2 if letters == 1 else longest * max(0, letters.bit_length() - 1)
    if letters > 0 and (bits > 64 or (letters > 1 and _count_words(letters, longest) > _MAX_WORDS)):
        raise ValueError(
            f"alphabet_size, max_length: more than {_MAX_WORDS:,} words on {letters} letters up to length {longest}"
        )


def _too_long(what: str, dimension: int, degree: int) -> str:
    return (
        f"dimension, degree: the length of a {what} of dimension {dimension} and degree {degree} does not fit 64 bits"
    )
