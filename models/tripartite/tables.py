"""The study's tables, in Markdown, and its figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from common import agreement, deviation, mean_and_deviation, seeds, table, typical
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from model import window_seconds

Result = dict[str, Any]
CLAIMED = {"DSE and eSP": "0.25"}


def tables(results: list[Result]) -> str:
    """All of the README's measured block."""
    parts = [
        f"{seeds(results)}.",
        "**The exponent of mean calcium against the rate, 1 to 50 Hz**",
        _exponents(results),
        _about_curves(results),
        _numerics(results),
        "![Calcium against the rate and over time](figure.svg)",
        "**The reduced compartment**, fitted to staircases of rates. Errors are in % of the range that mean calcium "
        "has between 1 and 50 Hz: at constant rates; on other staircases; and there after averaging both over 12.8 s.",
        *(_units(results, variant) for variant in results[0]["order"]["reduced"]),
        "The fitted numbers of output *power*, with DSE (`decay`, `drive`, `offset` a window):",
        _numbers(results),
        "**On loihi2**, DSE's compartment",
        _chip(results),
    ]
    return "\n\n".join(parts) + "\n"


# ---- tables --------------------------------------------------------------------------------------------


def _exponents(results: list[Result]) -> str:
    ways = results[0]["order"]["ways"]
    rows = []
    for name in results[0]["order"]["variants"]:
        found = [each["curves"][name]["exponents"] for each in results]
        slopes = [_three([each[way][0] for each in found]) for way in ways]
        squared = mean_and_deviation([each[ways[0]][1] for each in found], ".2f")
        rows.append((name, CLAIMED.get(name, "-"), slopes[0], squared, *slopes[1:]))
    return table(("model", "claimed", ways[0], "R² of that", *ways[1:]), rows)


def _about_curves(results: list[Result]) -> str:
    jumps = [each["curves"]["DSE and eSP"]["jump"] for each in results]
    where = sorted({f"{low} and {high} Hz" for low, high, *_ in jumps})
    periods = [each["curves"]["DSE"]["period"] for each in results]
    swings = [each["curves"]["DSE"]["swing"][-1] for each in results]
    return (
        f"With eSP calcium jumps between {' or '.join(where)}, from {_three([j[2] for j in jumps])} to "
        f"{_three([j[3] for j in jumps])} uM. With DSE alone calcium oscillates: at 50 Hz with a period of "
        f"{mean_and_deviation(periods)} s and a standard deviation over time of {_three(swings)} uM."
    )


def _numerics(results: list[Result]) -> str:
    rows = []
    for name in results[0]["order"]["variants"]:
        curves = [each["curves"][name] for each in results]
        over_seeds = np.array(
            [deviation(rate) for rate in zip(*(each["mean"] for each in curves), strict=True)]
        )
        halved = 100 * np.array([each["halved"][name] for each in results])
        rows.append(
            (
                name,
                f"{max(each['drift'] for each in curves):.3f} uM",
                f"{np.median(over_seeds):.4f}, {over_seeds.max():.4f} uM",
                f"{np.median(halved[:, 0]):.2f} %, {halved[:, 1].max():.2f} %",
            )
        )
    told = (
        "How far a mean over the last 100 s can be trusted: by how much it drifts from their first half to their "
        "second, at most; its standard deviation over seeds, of the median rate and of the worst; and by how much "
        "calcium changes at any time of 51 s when the astrocyte's step is halved and the spikes are the same, in the "
        "median synapse and in the worst, in % of calcium's range."
    )
    head = ("model", "drift", "over seeds: median, worst", "half a step: median, worst")
    return f"{told}\n\n{table(head, rows)}"


def _units(results: list[Result], variant: str) -> str:
    rows = []
    for name in results[0]["order"]["outputs"]:
        found = [each["units"][variant]["outputs"][name] for each in results]
        errors = [
            f"{mean_and_deviation([e['rms'][what] for e in found])}, {np.mean([e['most'][what] for e in found]):.0f}"
            for what in ("steady", "trace", "slow")
        ]
        powers = [each["unit"]["exponent"] for each in found]
        power = _three(powers) if name == "power" else "-"
        rows.append((name, *errors, mean_and_deviation([each["seconds"] for each in found]), power))
    head = (
        "at constant rates: rms, most",
        "over time: rms, most",
        "averaged: rms, most",
        "time constant, s",
        "exponent",
    )
    return f"{variant}:\n\n" + table(("output", *head), rows)


