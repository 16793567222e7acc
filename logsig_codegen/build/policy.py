"""Whether what is missing may be compiled when it is needed: the one place that reads ``$LOGSIG_CODEGEN_BUILD``."""

from __future__ import annotations

import os
from collections.abc import Callable

from logsig_codegen.errors import BuildForbiddenError

VARIABLE = "LOGSIG_CODEGEN_BUILD"
AUTOMATIC, NEVER = "auto", "never"
POLICIES = (AUTOMATIC, NEVER)


def policy() -> str:
    """``"auto"``: what is missing is compiled; ``"never"``: it is an error.

    Raises
    ------
    ValueError
        If the variable has another value.
    """
    text = os.environ.get(VARIABLE, "").strip() or AUTOMATIC
    if text not in POLICIES:
        raise ValueError(f"${VARIABLE}: expected one of {', '.join(POLICIES)}, got {text!r}")
    return text


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
