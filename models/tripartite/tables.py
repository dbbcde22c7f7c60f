"""The study's tables, in Markdown, and its figure."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from model import window_seconds

Result = dict[str, Any]
CLAIMED = {"DSE and eSP": "0.25"}


def tables(results: list[Result]) -> str:
    """All of the README's measured block."""
    seeds = f"{len(results)} seed{'s' * (len(results) > 1)}"
    parts = [
        f"Mean ± standard deviation over {seeds}.",
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
        slopes = [_spread([each[way][0] for each in found]) for way in ways]
        squared = _spread([each[ways[0]][1] for each in found], 2)
        rows.append((name, CLAIMED.get(name, "-"), slopes[0], squared, *slopes[1:]))
    return _markdown(("model", "claimed", ways[0], "R² of that", *ways[1:]), rows)


def _about_curves(results: list[Result]) -> str:
    jumps = [each["curves"]["DSE and eSP"]["jump"] for each in results]
    where = sorted({f"{low} and {high} Hz" for low, high, *_ in jumps})
    periods = [each["curves"]["DSE"]["period"] for each in results]
    swings = [each["curves"]["DSE"]["swing"][-1] for each in results]
    return (
        f"With eSP calcium jumps between {' or '.join(where)}, from {_spread([j[2] for j in jumps])} to "
        f"{_spread([j[3] for j in jumps])} uM. With DSE alone calcium oscillates: at 50 Hz with a period of "
        f"{_spread(periods, 1)} s and a standard deviation over time of {_spread(swings)} uM."
    )


def _numerics(results: list[Result]) -> str:
    rows = []
    for name in results[0]["order"]["variants"]:
        curves = [each["curves"][name] for each in results]
        over_seeds = np.std([each["mean"] for each in curves], 0)
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
    return f"{told}\n\n{_markdown(head, rows)}"


def _units(results: list[Result], variant: str) -> str:
    rows = []
    for name in results[0]["order"]["outputs"]:
        found = [each["units"][variant]["outputs"][name] for each in results]
        errors = [
            f"{_spread([e['rms'][what] for e in found], 1)}, {np.mean([e['most'][what] for e in found]):.0f}"
            for what in ("steady", "trace", "slow")
        ]
        powers = [each["unit"]["exponent"] for each in found]
        power = _spread(powers) if name == "power" else "-"
        rows.append((name, *errors, _spread([each["seconds"] for each in found], 1), power))
    head = (
        "at constant rates: rms, most",
        "over time: rms, most",
        "averaged: rms, most",
        "time constant, s",
        "exponent",
    )
    return f"{variant}:\n\n" + _markdown(("output", *head), rows)


def _numbers(results: list[Result]) -> str:
    rows = []
    for each in results:
        unit = each["units"]["DSE"]["outputs"]["power"]["unit"]
        numbers = (f"{unit[name]:.4g}" for name in ("decay", "drive", "offset", "exponent", "scale"))
        rows.append((each["seed"], unit["period"], *numbers))
    return _markdown(("seed", "period", "decay", "drive", "offset", "exponent", "scale, uM"), rows)


def _chip(results: list[Result]) -> str:
    rows = []
    for name in results[0]["chip"]:
        found = [each["chip"][name] for each in results]
        differing = [sum(each["differing"].values()) for each in found]
        engines = sorted({engine for each in found for engine in each["differing"]})
        values = sum(sum(each["compared"].values()) for each in found)
        costs = [_engineering(found, key) for key in ("operations", "energy", "latency")]
        cores, same = ({each[key] for each in found} for key in ("cores", "identical"))
        rows.append(
            (
                name,
                f"{_spread([100 * each['rms'] for each in found])} %",
                f"{sum(differing)} of {values} (oracle = {' = '.join(engines)})",
                "the same Program" if same == {True} else "another Program",
                *map(str, cores),
                *costs,
            )
        )
    head = ("output", "chip against float, rms of the range", "differing values", "from NIR", "cores")
    priced = ("operations, nJ", "energy, uJ", "chip time, us")
    told = "Costs are those of a second of the model's time, typical (low to high)."
    return f"{_markdown((*head, *priced), rows)}\n\n{told}"


def _engineering(found: list[Result], key: str) -> str:
    low, typical, high = np.mean([each[key] for each in found], 0) * (1e9 if key == "operations" else 1e6)
    return f"{typical:.3g} ({low:.3g} to {high:.3g})"


def _spread(values: Iterable[float], digits: int = 3) -> str:
    values = np.array(list(values))
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


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
    axes.fill_between(x, y.mean(0) - y.std(0), y.mean(0) + y.std(0), color=line.get_color(), alpha=0.25, lw=0)