def _numbers(results: list[Result]) -> str:
    rows = []
    for each in results:
        unit = each["units"]["DSE"]["outputs"]["power"]["unit"]
        numbers = (f"{unit[name]:.4g}" for name in ("decay", "drive", "offset", "exponent", "scale"))
        rows.append((each["seed"], unit["period"], *numbers))
    return table(("seed", "period", "decay", "drive", "offset", "exponent", "scale, uM"), rows)


def _chip(results: list[Result]) -> str:
    rows = []
    for name in results[0]["chip"]:
        found = [each["chip"][name] for each in results]
        rows.append(
            (
                name,
                f"{_three([100 * each['rms'] for each in found])} %",
                f"the same Program for {sum(each['identical'] for each in found)} of {len(found)} seeds",
                ", ".join(sorted({str(each["cores"]) for each in found})),
                typical([each["operations"] for each in found], "", 1e9),
                typical([each["energy"] for each in found], "", 1e6),
                typical([each["latency"] for each in found], "", 1e6),
                f"{np.mean([each['share'] for each in found]):.0%}",
            )
        )
    head = ("output", "chip against float, rms of the range", "from NIR", "cores")
    priced = ("operations, nJ", "energy, uJ", "chip time, us", "astrocytes' share of the operations")
    told = "Costs are those of a second of the model's time, typical (low to high). Against the oracle:"
    engines = (
        f"- {name}: {agreement([each['chip'][name]['engines'] for each in results])}"
        for name in results[0]["chip"]
    )
    return f"{table((*head, *priced), rows)}\n\n{told}\n\n" + "\n".join(engines)


def _three(values: Sequence[float]) -> str:
    return mean_and_deviation(values, ".3f")


# ---- the figure ----------------------------------------------------------------------------------------


def picture(results: list[Result]) -> Figure:
    """Calcium against the rate; the compartment beside it; both over time, of the first seed."""
    rates = results[0]["rates"][1:]
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    (curves, reduced), (first, second) = figure.subplots(2, 2)
    for name in results[0]["order"]["variants"]:
        means = np.array([each["curves"][name]["mean"] for each in results])[:, 1:]
        _band(curves, rates, means, label=name)
    slope = np.array([1.0, 50.0])
    curves.plot(slope, 0.11 * slope**0.25, "k:", label="rate^0.25")
    curves.set(title="Full model: mean calcium of the last 100 s", xscale="log", yscale="log")
    _against(reduced, results, rates)
    for axes, variant in ((first, "DSE"), (second, "no feedback")):
        for name, style in (("full", {"lw": 0.8}), ("power", {"lw": 1.6})):
            y = results[0]["units"][variant]["shown"][name]
            axes.plot(np.arange(1, len(y) + 1) * window_seconds(), y, label=name, **style)
        axes.set(title=f"A staircase of rates, {variant}", xlabel="time (s)")
    for axes in (curves, reduced):
        axes.set(xlabel="rate of a train (Hz)")
    for axes in (curves, reduced, first, second):
        axes.set(ylabel="calcium (uM)")
        axes.legend(fontsize=8)
    return figure


def _against(axes: Axes, results: list[Result], rates: Sequence[float]) -> None:
    full = np.array([each["curves"]["DSE"]["mean"] for each in results])[:, 1:]
    _band(axes, rates, full, label="full model, DSE", color="k")
    for output in ("power", "power 1/4", "tanh"):
        found = [each["units"]["DSE"]["outputs"][output]["at rates"] for each in results]
        _band(axes, rates, np.array(found), label=f"reduced, {output}")
    axes.set(title="Reduced compartment at constant rates", xscale="log")


def _band(axes: Axes, x: Sequence[float], y: np.ndarray, **style: Any) -> None:
    (line,) = axes.plot(x, y.mean(0), marker=".", **style)
    spread = np.array([deviation(each) for each in y.T])
    axes.fill_between(x, y.mean(0) - spread, y.mean(0) + spread, color=line.get_color(), alpha=0.25, lw=0)
