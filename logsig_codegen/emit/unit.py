"""What the emitter hands to the builder: named source texts."""

from __future__ import annotations

from dataclasses import dataclass

CUDA_FLAGS = ("-std=c++17", "-fmad=false")
"""Of nvcc and NVRTC. ``-fmad=false``: products and sums are contracted where the source says so, as on the CPU."""


@dataclass(frozen=True)
class SourceUnit:
    """One source file.

    Attributes
    ----------
    name : str
        File name; all units of a problem lie in one folder.
    text : str
        Its content, a pure function of the problem, the options and the package version.
    language : str
        ``"c"`` for a file to compile, ``"header"`` for one that is included.
    variants : tuple of tuples of str
        A C file is compiled once per variant, with those macro definitions.
    """

    name: str
    text: str
    language: str
    variants: tuple[tuple[str, ...], ...] = ((),)
