"""Eight small networks, one of each sort that is compiled, and the runs whose every bit is held in the files beside.

Their numbers come from seeded numpy generators, so that they are the same everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from float_networks import astrocyte as gain_of
from float_networks import cuba, edge, gain_control, graph, lif
from net_files import net
from signal_networks import Attention

import astrodeploy as ad
from astrodeploy.compartments import KINDS
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population, RateEncoder
from astrodeploy.ir.wiring import Conv, Dense, pool
from astrodeploy.program import Program
from astrodeploy.trace import Trace


@dataclass(frozen=True)
class Golden:
    """One network: its source, how it is compiled, what it is given and how it is run."""

    source: Callable[[], Any]
    x: Callable[[], np.ndarray]
    options: Mapping[str, Any] = field(default_factory=dict)
    carry: tuple[str, ...] = ()

    def made(self) -> tuple[Program, Trace]:
        """Its Program and the Trace of its run, all states probed."""
        program = ad.compile(self.source(), **self.options)
        nodes = {p.name: p.node for p in program.network.populations}
        probes = tuple(k for k, n in nodes.items() if isinstance(n, Compartments) and n.kind.states)
        return program, program.run(self.x(), probes=probes, carry=self.carry)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _spikes(seed: int, *shape: int) -> np.ndarray:
    return (_rng(seed).random(shape) < 0.4).astype(np.uint8)


def _dense() -> Graph:
    rng = _rng(1)
    layers = [
        Population("a", (14,), lif(r=8.0, bias=rng.normal(0, 0.02, 14))),
        Population("b", (5,), lif(r=8.0)),
    ]
    return graph(
        9,
        layers,
        [edge("x", "a", rng.normal(0.1, 0.3, (14, 9))), edge("a", "b", rng.normal(0.1, 0.4, (5, 14)))],
    )


def _recurrent() -> Graph:
    rng = _rng(2)
    layers = [Population("a", (10,), cuba(r=4.0, reset="subtract")), Population("b", (4,), cuba(r=4.0))]
    wires = [
        edge("x", "a", rng.normal(0.1, 0.4, (10, 8))),
        edge("a", "a", rng.normal(0, 0.2, (10, 10)), lag=1),
        edge("a", "b", rng.normal(0.1, 0.4, (4, 10)), lag=2),
    ]
    return graph(8, layers, wires)


def _convolution() -> Graph:
    rng = _rng(3)
    filters = Conv(rng.normal(0.05, 0.3, (4, 1, 3, 3)), (1, 8, 8), (1, 1), (1, 1), (1, 1))
    smaller = pool((4, 8, 8), (2, 2), (2, 2), (0, 0))
    populations = (
        Population("x", (1, 8, 8), Input()),
        Population("maps", (4, 8, 8), lif(r=8.0)),
        Population("out", (4, 4, 4), lif(r=8.0, v_threshold=0.4)),
    )
    wires = (Connection("x", "maps", "current", filters), Connection("maps", "out", "current", smaller))
    return Graph(1e-3, populations, wires, ("out",))


def _gain_control() -> Graph:
    rng = _rng(4)
    node = gain_of(rng.uniform(-0.5, 0.5, 3), period=5)
    astro, *loop = gain_control("a", np.arange(12) % 3, node, mean=True)
    layers = [Population("a", (12,), lif(r=8.0)), Population("b", (4,), lif(r=8.0)), astro]
    made = graph(
        7,
        layers,
        [edge("x", "a", rng.normal(0.1, 0.5, (12, 7))), edge("a", "b", rng.normal(0.1, 0.4, (4, 12))), *loop],
    )
    return made.with_population(replace(made["x"], node=RateEncoder(steps=9, seed=4)))


def _signals() -> torch.nn.Module:
    module, rng = Attention(), _rng(5)
    for each in module.parameters():
        each.data = torch.from_numpy(rng.normal(0, 0.4, each.shape).astype(np.float32))
    return module


def _membrane() -> Graph:
    rng = _rng(6)
    layers = [
        Population("a", (6,), lif(r=8.0, comparison=">=")),
        Population("b", (3,), lif(sends="membrane")),
    ]
    made = graph(
        5,
        layers,
        [edge("x", "a", rng.normal(0.4, 0.5, (6, 5))), edge("a", "b", rng.normal(0.1, 0.4, (3, 6)))],
    )
    return replace(made, readout="max")


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


def _sigma_delta() -> Path:
    rng = _rng(7)
    neuron = {"type": "SDNN", "vThMant": 2, "refDelay": 1}
    layer = lambda rows, columns: {"type": "dense", "shape": [rows], "inFeatures": columns, "neuron": neuron}
    weights = [2 * rng.integers(-20, 20, shape) for shape in ((8, 6), (4, 8))]
    layers = [layer(8, 6) | {"weight": weights[0]}, layer(4, 8) | {"weight": weights[1]}]
    return net(Path(_folder().name) / "sigma_delta.net", layers)


def _integers() -> Graph:
    rng = _rng(8)
    kind = KINDS["lif"]
    settings = {"threshold": 90, "du": 500, "dv": 300, "bias": 0}

    def neurons(name: str, size: int) -> Population:
        rest = {k: np.full(size, s.initial) for k, s in kind.states.items()}
        given = {k: np.full(size, v, np.int64) for k, v in settings.items()}
        return Population(name, (size,), Compartments(kind, given, rest))

    wire = lambda source, target, shape: Connection(
        source, target, "current", Dense(rng.integers(-40, 90, shape).astype(np.int8)), delay=1
    )
    populations = (Population("x", (6,), Input()), neurons("a", 8), neurons("b", 3))
    return Graph(1e-3, populations, (wire("x", "a", (8, 6)), wire("a", "b", (3, 8))), ("b",))


EIGHT: dict[str, Golden] = {
    "dense": Golden(_dense, lambda: _spikes(11, 3, 20, 9), {"target": "loihi1"}),
    "recurrent": Golden(_recurrent, lambda: _spikes(12, 3, 20, 8)),
    "convolution": Golden(_convolution, lambda: _spikes(13, 2, 12, 1, 8, 8), {"pack": "fewest"}),
    "gain_control": Golden(_gain_control, lambda: _rng(14).random((4, 7)), carry=("astrocytes",)),
    "signals": Golden(
        _signals,
        lambda: _rng(15).normal(0, 1, (2, 9, 6)),
        {"calibrate": _rng(16).normal(0, 1.5, (8, 9, 6)), "dt": 1e-3, "input_shape": (6,)},
    ),
    "membrane": Golden(_membrane, lambda: _spikes(17, 3, 16, 5), {"calibrate": _spikes(18, 4, 16, 5)}),
    "sigma_delta": Golden(
        _sigma_delta,
        lambda: _rng(19).integers(-3, 4, (2, 12, 6)),
        {"calibrate": _rng(20).integers(-3, 4, (4, 12, 6)), "dt": 1e-3},
    ),
    "integers": Golden(_integers, lambda: _spikes(21, 3, 18, 6), {"target": "loihi1", "reset_every": 6}),
}
