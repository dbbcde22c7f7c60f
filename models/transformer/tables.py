"""The study's tables, in Markdown, and its figure."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

Results = list[dict[str, Any]]
CLAIMED = {  # of the paper: accuracy on IMDB and CIFAR-10, and epochs to 85 %
    "softmax": ("88.9, 97.4", "-"),
    "linear (eqs 9, 17)": ("88.4, 96.8", "54, 215"),
    "full without W_astro": ("-", "22, 111"),
    "full (eq 11)": ("88.7, 97.0", "16, 45"),
}
CLAIMED_FASTER = {"full without W_astro": "27 %, 59 %", "linear (eqs 9, 17)": "70 %, 79 %"}
SHOWN = ("softmax", "linear (eqs 9, 17)", "full without W_astro", "full (eq 11)", "no attention")
POSITIONS = " + positions"


def about_ablation(arms: Mapping[str, Results], protocol: tuple[int, int, tuple[float, ...]]) -> str:
    """Claimed beside measured."""
    epochs, validation, rates = protocol
    rows = []
    for name in (each for each in arms if not each.endswith(POSITIONS)):
        plain, placed = arms[name], arms[name + POSITIONS]
        measured = (
            _tests(plain),
            _epochs(plain, "85%"),
            _epochs(plain, "90%"),
            _tests(placed),
            _epochs(placed, "90%"),
        )
        rows.append((name, *CLAIMED.get(name, ("-", "-")), *measured))
    head = (
        "attention",
        "claimed: IMDB, CIFAR-10, %",
        "claimed: epochs to 85 %",
        "digits, %",
        "epochs to 85 %",
    )
    head += ("to 90 %", "with positions, %", "epochs to 90 %")
    told = (
        f"Ablation, {epochs} epochs at the best of {len(rates)} rates, by {validation} validation digits; in brackets "
        "how many seeds get there at all. The last two columns have learned positions in the input."
    )
    return f"{told}\n\n" + _markdown(head, rows) + f"\n\n{_about_speed(arms)}"


def _about_speed(arms: Mapping[str, Results]) -> str:
    """The paper's claim: how many epochs fewer the full attention takes than what lacks something of it."""
    told = []
    for name, claimed in CLAIMED_FASTER.items():
        ways = [_faster(arms, name, "", "85%"), _faster(arms, name, POSITIONS, "90%")]
        text = f"{ways[0]} to 85 %, with positions in the input {ways[1]} to 90 %"
        told.append(f"than {name}: claimed {claimed} to 85 %, measured {text}")
    return f"Epochs that the full attention (eq 11) needs less, {'; '.join(told)}."


def _faster(arms: Mapping[str, Results], name: str, where: str, level: str) -> str:
    pairs = zip(arms["full (eq 11)" + where], arms[name + where], strict=True)
    epochs = [(full["epochs"][level], other["epochs"][level]) for full, other in pairs]
    both = np.array([each for each in epochs if None not in each], np.float64).reshape(-1, 2)
    if not len(both):
        return f"nothing (0 of {len(epochs)} seeds get there with both)"
    return f"{1 - both[:, 0].mean() / both[:, 1].mean():.0%} ({len(both)} of {len(epochs)} seeds)"


def _tests(runs: Results) -> str:
    return _spread([100 * each["test"] for each in runs])


def _epochs(runs: Results, level: str) -> str:
    reached = [each["epochs"][level] for each in runs if each["epochs"][level]]
    return f"{_spread(reached)} ({len(reached)}/{len(runs)})" if reached else f"never (0/{len(runs)})"


def about_chip(networks: Mapping[str, Results]) -> str:
    """Accuracy in float and in the chip's arithmetic."""
    rows = []
    for name, runs in networks.items():
        less = [100 * (each["chip"] - each["float"]) for each in runs]
        rows.append(
            (
                name,
                _spread([100 * each["float"] for each in runs]),
                _spread([100 * each["chip"] for each in runs]),
                f"{np.mean(less):+.2f} ({min(less):+.2f} to {max(less):+.2f})",
                f"{100 * np.mean([each['changed'] for each in runs]):.2f}",
            )
        )
    head = (
        "network",
        "float, %",
        "chip, %",
        "difference, points (smallest to largest)",
        "answers changed, %",
    )
    told = f"On loihi2 against the float network, {networks['astromorphic'][0]['digits']} test digits a seed:"
    return f"{told}\n\n" + _markdown(head, rows)


