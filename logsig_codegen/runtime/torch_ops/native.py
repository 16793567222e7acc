"""The operators in C++, where they have been built: loaded before any is registered from Python.

A process decides once which operators it has. Where it has those in Python and makes many calls with gradients, it has
the others built for the processes after it.
"""

from __future__ import annotations

import warnings

import torch

from logsig_codegen.build.policy import builds_extensions
from logsig_codegen.build.torch_operators import build_in_background, built_operators
from logsig_codegen.runtime.torch_ops.private import has_operator

MANY = 1000
"""Recorded calls of operators in Python after which those in C++ are worth building."""
_calls = MANY  # from there on nothing is counted


def load() -> None:
    """Load the extension if it has been built and no other one is loaded."""
    global _calls
    if has_operator("logsig_codegen::join"):
        return
    path = built_operators()
    if path is None:
        if builds_extensions():
            _calls = 0
        return
    try:
        torch.ops.load_library(path)
    except OSError as error:
        warnings.warn(f"The operators in C++ cannot be loaded, those in Python serve: {error}", stacklevel=2)


def count() -> None:
    """A call of an operator in Python is recorded; after many the operators in C++ are built in the background."""
    global _calls
    if _calls < MANY:
        _calls += 1
        if _calls == MANY:
            build_in_background()
