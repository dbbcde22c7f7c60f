"""A mapped network as the side that runs SANA-FE reads it, and what it does, counted anew with numpy alone.

Nothing here uses astrodeploy's engines or its estimates: the integers are stepped and the events counted from
the arrays of the file, so that both sides of the comparison can be checked against a third.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

UNIT = 64  # SANA-FE keeps a membrane in 64ths of a weight; the chip's integers are these 64ths
CORES = 128


@dataclass(frozen=True)
class Connection:
    """Synapses of one connection: `weights` (targets, sources), of them only those that are `stored`."""

    name: str
    source: str
    target: str
    weights: np.ndarray
    stored: np.ndarray


@dataclass(frozen=True)
class Layer:
    """LIF neurons without a lasting current: v <- v (4096 - decay) / 4096 + input, in integers."""

    name: str
    decay: int
    threshold: int
    encoding: str


@dataclass(frozen=True)
class Mapped:
    """A network on the cores of one chip; `cores` holds each neuron's core as SANA-FE numbers it, by population."""

    inputs: dict[str, np.ndarray]
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]
    cores: dict[str, np.ndarray]

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return len(next(iter(self.inputs.values())))

    def save(self, path: Path, models: tuple[str, ...]) -> None:
        """Write the file that sanafe_side.py reads."""
        plan = {
            "inputs": [{"name": name} for name in self.inputs],
            "populations": [
                {
                    "name": each.name,
                    "leak": (4096 - each.decay) / 4096,
                    "threshold": each.threshold / UNIT,
                    "encoding": each.encoding,
                }
                for each in self.layers
            ],
            "connections": [
                {"name": c.name, "source": c.source, "target": c.target} for c in self.connections
            ],
            "models": list(models),
        }
        arrays = {"plan": np.array(json.dumps(plan))}
        arrays |= {f"spikes_{name}": spikes for name, spikes in self.inputs.items()}
        arrays |= {f"cores_{name}": cores for name, cores in self.cores.items()}
        for c in self.connections:
            arrays |= _synapses(c)
        np.savez(path, **arrays)


def _synapses(c: Connection) -> dict[str, np.ndarray]:
    weights = c.weights.T / UNIT
    if c.stored.all():
        return {f"weights_{c.name}": weights}
    sources, targets = np.nonzero(c.stored.T)
    return {
        f"sources_{c.name}": sources,
        f"targets_{c.name}": targets,
        f"weights_{c.name}": weights[sources, targets],
    }


@dataclass(frozen=True)
class Activity:
    """Who fired and whose membrane was updated: by population, (steps, neurons) of bool."""

    fired: dict[str, np.ndarray]
    updated: dict[str, np.ndarray]


def stepped(network: Mapped) -> Activity:
    """The network's integers, step by step; a spike arrives one step later.

    A neuron counts as updated where something arrived, where its membrane was not 0 before, or where it fires.
    """
    shape = {each.name: (network.steps, len(network.cores[each.name])) for each in network.layers}
    fired = {name: np.zeros(s, bool) for name, s in shape.items()} | network.inputs
    updated = {name: np.zeros(s, bool) for name, s in shape.items()}
    membrane = {name: np.zeros(s[1], np.int64) for name, s in shape.items()}
    for t in range(network.steps):
        for layer in network.layers:
            v, name = membrane[layer.name], layer.name
            arrived, reached = _arrived(network, fired, name, t)
            updated[name][t] = (v != 0) | reached
            v = np.sign(v) * (np.abs(v) * (4096 - layer.decay) >> 12) + arrived
            fired[name][t] = v > layer.threshold
            updated[name][t] |= fired[name][t]
            membrane[name] = np.where(fired[name][t], 0, v)
    return Activity(fired, updated)


def _arrived(network, fired, name, t):
    """What arrives in step t and whether anything does, (neurons,) each."""
    arrived = np.zeros(len(network.cores[name]), np.int64)
    reached = np.zeros(len(arrived), bool)
    for c in network.connections:
        if c.target == name and t > 0:
            senders = fired[c.source][t - 1]
            arrived += c.weights[:, senders].sum(1)
            reached |= c.stored[:, senders].any(1)
    return arrived, reached


@dataclass(frozen=True)
class Flow:
    """Messages from one core to another: per step (steps,), and the synapses that they reach, by encoding."""

    messages: np.ndarray
    synapses: dict[str, np.ndarray]


def flows(network: Mapped, activity: Activity) -> dict[tuple[int, int], Flow]:
    """Every pair of cores between which messages go; a spike is one message to each core that holds a target."""
    found: dict[tuple[int, int], Flow] = {}
    for source in network.cores:
        reach = _reach(network, source)
        home, sent = network.cores[source], activity.fired[source].astype(np.int64)
        for core in np.flatnonzero(np.any([r.any(0) for r in reach.values()], 0)) if reach else ():
            per_neuron = {name: r[:, core] for name, r in reach.items()}
            any_target = np.any([r > 0 for r in per_neuron.values()], 0)
            for at in np.unique(home):
                here = sent * (home == at)
                synapses = {name: here @ r for name, r in per_neuron.items()}
                flow = Flow(here @ any_target, synapses)
                found[int(at), int(core)] = _added(found.get((int(at), int(core))), flow)
    return found


def _reach(network: Mapped, source: str) -> dict[str, np.ndarray]:
    """Synapses of each neuron on each core, (neurons, CORES), by the encoding that they are stored in."""
    encodings = {each.name: each.encoding for each in network.layers}
    reach: dict[str, np.ndarray] = {}
    for c in network.connections:
        if c.source == source:
            on_core = np.eye(CORES, dtype=np.int64)[network.cores[c.target]]
            name = encodings[c.target]
            reach[name] = reach.get(name, 0) + c.stored.T.astype(np.int64) @ on_core
    return reach


def _added(a: Flow | None, b: Flow) -> Flow:
    if a is None:
        return b
    names = a.synapses.keys() | b.synapses.keys()
    return Flow(a.messages + b.messages, {n: a.synapses.get(n, 0) + b.synapses.get(n, 0) for n in names})
