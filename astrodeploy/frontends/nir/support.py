"""What becomes of every NIR node on every chip: found by compiling a small network of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from astrodeploy.chip import chip_names
from astrodeploy.errors import AstrodeployError
from astrodeploy.pipeline import compile

DT = 1e-3
SIZE = 4
IMAGE = (2, 6, 6)
SEQUENCE = (2, 8)

EXACT, LOWERED, REFUSED = "yes", "lowered", "refused"
LOWERINGS = {
    "AvgPool2d": "weights of 1 / cells, rounded like all weights",
    "Threshold": "a neuron without memory, one step later",
    "Delay": "delays of synapses, in whole steps",
    "Scale": "folded into the weights next to it",
    "Linear without a neuron": "a layer without memory, read out by its membrane",
}


@dataclass(frozen=True)
class Support:
    """How a node, in a role, fares on a chip: "yes", "lowered" or "refused", and why."""

    node: str
    chip: str
    status: str
    reason: str


def support() -> Iterator[Support]:
    """Every node on every chip that travels with the package."""
    for name, (document, options) in _networks().items():
        for chip in chip_names():
            try:
                compile(document, chip, dt=DT, **options)
            except AstrodeployError as error:
                yield Support(name, chip, REFUSED, str(error))
            else:
                yield Support(name, chip, LOWERED if name in LOWERINGS else EXACT, LOWERINGS.get(name, ""))


def _full(value: float, shape: tuple[int, ...] = (SIZE,)) -> np.ndarray:
    return np.full(shape, value)


def _lif(shape: tuple[int, ...] = (SIZE,)) -> nir.NIRNode:
    full = [_full(v, shape) for v in (10 * DT, 10.0, 0.0, 1.0, 0.0)]
    return nir.LIF(tau=full[0], r=full[1], v_leak=full[2], v_threshold=full[3], v_reset=full[4])


def _cuba(spiking: bool) -> nir.NIRNode:
    common = {"tau_syn": _full(4 * DT), "tau_mem": _full(10 * DT), "r": _full(10.0), "v_leak": _full(0.0)}
    if not spiking:
        return nir.CubaLI(**common, w_in=_full(4.0))
    return nir.CubaLIF(**common, v_threshold=_full(1.0), v_reset=_full(0.0), w_in=_full(4.0))


def _linear() -> nir.NIRNode:
    return nir.Linear(weight=np.linspace(-0.5, 1, SIZE * SIZE).reshape(SIZE, SIZE))


def _chain(shape: tuple[int, ...], out: tuple[int, ...], *nodes: nir.NIRNode) -> nir.NIRGraph:
    named = {str(i): node for i, node in enumerate(nodes)}
    ends = ["input", *named, "output"]
    everything = {
        "input": nir.Input(input_type={"input": np.array(shape)}),
        **named,
        "output": nir.Output(output_type={"output": np.array(out)}),
    }
    return nir.NIRGraph(nodes=everything, edges=list(pairwise(ends)), type_check=False)


def _neurons(*nodes: nir.NIRNode) -> nir.NIRGraph:
    return _chain((SIZE,), (SIZE,), *nodes)


def _conv2d() -> nir.NIRNode:
    weight, bias = np.linspace(-0.5, 1, 36).reshape(2, 2, 3, 3), np.zeros(2)
    return nir.Conv2d((6, 6), weight, 1, 1, 1, 1, bias)


def _conv1d() -> nir.NIRNode:
    return nir.Conv1d(8, np.linspace(-0.5, 1, 12).reshape(2, 2, 3), 1, 1, 1, 1, np.zeros(2))


def _pooled(cls: type) -> nir.NIRGraph:
    two = np.array([2, 2])
    return _chain(IMAGE, (2, 3, 3), cls(kernel_size=two, stride=two, padding=two * 0), _lif((2, 3, 3)))


def _nested() -> nir.NIRGraph:
    return _neurons(_neurons(_linear(), _lif()))


def _recurrent() -> nir.NIRGraph:
    document = _neurons(_linear(), _lif())
    document.nodes["back"] = nir.Linear(weight=np.eye(SIZE) * -0.5)
    document.edges += [("1", "back"), ("back", "1")]
    return document


def _networks() -> dict[str, tuple[nir.NIRGraph, dict[str, Any]]]:
    """A small network for every node, in every role that makes a difference, with its options."""
    affine = nir.Affine(weight=np.eye(SIZE), bias=_full(0.1))
    integrate_fire = nir.IF(r=_full(100.0), v_threshold=_full(1.0), v_reset=_full(0.0))
    leaky = nir.LI(tau=_full(10 * DT), r=_full(10.0), v_leak=_full(0.0))
    integrator = nir.I(r=_full(20.0))
    flatten = nir.Flatten(input_type={"input": np.array(IMAGE)}, start_dim=0, end_dim=-1)
    wide = nir.Linear(weight=np.ones((SIZE, 72)) * 0.1)
    plain: dict[str, nir.NIRGraph] = {
        "Input, Output, Linear, LIF": _neurons(_linear(), _lif()),
        "Affine": _neurons(affine, _lif()),
        "Affine before CubaLIF": _neurons(affine, _cuba(True)),
        "Scale": _neurons(_linear(), nir.Scale(scale=_full(0.5)), _lif()),
        "Conv1d": _chain(SEQUENCE, SEQUENCE, _conv1d(), _lif(SEQUENCE)),
        "Conv2d": _chain(IMAGE, IMAGE, _conv2d(), _lif(IMAGE)),
        "SumPool2d": _pooled(nir.SumPool2d),
        "AvgPool2d": _pooled(nir.AvgPool2d),
        "Flatten": _chain(IMAGE, (SIZE,), _conv2d(), _lif(IMAGE), flatten, wide, _lif()),
        "Delay": _neurons(_linear(), nir.Delay(delay=_full(5 * DT)), _lif()),
        "Delay of 80 steps": _neurons(_linear(), nir.Delay(delay=_full(80 * DT)), _lif()),
        "Threshold": _neurons(_linear(), nir.Threshold(threshold=_full(0.4))),
        "I, read out": _neurons(_linear(), integrator),
        "IF": _neurons(_linear(), integrate_fire),
        "LI, read out": _neurons(_linear(), leaky),
        "LI, heard by neurons": _neurons(_linear(), leaky, _linear(), _lif()),
        "CubaLI, read out": _neurons(_linear(), _cuba(False)),
        "CubaLIF": _neurons(_linear(), _cuba(True)),
        "NIRGraph, nested": _nested(),
        "Recurrence": _recurrent(),
        "Linear without a neuron": _neurons(_linear(), _lif(), _linear()),
    }
    rules: dict[str, dict[str, Any]] = {
        "LIF, --reset subtract": {"reset": "subtract"},
        "LIF, --threshold '>='": {"threshold": ">="},
    }
    found = {name: (document, {"reset": "zero"}) for name, document in plain.items()}
    return found | {name: (_neurons(_linear(), _lif()), each) for name, each in rules.items()}
