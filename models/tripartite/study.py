"""Fig. 3's curve, its exponent, and the reduced compartment: measured for a seed, and shown over seeds."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from chip import on_chip
from matplotlib.figure import Figure
from model import ASTROCYTE_STEP, VARIANTS, Recording, simulate, window_seconds
from reduced import SlowUnit, fit, staircases
from tables import picture, tables

RATES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)  # Hz
ROUND = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50)  # those that the exponent is fitted to
WAYS = {  # to choose rates from 1 to 50 Hz
    "round rates": ROUND,
    "evenly on the log axis": tuple(np.geomspace(1, 50, 24)),
    "every 1 Hz": tuple(range(1, 51)),
}
ABOVE = "round rates, above rest"
HOLDS, WINDOWS = 8, 100  # a rate is held for 100 windows of 0.256 s
LAST = 100.0  # seconds that a mean is taken over
OSCILLATION = 50  # windows: 12.8 s, a period of calcium's own oscillation or more
REDUCED = ("DSE", "no feedback", "DSE and eSP")  # what the compartment is fitted to
ON_CHIP = ("power", "tanh")  # of DSE
OUTPUTS = ("power", "power 1/4", "log2", "sigmoid", "tanh", "identity", "exp2")
STAIRCASES = 8  # to fit to, and as many others to test on


def measure(seed: int) -> dict[str, Any]:
    """Everything of one seed: one Brian2 run of all rates, variants and staircases, and the fits to it."""
    torch.set_num_threads(1)
    rates, variants = models_of(seed)
    recording = simulate(rates, variants, seed, WINDOWS)
    steady = {name: recording.models(k * len(RATES), len(RATES)) for k, name in enumerate(VARIANTS)}
    return {
        "seed": seed,
        "rates": list(RATES),
        "order": {"variants": list(VARIANTS), "ways": [*WAYS, ABOVE], "reduced": REDUCED, "outputs": OUTPUTS},
        "curves": {name: _curve(each) for name, each in steady.items()},
        "halved": _halved(recording, rates, variants, seed),
        "units": {name: _units(recording, steady[name], name) for name in REDUCED},
        "chip": _chip(recording, steady["DSE"].arrived[:, -1]),
    }


def models_of(seed: int) -> tuple[np.ndarray, list[str]]:
    """The rates (holds, models) and variants: constant rates of each variant, then staircases of some."""
    stairs = staircases(seed, HOLDS, 2 * STAIRCASES)
    constant = np.tile(np.array(RATES, float), (HOLDS, len(VARIANTS)))
    rates = np.concatenate([constant] + [stairs] * len(REDUCED), 1)
    variants = list(np.repeat(list(VARIANTS), len(RATES))) + list(np.repeat(REDUCED, 2 * STAIRCASES))
    return rates, [str(each) for each in variants]


def stairs_of(recording: Recording, variant: str) -> tuple[Recording, Recording]:
    """A variant's staircases: those to fit to, and those to test on."""
    first = len(VARIANTS) * len(RATES) + 2 * STAIRCASES * REDUCED.index(variant)
    return recording.models(first, STAIRCASES), recording.models(first + STAIRCASES, STAIRCASES)


# ---- the full model --------------------------------------------------------------------------------------


def _curve(recording: Recording) -> dict[str, Any]:
    """Mean calcium at each rate, its standard deviation over time, how far it drifts, the exponents, the jump."""
    mean, last = recording.mean(LAST), recording.calcium[-round(LAST / window_seconds()) :]
    half = len(last) // 2
    k = int(np.argmax(np.diff(np.log(mean[1:])) / np.diff(np.log(RATES[1:])))) + 1
    spectrum = abs(np.fft.rfft(last[:, -1] - last[:, -1].mean(), 8 * len(last)))  # at the highest rate
    return {
        "mean": mean.tolist(),
        "swing": last.std(0).tolist(),
        "period": float(8 * len(last) * window_seconds() / spectrum.argmax()),
        "drift": float(abs(last[half:].mean(0) - last[:half].mean(0)).max()),
        "exponents": _exponents(mean),
        "jump": [RATES[k], RATES[k + 1], float(mean[k]), float(mean[k + 1])],
    }


