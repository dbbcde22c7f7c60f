"""lava-dl's neurons: the chip's own numbers as the float network's.

v decays by vDecay / 4096 and u by iDecay / 4096 a step, a spike adds weight << 6 to u, the bias << 6 goes to
v, a neuron spikes where v > vThMant << 6 and is reset to 0. In the float Graph 1.0 of a membrane is one unit
of the weights (64 on the chip), so that `quantise` finds every number on the chip's grid and keeps it.
"""

from math import prod
from typing import Any

import numpy as np

from astrodeploy.arithmetic import THRESHOLD_MAX
from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.lava_dl.fields import Fields
from astrodeploy.frontends.lava_dl.vocabulary import SIGMA_DELTA, activation_of, refuse_unusual
from astrodeploy.ir import LIF, CubaLIF
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.nodes import Membrane, SigmaDelta

FULL_DECAY = 4096
NEURONS = ("LOIHI", "CUBA", "SDNN")


def neuron_of(layer: Fields, shape: tuple[int, ...], dt: float, comparison: str) -> Membrane | SigmaDelta:
    """The neurons of a layer. Raises InputError, UnsupportedError."""
    neuron = layer.group("neuron")
    kind = neuron.text("type")
    if kind not in NEURONS:
        raise UnsupportedError(
            f"{layer.where} has neurons of type {kind}; supported are {', '.join(NEURONS)}"
        )
    bias = _bias(layer, shape)
    if kind == "SDNN":
        return _sigma_delta(layer, neuron, bias)
    refuse_unusual(layer, neuron)
    v_decay, i_decay = (_decay(layer, neuron, each) for each in ("vDecay", "iDecay"))
    if i_decay != FULL_DECAY and np.any(bias):
        raise UnsupportedError(
            f"{layer.where} has a bias and a synaptic current: its bias goes to its membrane, past the current; "
            f"set iDecay to {FULL_DECAY}, or the bias to 0"
        )
    return _membrane(dt, v_decay, i_decay, float(neuron.integer("vThMant")), bias, comparison)


def input_delta(neuron: Fields, shape: tuple[int, ...]) -> SigmaDelta:
    """What a sigma-delta network's input layer does with values: it sends their changes."""
    threshold = np.full(shape, float(neuron.integer("vThMant")))
    return SigmaDelta(threshold, np.zeros(shape), activation="none", receives="values")


def never_fires(node: Membrane) -> bool:
    """Whether the threshold is the chip's largest: such a last layer is read out by its membrane."""
    return bool(np.all(node.v_threshold >= THRESHOLD_MAX))


def _sigma_delta(layer: Fields, neuron: Fields, bias: FloatArray) -> SigmaDelta:
    """Sigma-delta neurons; those of an output block sum up what arrives, and send every change of that."""
    refuse_unusual(layer, neuron, SIGMA_DELTA)
    threshold = np.full(bias.shape, float(neuron.integer("vThMant")))
    if (activation := activation_of(layer, neuron)) == "relu":
        return SigmaDelta(threshold, bias)
    if np.any(bias):
        raise UnsupportedError(
            f"{layer.where} is a sigma_output with a bias, which Lava's Sigma has not: leave it out"
        )
    return SigmaDelta(np.zeros(bias.shape), bias, activation)


def _decay(layer: Fields, neuron: Fields, name: str) -> int:
    decay = neuron.integer(name)
    least = 1 if name == "iDecay" else 0
    if not least <= decay <= FULL_DECAY:
        raise InputError(f"{layer.where} has {name} = {decay}, allowed is {least}..{FULL_DECAY}")
    return decay


def _bias(layer: Fields, shape: tuple[int, ...]) -> FloatArray:
    """A bias a channel, or a neuron, or one for all, as one a neuron."""
    bias = layer.number("bias") if "bias" in layer else np.zeros(1)
    if bias.size == prod(shape):
        return bias.reshape(shape)
    if bias.size not in (1, shape[0]):
        raise InputError(
            f"{layer.where} has a bias of {bias.size} numbers for {shape[0]} channels, {prod(shape)} neurons"
        )
    return np.broadcast_to(bias.reshape(-1, *[1] * (len(shape) - 1)), shape)


def _membrane(
    dt: float, v_decay: int, i_decay: int, threshold: float, bias: FloatArray, comparison: str
) -> Membrane:
    """A neuron whose input, weighted in the chip's units, adds itself to v in a step, as does the bias."""
    shape = bias.shape
    drive = v_decay / FULL_DECAY if v_decay else dt  # of r = 1
    values: dict[str, Any] = {
        "tau": np.full(shape, dt * FULL_DECAY / v_decay if v_decay else np.inf),
        "r": np.full(shape, 1 / drive),
        "v_leak": np.zeros(shape),
        "v_threshold": np.full(shape, threshold),
        "v_reset": np.zeros(shape),
        "bias": bias,
    }
    if i_decay == FULL_DECAY:
        return LIF(**values, comparison=comparison)
    tau_syn = np.full(shape, dt * FULL_DECAY / i_decay)
    return CubaLIF(**values, tau_syn=tau_syn, w_in=tau_syn / dt, comparison=comparison)
