"""The versions of the package and of its binary interface; the one place they are written."""

__version__ = "0.1.0"

ABI_VERSION = 2
"""Version of the interface between a compiled library and its loader (``build/abi.py``); no other is called."""