def _exponents(curve: np.ndarray) -> dict[str, list[float]]:
    """Slope and R2 of log calcium against log rate, for each way; and of round rates' calcium above that at rest."""
    log_rates, found = np.log(RATES[1:]), {}
    for name, way in WAYS.items():
        found[name] = _slope(np.log(way), np.interp(np.log(way), log_rates, np.log(curve[1:])))
    above = [c - curve[0] for r, c in zip(RATES, curve, strict=True) if r in ROUND]
    return found | {ABOVE: _slope(np.log(ROUND), np.log(above))}


def _slope(x: np.ndarray, y: np.ndarray) -> list[float]:
    return [float(np.polyfit(x, y, 1)[0]), float(np.corrcoef(x, y)[0, 1] ** 2)]


def _halved(
    recording: Recording, rates: np.ndarray, variants: list[str], seed: int
) -> dict[str, list[float]]:
    """With half the astrocyte's step and the same spikes: by how much calcium changes at most, of its range.

    That of the median of a variant's models, and of the worst.
    """
    finer = simulate(rates[:2], variants, seed, WINDOWS, ASTROCYTE_STEP / 2)
    apart = abs(finer.calcium - recording.calcium[: len(finer.calcium)]).max(0)
    found = {}
    for name in VARIANTS:
        own = np.array([each == name for each in variants])
        shares = apart[own] / np.ptp(recording.mean(LAST)[own])
        found[name] = [float(np.median(shares)), float(shares.max())]
    return found


# ---- the reduced compartment -------------------------------------------------------------------------------


def _units(recording: Recording, steady: Recording, variant: str) -> dict[str, Any]:
    """The compartment with each output function, and what the figure shows of it."""
    fitted, test = stairs_of(recording, variant)
    found = {name: _reduced(name, fitted, test, steady) for name in OUTPUTS}
    unit = SlowUnit(**found["power"]["unit"])
    shown = {"full": test.calcium[:, 0], "power": unit.calcium(test.arrived)[:, 0]}
    return {"outputs": found, "shown": {name: np.round(each, 4).tolist() for name, each in shown.items()}}


def _reduced(name: str, fitted: Recording, test: Recording, steady: Recording) -> dict[str, Any]:
    """A compartment fitted to staircases; its errors on others and at constant rates, % of calcium's range.

    The range is that of the mean over 1 to 50 Hz. "slow" is the error of both's means over an oscillation.
    """
    output, exponent = ("power", 0.25) if name == "power 1/4" else (name, None)
    unit = fit(fitted, output, WINDOWS, exponent)
    full = steady.mean(LAST)[1:]
    reduced = Recording(unit.calcium(steady.arrived), steady.arrived).mean(LAST)[1:]
    percent = 100 / np.ptp(full)
    trace = (unit.calcium(test.arrived) - test.calcium)[WINDOWS:] * percent
    errors = {"steady": (reduced - full) * percent, "trace": trace, "slow": moving_mean(trace, OSCILLATION)}
    return {
        "unit": asdict(unit),
        "seconds": unit.seconds,
        "at rates": reduced.tolist(),
        "rms": {what: float(np.sqrt((each**2).mean())) for what, each in errors.items()},
        "most": {what: float(abs(each).max()) for what, each in errors.items()},
    }


def moving_mean(x: np.ndarray, windows: int) -> np.ndarray:
    """Means over so many windows, one fewer row for each but the first of them."""
    sums = np.cumsum(np.pad(x, ((1, 0), (0, 0))), 0)
    return np.asarray(sums[windows:] - sums[:-windows]) / windows


def _chip(recording: Recording, highest: np.ndarray) -> dict[str, Any]:
    """Compartments of DSE on the chip, calibrated with spikes that they were fitted to, and with the highest rate."""
    fitted, test = stairs_of(recording, "DSE")
    calibration = np.column_stack([fitted.arrived[:, :3], highest])
    return {name: on_chip(fit(fitted, name, WINDOWS), test.models(0, 2), calibration) for name in ON_CHIP}


def present(results: list[dict[str, Any]]) -> tuple[str, Figure]:
    """The tables, over seeds, and the figure."""
    return tables(results), picture(results)
