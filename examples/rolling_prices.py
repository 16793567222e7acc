"""Rolling log-signatures of two stock indices: the area between them, and a forecast of volatility.

Run it from the checkout::

    pip install . arch scikit-learn matplotlib
    python examples/rolling_prices.py --plot areas.png

The prices are the daily closes of the S&P 500 and the Nasdaq Composite from 1999 to 2018 (they ship inside the
``arch`` package). The path is that of the two logarithms, and each window of 100 days, one day apart, gives a
log-signature. Of degree 2 it holds the signed area between the two series: it is positive where the first index moved
before the second one, and zero where both moved along one line.

With lead-lag, areas between a series and its own past are its squared changes, added up: log-signatures of degree 2 of
the last 100, 20 and 5 days hold the volatilities and correlations of these days, besides the returns and areas. A
ridge regression on them forecasts the volatility of the S&P 500 in the next 20 days. It is compared with the same
regression on the volatilities of these days alone; it learns from the first 60 % of the days and is judged on the rest.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from arch.data import nasdaq, sp500
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import logsig_codegen as lg

Array = NDArray[np.float64]
WINDOWS = (100, 20, 5)
"""Days; the first is the longest."""
AHEAD = 20
"""Days of the volatility that is forecast."""
LEARNT = 0.6


def read_prices() -> tuple[NDArray[np.datetime64], Array]:
    """The days, and the logarithms of both closes, shape ``(days, 2)``."""
    tables = [source.load()["Adj Close"] for source in (sp500, nasdaq)]
    return tables[0].index.to_numpy(), np.log(np.column_stack([table.to_numpy() for table in tables]))


def rolling(path: Array, days: int) -> tuple[Array, tuple[str, ...]]:
    """Log-signatures of degree 2 of all windows of so many days, one day apart, and their brackets."""
    kernel = lg.load(path.shape[-1], 2)
    found: Array = kernel.log_sig(path, windows=(days, 1))
    return found, kernel.brackets


def features(path: Array, windows: Sequence[int] = WINDOWS) -> Array:
    """Scaled log-signatures of the lead-lag path over the last days, a row for each day from ``windows[0]`` days on.

    Lead-lag puts a point between two days, so that a window of ``n`` days has ``2 n - 1`` points, and a day is 2 steps.
    """
    rows = len(path) - windows[0] + 1
    sizes = [(2 * days - 1, 2) for days in windows]
    found = lg.log_sig(path, 2, method=2, lead_lag=True, windows=sizes)
    values = np.concatenate([each[-rows:] for each in found], axis=-1)
    degrees = np.tile([len(word) for word in lg.load(2 * path.shape[-1], 2).words], len(windows))
    scaled: Array = np.sign(values) * np.abs(values) ** (1.0 / degrees)  # areas grow like displacements then
    return scaled


def volatility(path: Array, days: int) -> Array:
    """The logarithm of the volatility of the first series over windows of ``days`` changes, one for each last day."""
    squares = np.concatenate([[0.0], np.cumsum(np.diff(path[:, 0]) ** 2)])
    logarithms: Array = 0.5 * np.log(squares[days:] - squares[:-days])
    return logarithms


def model() -> Pipeline:
    """A ridge regression on standardised features."""
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 17)))


def scores(path: Array) -> dict[str, float]:
    """The coefficient of determination of the forecasts on the last days, by what they are made of."""
    future = volatility(path, AHEAD)[WINDOWS[0] - 1 :]
    days = len(future)
    past = np.column_stack([volatility(path, each - 1)[-(len(path) - WINDOWS[0] + 1) :] for each in WINDOWS])
    learnt = int(LEARNT * days)
    found = {}
    for name, given in (("volatilities", past), ("log-signatures", features(path))):
        fitted = model().fit(given[: learnt - AHEAD], future[: learnt - AHEAD])  # no day is in both parts
        found[name] = float(fitted.score(given[learnt:days], future[learnt:days]))
    return found


def plot(path: Path, days: NDArray[np.datetime64], prices: Array, areas: Array) -> None:
    """Draw both indices, and the area between them over the last 100 days."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
    for column, name in enumerate(("S&P 500", "Nasdaq Composite")):
        above.plot(days, np.exp(prices[:, column] - prices[0, column]), label=name, linewidth=1)
    above.set(ylabel="price, 1 at the beginning", yscale="log")
    above.legend()
    below.axhline(0, color="grey", linewidth=0.5)
    below.plot(days[-len(areas) :], areas, color="C2", linewidth=1)
    below.set(ylabel=f"area between the two, {WINDOWS[0]} days")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def run(figure: Path | None = None) -> dict[str, float]:
    """Compute, print, draw; returns the scores of the forecasts."""
    days, prices = read_prices()
    found, brackets = rolling(prices, WINDOWS[0])
    areas = found[:, brackets.index("[0,1]")]
    print(f"{len(prices)} days, {len(found)} windows of {WINDOWS[0]} days: {', '.join(brackets)}")
    for which, place in (("largest", int(areas.argmax())), ("smallest", int(areas.argmin()))):
        last = days[place + WINDOWS[0] - 1].astype("datetime64[D]")
        print(f"{which} area: {areas[place]:+.4f}, in the {WINDOWS[0]} days up to {last}")
    if figure is not None:
        plot(figure, days, prices, areas)
    result = scores(prices)
    for name, score in result.items():
        print(f"volatility of the next {AHEAD} days, forecast from {name}: R² {score:.3f}")
    return result


def main() -> None:
    """Command line: ``--plot`` names a file for the figure."""
    parser = argparse.ArgumentParser(description="rolling log-signatures of two stock indices")
    parser.add_argument("--plot", type=Path, help="where to save a figure of the areas")
    run(parser.parse_args().plot)


if __name__ == "__main__":
    main()
