"""What lava-dl writes into .net files: which fields are read, and which need not be, and why.

A field that is in none of these tables, or whose value is not the usual one, is told or refused: what a
file says never passes unseen. Vocabulary: slayer's `export_hdf5` and `device_params`, netx's `hdf5.py`.
"""

from collections.abc import Iterable

import numpy as np

from astrodeploy.errors import InputError, UnsupportedError
from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.lava_dl.fields import Fields
from astrodeploy.ir.wiring import Conv, Wiring

THETA = 64  # a threshold of slayer's own is vThMant << 6

# by type of layer: the fields that give its meaning
READ = {
    "input": ("type", "shape", "neuron", "weight", "bias"),
    "dense": ("type", "weight", "weight_rec", "bias", "delay", "neuron"),
    "conv": (
        "type",
        "weight",
        "stride",
        "padding",
        "dilation",
        "groups",
        "bias",
        "delay",
        "neuron",
        "weight_rec",
    ),
    "pool": (
        "type",
        "kernelSize",
        "stride",
        "padding",
        "dilation",
        "weight",
        "bias",
        "delay",
        "neuron",
        "weight_rec",
    ),
    "flatten": ("type",),
    "average": ("type", "shape"),
}

# those that say again what the weights say: told where they say something else
AGAIN = {
    "dense": ("shape", "inFeatures", "outFeatures"),
    "conv": ("shape", "inChannels", "outChannels", "kernelSize"),
    "pool": ("shape",),
    "flatten": ("shape",),
}

# by type of neuron: the fields that give its meaning, beside those of USUAL
NEURON = {
    "CUBA": ("type", "iDecay", "vDecay", "vThMant"),
    "LOIHI": ("type", "iDecay", "vDecay", "vThMant", "theta"),
    "SDNN": ("type", "vThMant", "activation", "sigma_output"),
}

# what other values would mean is not compiled; those of a refractory delay and exponents of weights are
# in no published network, and netx reads neither
USUAL: dict[str, tuple[int, str]] = {
    "refDelay": (1, "steps after a spike in which a neuron rests"),
    "wgtExp": (0, "an exponent of all weights: multiply them by it"),
    "weight_exp": (0, "the scale of slayer's batch normalisation: multiply the weights by it"),
    "gradedSpike": (0, "spikes that carry their membrane"),
    "messageBits": (0, "spikes that carry a number"),
}

SIGMA_DELTA = ("refDelay", "wgtExp", "weight_exp")  # of those, the ones that ask the same of such neurons

HARMLESS = {
    "tauRho": "shapes the gradient in training alone",
    "scaleRho": "shapes the gradient in training alone",
}


def refuse_unusual(layer: Fields, neuron: Fields, names: Iterable[str] = USUAL) -> None:
    """Raise UnsupportedError where a neuron has a setting that is not compiled."""
    for name in names:
        usual, what = USUAL[name]
        if (value := neuron.integer(name, usual)) != usual:
            raise UnsupportedError(f"{layer.where} has {name} = {value}, supported is {usual} ({what})")


def tell_unread(name: str, kind: str, layer: Fields, findings: Findings) -> None:
    """A finding for every field of a layer that was not read; a note where that is harmless."""
    again = AGAIN.get(kind, ())
    for path in layer.unread():
        if path in again:
            continue
        if (why := HARMLESS.get(path.removeprefix("neuron/"))) is not None:
            findings.note("", f"has {path.removeprefix('neuron/')} in its neurons, which {why}: not read")
        else:
            findings.warn(name, f"has {path}, which is not read: what it asks for is not in the network")


def tell_contradictions(name: str, layer: Fields, wiring: Wiring, findings: Findings) -> None:
    """A finding where a layer says other sizes of itself than its weights have."""
    if isinstance(wiring, Conv):
        sizes = {
            "inChannels": wiring.input_shape[:1],
            "outChannels": wiring.output_shape[:1],
            "kernelSize": wiring.values.shape[2:],
        }
    else:
        sizes = {"inFeatures": wiring.shape[1:], "outFeatures": wiring.shape[:1]}
    for field, size in sizes.items():
        if field not in layer or field in layer.asked:
            continue
        declared = np.atleast_1d(layer.number(field)).ravel()
        if not np.array_equal(np.broadcast_to(declared, len(size)) if declared.size == 1 else declared, size):
            findings.warn(name, f"declares {field} = {_text(declared)}, its weights have {_text(size)}")


def check_theta(name: str, neuron: Fields, findings: Findings) -> None:
    """A finding where slayer's threshold is not that of the chip."""
    if "theta" in neuron and neuron.number("theta").ravel().tolist() != [THETA * neuron.integer("vThMant")]:
        findings.warn(name, "has a theta that is not 64 vThMant: its threshold is vThMant")


def activation_of(layer: Fields, neuron: Fields) -> str:
    """The activation of a sigma-delta layer; an output block has none. Raises UnsupportedError."""
    if "sigma_output" in neuron and neuron.integer("sigma_output") not in (0, 1):
        raise InputError(f"{layer.where}: sigma_output must be true or false")
    name = neuron.text("activation") if "activation" in neuron else "relu"
    if name != "relu":
        raise UnsupportedError(f"{layer.where} has the activation {name}; supported is relu")
    return "none" if neuron.integer("sigma_output", 0) else "relu"


def tell_input_activation(name: str, neuron: Fields, findings: Findings) -> None:
    """A finding where the input of a sigma-delta network declares another activation than all do."""
    if "activation" in neuron and (said := neuron.text("activation")) != "relu":
        findings.warn(
            name, f"has the activation {said}, which slayer's and Lava's inputs do not apply: not read"
        )


def _text(values: object) -> str:
    return ", ".join(f"{each:g}" for each in np.ravel(np.asarray(values)))
