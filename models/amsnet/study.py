"""AM-SNet measured: bits per character in float and on the chip, beside baselines; its laws; what it costs."""

import json
import platform
import tempfile
from copy import deepcopy
from pathlib import Path
from time import process_time
from typing import Any

import nir
import numpy as np
import torch
from common import compared, levels
from lengths import growth
from model import COMPARED, DT, AMSNet, Recurrent, Settings, drawn, encoded, parameters_of
from presentation import present
from text import counted, parts, windows
from train import CROP, RATE, STEPS, TEST, bits, samples, scored, spread, train

import astrodeploy as ad
from astrodeploy.program import same_but_recipe

Result = dict[str, Any]
RATES = {
    "amsnet": RATE,
    "plain": RATE,
    "gru": 0.03,
}  # the best of those that choose.py tries, on validation text
SHORT = 200  # steps of the trainings without and with rotary positions
LAW = 4  # windows on which the two forms are compared
VERIFIED = 64  # characters on which the engines are compared
__all__ = ["measure", "present"]


def measure(seed: int) -> Result:
    """Everything of one seed. Times of this machine differ from run to run; nothing else does."""
    torch.set_num_threads(1)
    every = windows(parts().test, CROP)
    models: dict[str, Any] = {}
    networks: dict[str, Result] = {}
    for name, settings in COMPARED.items():
        models[name], networks[name] = _trained(name, settings, seed, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        chip = {name: _on_chip(models[name], COMPARED[name], Path(folder)) for name in ("amsnet", "plain")}
    return {
        "seed": seed,
        "python": platform.python_version(),
        "characters": {name: len(part) for name, part in parts()._asdict().items()},
        "counted": [counted(order, every) for order in range(3)],
        "settings": {
            "steps": STEPS,
            "short": SHORT,
            "law": LAW,
            "verified": VERIFIED,
            "crop": CROP,
            "windows": len(every),
            "test": TEST,
        },
        "networks": networks,
        "rotary": _rotary(seed),
        "law": _law(models["amsnet"]),
        "chip": chip,
        "growth": growth(models["amsnet"].units[0], seed),
    }


def _trained(name: str, settings: Settings, seed: int, steps: int) -> tuple[AMSNet | Recurrent, Result]:
    """A network after its training, and its bits per character of the whole test part."""
    model = drawn(name, settings, seed)
    start = process_time()
    train(model, settings, seed, steps, RATES[name])
    seconds = process_time() - start
    found = scored(model, settings, parts().test)
    return model, {"parameters": parameters_of(model), "rate": RATES[name], "bits": found, "seconds": seconds}


def _rotary(seed: int) -> Result:
    """Bits per character of a short training without and with rotary positions."""
    return {
        str(rotary): _trained("amsnet", Settings(rotary=rotary), seed, SHORT)[1]["bits"]
        for rotary in (False, True)
    }


@torch.no_grad()
def _law(model: AMSNet) -> Result:
    """The trained network step by step against all at once, on windows of the test part, in float32."""
    x = encoded(spread(parts().test, LAW)[:, :-1], model.settings)
    together, state, steps = model.parallel(x), None, []
    for step in range(CROP):
        logits, state = model(x[:, step], state)
        steps.append(logits)
    alone = torch.stack(steps, 1)
    return {"largest": float((alone - together).abs().max()), "logit": float(together.abs().max())}


# ---- the chip ----------------------------------------------------------------------------------------


@torch.no_grad()
def _on_chip(model: AMSNet, settings: Settings, folder: Path) -> Result:
    """Compiled for loihi2: bits per character and logits beside float, engines, files, cost."""
    x, following, calibrate = samples(settings)
    checkpoint = folder / ("amsnet.pt" if settings.astrocytes else "plain.pt")
    ad.save(model, checkpoint, dt=DT, input_shape=(settings.inputs,))
    program = ad.compile(checkpoint, "loihi2", calibrate=calibrate)
    trace, reference = program.run(x), program.run(x, engine="reference")
    exact = model.parallel(torch.from_numpy(x))
    logits, labels = _logits(program, trace), torch.from_numpy(following)
    found = {
        "float": bits(exact, labels),
        "chip": bits(logits, labels),
        "same": float((logits.argmax(2) == exact.argmax(2)).double().mean()),
        "error": float((logits - exact).square().mean().sqrt() / exact.std()),
        "graph": _graph(model, program, reference, x),
        "spikes": _spikes(trace, reference),
        "depth": program.depth,
        "cost": _cost(program, trace),
    }
    if settings.astrocytes:
        found |= {"compared": compared(program, x[:1, :VERIFIED]), "files": _files(checkpoint, calibrate)}
    return found


@torch.no_grad()
def _graph(model: AMSNet, program: ad.Program, reference: ad.Trace, x: np.ndarray) -> float:
    """How far the float Graph's logits are from the module's in float64, both fed what the chip is fed: 8 bits."""
    given: Any = program.network.input.node
    fed = torch.from_numpy(np.rint(x.astype(float) * given.unit) / given.unit)
    exact = deepcopy(model).double().parallel(fed)
    return float((_logits(program, reference) - exact).abs().max())


def _logits(program: ad.Program, trace: ad.Trace) -> torch.Tensor:
    """What the last layer sent for every character, in the model's numbers."""
    layer = program.network["logits"]
    node: Any = layer.node
    unit = 1 if trace.engine == "reference" else node.units["message"]
    sent = trace.spikes["logits"][:, layer.depth : layer.depth + CROP]
    return torch.from_numpy(np.asarray(sent, float) / unit)


def _spikes(trace: ad.Trace, reference: ad.Trace) -> Result:
    """Of the neurons on the chip: spikes a step, and the share of entries in which the float graph's differ."""
    pairs = {
        name: (each, reference.spikes[name]) for name, each in trace.spikes.items() if "membrane" in name
    }
    return {
        "rate": float(np.mean([one.mean() for one, _ in pairs.values()])),
        "differing": float(np.mean([(one != other).mean() for one, other in pairs.values()])),
    }


def _files(checkpoint: Path, calibrate: np.ndarray) -> Result:
    """Whether checkpoint and NIR compile to the same Program, and what the NIR file says of itself."""
    document = ad.export(checkpoint, checkpoint.with_suffix(".nir"))
    programs = (
        ad.compile(source, "loihi2", calibrate=calibrate, pack="fewest") for source in (checkpoint, document)
    )
    said = json.loads(nir.read(document).metadata["astrodeploy"])
    return {"identical": same_but_recipe(*programs), "core": said["core"]}


def _cost(program: ad.Program, trace: ad.Trace) -> Result:
    """On loihi2, per character: all steps of a window, those of its last answers too, over its characters."""
    cost = ad.estimate(program, trace)
    return {
        "cores": cost.cores,
        "compartments": sum(p.size for p in program.network.populations if not p.is_input),
        "joules": levels(cost.energy_joules, 1 / CROP),
        "operations": levels(cost.parts["operations"], 1 / CROP),
        "step": levels(cost.latency_seconds, 1 / cost.steps),
        "astrocytes": cost.astrocyte_share,
    }
