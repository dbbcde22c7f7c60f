"""What was measured of AM-SNet, as tables and a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

Result = dict[str, Any]
NAMES = {"amsnet": "AM-SNet", "plain": "the same without astrocytes", "gru": "GRU"}


def present(results: list[Result]) -> tuple[str, Figure | None]:
    """The tables, and the figure: bits per character, and what a token costs as the text grows."""
    parts = [_about_bits, _about_chip, _about_cost, _about_growth, _about_claims]
    return "\n\n".join(part(results) for part in parts) + "\n", _figure(results)


def _about_bits(results: list[Result]) -> str:
    first = results[0]
    rows = [
        (f"counting, {order} characters before", "-", f"{each:.3f}", "-")
        for order, each in enumerate(first["counted"])
    ]
    for name, title in NAMES.items():
        runs = [each["networks"][name] for each in results]
        seconds = f"{np.mean([run['seconds'] for run in runs]):.0f} s"
        rows.append((title, runs[0]["parameters"], _spread([run["bits"] for run in runs]), seconds))
    short = {key: _spread([each["rotary"][key] for each in results]) for key in ("False", "True")}
    train, test = first["characters"]
    steps, few = first["settings"]["steps"], first["settings"]["short"]
    return (
        f"Bits per character of the text held back, in float: {_seeds(results)}, {steps} steps of training each. "
        f"The text is that of CPython {first['python']}: {train} characters to train on, {test} held back.\n\n"
        + _markdown(("what predicts", "parameters", "bits per character", "CPU time of training"), rows)
        + f"\n\nRotary positions, in trainings of {few} steps: {short['False']} bits without, {short['True']} with."
    )


def _about_chip(results: list[Result]) -> str:
    rows, said = [], results[0]["settings"]
    for name in ("amsnet", "plain"):
        runs = [each["chip"][name] for each in results]
        change = [100 * (run["chip"] / run["float"] - 1) for run in runs]
        rows.append(
            (
                NAMES[name],
                _spread([run["float"] for run in runs]),
                _spread([run["chip"] for run in runs]),
                f"{min(change):+.2f} to {max(change):+.2f} %",
                f"{np.mean([run['same'] for run in runs]):.1%}",
                f"{np.mean([run['error'] for run in runs]):.3f}",
                f"{np.mean([run['spikes']['differing'] / run['spikes']['rate'] for run in runs]):.1%}",
            )
        )
    head = (
        "network",
        "float",
        "chip",
        "chip against float",
        "same guess",
        "logits off by, rms / sd",
        "spikes that differ, of those sent",
    )
    told = (
        f"Bits per character on loihi2's arithmetic (engine fast), {said['test']} windows of {said['crop']} characters "
        "held back, each from rest, beside float on the same windows:\n\n"
    )
    return told + _markdown(head, rows) + "\n\n" + _about_equality(results)


def _about_equality(results: list[Result]) -> str:
    engines = [each["chip"]["amsnet"]["engines"] for each in results]
    told = []
    for name in ("fast", "lava"):
        ran = [each[name] for each in engines if name in each]
        messages, states, wrong = (
            sum(each[key] for each in ran) for key in ("messages", "states", "differing")
        )
        told.append(
            f"{name} {wrong} of {messages} messages and {states} states ({len(ran)} of {len(results)} seeds)"
        )
    files = [each["chip"]["amsnet"]["files"] for each in results]
    same, cores = sum(each["identical"] for each in files), sorted({each["core"] for each in files})
    law, logit = (max(each["law"][key] for each in results) for key in ("largest", "logit"))
    graph = max(each["chip"]["amsnet"]["graph"] for each in results)
    said = results[0]["settings"]
    return (
        f"Differing from the oracle on the first {said['verified']} characters of held-back text: {'; '.join(told)}. "
        "From `model.pt` and from its NIR file the same Program (on the fewest cores), byte for byte: "
        f"{same} of {len(results)} seeds; the NIR file says of its core: {', '.join(cores)}. Step by step and in "
        f"parallel, float32, trained network, {said['law']} characters: logits differ by at most {law:.1g}, where the "
        f"largest is {logit:.3g}. The float Graph's logits and the module's in float64 differ by at most {graph:.1g}."
    )


def _about_cost(results: list[Result]) -> str:
    rows = []
    for name in ("amsnet", "plain"):
        runs = [each["chip"][name] for each in results]
        costs = [run["cost"] for run in runs]
        depth = runs[0]["depth"]
        rows.append(
            (
                NAMES[name],
                costs[0]["compartments"],
                _spread([cost["cores"] for cost in costs], 0),
                _levels([cost["joules"] for cost in costs], 1e6, "µJ"),
                _levels([cost["operations"] for cost in costs], 1e6, "µJ"),
                _levels([cost["step"] for cost in costs], 1e6, "µs"),
                _levels([cost["step"] for cost in costs], 1e6 * depth, "µs"),
                f"{np.mean([cost['astrocytes'] for cost in costs]):.0%}",
            )
        )
    head = (
        "network",
        "compartments",
        "cores",
        "energy a character",
        "of it operations",
        "a step: a character read",
        "all layers: a character written",
        "astrocytes' share of the operations",
    )
    told = "On loihi2, typical (low to high), cores packed for the fastest step:\n\n"
    return told + _markdown(head, rows)


def _about_growth(results: list[Result]) -> str:
    rows = []
    for i, each in enumerate(results[0]["growth"]):
        runs = [result["growth"][i] for result in results]
        cells = [str(each["length"])]
        for key, unit in (("kept", "kB"), ("allocated", "kB"), ("microseconds", "µs")):
            for which in ("unit", "softmax"):
                value = np.mean([run[which][key] for run in runs]) / (1 if unit == "µs" else 1000)
                cells.append(f"{value:.4g} {unit}")
        rows.append(tuple(cells))
    head = (
        "tokens so far",
        "kept: unit",
        "kept: softmax",
        "made in a step: unit",
        "made in a step: softmax",
        "time of a step: unit",
        "time of a step: softmax",
    )
    told = (
        "One unit of the trained network beside one layer of causal softmax attention of its width and heads with a "
        "cache of keys and values, a token a step, torch on this machine's CPU, one thread, float32:\n\n"
    )
    return told + _markdown(head, rows)


def _about_claims(results: list[Result]) -> str:
    found = _spread([each["networks"]["amsnet"]["bits"] for each in results])
    last = [each["growth"][-1] for each in results]
    kept, time = (
        np.mean([each["softmax"][key] / each["unit"][key] for each in last])
        for key in ("kept", "microseconds")
    )
    ratios = f"softmax / a unit at {last[0]['length']} tokens: {kept:.0f} times the memory, {time:.2g} times the time"
    rows = [
        (
            "0.994 bits per character, enwik8",
            f"{found}, the text above",
            "not comparable: another text and alphabet, and a network and a training smaller by orders of magnitude",
        ),
        ("perplexity 27.56, WikiText-103", "not measured", "words; the corpus is not at hand"),
        (
            "PIQA 68.4, SciQ 78.7 with 1.5 billion parameters",
            "not measured",
            "takes pre-training on The Pile",
        ),
        (
            "2 to 3 times lower latency and memory than transformers",
            ratios,
            "one layer each; the ratio grows with the length, and at short lengths softmax is the faster",
        ),
    ]
    return "Claimed beside measured:\n\n" + _markdown(("claimed", "measured", "why they differ"), rows)


def _seeds(results: list[Result]) -> str:
    return f"{len(results)} seed{'s' * (len(results) > 1)}, mean ± standard deviation"


def _spread(values: list[float], digits: int = 3) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def _levels(spans: list[list[float]], scale: float, unit: str) -> str:
    low, typical, high = np.mean(spans, 0) * scale
    return f"{typical:.3g} {unit} ({low:.3g} to {high:.3g})"


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    lines: list[tuple[object, ...]] = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _figure(results: list[Result]) -> Figure:
    figure = Figure((10, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    _draw_bits(left, results)
    lengths = [each["length"] for each in results[0]["growth"]]
    for axes, key, scale, label in (
        (middle, "kept", 1e-3, "kept for the next token, kB"),
        (right, "microseconds", 1.0, "time of a token, µs"),
    ):
        for which, title in (("unit", "AM-SU"), ("softmax", "softmax attention")):
            values = np.array([[each[which][key] for each in result["growth"]] for result in results]) * scale
            axes.plot(lengths, values.mean(0), "o-", ms=3, label=title)
            axes.fill_between(lengths, values.min(0), values.max(0), alpha=0.2)
        axes.set(xscale="log", xlabel="tokens so far", ylabel=label)
        axes.set_xticks(lengths[::2], [str(each) for each in lengths[::2]])
        axes.xaxis.set_minor_locator(NullLocator())
    middle.set(yscale="log")
    right.set(ylim=(0, None))
    middle.legend(fontsize="small", loc="upper left")
    return figure


def _draw_bits(axes: Any, results: list[Result]) -> None:
    """Bits per character as bars: all held-back windows in float, and the chip's windows in both."""
    bars = {
        f"{NAMES[name]}, float": [each["networks"][name]["bits"] for each in results]
        for name in reversed(NAMES)
    }
    bars |= {
        f"AM-SNet, {where}, {results[0]['settings']['test']} windows": [
            each["chip"]["amsnet"][where] for each in results
        ]
        for where in ("float", "chip")
    }
    colours = ["tab:gray", "tab:olive", "tab:blue", "tab:cyan", "tab:green"]
    values = list(bars.values())
    axes.barh(list(bars), [np.mean(v) for v in values], xerr=[np.std(v) for v in values], color=colours)
    axes.set(xlabel="bits per character")
    axes.tick_params(axis="y", labelsize="small")
