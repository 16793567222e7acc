"""Recognise who is speaking with a recurrent network whose state is a log-signature, and train it twice.

Once with the join of this package, once with pySigLib's.

Run it from the checkout::

    pip install ".[torch]" aeon==1.6.0 pysiglib==4.0.0
    python examples/speaker_rnn.py

The JapaneseVowels recordings (they ship inside the ``aeon`` package) hold 7 to 29 samples of 12 cepstral coefficients
while one of nine men says two vowels: 270 recordings to learn from, 370 to test. A learned linear map takes the steps
of a recording, and time, to a few channels; ``log_sig_join`` extends the log-signature of the recording so far by each
step; a GRU reads these log-signatures, and its state at the last sample names the speaker. Shorter recordings are
padded by steps of zero, which change no log-signature. Gradients go back through all joins to the learned map.

Both trainings start from the same weights and see the same data, so that the losses agree up to rounding; the
differences and the ratio of the times are printed. The example shows gradients through many joins. On so few recordings
the linear classifier of ``japanese_vowels.py`` is more accurate.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pysiglib
import pysiglib.torch_api
import torch
from aeon.datasets import load_japanese_vowels
from torch import Tensor, nn

import logsig_codegen as lg

CHANNELS, DEGREE, HIDDEN = 5, 3, 32
Join = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recordings:
    """Padded steps ``(recordings, samples, 13)``, which of them are real, and the speakers as numbers."""

    steps: Tensor
    real: Tensor
    speakers: Tensor


def read_recordings() -> tuple[Recordings, Recordings]:
    """The training and the test recordings; channels are divided by their standard deviation over the training ones."""
    (train, train_names), (test, test_names) = (load_japanese_vowels(split=split) for split in ("train", "test"))
    scale = np.concatenate(train, axis=1).std(axis=1)
    longest = max(values.shape[1] for values in (*train, *test))
    names = sorted(set(train_names))

    def padded(recordings: list[np.ndarray], labels: np.ndarray) -> Recordings:
        steps = torch.zeros(len(recordings), longest, 13, dtype=torch.float64)
        real = torch.zeros(len(recordings), longest, dtype=torch.bool)
        for row, values in enumerate(recordings):
            points = np.concatenate([np.zeros((1, 12)), values.T / scale])  # from zero: where it begins counts
            length = values.shape[1]
            steps[row, :length, :12] = torch.from_numpy(np.diff(points, axis=0))
            steps[row, :length, 12] = 1 / longest
            real[row, :length] = True
        return Recordings(steps, real, torch.tensor([names.index(label) for label in labels]))

    return padded(train, train_names), padded(test, test_names)


class SpeakerRNN(nn.Module):
    """The network; ``join`` extends log-signatures of ``CHANNELS`` channels by displacements."""

    def __init__(self, join: Join) -> None:
        super().__init__()
        self.join = join
        self.size = lg.log_sig_length(CHANNELS, DEGREE)
        self.project = nn.Linear(13, CHANNELS, bias=False)
        self.cell = nn.GRUCell(self.size, HIDDEN)
        self.readout = nn.Linear(HIDDEN, 9)

    def forward(self, steps: Tensor, real: Tensor) -> Tensor:
        """``(batch, samples, 13)`` and ``(batch, samples)`` to ``(batch, 9)``."""
        displacements = self.project(steps)
        log_sig = steps.new_zeros(len(steps), self.size)
        hidden = steps.new_zeros(len(steps), HIDDEN)
        for index in range(steps.shape[1]):
            log_sig = self.join(log_sig, displacements[:, index].contiguous())
            moved = self.cell(torch.tanh(log_sig), hidden)
            hidden = torch.where(real[:, index, None], moved, hidden)
        return self.readout(hidden)  # type: ignore[no-any-return]


class Training:
    """A network on its way: losses and seconds of the epochs so far."""

    def __init__(self, join: Join, seed: int = 0) -> None:
        self.learn, self.judge = read_recordings()
        torch.manual_seed(seed)
        self.model = SpeakerRNN(join).double()
        self.order = torch.Generator().manual_seed(seed)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.model(self.learn.steps[:2], self.learn.real[:2]).sum().backward()  # loads what is loaded on first use

    def epoch(self) -> None:
        """See the training recordings once, 90 at a time."""
        start, total = time.perf_counter(), 0.0
        for rows in torch.randperm(len(self.learn.speakers), generator=self.order).split(90):
            self.optimiser.zero_grad()
            scores = self.model(self.learn.steps[rows], self.learn.real[rows])
            loss = nn.functional.cross_entropy(scores, self.learn.speakers[rows])
            loss.backward()
            self.optimiser.step()
            total += float(loss.detach()) * len(rows)
        self.losses.append(total / len(self.learn.speakers))
        self.seconds.append(time.perf_counter() - start)

    def accuracy(self) -> float:
        """How many of the test recordings are recognised, in ``[0, 1]``."""
        with torch.no_grad():
            named = self.model(self.judge.steps, self.judge.real).argmax(dim=1)
        return float((named == self.judge.speakers).double().mean())


def ours(log_sig: Tensor, displacement: Tensor) -> Tensor:
    """The join of this package."""
    return lg.log_sig_join(log_sig, displacement, CHANNELS, DEGREE)


def theirs(log_sig: Tensor, displacement: Tensor) -> Tensor:
    """The join of pySigLib."""
    result: Tensor = pysiglib.torch_api.log_sig_join(log_sig, displacement, CHANNELS, DEGREE)
    return result


def run(epochs: int) -> dict[str, Training]:
    """Train with both, an epoch each in turns and on one thread; print, and return what came out."""
    torch.set_num_threads(1)
    pysiglib.prepare_log_sig(CHANNELS, DEGREE, 3)
    found = {"logsig-codegen": Training(ours), "pySigLib": Training(theirs)}
    for _ in range(epochs):
        for training in found.values():
            training.epoch()
    mine, other = found.values()
    for name, training in found.items():
        print(
            f"{name:15s} loss {training.losses[0]:.4f} -> {training.losses[-1]:.6f}, test accuracy "
            f"{training.accuracy():.3f}, {1e3 * statistics.median(training.seconds):.0f} ms an epoch"
        )
    apart = max(abs(a - b) for a, b in zip(mine.losses, other.losses, strict=True))
    ratio = statistics.median(b / a for a, b in zip(mine.seconds, other.seconds, strict=True))
    print(f"losses differ by at most {apart:.1e}; with pySigLib an epoch takes {ratio:.2f} times as long")
    return found


def main() -> None:
    """Command line: ``--epochs``."""
    parser = argparse.ArgumentParser(description="train a recurrent classifier of the JapaneseVowels recordings")
    parser.add_argument("--epochs", type=int, default=20, help="how often the training recordings are seen")
    run(parser.parse_args().epochs)


if __name__ == "__main__":
    main()
