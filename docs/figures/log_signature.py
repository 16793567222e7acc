"""The figure of the README: a path in the plane, and its log-signature up to degree three.

python docs/figures/log_signature.py        # writes docs/figures/log_signature.png
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only; no screen is needed
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import logsig_codegen as lg

PATH = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
"""The path of the README's first example."""
LINE, CHORD, AREA = "#0b6e4f", "#c1440e", "#cfe6dc"
COLOURS = {1: CHORD, 2: "#5aa383", 3: "#7a7a7a"}
MEANINGS = {
    1: "degree 1: the displacement",
    2: "degree 2: the signed area",
    3: "degree 3: how that area is distributed",
}


def draw_path(axis: Axes, area: float) -> None:
    """The path, its chord, and the area between them."""
    axis.fill(*PATH.T, color=AREA, zorder=0)
    axis.plot(*PATH.T, "o-", color=LINE, linewidth=2, markersize=6)
    ends = PATH[0], PATH[-1]
    axis.annotate("", ends[1], ends[0], arrowprops={"arrowstyle": "->", "color": CHORD, "linewidth": 1.6})
    axis.text(-0.08, 1.5, "displacement (0, 3)", color=CHORD, rotation=90, ha="right", va="center", fontsize=9)
    axis.text(0.5, 0.85, f"area {area:.0f}", color=LINE, ha="center", fontsize=10)
    for (x, y), label in zip(PATH, ("start", "", "", "end"), strict=True):
        if label:
            axis.annotate(label, (x, y), xytext=(8, 4), textcoords="offset points", fontsize=9)
    axis.set_xlabel("channel 0")
    axis.set_ylabel("channel 1")
    axis.set_aspect("equal")
    axis.set_xlim(-0.45, 1.35)
    axis.set_ylim(-0.3, 3.4)
    axis.spines[["top", "right"]].set_visible(False)


def draw_coordinates(axis: Axes, brackets: tuple[str, ...], values: list[float]) -> None:
    """A bar per coordinate, labelled with its bracket and its value."""
    named: set[int] = set()
    for position, (bracket, value) in enumerate(zip(brackets, values, strict=True)):
        degree = sum(character.isdigit() for character in bracket)
        label = None if degree in named else MEANINGS[degree]
        named.add(degree)
        axis.bar(position, value, width=0.62, color=COLOURS[degree], label=label)
        axis.text(position, value + 0.06, f"{value:.3g}", ha="center", fontsize=9)
    axis.set_xticks(range(len(brackets)), brackets, fontsize=9)
    axis.set_ylim(0, 3.6)
    axis.set_ylabel("coordinate")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=9, frameon=False)


def main() -> None:
    """Compute and draw."""
    kernel = lg.load(2, 3)
    values = [float(value) for value in kernel.log_sig(PATH)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.7), width_ratios=(1, 1.9), layout="constrained")
    draw_path(left, values[kernel.brackets.index("[0,1]")])
    left.set_title("a path of two channels", fontsize=10)
    draw_coordinates(right, kernel.brackets, values)
    right.set_title("its log-signature up to degree 3", fontsize=10)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
