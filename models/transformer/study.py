"""What the astromorphic transformer does, measured: its ablation, what the chip makes of it, what it costs."""

import json
from collections import defaultdict
from dataclasses import replace
from math import floor, log2
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nir
import numpy as np
import torch
from ablation import EPOCHS, RATES, VALIDATION, ablation
from common import compared, levels, seeds
from matplotlib.figure import Figure
from model import DT, HIDDEN, TOKENS, WIDTH, Parallel, Settings, deployed, steps_of
from tables import about_ablation, about_chip, about_costs, about_functions, about_programs, figure_of
from train import CALIBRATION, accuracy, digits, train

import astrodeploy as ad
from astrodeploy.arithmetic import execute
from astrodeploy.compartments.functions import LOG_BITS, power
from astrodeploy.compartments.graded import EXPONENT_BITS, SCALE, WIDE
from astrodeploy.compartments.kind import Port, Range, State
from astrodeploy.compartments.language import Neuron, compartment, saturate
from astrodeploy.nn import Astrocyte
from astrodeploy.program import same_but_recipe

Result = dict[str, Any]
NETWORKS = {
    "astromorphic": Settings(),
    "causal": replace(Settings(), causal=True),
    "no attention": replace(Settings(), attention="none"),
}
ASTROCYTES = ("astro", "calcium", "reciprocal")  # the paper's: W_astro, g, and P
VERIFIED, COSTED = 3, 50  # digits
SWEEP = 220  # steps in which a running sum goes from 1 to 1000


def measure(seed: int) -> Result:
    """Everything of one seed."""
    torch.set_num_threads(1)
    data = digits(seed)
    return {
        "seed": seed,
        "ablation": ablation(seed, data),
        "networks": {name: network(settings, seed, data) for name, settings in NETWORKS.items()},
        "functions": {str(exponent): swept(exponent) for exponent in (0.25, -1.0, -0.5)},
    }


def network(settings: Settings, seed: int, data: tuple[torch.Tensor, ...]) -> Result:
    """One network, trained as train.py does it, on the chip."""
    train_x, test_x, train_y, test_y = data
    model = train([settings], train_x, train_y, seed)
    with TemporaryDirectory() as folder:
        program, found = _compiled(model, settings, train_x.numpy()[:CALIBRATION], Path(folder))
    x, y = steps_of(test_x.numpy(), settings), test_y.numpy()
    chip, exact = program.run(x), program.run(x, engine="reference")
    cost = ad.estimate(program, x[:COSTED])
    of_astrocytes = sum(cost.by_layer[name].typical for name in ASTROCYTES if name in cost.by_layer)
    return found | {
        "float": accuracy(model, test_x, test_y)[0],
        "chip": chip.accuracy(y),
        "changed": float(np.mean(chip.predictions != exact.predictions)),
        "digits": len(y),
        "errors": _errors(program, chip, exact),
        "compared": compared(program, x[:VERIFIED]),
        "steps": x.shape[1],
        "compartments": sum(each.size for each in program.network.populations if each.name != "input"),
        "cores": cost.cores,
        "operations": levels(cost.parts["operations"]),
        "energy": levels(cost.energy_joules),
        "latency": levels(cost.latency_seconds),
        "share": cost.astrocyte_share,
        "paper_share": of_astrocytes / cost.parts["operations"].typical,
    }


def _compiled(model: Parallel, settings: Settings, x: np.ndarray, folder: Path) -> tuple[ad.Program, Result]:
    """The Program from the checkpoint; whether that from the NIR file is the same; what this says of itself."""
    shown = steps_of(x, settings)
    ad.save(deployed(model), folder / "model.pt", dt=DT, input_shape=shown.shape[2:])
    ad.export(folder / "model.pt", folder / "model.nir", sample=shown)
    programs = [ad.compile(folder / f"model.{kind}", calibrate=shown) for kind in ("pt", "nir")]
    said = json.loads(nir.read(folder / "model.nir").metadata["astrodeploy"])
    return programs[0], {"same_program": same_but_recipe(*programs), "core": said["core"]}


