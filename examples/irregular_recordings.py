"""Train a log-ODE model on recordings with irregular times and missing values.

Run it from the checkout::

    pip install ".[torch]" aeon==1.6.0
    python examples/irregular_recordings.py

The BasicMotions recordings (they ship inside the ``aeon`` package) hold 6 channels of a smart watch at 100 moments,
while its wearer stands, walks, runs or plays badminton: 40 to learn from, 40 to be judged on. Here a sensor is
imagined that reports at a random half of these moments, different ones for each recording, and loses a random third of
the values of each channel. ``nn.LogODE`` takes them as they are: values that are missing are filled in by straight
lines in time, windows of the path drive the state by their log-signatures, and time is one of their channels.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from aeon.datasets import load_basic_motions
from torch import Tensor

from logsig_codegen import nn

KEPT, LOST = 50, 1 / 3
WINDOW, DEGREE, HIDDEN = 10, 2, 12


@dataclass(frozen=True)
class Recordings:
    """Values ``(recordings, points, channels)``, NaN where missing; times ``(recordings, points)``; activities."""

    values: Tensor
    times: Tensor
    activities: Tensor


def read_recordings(seed: int = 0) -> tuple[Recordings, Recordings]:
    """Training and test recordings, each channel divided by its standard deviation over the training ones."""
    (train, train_names), (test, test_names) = (load_basic_motions(split=split) for split in ("train", "test"))
    scale, names = train.std(axis=(0, 2), keepdims=True), sorted(set(train_names))
    numbers = np.random.default_rng(seed)

    def thinned(values: np.ndarray, labels: np.ndarray) -> Recordings:
        values = (values / scale).transpose(0, 2, 1)
        moments = np.sort([numbers.choice(values.shape[1], KEPT, replace=False) for _ in values], axis=1)
        kept = np.take_along_axis(values, moments[..., None], axis=1)
        kept[numbers.random(kept.shape) < LOST] = np.nan
        activities = torch.tensor([names.index(label) for label in labels])
        return Recordings(torch.from_numpy(kept), torch.from_numpy(moments / values.shape[1]), activities)

    return thinned(train, train_names), thinned(test, test_names)


def accuracy(model: nn.LogODE, recordings: Recordings) -> float:
    """How many of the recordings are recognised, in ``[0, 1]``."""
    with torch.no_grad():
        named = model(recordings.values, times=recordings.times).argmax(dim=1)
    return float((named == recordings.activities).double().mean())


def run(epochs: int, seed: int = 0) -> dict[str, float]:
    """Train, judge and print; returns the first and the last loss and the accuracies."""
    learn, judge = read_recordings()
    torch.manual_seed(seed)
    model = nn.LogODE(6, DEGREE, hidden=HIDDEN, out_features=4, window=WINDOW, width=16, missing="linear").double()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.005, weight_decay=0.3)
    losses = []
    for epoch in range(epochs):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(learn.values, times=learn.times), learn.activities)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        if epoch % 10 == 0 or epoch == epochs - 1:
            print(f"epoch {epoch + 1:3d}: loss {losses[-1]:.3f}")
    missing = float(learn.values.isnan().double().mean())
    found = {"first": losses[0], "last": losses[-1], "train": accuracy(model, learn), "test": accuracy(model, judge)}
    print(f"{missing:.0%} of the values missing; accuracy: train {found['train']:.3f}, test {found['test']:.3f}")
    return found


def main() -> None:
    """Command line: ``--epochs`` says how often the recordings are seen."""
    parser = argparse.ArgumentParser(description="a log-ODE model on irregular, partly missing data")
    parser.add_argument("--epochs", type=int, default=60)
    run(parser.parse_args().epochs)


if __name__ == "__main__":
    main()
