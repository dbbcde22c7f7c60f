"""What the compiled network does: bits, accuracy on the chip, and what an inference costs."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from common import levels
from model import DT, Hybrid

import astrodeploy as ad
from astrodeploy.program import same_but_recipe

CARRY = ("astrocytes",)
FEW = 5  # digits that engines are held against each other on


def compiled(model: Hybrid) -> tuple[ad.Program, ad.Program, bool]:
    """The Program for loihi2, the same without astrocytes, and whether .pt and .nir give the same one."""
    with TemporaryDirectory() as name:
        folder, shape = Path(name), (model.expand.in_features,)
        ad.save(model, folder / "model.pt", dt=DT, input_shape=shape)
        ad.export(folder / "model.pt", folder / "model.nir")
        program = ad.compile(folder / "model.pt")
        same = same_but_recipe(program, ad.compile(folder / "model.nir"))
        frozen = ad.compile(folder / "model.pt", freeze_astrocytes=True)
    return program, frozen, same


def on_chip(program: ad.Program, streams: np.ndarray) -> np.ndarray:
    """Classes (length, cells) that the chip's integers give for streams (length, cells, ...), one run each."""
    x = streams.reshape(*streams.shape[:2], -1)
    return np.stack([program.run(x[:, cell], carry=CARRY).predictions for cell in range(x.shape[1])], 1)


def bits(program: ad.Program, x: np.ndarray) -> dict[str, Any]:
    """Engines held against each other on digits (digits, pixels) as one stream; None where one can't run here."""
    verification = ad.verify(program, x, carry=CARRY)
    compared = {each.right: each for each in verification.comparisons} | {"brian2": verification.brian2}
    return {
        engine: (each := compared.get(engine))
        and {
            "digits": len(x),
            "spikes": each.spikes,
            "states": each.states,
            "differing": each.differing,
            "excused": each.excused,
        }
        for engine in ("fast", "lava", "brian2")
    }


def cost(program: ad.Program, x: np.ndarray, carry: tuple[str, ...]) -> dict[str, Any]:
    """Energy (J), latency (s), astrocytes' share of the operations and cores, a digit of x (length, pixels)."""
    estimate = ad.estimate(program, program.run(x, carry=carry))
    return {
        "energy": levels(estimate.energy_joules),
        "operations": sum(each.typical for each in estimate.operations.values()),
        "latency": levels(estimate.latency_seconds),
        "astrocytes": estimate.astrocyte_share,
        "cores": estimate.cores,
    }


def measured(model: Hybrid, streams: np.ndarray, noisy: int) -> tuple[dict[str, Any], np.ndarray]:
    """All of it, and the chip's classes (length, cells), for streams (length, cells, side, side).

    Bits are compared where the `noisy` cell's noise sets in, costs counted on the clean cell, the first.
    """
    program, frozen, same = compiled(model)
    x = streams.reshape(*streams.shape[:2], -1)
    onset = len(x) // 6 - 1
    facts = {
        "same from nir": same,
        "bits": bits(program, x[onset : onset + FEW, noisy]),
        "with": cost(program, x[:, 0], CARRY),
        "without": cost(frozen, x[:, 0], ()),
    }
    return facts, on_chip(program, streams)
