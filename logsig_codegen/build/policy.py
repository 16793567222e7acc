"""Whether what is missing is compiled: the one place that reads the variables that decide about it."""

from __future__ import annotations

import os
from collections.abc import Callable

from logsig_codegen.errors import BuildForbiddenError, shown

VARIABLE = "LOGSIG_CODEGEN_BUILD"
EXTENSIONS = "LOGSIG_CODEGEN_EXTENSIONS"
AUTOMATIC, NEVER, ALWAYS = "auto", "never", "always"
POLICIES = (AUTOMATIC, NEVER, ALWAYS)


def policy() -> str:
    """``"auto"``: what is missing is compiled, or interpreted where there is no compiler; ``"never"``: it is an error;
    ``"always"``: it is compiled, and an error where there is no compiler.

    Raises
    ------
    ValueError
        If the variable has another value.
    """
    return _value(VARIABLE, POLICIES)


def builds_extensions() -> bool:
    """Whether what only makes small calls quicker may be built in the background, for programs that make many of them.

    Raises
    ------
    ValueError
        If ``$LOGSIG_CODEGEN_EXTENSIONS`` is neither ``auto`` nor ``never``, or as :func:`policy`.
    """
    return _value(EXTENSIONS, (AUTOMATIC, NEVER)) == AUTOMATIC and policy() != NEVER


def interprets() -> bool:
    """Whether kernels are interpreted where there is no compiler: not if ``$CC`` says that there is one."""
    return policy() == AUTOMATIC and not os.environ.get("CC", "").strip()


def refusal(what: str, advice: Callable[[], str]) -> BuildForbiddenError | None:
    """The error for something that would have to be compiled, if that is forbidden.

    Parameters
    ----------
    what : str
        What is missing: a sentence without its end.
    advice : callable
        Sentences about how to get it.
    """
    if policy() != NEVER:
        return None
    return BuildForbiddenError(f"{what}, and ${VARIABLE} is {NEVER!r}: nothing is compiled. {advice()}")


def _value(variable: str, values: tuple[str, ...]) -> str:
    text = os.environ.get(variable, "").strip() or AUTOMATIC
    if text not in values:
        raise ValueError(f"${variable}: expected one of {', '.join(values)}, got {shown(text)}")
    return text