def _errors(program: ad.Program, chip: ad.Trace, exact: ad.Trace) -> dict[str, float]:
    """Root mean square of what a layer's messages are off, by that of the messages themselves."""
    found = {}
    for name in program.layers:
        units = getattr(program.network[name].node, "units", {})
        if "message" in units:
            off = chip.spikes[name] / units["message"] - exact.spikes[name]
            found[name] = float(np.sqrt(np.mean(off**2) / np.mean(exact.spikes[name] ** 2)))
    return found


# ---- functions on the chip -----------------------------------------------------------------------------


class Swept(torch.nn.Module):
    """A running sum of what arrives, to a power."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.sum = Astrocyte(1, decay=0.0, output="power", exponent=exponent)

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """A step."""
        return self.sum(x, state)


def swept(exponent: float) -> Result:
    """The largest relative errors of sum**exponent on the chip, while the sum goes from 1 to 1000.

    value    as it is computed, in 24 bits
    message  as it is sent, in 16 bits
    cut      of an exact value in such a message: what no computing could make better
    """
    sums = np.unique(np.rint(np.geomspace(1, 1000, SWEEP)))
    x = np.pad(np.diff(sums, prepend=0.0), (0, 2)).reshape(1, -1, 1)  # the answers come later
    program = ad.compile(Swept(exponent), calibrate=x, input_shape=(1,), dt=DT)
    units = program.network["sum"].node.units
    sent, exact = program.run(x).spikes["sum"][0, :, 0], sums**exponent
    first = int(np.flatnonzero(sent)[0])
    found = {
        "value": computed(sums, exponent, units["trace"]),
        "message": sent[first : first + len(sums)] / units["message"],
        "cut": np.floor(exact * units["message"]) / units["message"],
    }
    errors = {name: np.abs(each / exact - 1) for name, each in found.items()}
    return {
        name: {"to 64": float(each[sums <= 64].max()), "to 1000": float(each.max())}
        for name, each in errors.items()
    }


def computed(x: np.ndarray, exponent: float, unit: float) -> np.ndarray:
    """x**exponent by the chip's operations, of a state with `unit` to 1.0, in the 24 bits before the message."""
    limits = {"exponent": Range.signed(3 + EXPONENT_BITS), "scale": SCALE}

    def step(n: Neuron) -> None:
        n.y = saturate(power(n.x, n.exponent, n.scale, EXPONENT_BITS), 0, WIDE.high)

    made = compartment(states={"y": State(WIDE)}, inputs={"x": Port(WIDE)}, parameters=limits)(step)
    bits = floor(log2(WIDE.high / (x**exponent).max()))
    scale = (bits - exponent * log2(unit)) * 2**LOG_BITS
    given = {"exponent": round(exponent * 2**EXPONENT_BITS), "scale": round(scale)}
    state = np.rint(x * unit).astype(np.int64)
    registers = execute(made.step.operations, {}, given, {"x": state}, {})
    return registers[made.step.stores["y"]] / 2.0**bits


# ---- presentation --------------------------------------------------------------------------------------


def present(results: list[Result]) -> tuple[str, Figure | None]:
    """The tables, and the learning curves."""
    arms: dict[str, list[Result]] = defaultdict(list)
    for each in results:
        for name, arm in each["ablation"].items():
            arms[name].append(arm)
    networks = {name: [each["networks"][name] for each in results] for name in NETWORKS}
    told = (
        f"{seeds(results)}. {TOKENS} tokens, d = {WIDTH}, m_hidden = {HIDDEN}, one layer, one head, "
        f"{results[0]['networks']['astromorphic']['digits']} test digits."
    )
    parts = [told, about_ablation(arms, (EPOCHS, VALIDATION, RATES))]
    parts += [about_chip(networks), about_functions(results), about_costs(networks, COSTED)]
    parts.append(about_programs(networks, VERIFIED))
    return "\n\n".join(parts) + "\n", figure_of(arms)
