"""From a compiled library to a Python callable: array checks, numpy and torch, threads."""
