"""The reduced compartment on the chip: as a torch module, compiled, run on the same spikes, and its cost."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import compared, levels
from compartment import DT, Compartment, spikes_of
from model import SYNAPSES, WINDOW, Recording, window_seconds
from reduced import SlowUnit

import astrodeploy as ad
from astrodeploy.program import same_but_recipe

VERIFIED = 5  # windows


def on_chip(unit: SlowUnit, test: Recording, calibration: np.ndarray) -> dict[str, Any]:
    """What the chip makes of it: error against the compartment in float, the engines, the cost.

    test         a recording, or some models of one
    calibration  presynaptic spikes of others, (windows, models)
    """
    program, identical = _compiled(unit, spikes_of(calibration))
    x = spikes_of(test.arrived)
    trace = program.run(x)
    cost, seconds = ad.estimate(program, trace), len(test.arrived) * window_seconds()
    apart = calcium_of(program, trace, unit) - unit.calcium(test.arrived)
    return {
        "rms": float(np.sqrt((apart**2).mean()) / np.ptp(test.calcium)),
        "identical": identical,
        "engines": compared(program, x[:1, : VERIFIED * WINDOW]),
        "cores": cost.cores,
        "operations": levels(cost.parts["operations"], 1 / seconds),
        "energy": levels(cost.energy_joules, 1 / seconds),
        "latency": levels(cost.latency_seconds, 1 / seconds),
        "share": cost.astrocyte_share,
    }


def calcium_of(program: ad.Program, trace: ad.Trace, unit: SlowUnit) -> np.ndarray:
    """Calcium that the chip's messages mean, (windows, models), uM."""
    population = program.network["astrocyte"]
    units: dict[str, float] = getattr(population.node, "units", {})
    sent = np.asarray(trace.spikes["astrocyte"][:, WINDOW - 1 + population.depth :: WINDOW, 0].T)
    return np.asarray(unit.scale * sent / units["message"])


def _compiled(unit: SlowUnit, calibration: np.ndarray) -> tuple[ad.Program, bool]:
    """The Program from a checkpoint, and whether that from NIR is the same but for its recipe."""
    with tempfile.TemporaryDirectory() as folder:
        model, exported = Path(folder) / "model.pt", Path(folder) / "model.nir"
        ad.save(Compartment(unit), model, dt=DT, input_shape=(SYNAPSES,))
        ad.export(model, exported, sample=calibration[:1, : 2 * WINDOW])
        programs = [ad.compile(file, target="loihi2", calibrate=calibration) for file in (model, exported)]
    return programs[0], same_but_recipe(*programs)
