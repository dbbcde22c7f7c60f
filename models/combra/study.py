"""What the astrocyte does, measured: its bursts, its answer to spikes, what it costs; every engine alike."""

from dataclasses import asdict
from typing import Any

import numpy as np
from common import agreement, compared, levels, mean_and_deviation, seeds, table, typical
from matplotlib.figure import Figure
from model import (
    BURST_STEPS,
    DT,
    GENERATORS,
    INTEGRATOR,
    SIC_DECAY,
    SIC_WEIGHT,
    Burst,
    all_bursts,
    astrocyte,
    grid,
    measured,
    tuned,
)
from train import poisson

import astrodeploy as ad

Result = dict[str, Any]
SECONDS, TRIALS = 30, 8
PROTOCOLS = {  # inputs and their rate in Hz -> seconds from one IP3 event to the next in an emulation before this one
    (20, 10): None,
    (20, 20): 6.3,
    (100, 20): 0.8,
}
EMULATED_SPIKES = 31  # of the spike generator in an event, there
VERIFIED_STEPS = 1500
SHOWN_STEPS, EVERY = 3000, 5  # of the figure
WANTED = ((50, 250), (100, 400), (200, 400), (300, 600))  # rates in Hz and windows in ms


def measure(seed: int) -> Result:
    """Everything of one seed; only the input's spikes depend on it."""
    rng = np.random.default_rng(seed)
    found = [_protocol(rng, inputs, rate) for inputs, rate in PROTOCOLS]
    return {
        "seed": seed,
        "table": _table(),
        "tuned": [[*wanted, asdict(tuned(*wanted))] for wanted in WANTED],
        "protocols": found,
        "engines": _engines(rng),
        "trace": _shown(rng),
    }


# ---- bursts ------------------------------------------------------------------------------------------


def _table() -> Result:
    """The whole grid on the fast engine against plain arithmetic."""
    expected = emulated(*grid())
    found = all_bursts()
    default = next(each for each in found if (each.weight, each.decay) == (SIC_WEIGHT, SIC_DECAY))
    firing = [each for each in found if each.rate]
    return {
        "rows": len(found),
        "equal": sum(a == b for a, b in zip(found, expected, strict=True)),
        "silent": len(found) - len(firing),
        "most": [max(each.rate for each in firing), max(each.window for each in firing)],
        "default": asdict(default),
    }


def emulated(weights: np.ndarray, decays: np.ndarray) -> list[Burst]:
    """The bursts without the compiler: two compartments in numpy."""
    u, child, parent = (np.zeros(len(weights), np.int64) for _ in range(3))
    spikes = np.zeros((BURST_STEPS, len(weights)), np.uint8)
    for step in range(BURST_STEPS):
        u = _decayed(u, decays) + (weights << 6) * (step == 0)
        child = _decayed(child, GENERATORS["dv1"]) + u
        parent = _decayed(parent, GENERATORS["dv2"]) + np.maximum(child, 0)
        spikes[step] = parent > GENERATORS["threshold"] << 6
        parent = np.where(spikes[step], 0, parent)
    found = map(measured, spikes.T)
    return [Burst(int(w), int(d), *each) for w, d, each in zip(weights, decays, found, strict=True)]


def _decayed(x: np.ndarray, factor: np.ndarray | int) -> np.ndarray:
    return np.sign(x) * (np.abs(x) * (4096 - factor) >> 12)


# ---- answers to spikes ---------------------------------------------------------------------------------


def _protocol(rng: np.random.Generator, inputs: int, rate: float) -> Result:
    """Poisson trains of `SECONDS` on the fast engine, and what a second of them costs on loihi1."""
    program = ad.compile(astrocyte(inputs), "loihi1")
    x = poisson(rng, TRIALS, round(SECONDS / DT), inputs, rate)
    trace = program.run(x)
    count = {name: int(trace.spikes[name].sum()) for name in ("receiver", "ip3", "sic")}
    cost = ad.estimate(program, trace)
    return {
        "inputs": inputs,
        "rate": rate,
        "seconds": SECONDS * TRIALS,
        **count,
        "spikes_per_event": _per_event(trace.spikes["ip3"][:, :, 0], trace.spikes["sic"][:, :, 0]),
        "cores": cost.cores,
        "compartments": program.cores[0].loads["compartments"],
        "operations_joules": levels(cost.parts["operations"], 1 / SECONDS),
        "energy_joules": levels(cost.energy_joules, 1 / SECONDS),
        "latency_seconds": levels(cost.latency_seconds, 1 / SECONDS),
    }


def _per_event(events: np.ndarray, spikes: np.ndarray) -> float | None:
    """The median of the spikes from one IP3 event to the next, or to the end of its trial."""
    found = []
    for event, spike in zip(events, spikes, strict=True):
        starts = np.flatnonzero(event)
        found += np.diff(np.searchsorted(np.flatnonzero(spike), [*starts, len(spike)])).tolist()
    return float(np.median(found)) if found else None


def _engines(rng: np.random.Generator) -> Result:
    """fast, oracle and Lava on the same trains, every message and state."""
    return compared(ad.compile(astrocyte(100), "loihi1"), poisson(rng, 1, VERIFIED_STEPS, 100, 20))


