"""The figure of the page on scikit-learn: recordings of vowels as paths, and where their log-signatures lie.

python docs/figures/speakers.py        # writes docs/figures/speakers.png; needs aeon and scikit-learn
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only; no screen is needed
import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_japanese_vowels
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline

from logsig_codegen.sklearn import LogSignature

COLOURS = plt.get_cmap("tab10").colors  # type: ignore[attr-defined]
SHOWN = 3, 8
"""How many speakers, and recordings of each, are drawn as paths."""


def draw_paths(axis: Axes, recordings: list[NDArray[np.float64]], speakers: NDArray[np.str_]) -> None:
    """Two of the twelve coefficients against each other."""
    for number, speaker in enumerate(sorted(set(speakers))[: SHOWN[0]]):
        for index in np.flatnonzero(speakers == speaker)[: SHOWN[1]]:
            axis.plot(*recordings[index][:, :2].T, color=COLOURS[number], linewidth=1)
    axis.set_xlabel("coefficient 0")
    axis.set_ylabel("coefficient 1")


def draw_features(axis: Axes, features: NDArray[np.float64], speakers: NDArray[np.str_]) -> None:
    """A point for each recording."""
    for number, speaker in enumerate(sorted(set(speakers))):
        first, second = features[speakers == speaker].T
        axis.scatter(first, second, s=9, color=COLOURS[number], label=speaker)
    axis.set_xlabel("first discriminant")
    axis.set_ylabel("second discriminant")
    axis.legend(title="speaker", fontsize=8, title_fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def main() -> None:
    """Compute and draw."""
    (train, names), (test, expected) = (load_japanese_vowels(split=part) for part in ("train", "test"))
    train, test = ([one.T for one in part] for part in (train, test))
    discriminants = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=2)
    model = make_pipeline(LogSignature(2, basepoint=True), discriminants).fit(train, names)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.9), layout="constrained")
    draw_paths(left, train, names)
    left.set_title(f"recordings of {SHOWN[0]} speakers", fontsize=10)
    draw_features(right, model.transform(test), expected)
    right.set_title("log-signatures of 370 others, of all 9 speakers", fontsize=10)
    for axis in left, right:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
