"""The figure of the gallery's page on activities: the log-signatures of 40 recordings, side by side.

python docs/figures/activities.py        # writes docs/figures/activities.png; needs aeon and scikit-learn
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only; no screen is needed
import matplotlib.pyplot as plt
import numpy as np
from aeon.datasets import load_basic_motions
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from logsig_codegen.sklearn import LogSignature


def main() -> None:
    """Compute and draw."""
    recordings, activities = load_basic_motions(split="train")
    features = LogSignature(degree=2)
    table = make_pipeline(features, StandardScaler()).fit_transform(recordings.transpose(0, 2, 1))
    order = np.argsort(activities, kind="stable")
    figure, axis = plt.subplots(figsize=(8.6, 4.4), layout="constrained")
    picture = axis.imshow(np.arcsinh(table[order]).T, aspect="auto", cmap="RdBu_r", vmin=-2, vmax=2)
    axis.set_yticks(range(table.shape[1]), features.get_feature_names_out(), fontsize=8)
    names, firsts = np.unique(activities[order], return_index=True)
    ends = [*firsts[1:], len(order)]
    axis.set_xticks([(first + end - 1) / 2 for first, end in zip(firsts, ends, strict=True)], names)
    axis.tick_params(bottom=False)
    for first in firsts[1:]:
        axis.axvline(first - 0.5, color="black", linewidth=1)
    axis.set_title("columns: 40 recordings; rows: coordinates of their log-signatures", fontsize=10)
    figure.colorbar(picture, label="arsinh of the standardised coordinate")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
