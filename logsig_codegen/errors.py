"""Errors of the compiler: one class per stage, all of them a :class:`LogSigError`.

Wrong arguments raise the built-in ``TypeError`` and ``ValueError`` instead, with a message that names the argument,
what was expected and what came.
"""

from __future__ import annotations

_LONGEST = 200


def shown(value: object) -> str:
    """What was given, for a message: its ``repr``, not too long, and something else where that fails.

    Python prints no integers of many digits, and values of other packages print what they like.
    """
    try:
        text = repr(value)
    except Exception as error:
        return f"(which cannot be shown: {type(error).__name__})"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class LogSigError(Exception):
    """Base class of everything this package raises on its own account."""


class GenerationError(LogSigError):
    """Deriving or lowering a program failed; no source text was produced."""


class PlanProofError(GenerationError):
    """A plan is not equal to the series it claims to evaluate."""


class ProblemTooLargeError(GenerationError, ValueError):
    """The problem needs more structure-constant terms than the limit allows; raised before any work is done.

    Attributes
    ----------
    terms : int, optional
        The least limit with which it would be built; ``None`` where raising a limit does not help.
    advice : str
        How the caller raises the limit; whoever calls on behalf of somebody else puts his words here.
    """

    def __init__(self, message: str, *, terms: int | None = None) -> None:
        super().__init__(message)
        self.terms = terms
        self.advice = "" if terms is None else f"Pass max_terms={terms} or more to build it all the same"

    def __str__(self) -> str:
        return f"{self.args[0]}. {self.advice}" if self.advice else str(self.args[0])


class CompilerError(LogSigError):
    """The system's compiler is missing or refused the generated source.

    Attributes
    ----------
    command : tuple of str
        The command line that was run (empty when no compiler was found).
    stderr : str
        What the compiler printed.
    source : str
        Path of the kept source text (empty when there is none).
    """

    def __init__(self, message: str, *, command: tuple[str, ...] = (), stderr: str = "", source: str = "") -> None:
        super().__init__(message)
        self.command = command
        self.stderr = stderr
        self.source = source


class CompilerNotFoundError(CompilerError):
    """No C compiler could be found, or, for an extension of torch, something else its build needs."""


class BuildForbiddenError(CompilerNotFoundError):
    """Something would have to be compiled, which ``$LOGSIG_CODEGEN_BUILD`` forbids."""


class InterpretedWarning(RuntimeWarning):
    """There is no C compiler: kernels are interpreted, which takes much longer."""


class CacheError(LogSigError):
    """The on-disk cache cannot be used."""


class ArtifactError(LogSigError):
    """A folder that should hold a compiled problem is missing, damaged, or made for another problem or machine."""


class OutputError(LogSigError, OSError):
    """A folder that is to be generated cannot be written."""


class UnsupportedError(LogSigError, NotImplementedError):
    """A valid request this version has no code for: a device without kernels, or corrections."""


class CudaError(LogSigError, RuntimeError):
    """The CUDA driver is missing, or refused a call; the message has its error string."""
