"""What was measured of AM-SNet, as tables and a figure."""

from typing import Any

import numpy as np
from common import agreement, deviation, mean_and_deviation, seeds, table, typical
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

Result = dict[str, Any]
NAMES = {"amsnet": "AM-SNet", "plain": "the same without astrocytes", "gru": "GRU"}
ON_CHIP = ("amsnet", "plain")


def present(results: list[Result]) -> tuple[str, Figure | None]:
    """The tables, and the figure: bits per character, and what a token costs as the text grows."""
    parts = [_about_bits, _about_chip, _about_equality, _about_cost, _about_growth, _about_claims]
    return "\n\n".join(part(results) for part in parts) + "\n", _figure(results)


# ---- tables ------------------------------------------------------------------------------------------


def _about_bits(results: list[Result]) -> str:
    first, said = results[0], results[0]["settings"]
    rows: list[tuple[object, ...]] = [
        (f"counting, {order} characters before", "-", "-", f"{each:.3f}", "-")
        for order, each in enumerate(first["counted"])
    ]
    for name, title in NAMES.items():
        runs = [each["networks"][name] for each in results]
        seconds = f"{np.mean([run['seconds'] for run in runs]):.0f} s"
        found = _bits(run["bits"] for run in runs)
        rows.append((title, runs[0]["parameters"], f"{runs[0]['rate']:g}", found, seconds))
    without, turned = (_bits(each["rotary"][key] for each in results) for key in ("False", "True"))
    read, sizes = said["windows"] * said["crop"], first["characters"]
    head = ("what predicts", "parameters", "learning rate", "bits per character", "CPU time of training")
    return (
        f"{seeds(results)}. Bits per character of the test part, in float, after {said['steps']} steps of training. "
        f"All are of the same {read} characters: the test part in {said['windows']} windows of {said['crop']}, none "
        f"overlapping, each from rest. The text is that of CPython {first['python']}: {sizes['training']} characters "
        f"to train on, {sizes['validation']} for validation, {sizes['test']} for the test.\n\n"
        + table(head, rows)
        + f"\n\nRotary positions, in trainings of {said['short']} steps, on the same characters: {without} bits "
        f"without, {turned} with."
    )


