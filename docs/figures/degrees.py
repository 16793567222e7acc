"""The figure and the table of the page "Which degree?": accuracy by degree, on recordings that ship with aeon.

python docs/figures/degrees.py        # writes docs/figures/degrees.png, prints the table; needs aeon and scikit-learn
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only; no screen is needed
import matplotlib.pyplot as plt
from aeon.datasets import load_basic_motions, load_gunpoint, load_japanese_vowels
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from logsig_codegen.sklearn import LogSignature


@dataclass(frozen=True)
class Case:
    """Recordings, and the options and degrees that are tried on them."""

    name: str
    read: Callable[..., Any]
    options: dict[str, Any]
    degrees: range


@dataclass(frozen=True)
class Score:
    """What one degree takes and gives; accuracies in ``[0, 1]``."""

    features: int
    milliseconds: float
    validated: float
    test: float


CASES = (
    Case("GunPoint, 1 channel and time", load_gunpoint, {"basepoint": True, "time_aug": True}, range(1, 9)),
    Case("BasicMotions, 6 channels", load_basic_motions, {"basepoint": True}, range(1, 4)),
    Case("JapaneseVowels, 12 channels", load_japanese_vowels, {"basepoint": True}, range(1, 4)),
)


def score(case: Case, degree: int) -> Score:
    """Features of one degree, their time for all training recordings, and the accuracy of a linear classifier."""
    (train, names), (test, expected) = (case.read(split=part) for part in ("train", "test"))
    train, test = ([one.T for one in part] for part in (train, test))
    features = LogSignature(degree, **case.options)
    table = features.fit_transform(train)  # compiles
    start = time.perf_counter()
    features.transform(train)
    seconds = time.perf_counter() - start
    model = make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=5000))
    validated = float(cross_val_score(model, train, names, cv=5).mean())
    return Score(table.shape[1], 1e3 * seconds, validated, float(model.fit(train, names).score(test, expected)))


def main() -> None:
    """Measure, print, draw."""
    figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    print("| recordings | degree | features | ms | cross-validated | test |\n|---|--:|--:|--:|--:|--:|")
    for number, case in enumerate(CASES):
        scores = {degree: score(case, degree) for degree in case.degrees}
        for degree, found in scores.items():
            accuracies = f"{found.validated:.3f} | {found.test:.3f}"
            print(f"| {case.name} | {degree} | {found.features} | {found.milliseconds:.1f} | {accuracies} |")
        for values, style in (
            ([found.test for found in scores.values()], "-o"),
            ([found.validated for found in scores.values()], "--"),
        ):
            label = case.name if style == "-o" else None
            axis.plot(list(scores), values, style, color=f"C{number}", label=label, markersize=4)
    axis.set(xlabel="degree", ylabel="accuracy (dashed: cross-validated)")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
