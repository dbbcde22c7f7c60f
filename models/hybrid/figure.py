"""The study as a picture: accuracy against noise, against digits seen, and with few examples."""

import numpy as np
from common import deviation, seeds
from comparison import BLOCK, CLEAN, MAIN, NOISY, SHOTS
from data import LEVELS, NOISES, SIDES
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scores import (
    AUGMENTED,
    BATCH_ANN,
    BATCH_HYBRID,
    FROZEN,
    HYBRID,
    MEDIAN,
    NEAREST,
    NOISY_CELLS,
    PARTS,
    PLAIN,
    RUNNING,
    Results,
    accuracy,
    cell_of,
    curve,
)

LINES = {
    HYBRID: ("#c0392b", "-"),
    FROZEN: ("#e59866", "--"),
    PLAIN: ("#7f8c8d", ":"),
    "ANN": ("#2471a3", "-"),
    RUNNING: ("#148f77", "-"),
    AUGMENTED: ("#7d3c98", "-."),
    MEDIAN: ("#b7950b", "--"),
    NEAREST: ("#212f3d", "-."),
    BATCH_HYBRID: ("#c0392b", "x:"),
    BATCH_ANN: ("#148f77", "x:"),
}
GAINED = {HYBRID: FROZEN, RUNNING: "ANN"}  # what follows the stream, and the same network as it was trained


def drawn(results: Results) -> Figure:
    """Two rows of accuracy against noise, one a set; two rows of streams and of few examples."""
    figure = Figure(figsize=(17, 16), layout="constrained")
    axes = figure.subplots(4, 4)
    for row, name in zip(axes[:2], SIDES, strict=True):
        for axis, kind in zip(row, NOISES, strict=True):
            _against_noise(axis, results, name, kind)
        row[0].set_ylabel("digits recognised, %")
    for row, name in zip(axes[2:], SIDES, strict=True):
        _against_digits(row[0], results, name)
        _gained(row[1], results, name)
        _against_examples(row[2], results, name, ["clean"], PARTS["all"], "clean digits")
        _against_examples(row[3], results, name, NOISY_CELLS, PARTS["noisy"], "all noises")
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle(
        f"{seeds(results)}; dotted with crosses: by statistics of a whole batch, which no chip has"
    )
    return figure


def _against_noise(axis: Axes, results: Results, name: str, kind: str) -> None:
    levels = [0.0, *LEVELS]
    for model, style in LINES.items():
        found = [accuracy(results, name, MAIN, model, [cell_of(kind, level)]) for level in levels]
        _band(axis, 100 * np.array(levels), np.array(found).T, model, style)
    axis.set(title=f"{name}, 10 a class: {kind}", xlabel="level, %", ylim=(0, 100))


def _against_digits(axis: Axes, results: Results, name: str) -> None:
    for model, style in LINES.items():
        found = curve(results, name, MAIN, model, NOISY_CELLS)
        _band(axis, _middles(found), found, model, style)
    axis.axvspan(CLEAN, CLEAN + NOISY, color="#f4d03f", alpha=0.15, lw=0)
    axis.set(title=f"{name}, 10 a class: streams, all noises", xlabel="digits seen (shaded: under noise)")
    axis.set_ylabel("digits recognised, %")


def _gained(axis: Axes, results: Results, name: str) -> None:
    for model, fixed in GAINED.items():
        gained = curve(results, name, MAIN, model, NOISY_CELLS)
        gained = gained - curve(results, name, MAIN, fixed, NOISY_CELLS)
        _band(axis, _middles(gained), gained, model, LINES[model])
    axis.axhline(0, color="black", lw=0.8)
    axis.axvspan(CLEAN, CLEAN + NOISY, color="#f4d03f", alpha=0.15, lw=0)
    axis.set(title=f"{name}: gained by following the stream", xlabel="digits seen", ylabel="points")


def _against_examples(
    axis: Axes, results: Results, name: str, cells: list[str], blocks: slice, what: str
) -> None:
    for model, style in LINES.items():
        found = [accuracy(results, name, shots, model, cells, blocks) for shots in SHOTS]
        known = [place for place, each in enumerate(found) if each is not None]
        _band(axis, np.array(known), np.array([found[place] for place in known]).T, model, style)
    axis.set_xticks(range(len(SHOTS)), SHOTS)
    axis.set(title=f"{name}: {what}", xlabel="training digits a class")


def _middles(found: np.ndarray) -> np.ndarray:
    """Digits seen up to the middle of each block."""
    return BLOCK * (np.arange(found.shape[1]) + 0.5)


def _band(axis: Axes, x: np.ndarray, values: np.ndarray, label: str, style: tuple[str, str]) -> None:
    """Mean and standard deviation of values (seeds, len(x))."""
    mean, half = values.mean(0), np.array([deviation(column) for column in values.T])
    colour, line = style
    axis.plot(x, mean, line, color=colour, label=label, lw=1.5, ms=5)
    if len(x) == 1:  # a band would not be seen
        axis.errorbar(x, mean, half, color=colour, lw=1.5)
    axis.fill_between(x, mean - half, mean + half, color=colour, alpha=0.1, lw=0)