def _shown(rng: np.random.Generator) -> Result:
    """Membranes and spikes over time, for the figure; membranes in mantissas, that is, without the 6 bits."""
    program = ad.compile(astrocyte(100), "loihi1")
    trace = program.run(poisson(rng, 1, SHOWN_STEPS, 100, 20), probes=("ip3.v", "sic.v1", "sic.v2"))
    states = {
        ".".join(key): (array[0, :SHOWN_STEPS:EVERY, 0] >> 6).tolist() for key, array in trace.states.items()
    }
    spikes = {name: np.flatnonzero(trace.spikes[name][0]).tolist() for name in ("ip3", "sic")}
    return {"states": states, "spikes": spikes}


# ---- presentation --------------------------------------------------------------------------------------


def present(results: list[Result]) -> tuple[str, Figure | None]:
    """The tables, and the figure of the first seed."""
    parts = [_about_bursts(results), _about_answers(results), _about_costs(results), _about_engines(results)]
    return "\n\n".join(parts) + "\n", _figure(results[0]["trace"])


def _about_bursts(results: list[Result]) -> str:
    found = results[0]["table"]
    rate, window = found["most"]
    rows = [
        (
            f"{rate} Hz, {window} ms",
            f"{got['weight']}, {got['decay']}",
            f"{got['rate']} Hz, {got['window']} ms",
        )
        for rate, window, got in results[0]["tuned"]
    ]
    return (
        f"Bursts: of the grid's {found['rows']} rows, {found['equal']} are the same on the fast engine as in numpy; "
        f"{found['silent']} do not fire, the others reach up to {rate} Hz, and last up to {window} ms. "
        f"With the weight {found['default']['weight']} and the decay {found['default']['decay']} that are the "
        f"defaults: {found['default']['rate']} Hz, {found['default']['window']} ms.\n\n"
        + table(("wanted", "weight, current decay", "the burst that they make"), rows)
    )


def _about_answers(results: list[Result]) -> str:
    rows = []
    for i, ((inputs, rate), emulated) in enumerate(PROTOCOLS.items()):
        runs = [each["protocols"][i] for each in results]
        between = [r["seconds"] / r["ip3"] for r in runs if r["ip3"]]
        spikes = [r["spikes_per_event"] for r in runs if r["ip3"]]
        rows.append(
            (
                f"{inputs} inputs at {rate} Hz",
                f"{mean_and_deviation([r['receiver'] / r['seconds'] for r in runs], '.4g')} Hz",
                f"none in {SECONDS} s" if emulated is None else f"{emulated} s, {EMULATED_SPIKES} spikes",
                sum(r["ip3"] for r in runs),
                f"{mean_and_deviation(between, '.3g')} s" if between else "-",
                f"{mean_and_deviation(spikes, '.3g')} spikes" if spikes else "-",
            )
        )
    head = ("Poisson input", "receiver", "emulated: IP3 event in", "events here", "one in", "of each, median")
    told = f"{TRIALS} trials of {SECONDS} s a seed; {seeds(results)}."
    return f"{told}\n\n" + table(head, rows)


def _about_costs(results: list[Result]) -> str:
    rows = []
    for i, (inputs, rate) in enumerate(PROTOCOLS):
        runs = [each["protocols"][i] for each in results]
        rows.append(
            (
                f"{inputs} inputs at {rate} Hz",
                f"{runs[0]['compartments']} on {runs[0]['cores']} core{'s' * (runs[0]['cores'] > 1)}",
                typical([r["operations_joules"] for r in runs], "µJ", 1e6),
                typical([r["energy_joules"] for r in runs], "µJ", 1e6),
                typical([r["latency_seconds"] for r in runs], "ms", 1e3),
            )
        )
    head = ("input", "compartments", "operations", "energy in all", "time")
    told = "A second of operation (1000 steps) on loihi1, as fast as the chip goes; typical (low to high)."
    return f"{told}\n\n" + table(head, rows)


def _about_engines(results: list[Result]) -> str:
    told = agreement([each["engines"] for each in results])
    return f"Against the oracle, {VERIFIED_STEPS} steps of 100 inputs at 20 Hz a seed: {told}."


def _figure(trace: Result) -> Figure:
    figure = Figure((7.5, 5.5), layout="constrained")
    top, middle, bottom = figure.subplots(3, sharex=True, height_ratios=(2, 2, 1.2))
    time = np.arange(0, SHOWN_STEPS, EVERY) * DT
    top.plot(time, trace["states"]["ip3.v"], color="tab:blue")
    top.axhline(INTEGRATOR["threshold"], color="black", lw=0.8, ls="--")
    top.set(ylabel="IP3 integrator, v", title="100 inputs at 20 Hz")
    middle.plot(time, trace["states"]["sic.v1"], color="tab:orange", label="SIC generator, v")
    middle.plot(time, trace["states"]["sic.v2"], color="tab:green", lw=0.6, label="spike generator, v")
    middle.axhline(GENERATORS["threshold"], color="black", lw=0.8, ls="--")
    middle.legend(loc="upper left", fontsize="small")
    middle.set(ylabel="mantissa")
    events = [np.array(trace["spikes"][name]) * DT for name in ("sic", "ip3")]
    bottom.eventplot(events, colors=["tab:green", "tab:blue"], linewidths=0.7)
    bottom.set(yticks=[0, 1], yticklabels=["spike generator", "IP3 event"], xlabel="time (s)")
    return figure