def _about_chip(results: list[Result]) -> str:
    rows, said = [], results[0]["settings"]
    for name in ON_CHIP:
        runs = [each["chip"][name] for each in results]
        change = [100 * (run["chip"] / run["float"] - 1) for run in runs]
        differing = [100 * run["spikes"]["differing"] / run["spikes"]["rate"] for run in runs]
        rows.append(
            (
                NAMES[name],
                _bits(run["float"] for run in runs),
                _bits(run["chip"] for run in runs),
                f"{np.mean(change):+.2f} ± {deviation(change):.2f} %",
                f"{mean_and_deviation([100 * run['same'] for run in runs])} %",
                _bits(run["error"] for run in runs),
                f"{mean_and_deviation(differing)} %",
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
        f"Bits per character on loihi2's arithmetic (engine fast), beside float on the same characters: {said['test']} "
        f"windows of {said['crop']}, evenly spread over the {said['windows']} above. Such a sample is easier or harder "
        "than the whole test part, so its float is another number than that above:\n\n"
    )
    return told + table(head, rows)


def _about_equality(results: list[Result]) -> str:
    chips, said = [each["chip"]["amsnet"] for each in results], results[0]["settings"]
    same = sum(each["files"]["identical"] for each in chips)
    cores = sorted({each["files"]["core"] for each in chips})
    law, logit = (max(each["law"][key] for each in results) for key in ("largest", "logit"))
    graph = max(each["graph"] for each in chips)
    return (
        f"Against the oracle, on the first {said['verified']} characters of the test part: "
        f"{agreement([each['compared'] for each in chips])}. "
        "From `model.pt` and from its NIR file the same Program (on the fewest cores), byte for byte but for its "
        "recipe: "
        f"{same} of {len(results)} seeds; the NIR file says of its core: {', '.join(cores)}. Step by step and in "
        f"parallel, float32, trained network, {said['law']} windows: logits differ by at most {law:.1g}, where the "
        f"largest is {logit:.3g}. The float Graph's logits and the module's in float64 differ by at most {graph:.1g}."
    )


def _about_cost(results: list[Result]) -> str:
    rows = []
    for name in ON_CHIP:
        depth = results[0]["chip"][name]["depth"]
        costs = [each["chip"][name]["cost"] for each in results]
        spans = {key: [cost[key] for cost in costs] for key in ("joules", "operations", "step")}
        rows.append(
            (
                NAMES[name],
                costs[0]["compartments"],
                mean_and_deviation([cost["cores"] for cost in costs], ".0f"),
                typical(spans["joules"], "µJ", 1e6),
                typical(spans["operations"], "µJ", 1e6),
                typical(spans["step"], "µs", 1e6),
                typical(spans["step"], "µs", 1e6 * depth),
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
    told = "On loihi2, typical (low to high), means over seeds, cores packed for the fastest step:\n\n"
    return told + table(head, rows)


def _about_growth(results: list[Result]) -> str:
    rows = []
    for i, each in enumerate(results[0]["growth"]):
        runs = [result["growth"][i] for result in results]
        cells = [str(each["length"])]
        for key in ("kept", "allocated"):
            for which in ("unit", "softmax"):
                cells.append(f"{np.mean([run[which][key] for run in runs]) / 1000:.4g} kB")
        for which in ("unit", "softmax"):
            cells.append(f"{mean_and_deviation([run[which]['microseconds'] for run in runs], '.0f')} µs")
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
        "cache of keys and values, a token a step, torch on this machine's CPU, one thread, float32. A time is the "
        "fastest of many steps, in the process's own CPU time, with all lengths in turn:\n\n"
    )
    times = [_times(each, "unit") for each in results]
    change = max(each.max() / each.min() - 1 for each in times)
    return (
        told
        + table(head, rows)
        + f"\n\nThe unit's time differs over the lengths by at most {change:.0%} in a seed."
    )


def _about_claims(results: list[Result]) -> str:
    found = _bits(each["networks"]["amsnet"]["bits"] for each in results)
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
        ("2 to 3 times lower latency and memory than transformers", ratios, _about_crossing(results)),
    ]
    return "Claimed beside measured:\n\n" + table(("claimed", "measured", "why they differ"), rows)


def _about_crossing(results: list[Result]) -> str:
    """From which of the lengths on softmax attention is the slower."""
    lengths = [each["length"] for each in results[0]["growth"]]
    unit, softmax = (np.mean([_times(each, which) for each in results], 0) for which in ("unit", "softmax"))
    faster = [length for length, one, other in zip(lengths, unit, softmax, strict=True) if other < one]
    told = f"up to {max(faster)} tokens softmax is the faster" if faster else "softmax is nowhere the faster"
    return f"one layer each; both ratios grow with the length; of the lengths above, {told}"


def _bits(values: Any) -> str:
    return mean_and_deviation(list(values), ".3f")


def _times(result: Result, which: str) -> np.ndarray:
    return np.array([each[which]["microseconds"] for each in result["growth"]])


# ---- figure ------------------------------------------------------------------------------------------


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
            mean, spread = values.mean(0), np.array([deviation(column) for column in values.T])
            axes.plot(lengths, mean, "o-", ms=3, label=title)
            axes.fill_between(lengths, mean - spread, mean + spread, alpha=0.2)
        axes.set(xscale="log", xlabel="tokens so far", ylabel=label)
        axes.set_xticks(lengths[::2], [str(each) for each in lengths[::2]])
        axes.xaxis.set_minor_locator(NullLocator())
    middle.set(yscale="log")
    right.set(ylim=(0, None))
    middle.legend(fontsize="small", loc="upper left")
    return figure


def _draw_bits(axes: Any, results: list[Result]) -> None:
    """Bits per character as bars: the whole test part in float, and the chip's windows in both."""
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
    axes.barh(
        list(bars),
        [np.mean(each) for each in values],
        xerr=[deviation(each) for each in values],
        color=colours,
    )
    axes.set(xlabel="bits per character")
    axes.tick_params(axis="y", labelsize="small")
