"""The study's tables, in Markdown, and its figure."""

from collections.abc import Mapping, Sequence
from math import inf
from statistics import median
from typing import Any

import numpy as np
from common import agreement, deviation, mean_and_deviation, table, typical
from matplotlib.figure import Figure

Results = list[dict[str, Any]]
FULL, WITHOUT, LINEAR = "full (eq 11)", "full without W_astro", "linear (eqs 9, 17)"
CLAIMED = {  # of the paper: accuracy on IMDB and CIFAR-10, %, and epochs to 85 %
    "softmax": ("88.9, 97.4", ()),
    LINEAR: ("88.4, 96.8", (54, 215)),
    WITHOUT: ("-", (22, 111)),
    FULL: ("88.7, 97.0", (16, 45)),
}
PAIRS = ((FULL, WITHOUT), (FULL, LINEAR), (WITHOUT, LINEAR), (FULL, "no attention"))
SHOWN = ("softmax", LINEAR, WITHOUT, FULL, "no attention")
POSITIONS = " + positions"
LEVELS = (0.85, 0.9)
TOLERANCE = 0.01  # of the chip's accuracy, to that of float
POWERS = {"0.25": "x^0.25", "-1.0": "1/x", "-0.5": "x^-0.5 (layer norm)"}
SIGNALS = {
    "key": "phi(k)",
    "calcium": "g phi(q)",
    "reciprocal": "1/C",
    "hebbian": "H phi(q)",
    "tokens": "L",
}

# ---- the ablation ------------------------------------------------------------------------------------


def about_ablation(arms: Mapping[str, Results], protocol: tuple[int, int, tuple[float, ...]]) -> str:
    """Every arm beside the paper's claims, then pairs of arms, seed by seed."""
    epochs, validation, rates = protocol
    levels = [f"epochs to {level:.0%}" for level in LEVELS]
    head = ["attention", "claimed: IMDB, CIFAR-10, %", "claimed: epochs to 85%", "digits, %", *levels]
    head += ["with positions, %", *levels]
    rows = []
    for name in (each for each in arms if not each.endswith(POSITIONS)):
        accuracy, claimed = CLAIMED.get(name, ("-", ()))
        row = [name, accuracy, ", ".join(map(str, claimed)) or "-"]
        for runs in (arms[name], arms[name + POSITIONS]):
            row.append(mean_and_deviation([100 * each["test"] for each in runs]))
            row += [_epochs(runs, level) for level in LEVELS]
        rows.append(row)
    told = (
        f"Ablation, {epochs} epochs at the best of {len(rates)} rates: that which ends best on {validation} "
        "validation digits, held back of the training digits. All numbers of an arm and a seed are of this rate. "
        "Accuracy is that of test digits after the last epoch. Epochs are those until the validation digits get "
        f"there: the median over all seeds (least to most), and how many seeds get there; one that does not counts "
        f"as more than {epochs}. The last columns have learned positions in the input."
    )
    return f"{told}\n\n{table(head, rows)}\n\n{_about_pairs(arms)}"


def _about_pairs(arms: Mapping[str, Results]) -> str:
    head = ["first", "second", "positions in the input", "accuracy, points", "seeds ahead"]
    head += ["claimed: fewer epochs to 85%"]
    for level in LEVELS:
        head += [f"fewer epochs to {level:.0%}", "seeds earlier, later"]
    rows = []
    for first, second in PAIRS:
        for where in ("", POSITIONS):
            one, other = arms[first + where], arms[second + where]
            row = [first, second, "yes" if where else "no", *_ahead(one, other), _claimed(first, second)]
            for level in LEVELS:
                row += _fewer(one, other, level)
            rows.append(row)
    told = (
        "The first against the second of a pair, seed by seed: points of accuracy, and in how many seeds it is "
        "ahead; by how much the median of its epochs is less, and in how many seeds it is there earlier, and later. "
        "`not told`: half of the seeds of the one or the other, or more, do not get there."
    )
    return f"{told}\n\n{table(head, rows)}"


def until(curve: Sequence[float], level: float) -> float:
    """The first epoch at which `level` is reached; infinite where none is."""
    return next((epoch for epoch, each in enumerate(curve, 1) if each >= level), inf)


def _epochs(runs: Results, level: float) -> str:
    found, most = [until(each["curve"], level) for each in runs], len(runs[0]["curve"])
    told = [f"> {most}" if each == inf else f"{each:g}" for each in (median(found), min(found), max(found))]
    span = f" ({told[1]} to {told[2]})" if told[1] != told[2] else ""
    return f"{told[0]}{span}, {sum(each < inf for each in found)}/{len(found)}"


def _ahead(one: Results, other: Results) -> tuple[str, str]:
    more = [100 * (a["test"] - b["test"]) for a, b in zip(one, other, strict=True)]
    return f"{np.mean(more):+.1f} ± {deviation(more):.1f}", f"{sum(each > 0 for each in more)}/{len(more)}"


def _claimed(first: str, second: str) -> str:
    pairs = zip(CLAIMED[first][1], CLAIMED.get(second, ("", ()))[1], strict=False)
    return ", ".join(f"{1 - a / b:.1%}" for a, b in pairs) or "-"


def _fewer(one: Results, other: Results, level: float) -> tuple[str, str]:
    """By how much the median of the first's epochs is less, and in how many seeds it is earlier and later."""
    ours, theirs = ([until(each["curve"], level) for each in runs] for runs in (one, other))
    known = max(median(ours), median(theirs)) < inf
    earlier = sum(a < b for a, b in zip(ours, theirs, strict=True))
    later = sum(a > b for a, b in zip(ours, theirs, strict=True))
    return (
        f"{1 - median(ours) / median(theirs):.0%}" if known else "not told",
        f"{earlier}, {later} of {len(ours)}",
    )


