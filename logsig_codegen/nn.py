"""Modules of torch: log-signatures as layers, and a model to begin with. Only importing this module imports torch.

>>> import torch
>>> from logsig_codegen import nn
>>> nn.LogSig(3, 2)(torch.zeros(8, 50, 3)).shape
torch.Size([8, 6])
"""

from logsig_codegen._layers import LogODE, LogSig, LogSigJoin

__all__ = ["LogODE", "LogSig", "LogSigJoin"]
