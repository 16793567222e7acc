"""Recognise who is speaking with a log-NCDE in JAX: log-signatures of windows of a path that is learned as well.

Run it from the checkout::

    pip install ".[jax]" aeon==1.6.0 equinox optax
    python examples/log_ncde.py
    pip install signax==0.2.1
    python examples/log_ncde.py --compare signax

The JapaneseVowels recordings (they ship inside the ``aeon`` package) hold 7 to 29 samples of 12 cepstral coefficients
while one of nine men says two vowels: 270 recordings to learn from, 370 to test. A learned network takes each sample
to a point of a path with a few channels, time among them. Windows of the path move a state by the log-ODE method: over
a window whose log-signature of degree two is the sum of ``a_i e_i`` and ``a_ij [e_i, e_j]``, the state follows, for one
unit of time, the sum of ``a_i f_i`` and ``a_ij [f_i, f_j]``, where ``f_1, f_2, …`` are learned vector fields and
``[f, g] = Dg f - Df g`` is their Lie bracket (Walker et al., *Log neural controlled differential equations*, 2024). One
step of Heun's method serves a window, ``lax.scan`` goes through the windows, and gradients go back through all
log-signatures to the embedding. Shorter recordings are padded by their last sample, which changes no log-signature.

The number of samples in a window is chosen on a third of the training recordings, kept apart; the test recordings are
used once, at the end. ``--compare signax`` trains once more, from the same weights and on the same data, with signax's
log-signatures of windows that are copied out of the path. Of degree two, its coordinates, those on Lyndon words, are
those on Lyndon brackets, so that the losses agree up to rounding; the differences and the times are printed.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from aeon.datasets import load_japanese_vowels
from jax import Array

import logsig_codegen as lg

CHANNELS, DEGREE, HIDDEN, WIDTH = 5, 2, 16, 32
STEPS = (2, 4, 7)
"""Lengths of windows to choose from; they divide the 28 steps of the longest recordings."""
BATCH, RATE, DECAY = 90, 0.01, 0.01
LogSignatures = Callable[[Array, int], Array]
"""From a path ``(points, CHANNELS)`` and the steps of a window to ``(windows, size)``."""


@dataclass(frozen=True)
class Recordings:
    """Padded samples ``(recordings, 29, 13)``, time last, and the speakers as numbers."""

    values: np.ndarray
    speakers: np.ndarray

    def of(self, rows: np.ndarray) -> Recordings:
        """Some of them."""
        return Recordings(self.values[rows], self.speakers[rows])


def read_recordings() -> tuple[Recordings, Recordings]:
    """The training and the test recordings; channels are divided by their standard deviation over the training ones."""
    (train, train_names), (test, test_names) = (load_japanese_vowels(split=split) for split in ("train", "test"))
    scale = np.concatenate(train, axis=1).std(axis=1)
    longest = max(values.shape[1] for values in (*train, *test))
    names = sorted(set(train_names))

    def padded(recordings: list[np.ndarray], labels: np.ndarray) -> Recordings:
        points = np.empty((len(recordings), longest, 13))
        for row, values in enumerate(recordings):
            length = values.shape[1]
            points[row, :length, :12] = values.T / scale
            points[row, :length, 12] = np.arange(length) / longest
            points[row, length:] = points[row, length - 1]
        return Recordings(points, np.array([names.index(label) for label in labels]))

    return padded(train, train_names), padded(test, test_names)


class LogNCDE(eqx.Module):
    """The model: scores of the speakers for one recording."""

    embedding: eqx.nn.MLP
    start: eqx.nn.Linear
    fields: eqx.nn.MLP
    readout: eqx.nn.Linear
    log_signatures: LogSignatures = eqx.field(static=True)
    window: int = eqx.field(static=True)

    def __init__(self, log_signatures: LogSignatures, window: int, key: Array) -> None:
        keys = jax.random.split(key, 4)
        self.embedding = eqx.nn.MLP(13, CHANNELS - 1, WIDTH, 1, jnp.tanh, key=keys[0])
        self.start = eqx.nn.Linear(CHANNELS, HIDDEN, key=keys[1])
        self.fields = eqx.nn.MLP(HIDDEN, HIDDEN * CHANNELS, WIDTH, 1, jnp.tanh, jnp.tanh, key=keys[2])
        self.readout = eqx.nn.Linear(HIDDEN, 9, key=keys[3])
        self.log_signatures, self.window = log_signatures, window

    def __call__(self, values: Array) -> Array:
        """``(points, 13)`` to ``(9,)``."""
        path = jnp.concatenate([jax.vmap(self.embedding)(values), values[:, 12:]], axis=1)

        def step(state: Array, log_sig: Array) -> tuple[Array, None]:
            first = self.velocity(state, log_sig)
            return state + 0.5 * (first + self.velocity(state + first, log_sig)), None

        state, _ = jax.lax.scan(step, self.start(path[0]), self.log_signatures(path, self.window))
        return self.readout(state)

    def velocity(self, state: Array, log_sig: Array) -> Array:
        """The vector fields and their brackets, in the proportions that a log-signature gives."""

        def fields(at: Array) -> Array:
            return self.fields(at).reshape(CHANNELS, HIDDEN)

        found, along = jax.linearize(fields, state)
        areas = jnp.zeros((CHANNELS, CHANNELS)).at[jnp.triu_indices(CHANNELS, 1)].set(log_sig[CHANNELS:])
        directions = (areas - areas.T).T @ found  # row j: the sum over i of a_ij f_i, along which f_j is differentiated
        brackets = jnp.einsum("jjh->h", jax.vmap(along)(directions))
        velocity: Array = log_sig[:CHANNELS] @ found + brackets
        return velocity


def ours(path: Array, steps: int) -> Array:
    """Log-signatures of windows, next to one another, by this package."""
    found: Array = lg.log_sig(path, DEGREE, method=2, windows=(steps + 1, steps))
    return found


def signaxs(signax: Any) -> LogSignatures:
    """The same by signax, which takes a batch of paths."""

    def log_signatures(path: Array, steps: int) -> Array:
        firsts = np.arange(0, len(path) - steps, steps)
        copies = path[firsts[:, None] + np.arange(steps + 1)]
        found: Array = signax.logsignature(copies, DEGREE)
        return found

    return log_signatures


@eqx.filter_jit
def scores(model: LogNCDE, values: Array) -> Array:
    """Of a batch of recordings."""
    return jax.vmap(model)(values)


class Training:
    """A model on its way: losses and seconds of the epochs so far."""

    def __init__(self, log_signatures: LogSignatures, steps: int, learn: Recordings, seed: int = 0) -> None:
        self.learn = learn
        self.model = LogNCDE(log_signatures, steps, jax.random.key(seed))
        self.optimiser = optax.adamw(RATE, weight_decay=DECAY)
        self.state = self.optimiser.init(eqx.filter(self.model, eqx.is_array))
        self.order = np.random.default_rng(seed)
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.update = eqx.filter_jit(self._update)
        self.update(self.model, self.state, learn.values[:BATCH], learn.speakers[:BATCH])  # compiles

    def _update(self, model: LogNCDE, state: Any, values: Any, speakers: Any) -> tuple[LogNCDE, Any, Array]:
        """A step of the optimiser; also the mean loss before it."""

        def mean_loss(model: LogNCDE) -> Array:
            losses: Array = optax.softmax_cross_entropy_with_integer_labels(scores(model, values), speakers)
            return losses.mean()

        loss, gradient = eqx.filter_value_and_grad(mean_loss)(model)
        updates, state = self.optimiser.update(gradient, state, eqx.filter(model, eqx.is_array))
        return eqx.apply_updates(model, updates), state, loss

    def epoch(self) -> None:
        """See the training recordings once, ``BATCH`` at a time."""
        start, total = time.perf_counter(), 0.0
        for rows in self.order.permutation(len(self.learn.speakers)).reshape(-1, BATCH):
            batch = self.learn.of(rows)
            self.model, self.state, loss = self.update(self.model, self.state, batch.values, batch.speakers)
            total += float(loss) * len(rows)
        self.losses.append(total / len(self.learn.speakers))
        self.seconds.append(time.perf_counter() - start)

    def accuracy(self, judge: Recordings) -> float:
        """How many of some recordings are recognised, in ``[0, 1]``."""
        named = scores(self.model, jnp.asarray(judge.values)).argmax(axis=1)
        return float(np.mean(np.asarray(named) == judge.speakers))


def choose(learn: Recordings, epochs: int, candidates: Sequence[int]) -> int:
    """The steps of a window with which a third of the training recordings, kept apart, is recognised best."""
    kept, apart = np.split(np.random.default_rng(0).permutation(len(learn.speakers)), [2 * len(learn.speakers) // 3])
    accuracies = {}
    for steps in candidates:
        training = Training(ours, steps, learn.of(kept))
        for _ in range(epochs):
            training.epoch()
        accuracies[steps] = training.accuracy(learn.of(apart))
        print(f"windows of {steps} steps: accuracy {accuracies[steps]:.3f} on recordings kept apart")
    return max(accuracies, key=lambda steps: accuracies[steps])


def run(epochs: int, candidates: Sequence[int] = STEPS, compare: bool = False) -> dict[str, Training]:
    """Choose, train, judge and print, in double precision; with ``compare`` also by signax, an epoch each in turns."""
    jax.config.update("jax_enable_x64", True)
    learn, judge = read_recordings()
    steps = choose(learn, epochs, candidates) if len(candidates) > 1 else candidates[0]
    found = {"logsig-codegen": Training(ours, steps, learn)}
    if compare:
        found["signax"] = Training(signaxs(importlib.import_module("signax")), steps, learn)
    for _ in range(epochs):
        for training in found.values():
            training.epoch()
    for name, training in found.items():
        print(
            f"{name:15s} loss {training.losses[0]:.4f} -> {training.losses[-1]:.6f}, test accuracy "
            f"{training.accuracy(judge):.3f}, {1e3 * statistics.median(training.seconds):.0f} ms an epoch"
        )
    if compare:
        mine, other = found.values()
        np.testing.assert_allclose(mine.losses, other.losses, rtol=1e-6)
        apart = max(abs(a - b) for a, b in zip(mine.losses, other.losses, strict=True))
        ratio = statistics.median(b / a for a, b in zip(mine.seconds, other.seconds, strict=True))
        print(f"losses differ by at most {apart:.1e}; with signax an epoch takes {ratio:.2f} times as long")
    return found


def main() -> None:
    """Command line: ``--epochs``, ``--steps`` and ``--compare``."""
    parser = argparse.ArgumentParser(description="train a log-NCDE on the JapaneseVowels recordings")
    parser.add_argument("--epochs", type=int, default=30, help="how often the training recordings are seen")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="lengths of windows to choose from")
    parser.add_argument("--compare", choices=("signax",), help="train with this package's log-signatures as well")
    options = parser.parse_args()
    run(options.epochs, options.steps, options.compare is not None)


if __name__ == "__main__":
    main()
