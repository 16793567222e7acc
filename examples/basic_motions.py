"""Recognise what a person is doing from a smart watch, one displacement at a time.

Run it from the checkout::

    pip install -e ".[test]"
    python examples/basic_motions.py

The BasicMotions recordings (they ship inside the ``aeon`` package) hold 100 samples of 6 channels, three of an
accelerometer and three of a gyroscope, while the wearer stands, walks, runs or plays badminton: 40 recordings to learn
from and 40 to be judged on. Each recording is *streamed*: the log-signature of what has been seen so far is joined with
the next displacement, as a live sensor would do it, all recordings side by side as one batch. A linear classifier on
the final log-signatures then names the activity.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from aeon.datasets import load_basic_motions
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import logsig_codegen as lg

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recordings:
    """Paths of shape ``(recordings, samples, channels)`` and one activity name for each."""

    paths: Array
    activities: NDArray[np.str_]


def read_recordings() -> tuple[Recordings, Recordings]:
    """The training and the test recordings, each channel divided by its standard deviation over the training ones."""
    (train, train_names), (test, test_names) = (load_basic_motions(split=split) for split in ("train", "test"))
    scale = train.std(axis=(0, 2), keepdims=True)
    return tuple(  # type: ignore[return-value]
        Recordings(np.ascontiguousarray((values / scale).transpose(0, 2, 1)), np.asarray(names))
        for values, names in ((train, train_names), (test, test_names))
    )


def stream(kernel: lg.LogSigKernel, paths: Array) -> Iterator[Array]:
    """Yield the log-signatures of the paths after each displacement, shape ``(recordings, size)``.

    Two buffers take turns, so that nothing is allocated however long the recordings are; a yielded array is
    overwritten two steps later.
    """
    current = np.zeros((len(paths), kernel.size))
    following = np.empty_like(current)
    for displacements in np.diff(paths, axis=1).transpose(1, 0, 2):
        kernel.join(current, displacements, out=following)
        current, following = following, current
        yield current


def log_signatures(kernel: lg.LogSigKernel, paths: Array) -> Array:
    """The log-signatures of whole paths, shape ``(recordings, size)``: the last state of the stream."""
    last = np.zeros((len(paths), kernel.size))
    for state in stream(kernel, paths):
        last = state
    return np.array(last)


def on_one_scale(kernel: lg.LogSigKernel, values: Array) -> Array:
    """Replace each coordinate ``z`` of degree ``k`` by ``sign(z) |z|^(1/k)``, which grows like a displacement."""
    degrees = np.array([len(word) for word in kernel.words])
    scaled: Array = np.sign(values) * np.abs(values) ** (1.0 / degrees)
    return scaled


def classifier() -> Pipeline:
    """A linear classifier on standardised features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))


def run(degree: int) -> dict[str, float]:
    """Stream, train, judge and print; returns the accuracies on both sets, in ``[0, 1]``."""
    train, test = read_recordings()
    kernel = lg.load(train.paths.shape[-1], degree)
    start = time.perf_counter()
    features = [on_one_scale(kernel, log_signatures(kernel, part.paths)) for part in (train, test)]
    seconds = time.perf_counter() - start
    joins = sum(len(part.paths) * (part.paths.shape[1] - 1) for part in (train, test))
    model = classifier().fit(features[0], train.activities)
    accuracy = {
        "train": float(model.score(features[0], train.activities)),
        "test": float(model.score(features[1], test.activities)),
    }
    print(f"{joins} joins of {kernel.size} coordinates (dimension {kernel.dimension}, degree {degree})", end=" ")
    print(f"in {seconds * 1e3:.1f} ms")
    print(f"accuracy: train {accuracy['train']:.3f}, test {accuracy['test']:.3f}")
    table = confusion_matrix(test.activities, model.predict(features[1]), labels=model.classes_)
    print(f"\ntest recordings{'':6s}" + "".join(f"{name:>11s}" for name in model.classes_) + "   <- predicted")
    for name, row in zip(model.classes_, table, strict=True):
        print(f"{name:>21s}" + "".join(f"{count:>11d}" for count in row))
    return accuracy


def main() -> None:
    """Command line: ``--degree`` chooses the truncation."""
    parser = argparse.ArgumentParser(description="classify the BasicMotions recordings from streamed log-signatures")
    parser.add_argument("--degree", type=int, default=3, help="truncation degree of the log-signature (default 3)")
    run(parser.parse_args().degree)


if __name__ == "__main__":
    main()
