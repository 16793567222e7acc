"""Recognise who is speaking from a vowel, by the log-signatures of recordings of different lengths.

Run it from the checkout::

    pip install . aeon==1.6.0 scikit-learn
    python examples/japanese_vowels.py

The JapaneseVowels recordings (they ship inside the ``aeon`` package) hold 7 to 29 samples of 12 cepstral coefficients
while one of nine men says two vowels: 270 recordings to learn from, 370 to test. ``log_sig`` takes the list of paths.
Each path gets a starting point at zero, since a log-signature does not depend on the starting point otherwise, and time
as a further channel. A linear classifier on the log-signatures names the speaker. Degree and penalty are chosen by
cross-validation on the training recordings; the test recordings are used once, at the end.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from aeon.datasets import load_japanese_vowels
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import logsig_codegen as lg

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recordings:
    """Paths of shape ``(samples, 12)``, each with samples of its own, and one speaker for each."""

    paths: list[Array]
    speakers: NDArray[np.str_]


def read_recordings() -> tuple[Recordings, Recordings]:
    """The training and the test recordings, each channel divided by its standard deviation over the training ones."""
    (train, train_names), (test, test_names) = (load_japanese_vowels(split=split) for split in ("train", "test"))
    scale = np.concatenate(train, axis=1).std(axis=1)
    return tuple(  # type: ignore[return-value]
        Recordings([np.ascontiguousarray(values.T / scale) for values in recordings], np.asarray(names))
        for recordings, names in ((train, train_names), (test, test_names))
    )


def log_signatures(paths: Sequence[Array], degree: int) -> Array:
    """Log-signatures of the paths, from zero and with time as the last channel, shape ``(recordings, size)``."""
    from_zero = [np.concatenate([np.zeros((1, path.shape[1])), path]) for path in paths]
    result: Array = lg.log_sig(from_zero, degree, method=2, time_aug=True)
    return result


def classifier() -> GridSearchCV:
    """A linear classifier on standardised features, with its penalty chosen by five-fold cross-validation."""
    model: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return GridSearchCV(model, {"logisticregression__C": [0.001, 0.01, 0.1, 1.0]}, cv=folds)


def run(degrees: Sequence[int]) -> dict[str, float]:
    """Choose the degree by cross-validation, train, judge and print; returns the accuracies, in ``[0, 1]``."""
    train, test = read_recordings()
    models: dict[int, GridSearchCV] = {}
    for degree in degrees:
        log_signatures(train.paths[:2], degree)  # the very first call of a process takes longer
        start = time.perf_counter()
        features = log_signatures(train.paths, degree)
        seconds = time.perf_counter() - start
        models[degree] = classifier().fit(features, train.speakers)
        print(
            f"degree {degree}: {len(train.paths)} log-signatures of {features.shape[1]} coordinates in "
            f"{seconds * 1e3:.1f} ms; cross-validated accuracy {models[degree].best_score_:.3f}"
        )
    chosen = max(models, key=lambda degree: float(models[degree].best_score_))
    accuracy = {
        "train": float(models[chosen].score(log_signatures(train.paths, chosen), train.speakers)),
        "test": float(models[chosen].score(log_signatures(test.paths, chosen), test.speakers)),
    }
    print(f"\ndegree {chosen} is best; accuracy: train {accuracy['train']:.3f}, test {accuracy['test']:.3f}")
    return accuracy


def main() -> None:
    """Command line: ``--degree`` names the truncations to choose from."""
    parser = argparse.ArgumentParser(description="recognise the speakers of the JapaneseVowels recordings")
    parser.add_argument("--degree", type=int, nargs="+", default=[1, 2], help="degrees to choose from")
    run(parser.parse_args().degree)


if __name__ == "__main__":
    main()