# ---- the chip ----------------------------------------------------------------------------------------


def about_chip(networks: Mapping[str, Results]) -> str:
    """Accuracy in float and in the chip's arithmetic, and whether it is within the tolerance."""
    head = ["network", "float, %", "chip, %", "difference, points (smallest to largest)"]
    head += [f"within {100 * TOLERANCE:g} point", "answers changed, %"]
    rows = []
    for name, runs in networks.items():
        less = [100 * (each["chip"] - each["float"]) for each in runs]
        held = sum(abs(each) <= 100 * TOLERANCE + 1e-9 for each in less)
        rows.append(
            (
                name,
                *(mean_and_deviation([100 * each[key] for each in runs]) for key in ("float", "chip")),
                f"{np.mean(less):+.2f} ({min(less):+.2f} to {max(less):+.2f})",
                f"{held} of {len(runs)} seeds",
                f"{100 * np.mean([each['changed'] for each in runs]):.2f}",
            )
        )
    return f"On loihi2 against the float network, on the test digits:\n\n{table(head, rows)}"


def about_functions(results: Results) -> str:
    """How exact the powers are, alone and in the network."""
    ways = {"value": "value, 24 bits", "message": "message, 16 bits", "cut": "an exact value in 16 bits"}
    spans = ("to 64", "to 1000")
    head = ["function", *(f"{told}, 1 {span}" for told in ways.values() for span in spans)]
    rows = []
    for exponent, name in POWERS.items():
        found = [each["functions"][exponent] for each in results]
        rows.append([name, *(f"{max(f[way][span] for f in found):.3%}" for way in ways for span in spans)])
    errors = [each["networks"]["astromorphic"]["errors"] for each in results]
    inside = ", ".join(f"{text} {np.mean([e[name] for e in errors]):.1%}" for name, text in SIGNALS.items())
    return (
        "The powers on the chip, alone; the largest relative error of x from 1 to 64 and from 1 to 1000, each in the "
        f"format that fits 1 to 1000:\n\n{table(head, rows)}\n\n"
        "In the network, root mean square of the error of the messages by that of the value, on the test digits: "
        f"{inside}."
    )


def about_costs(networks: Mapping[str, Results], digits: int) -> str:
    """Cores, energy, latency, and the part of the astrocytes."""
    head = ["network", "compartments", "cores", "steps", "operations", "energy in all", "latency"]
    head += ["kept states", "paper's"]
    units = {"operations": "µJ", "energy": "µJ", "latency": "µs"}
    rows = []
    for name, runs in networks.items():
        rows.append(
            (
                name,
                *(_range([each[key] for each in runs]) for key in ("compartments", "cores", "steps")),
                *(typical([each[key] for each in runs], unit, 1e6) for key, unit in units.items()),
                f"{np.mean([each['share'] for each in runs]):.0%}",
                f"{np.mean([each['paper_share'] for each in runs]):.1%}",
            )
        )
    told = (
        f"A digit on loihi2, from {digits} test digits; typical (low to high), means over seeds; of compartments, "
        "cores and steps the least to the most of any seed. Shares of the operations' energy: of all that keeps a "
        "state (H and g) and of what arrives at it, and of what the paper calls astrocyte (W_astro, g, P)."
    )
    return f"{told}\n\n{table(head, rows)}"


def _range(values: Sequence[int]) -> str:
    least, most = min(values), max(values)
    return str(least) if least == most else f"{least} to {most}"


def about_programs(networks: Mapping[str, Results], digits: int) -> str:
    """Bit-exactness, the two ways to a Program, and what the NIR file says of itself."""
    rows = []
    for name, runs in networks.items():
        same = sum(each["same_program"] for each in runs)
        cores = ", ".join(sorted({each["core"] for each in runs}))
        rows.append(
            (name, agreement([each["compared"] for each in runs]), f"{same} of {len(runs)} seeds", cores)
        )
    told = (
        f"Engines against the oracle, {digits} test digits a network and seed; whether the Program from the NIR file "
        "is byte for byte that from the checkpoint, but for its recipe; what the NIR file is marked as."
    )
    head = ["network", "against the oracle", "same Program", "NIR file"]
    return f"{told}\n\n{table(head, rows)}"


# ---- the figure --------------------------------------------------------------------------------------


def figure_of(arms: Mapping[str, Results]) -> Figure:
    """Validation accuracy against epochs, with bands over seeds."""
    figure = Figure((8.5, 3.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, suffix in zip(axes, ("", POSITIONS), strict=True):
        for i, name in enumerate(SHOWN):
            curves = 100 * np.array([each["curve"] for each in arms[name + suffix]])
            epochs, mean = np.arange(1, curves.shape[1] + 1), curves.mean(0)
            width = np.array([deviation(each) for each in curves.T])
            axis.plot(epochs, mean, color=f"C{i}", label=name)
            axis.fill_between(epochs, mean - width, mean + width, color=f"C{i}", alpha=0.2, lw=0)
        for level in LEVELS:
            axis.axhline(100 * level, color="black", lw=0.7, ls=":")
        axis.set(xlabel="epoch", title="positions in the input" if suffix else "no positions in the input")
    axes[0].set(ylabel="validation digits recognised (%)", ylim=(40, 100))
    axes[1].legend(loc="lower right", fontsize="small")
    return figure
