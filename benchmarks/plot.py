"""The figures of ``join.py``, ``paths.py``, ``path_accuracy.py``, beside pySigLib, and of ``roofline.py``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")  # files only; no screen is needed
import matplotlib.pyplot as plt
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from join import Measurement
    from roofline import Row

OURS, PEER = "#0b6e4f", "#c1440e"
PALETTE = (OURS, PEER, "#2a5caa", "#8a5a00")
TITLES = {"join": "join", "backprop": "backprop of the join"}
PANELS = {"L2": "batch in L2", "16MB": "batch of 16 MB"}


def draw(measurements: list[Measurement], path: Path, dtype: str = "float64") -> None:
    """Write a PNG with one panel per operation and large batch; nothing is drawn for what was not measured."""
    chosen = [m for m in measurements if m.case.dtype == dtype and m.case.batch in PANELS]
    operations = [name for name in TITLES if any(m.case.operation == name for m in chosen)]
    batches = [name for name in PANELS if any(m.case.batch == name for m in chosen)]
    if not chosen:
        raise ValueError(f"nothing to draw: no {dtype} rows for the batches {', '.join(PANELS)}")
    figure, axes = plt.subplots(
        len(operations),
        len(batches),
        figsize=(5.2 * len(batches), 3.4 * len(operations)),
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for line, operation in zip(axes, operations, strict=True):
        for axis, batch in zip(line, batches, strict=True):
            members = [m for m in chosen if m.case.operation == operation and m.case.batch == batch]
            draw_panel(axis, members)
            axis.set_title(f"{TITLES[operation]}, {PANELS[batch]}", fontsize=10)
        line[0].set_ylabel("time / copy of the same rows")
    axes[0][0].legend(loc="lower right", fontsize=8, framealpha=1.0)
    figure.suptitle(f"{dtype}, one thread; the number is how many times faster this package is", fontsize=10)
    _write(figure, path)


def draw_panel(axis: Axes, members: list[Measurement]) -> None:
    """One panel: two dots per problem on a logarithmic axis, joined by a line that carries the ratio."""
    for position, m in enumerate(members):
        ours, peer = m.ours / m.copy, m.peer / m.copy
        axis.plot([position, position], [ours, peer], color="#bbbbbb", linewidth=1.2, zorder=1)
        axis.plot(position, peer, "s", color=PEER, markersize=5, label="pySigLib 4.0" if position == 0 else None)
        axis.plot(position, ours, "o", color=OURS, markersize=5, label="logsig-codegen" if position == 0 else None)
        axis.annotate(
            f"{m.ratio:.0f}×",
            (position, (ours * peer) ** 0.5),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=7,
            va="center",
        )
    axis.axhline(1.0, color="black", linewidth=0.8, linestyle="--", zorder=0)
    axis.set_yscale("log")
    axis.set_xticks(range(len(members)), [f"({m.case.dimension},{m.case.degree})" for m in members], fontsize=7)
    axis.set_xlim(-0.5, len(members) - 0.2)
    axis.grid(axis="y", color="#eeeeee", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def plot_paths(rows: list[dict[str, Any]], path: Path) -> None:
    """Write a PNG of ``benchmarks/paths.py``: nanoseconds per step, forward and backward, one panel per shape.

    The largest batch of float64 paths on one thread is drawn first; ``rows`` are its rows as plain data.
    """
    chosen = [row for row in rows if row["case"]["dtype"] == "float64" and row["case"]["threads"] == 1]
    shapes = list(dict.fromkeys((row["case"]["batch"], row["case"]["length"]) for row in chosen))
    if not shapes:
        raise ValueError("nothing to draw: no float64 rows on one thread")
    figure, axes = plt.subplots(
        len(shapes), 2, figsize=(10.4, 3.2 * len(shapes)), sharey="row", squeeze=False, layout="constrained"
    )
    for line, (batch, length) in zip(axes, shapes, strict=True):
        members = [row for row in chosen if (row["case"]["batch"], row["case"]["length"]) == (batch, length)]
        _path_panel(line[0], members, ("ours", "log_sig"), "ratio")
        _path_panel(line[1], members, ("back", "back_peer"), "ratio_back")
        line[0].set_title(f"log_sig, {batch} x {length:,} points", fontsize=10)
        line[1].set_title(f"gradient, {batch} x {length:,} points", fontsize=10)
        line[0].set_ylabel("ns per step and path")
    axes[0][0].legend(loc="upper left", fontsize=8, framealpha=1.0)
    figure.suptitle("float64, one thread; the number is how many times faster this package is", fontsize=10)
    _write(figure, path)


def _path_panel(axis: Axes, rows: list[dict[str, Any]], keys: tuple[str, str], ratio: str) -> None:
    for position, row in enumerate(rows):
        ours, peer = row[keys[0]], row[keys[1]]
        axis.plot([position, position], [ours, peer], color="#bbbbbb", linewidth=1.2, zorder=1)
        axis.text(position + 0.12, (ours * peer) ** 0.5, f"{row[ratio]:.0f}", fontsize=7, va="center", color="#555555")
    places = range(len(rows))
    axis.scatter(places, [row[keys[0]] for row in rows], color=OURS, s=22, zorder=2, label="this package")
    axis.scatter(places, [row[keys[1]] for row in rows], color=PEER, s=22, zorder=2, label="pySigLib 4.0")
    axis.set_yscale("log")
    axis.set_xticks(list(places))
    labels = [f"({row['case']['dimension']},{row['case']['degree']})" for row in rows]
    axis.set_xticklabels(labels, fontsize=7, rotation=45)
    axis.grid(axis="y", color="#eeeeee")


def plot_errors(rows: list[dict[str, Any]], path: Path) -> None:
    """Write a PNG of ``benchmarks/path_accuracy.py``: the largest error over the problems, by number of points."""
    columns = [(quantity, kind) for quantity in ("log_sig", "gradient") for kind in ("Brownian", "nearly straight")]
    names = {
        "log_derivative": ("log-derivative", OURS),
        "signature": ("signature", "#5aa383"),
        "pysiglib": ("pySigLib", PEER),
    }
    figure, axes = plt.subplots(1, 4, figsize=(11.0, 3.2), sharey=True, layout="constrained")
    for axis, (quantity, kind) in zip(axes, columns, strict=True):
        for dtype, style in (("float32", "--"), ("float64", "-")):
            chosen = [r for r in rows if (r["quantity"], r["paths"], r["dtype"]) == (quantity, kind, dtype)]
            lengths = sorted({r["points"] for r in chosen})
            for key, (name, colour) in names.items():
                worst = [max(r[key] for r in chosen if r["points"] == length) for length in lengths]
                axis.plot(lengths, worst, style, marker=".", color=colour, label=f"{name}, {dtype}")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(f"{quantity}, {kind} paths", fontsize=9)
        axis.set_xlabel("points", fontsize=8)
        axis.grid(color="#eeeeee")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("largest relative error")
    axes[-1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    _write(figure, path)


def plot_roofline(rows: list[Row], path: Path) -> None:
    """Write a PNG of ``benchmarks/roofline.py``: time over limit, by problem; a panel for each kind of call and size.

    Gradients are squares, full where the limit is the memory, hollow where it is arithmetic; float64.
    """
    panels = {
        "products, batch in L2": [r for r in rows if r.batch == "L2"],
        "products, batch of 16 MB": [r for r in rows if r.batch == "16MB"],
        "paths, 32 x 128 points": [r for r in rows if r.batch == "32 x 128" and r.operation.startswith("log_sig")],
        "streams and windows": [
            r for r in rows if r.operation.startswith(("stream", "windows")) and r.batch != "1 x 128"
        ],
    }
    problems = list(dict.fromkeys((r.dimension, r.degree) for r in rows))
    figure, axes = plt.subplots(2, 2, figsize=(10.4, 6.8), sharey=True, sharex=True, layout="constrained")
    for axis, (title, members) in zip(axes.flat, panels.items(), strict=True):
        chosen = [r for r in members if r.dtype == "float64"]
        names = list(dict.fromkeys(r.operation.removesuffix("_backprop") for r in chosen))
        for row in chosen:
            forward = row.operation.removesuffix("_backprop")
            place = problems.index((row.dimension, row.degree)) + 0.18 * (names.index(forward) - (len(names) - 1) / 2)
            colour = PALETTE[names.index(forward) % len(PALETTE)]
            face = colour if row.limit == "memory" else "white"
            axis.plot(
                place, row.ratio, "o" if row.operation == forward else "s", color=colour, markersize=4.5, mfc=face
            )
        for name, colour in zip(names, PALETTE, strict=False):
            axis.plot([], [], "o", color=colour, markersize=4.5, label=name)
        axis.set_title(title, fontsize=10)
        axis.axhline(1.0, color="black", linewidth=0.8, linestyle="--", zorder=0)
        axis.set_yscale("log")
        axis.set_yticks((1, 2, 5, 10, 20), ("1", "2", "5", "10", "20"))
        axis.yaxis.set_minor_formatter("")
        axis.set_xticks(range(len(problems)), [f"({d},{n})" for d, n in problems], fontsize=7, rotation=45)
        axis.grid(axis="y", color="#eeeeee", linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=7, framealpha=1.0)
    for line in axes:
        line[0].set_ylabel("time / limit")
    figure.suptitle(
        "float64, one thread; squares: gradients; hollow: limited by multiply-adds, full: by memory", fontsize=10
    )
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    """Save a figure as a palette image: a third of the size, and looks the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    plt.close(figure)
    Image.open(drawn).convert("P", palette=Image.Palette.ADAPTIVE, colors=48).save(path, optimize=True)
