"""The reduced compartment on the chip: as a torch module, compiled, run on the same spikes, and its cost."""

import tempfile
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model import STEP, SYNAPSES, WINDOW, Recording, window_seconds
from reduced import SlowUnit

import astrodeploy as ad
from astrodeploy.nn import Astrocyte

DT = STEP / 1000  # seconds
VERIFIED = 5  # windows


class Compartment(torch.nn.Module):
    """One step: (spikes of the trains (batch, 10), state) -> (f(a) at a window's end, else 0; (batch, 1), state)."""

    def __init__(self, unit: SlowUnit) -> None:
        super().__init__()
        self.pool = torch.nn.Linear(SYNAPSES, 1, bias=False)
        torch.nn.init.ones_(self.pool.weight)
        self.astrocyte = Astrocyte(
            1,
            period=unit.period,
            decay=unit.decay,
            drive=unit.drive,
            offset=unit.offset,
            output=unit.output,
            exponent=unit.exponent,
            slow=True,
        )

    def forward(self, spikes: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """One step of the compartment."""
        message, state = self.astrocyte(self.pool(spikes), state)
        return message, state


def spikes_of(arrived: np.ndarray) -> np.ndarray:
    """Trains (models, steps, 10) with so many spikes in each window, at its start, and a last empty step.

    When in its window a spike comes makes no difference to the compartment.
    """
    places = WINDOW * SYNAPSES
    if arrived.max() > places:
        raise ValueError(f"a window has places for {places} spikes, not for {arrived.max()}")
    trains = np.arange(places) < arrived.T[..., None]
    return np.pad(trains.reshape(arrived.shape[1], -1, SYNAPSES), ((0, 0), (0, 1), (0, 0))).astype(np.float32)


def on_chip(unit: SlowUnit, test: Recording, calibration: np.ndarray) -> dict[str, Any]:
    """What the chip makes of it: error against the compartment in float, the engines, the cost.

    test         a recording, or some models of one
    calibration  presynaptic spikes of others, (windows, models)
    """
    program, identical = _compiled(unit, spikes_of(calibration))
    x = spikes_of(test.arrived)
    trace = program.run(x)
    found = ad.verify(program, x[:1, : VERIFIED * WINDOW + 1], engines=("oracle", "fast", "lava"))
    cost, seconds = ad.estimate(program, trace), len(test.arrived) * window_seconds()
    apart = calcium_of(program, trace, unit) - unit.calcium(test.arrived)
    return {
        "rms": float(np.sqrt((apart**2).mean()) / np.ptp(test.calcium)),
        "identical": identical,
        "differing": {each.right: each.differing for each in found.comparisons},
        "compared": {each.right: each.spikes + each.states for each in found.comparisons},
        "not_run": dict(found.not_run),
        "cores": cost.cores,
        "operations": [each / seconds for each in astuple(cost.parts["operations"])],
        "energy": [each / seconds for each in astuple(cost.energy_joules)],
        "latency": [each / seconds for each in astuple(cost.latency_seconds)],
        "share": cost.astrocyte_share,
    }


def calcium_of(program: ad.Program, trace: ad.Trace, unit: SlowUnit) -> np.ndarray:
    """Calcium that the chip's messages mean, (windows, models), uM."""
    population = program.network["astrocyte"]
    units: dict[str, float] = getattr(population.node, "units", {})
    sent = np.asarray(trace.spikes["astrocyte"][:, WINDOW - 1 + population.depth :: WINDOW, 0].T)
    return np.asarray(unit.scale * sent / units["message"])


def _compiled(unit: SlowUnit, calibration: np.ndarray) -> tuple[ad.Program, bool]:
    """The Program from a checkpoint, and whether that from NIR is the same, byte for byte."""
    with tempfile.TemporaryDirectory() as folder:
        model, exported = Path(folder) / "model.pt", Path(folder) / "model.nir"
        ad.save(Compartment(unit), model, dt=DT, input_shape=(SYNAPSES,))
        ad.export(model, exported, sample=calibration[:1, : 2 * WINDOW])
        programs = [ad.compile(file, target="loihi2", calibrate=calibration) for file in (model, exported)]
        saved = [each.save(Path(folder) / name) for each, name in zip(programs, "ab", strict=True)]
        files = [{file.name: file.read_bytes() for file in each.iterdir()} for each in saved]
    return programs[0], files[0] == files[1]
