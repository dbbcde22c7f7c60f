"""Fig. 3's curve, its exponent, and the reduced compartment: measured for a seed, and shown over seeds."""

from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from model import ASTROCYTE_STEP, VARIANTS, Recording, simulate
from reduced import SlowUnit, fit

RATES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)  # Hz
ROUND = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)  # those that the exponent is fitted to
HOLDS, WINDOWS = 8, 100  # a rate is held for 100 windows of 0.256 s
LAST = 100.0  # seconds that a mean is taken over
REDUCED = ("DSE", "no feedback", "DSE and eSP")  # what the compartment is fitted to
OUTPUTS = ("power", "power 1/4", "log2", "sigmoid", "tanh", "identity", "exp2")
STAIRCASES = 4  # to fit to, and as many others to test on


def measure(seed: int) -> dict[str, Any]:
    """Everything of one seed: one Brian2 run of all rates, variants and staircases, and the fits to it."""
    rates, variants = _models(seed)
    recording = simulate(rates, variants, seed, WINDOWS)
    names, constant = list(VARIANTS), len(VARIANTS) * len(RATES)
    means = recording.mean(LAST)[:constant].reshape(len(names), -1)
    half = round(len(recording.calcium) / 4)
    drift = recording.calcium[-half:, :constant].mean(0) - recording.calcium[-2 * half : -half, :constant].mean(0)
    result: dict[str, Any] = {
        "rates": list(RATES),
        "curves": {name: row.tolist() for name, row in zip(names, means, strict=True)},
        "drift": {n: float(abs(d).max()) for n, d in zip(names, drift.reshape(means.shape), strict=True)},
        "exponents": {name: _exponents(row) for name, row in zip(names, means, strict=True)},
        "halved": _halved(recording, rates, variants, seed),
        "units": {},
    }
    for k, name in enumerate(REDUCED):
        steady = _part(recording, names.index(name) * len(RATES), len(RATES))
        first = constant + 2 * STAIRCASES * k
        stairs, test = (_part(recording, first + j * STAIRCASES, STAIRCASES) for j in (0, 1))
        result["units"][name] = {each: _reduce(each, stairs, test, steady) for each in OUTPUTS}
        best = SlowUnit(**result["units"][name]["power"]["unit"])
        traces = {"full": test.calcium[:, 0], "reduced": best.calcium(test.arrived)[:, 0]}
        result.setdefault("traces", {})[name] = {k: np.round(v, 4).tolist() for k, v in traces.items()}
    return result


def _models(seed: int) -> tuple[np.ndarray, list[str]]:
    """The rates (holds, models) and variants: constant rates of each variant, then staircases of some."""
    generator = np.random.default_rng([seed, 1])
    stairs = np.exp(generator.uniform(np.log(1), np.log(50), (HOLDS, 2 * STAIRCASES)))
    constant = np.tile(np.array(RATES, float), (HOLDS, len(VARIANTS)))
    rates = np.concatenate([constant] + [stairs] * len(REDUCED), 1)
    variants = list(np.repeat(list(VARIANTS), len(RATES))) + list(np.repeat(REDUCED, 2 * STAIRCASES))
    return rates, [str(each) for each in variants]


def _part(recording: Recording, first: int, models: int) -> Recording:
    chosen = slice(first, first + models)
    return Recording(recording.calcium[:, chosen], recording.arrived[:, chosen])


def _exponents(curve: np.ndarray) -> dict[str, list[float]]:
    """Slope and R2 of log calcium against log rate, for several ways to choose rates from 1 to 50 Hz."""
    log_rates, log_calcium = np.log(RATES[1:]), np.log(curve[1:])
    ways = {"round rates": ROUND, "evenly on the log axis": np.geomspace(1, 50, 24), "every 1 Hz": range(1, 51)}
    found = {}
    for name, way in ways.items():
        at = np.log(np.array(way))
        found[name] = _slope(at, np.interp(at, log_rates, log_calcium))
    above = np.array([c - curve[0] for r, c in zip(RATES, curve, strict=True) if r in ROUND])
    found["round rates, above rest"] = _slope(np.log(ROUND), np.log(above))
    return found


def _slope(x: np.ndarray, y: np.ndarray) -> list[float]:
    return [float(np.polyfit(x, y, 1)[0]), float(np.corrcoef(x, y)[0, 1] ** 2)]


def _halved(recording: Recording, rates: np.ndarray, variants: list[str], seed: int) -> dict[str, float]:
    """By how much calcium changes at most, of its range, with half the astrocyte's step and the same spikes."""
    finer = simulate(rates[:2], variants, seed, WINDOWS, ASTROCYTE_STEP / 2)
    apart = abs(finer.calcium - recording.calcium[: len(finer.calcium)]).max(0)
    found = {}
    for name in VARIANTS:
        own = np.array([each == name for each in variants])
        found[name] = float(apart[own].max() / np.ptp(recording.mean(LAST)[own]))
    return found


def _reduce(name: str, stairs: Recording, test: Recording, steady: Recording) -> dict[str, Any]:
    """A compartment fitted to staircases; its errors on others and at constant rates, % of calcium's range."""
    output, exponent = ("power", 0.25) if name == "power 1/4" else (name, None)
    found = fit(stairs, output, WINDOWS, exponent)
    full, reduced = steady.mean(LAST)[1:], Recording(found.calcium(steady.arrived), steady.arrived).mean(LAST)[1:]
    percent = 100 / np.ptp(full)
    trace = (found.calcium(test.arrived) - test.calcium)[WINDOWS:] * percent
    at_rate = (reduced - full) * percent
    return {
        "unit": asdict(found),
        "seconds": found.seconds,
        "steady rms": float(np.sqrt((at_rate**2).mean())),
        "steady max": float(abs(at_rate).max()),
        "trace rms": float(np.sqrt((trace**2).mean())),
        "trace max": float(abs(trace).max()),
    }


def present(results: list[dict[str, Any]]) -> tuple[str, Figure]:
    """The tables, over seeds, and the figure."""
    from pictures import picture
    from tables import tables

    return tables(results), picture(results)
