"""Recognise what a person is doing from a smart watch, by the log-signature of its recordings.

Run it from the checkout::

    pip install . aeon==1.6.0 scikit-learn
    python examples/basic_motions.py

The BasicMotions recordings (they ship inside the ``aeon`` package) hold 100 samples of 6 channels, three of an
accelerometer and three of a gyroscope, while the wearer stands, walks, runs or plays badminton: 40 recordings to learn
from and 40 to test. ``log_sig`` takes all of them as one batch of paths, and a linear classifier on the result
names the activity. With a live sensor, each new displacement would be joined to the log-signature of the recording so
far; :func:`stream` does that. The degree is chosen by cross-validation on the training recordings; the test recordings
are used once, at the end.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from aeon.datasets import load_basic_motions
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import StratifiedKFold, cross_val_score
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
    """The log-signatures of whole paths, shape ``(recordings, size)``."""
    result: Array = kernel.log_sig(paths)
    return result


def on_one_scale(kernel: lg.LogSigKernel, values: Array) -> Array:
    """Replace each coordinate ``z`` of degree ``k`` by ``sign(z) |z|^(1/k)``, which grows like a displacement."""
    degrees = np.array([len(word) for word in kernel.words])
    scaled: Array = np.sign(values) * np.abs(values) ** (1.0 / degrees)
    return scaled


@dataclass(frozen=True)
class Features:
    """Scaled log-signatures of the training and the test recordings, and what it took to make them."""

    degree: int
    train: Array
    test: Array
    steps: int
    seconds: float


def make_features(degree: int, train: Recordings, test: Recordings) -> Features:
    """Take both sets through the kernel of one degree."""
    kernel = lg.load(train.paths.shape[-1], degree)
    log_signatures(kernel, train.paths[:, :2])  # the very first call of a process takes longer
    start = time.perf_counter()
    log_sigs = [log_signatures(kernel, part.paths) for part in (train, test)]
    seconds = time.perf_counter() - start
    steps = sum(len(part.paths) * (part.paths.shape[1] - 1) for part in (train, test))
    scaled = [on_one_scale(kernel, values) for values in log_sigs]
    return Features(degree, train=scaled[0], test=scaled[1], steps=steps, seconds=seconds)


def classifier() -> Pipeline:
    """A linear classifier on standardised features."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))


def validated(features: Features, train: Recordings) -> float:
    """Accuracy on training recordings that the classifier has not seen, by ten-fold cross-validation."""
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    return float(cross_val_score(classifier(), features.train, train.activities, cv=folds).mean())


def run(degrees: Sequence[int]) -> dict[str, float]:
    """Choose the degree by cross-validation, train, judge and print; returns the accuracies, in ``[0, 1]``."""
    train, test = read_recordings()
    scores: dict[int, float] = {}
    candidates = [make_features(degree, train, test) for degree in degrees]
    for features in candidates:
        scores[features.degree] = validated(features, train)
        print(
            f"degree {features.degree}: {features.steps} steps of {features.train.shape[1]} coordinates in "
            f"{features.seconds * 1e3:.1f} ms; cross-validated accuracy {scores[features.degree]:.3f}"
        )
    chosen = max(candidates, key=lambda features: scores[features.degree])
    model = classifier().fit(chosen.train, train.activities)
    accuracy = {
        "train": float(model.score(chosen.train, train.activities)),
        "test": float(model.score(chosen.test, test.activities)),
    }
    print(f"\ndegree {chosen.degree} is best; accuracy: train {accuracy['train']:.3f}, test {accuracy['test']:.3f}\n")
    table = confusion_matrix(test.activities, model.predict(chosen.test), labels=model.classes_)
    print(f"{'test recordings':>21s}" + "".join(f"{name:>11s}" for name in model.classes_) + "   <- predicted")
    for name, row in zip(model.classes_, table, strict=True):
        print(f"{name:>21s}" + "".join(f"{count:>11d}" for count in row))
    return accuracy


def main() -> None:
    """Command line: ``--degree`` names the truncations to choose from."""
    parser = argparse.ArgumentParser(description="classify the BasicMotions recordings from their log-signatures")
    parser.add_argument("--degree", type=int, nargs="+", default=[1, 2, 3], help="degrees to choose from")
    run(parser.parse_args().degree)


if __name__ == "__main__":
    main()
