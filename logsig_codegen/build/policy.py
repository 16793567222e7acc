"""Whether what is missing is compiled when it is needed: the one place that reads ``$LOGSIG_CODEGEN_BUILD``."""

from __future__ import annotations

import os
from collections.abc import Callable

from logsig_codegen.errors import BuildForbiddenError

VARIABLE = "LOGSIG_CODEGEN_BUILD"
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
    text = os.environ.get(VARIABLE, "").strip() or AUTOMATIC
    if text not in POLICIES:
        raise ValueError(f"${VARIABLE}: expected one of {', '.join(POLICIES)}, got {text!r}")
    return text


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
