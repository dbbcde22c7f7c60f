"""What the astromorphic transformer does, measured: its ablation, what the chip makes of it, what it costs."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from ablation import EPOCHS, RATES, VALIDATION, ablation
from matplotlib.figure import Figure
from model import DT, HIDDEN, TOKENS, WIDTH, Parallel, Settings, deployed, steps_of
from tables import about_ablation, about_chip, about_costs, about_engines, about_functions, figure_of
from train import CALIBRATION, accuracy, digits, train

import astrodeploy as ad
from astrodeploy.nn import Astrocyte

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
        made = _compiled(model, settings, train_x.numpy()[:CALIBRATION], Path(folder))
    program, found = made
    x, y = steps_of(test_x.numpy(), settings, program.depth), test_y.numpy()
    chip, exact = program.run(x), program.run(x, engine="reference")
    cost = ad.estimate(program, x[:COSTED])
    of_astrocytes = sum(cost.by_layer[name].typical for name in ASTROCYTES if name in cost.by_layer)
    return found | {
        "float": accuracy(model, test_x, test_y)[0],
        "chip": chip.accuracy(y),
        "changed": float(np.mean(chip.predictions != exact.predictions)),
        "digits": len(y),
        "errors": _errors(program, chip, exact),
        "engines": _engines(program, x[:VERIFIED]),
        "steps": x.shape[1],
        "compartments": sum(each.size for each in program.network.populations if each.name != "input"),
        "cores": cost.cores,
        "operations": _levels(cost.parts["operations"]),
        "energy": _levels(cost.energy_joules),
        "latency": _levels(cost.latency_seconds),
        "share": cost.astrocyte_share,
        "paper_share": of_astrocytes / cost.parts["operations"].typical,
    }


def _compiled(model: Parallel, settings: Settings, x: np.ndarray, folder: Path) -> tuple[ad.Program, Result]:
    """The Program from the checkpoint, and whether that from the NIR file is the same, byte for byte."""
    shown = steps_of(x, settings)
    ad.save(deployed(model), folder / "model.pt", dt=DT, input_shape=shown.shape[2:])
    ad.export(folder / "model.pt", folder / "model.nir", sample=shown)
    programs = [ad.compile(folder / f"model.{kind}", calibrate=shown) for kind in ("pt", "nir")]
    files = []
    for i, program in enumerate(programs):
        saved = program.save(folder / f"{i}.astro")
        files.append({each.name: each.read_bytes() for each in saved.iterdir()})
    return programs[0], {"same_program": files[0] == files[1]}


def _errors(program: ad.Program, chip: ad.Trace, exact: ad.Trace) -> dict[str, float]:
    """Root mean square of what a layer's messages are off, by that of the messages themselves."""
    found = {}
    for name in program.layers:
        units = getattr(program.network[name].node, "units", {})
        if "message" in units:
            off = chip.spikes[name] / units["message"] - exact.spikes[name]
            found[name] = float(np.sqrt(np.mean(off**2) / np.mean(exact.spikes[name] ** 2)))
    return found


def _engines(program: ad.Program, x: np.ndarray) -> Result:
    found = ad.verify(program, x, engines=("oracle", "fast", "lava"))
    compared = {each.right: each for each in found.comparisons}
    return {
        "digits": len(x),
        "messages": {name: each.spikes for name, each in compared.items()},
        "states": {name: each.states for name, each in compared.items()},
        "differing": {name: each.differing for name, each in compared.items()},
        "not_run": dict(found.not_run),
    }


def _levels(span: Any) -> list[float]:
    return [span.low, span.typical, span.high]


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
    """The largest relative error of sum**exponent on the chip, while the sum goes from 1 to 1000."""
    sums = np.unique(np.rint(np.geomspace(1, 1000, SWEEP)))
    x = np.pad(np.diff(sums, prepend=0.0), (0, 2)).reshape(1, -1, 1)  # the answers come later
    program = ad.compile(Swept(exponent), calibrate=x, input_shape=(1,), dt=DT)
    sent = program.run(x).spikes["sum"][0, :, 0] / program.network["sum"].node.units["message"]
    first = int(np.flatnonzero(sent)[0])
    error = np.abs(sent[first : first + len(sums)] / sums**exponent - 1)
    return {"to 64": float(error[sums <= 64].max()), "to 1000": float(error.max())}


# ---- presentation --------------------------------------------------------------------------------------


def present(results: list[Result]) -> tuple[str, Figure | None]:
    """The tables, and the learning curves."""
    arms: dict[str, list[Result]] = defaultdict(list)
    for each in results:
        for name, arm in each["ablation"].items():
            arms[name].append(arm)
    networks = {name: [each["networks"][name] for each in results] for name in NETWORKS}
    seeds = ", ".join(str(each["seed"]) for each in results)
    told = (
        f"{len(results)} seeds ({seeds}); mean ± standard deviation over seeds. {TOKENS} tokens, d = {WIDTH}, "
        f"m_hidden = {HIDDEN}, one layer, one head."
    )
    protocol = (EPOCHS, VALIDATION, RATES)
    parts = [told, about_ablation(arms, protocol), about_chip(networks), about_functions(results)]
    parts += [about_costs(networks, COSTED), about_engines(networks)]
    return "\n\n".join(parts) + "\n", figure_of(arms)