def about_functions(results: Results) -> str:
    """How exact the powers are, alone and in the network."""
    names = {"0.25": "x^0.25", "-1.0": "1/x", "-0.5": "x^-0.5 (layer norm)"}
    rows = []
    for exponent, name in names.items():
        worst = [max(each["functions"][exponent][span] for each in results) for span in ("to 64", "to 1000")]
        rows.append((name, *(f"{each:.2%}" for each in worst)))
    errors = [each["networks"]["astromorphic"]["errors"] for each in results]
    layers = {
        "key": "phi(k)",
        "calcium": "g phi(q)",
        "reciprocal": "1/C",
        "hebbian": "H phi(q)",
        "tokens": "L",
    }
    inside = ", ".join(f"{text} {np.mean([e[name] for e in errors]):.1%}" for name, text in layers.items())
    head = ("function", "largest relative error, 1 to 64", "1 to 1000")
    return (
        "The powers on the chip, alone:\n\n"
        + _markdown(head, rows)
        + "\n\nIn the network, root mean square of the error by that of the value, on the test digits: "
        + f"{inside}."
    )


def about_costs(networks: Mapping[str, Results], digits: int) -> str:
    """Cores, energy, latency, and the part of the astrocytes."""
    rows = []
    for name, runs in networks.items():
        mean = partial(_levels, runs)
        rows.append(
            (
                name,
                f"{runs[0]['compartments']} on {runs[0]['cores']} cores",
                runs[0]["steps"],
                mean("operations", 1e6, "µJ"),
                mean("energy", 1e6, "µJ"),
                mean("latency", 1e6, "µs"),
                f"{np.mean([each['share'] for each in runs]):.0%}",
                f"{np.mean([each['paper_share'] for each in runs]):.1%}",
            )
        )
    head = (
        "network",
        "compartments",
        "steps",
        "operations",
        "energy in all",
        "latency",
        "kept states",
        "paper's",
    )
    told = (
        f"A digit on loihi2, from {digits} test digits; typical (low to high). Shares of the operations' energy: of "
        "all that keeps a state (H and g), with its connections, and of what the paper calls astrocyte (W_astro, g, P)."
    )
    return f"{told}\n\n" + _markdown(head, rows)


def about_engines(networks: Mapping[str, Results]) -> str:
    """Bit-exactness, and the two ways to a Program."""
    runs = [each for found in networks.values() for each in found]
    told = []
    for name in ("fast", "lava"):
        ran = [each["engines"] for each in runs if name in each["engines"]["differing"]]
        messages, states, wrong = (
            sum(each[key][name] for each in ran) for key in ("messages", "states", "differing")
        )
        told.append(f"{name}: {messages} messages and {states} states, {wrong} differing ({len(ran)} runs)")
    same = sum(each["same_program"] for each in runs)
    shown = runs[0]["engines"]["digits"]
    return (
        f"Against the oracle, {shown} test digits a network and seed: {'; '.join(told)}. "
        f"The Program from the NIR file is byte for byte that from the checkpoint in {same} of {len(runs)} cases."
    )


def figure_of(arms: Mapping[str, Results]) -> Figure:
    """Validation accuracy against epochs, with bands over seeds."""
    figure = Figure((8.5, 3.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, suffix in zip(axes, ("", POSITIONS), strict=True):
        for i, name in enumerate(SHOWN):
            curves = 100 * np.array([each["curve"] for each in arms[name + suffix]])
            epochs, mean, width = np.arange(1, curves.shape[1] + 1), curves.mean(0), curves.std(0)
            axis.plot(epochs, mean, color=f"C{i}", label=name)
            axis.fill_between(epochs, mean - width, mean + width, color=f"C{i}", alpha=0.2, lw=0)
        axis.axhline(90, color="black", lw=0.7, ls=":")
        axis.set(xlabel="epoch", title="positions in the input" if suffix else "no positions in the input")
    axes[0].set(ylabel="validation digits recognised (%)", ylim=(40, 100))
    axes[1].legend(loc="lower right", fontsize="small")
    return figure


def _levels(runs: Results, key: str, scale: float, unit: str) -> str:
    low, typical, high = (float(np.mean([r[key][i] for r in runs])) * scale for i in range(3))
    return f"{typical:.3g} {unit} ({low:.3g} to {high:.3g})"


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.1f} ± {np.std(values):.1f}"


def _markdown(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
