"""The figure of the page on models: the losses of two examples that learn with gradients through log-signatures.

python docs/figures/models.py        # writes docs/figures/models.png; needs what both examples need, and signax not
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only; no screen is needed
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent.parent / "examples"))


def main() -> None:
    """Train and draw."""
    import log_ncde
    import speaker_rnn

    network, ncde = (run(epochs)["logsig-codegen"] for run, epochs in ((speaker_rnn.run, 20), (log_ncde.run, 30)))
    accuracies = network.accuracy(), ncde.accuracy(log_ncde.read_recordings()[1])
    figure, axis = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for name, training, accuracy in zip(("recurrent network", "log-NCDE"), (network, ncde), accuracies, strict=True):
        axis.semilogy(training.losses, label=f"{name}: {100 * accuracy:.1f} % of 370 test recordings")
    axis.set(xlabel="epoch", ylabel="loss on the training recordings")
    axis.legend(frameon=False, fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE.with_suffix(".png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
