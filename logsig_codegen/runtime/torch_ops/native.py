"""The operators in C++, where ``logsig-gen operators`` has built them: loaded before any is registered from Python."""

from __future__ import annotations

import warnings

import torch

from logsig_codegen.build.torch_operators import built_operators
from logsig_codegen.runtime.torch_ops.private import has_operator


def load() -> None:
    """Load the extension if it has been built and no other one is loaded."""
    if has_operator("logsig_codegen::join"):
        return
    path = built_operators()
    if path is None:
        return
    try:
        torch.ops.load_library(path)
    except OSError as error:
        warnings.warn(f"The operators in C++ cannot be loaded, those in Python serve: {error}", stacklevel=2)
