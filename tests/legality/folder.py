"""A saved Program as plain data: what program.json and tensors.safetensors say, and every synapse by name.

Nothing here comes from the compiler. A connection is expanded into a list of all its synapses, with the
source neuron, the target neuron and the weight of each; so it is for networks of some million synapses.
"""

import json
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file


@dataclass(frozen=True)
class Population:
    """Neurons, or an input from outside: then without a kind.

    kind        states, parameters, ports and operations of one neuron; None for an input
    parameters  by name, one number a neuron
    message     the least and the most that a neuron sends
    period      steps from one slow update to the next; 0 without
    """

    name: str
    shape: tuple[int, ...]
    kind: dict[str, Any] | None
    parameters: dict[str, np.ndarray]
    message: tuple[int, int]
    period: int

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)


@dataclass(frozen=True)
class Synapses:
    """All pairs of neurons that a connection's pattern joins, zero weights among them."""

    target: np.ndarray
    source: np.ndarray
    weight: np.ndarray

    def where(self, chosen: np.ndarray) -> "Synapses":
        """Some of them."""
        return Synapses(self.target[chosen], self.source[chosen], self.weight[chosen])


@dataclass(frozen=True)
class Connection:
    """One connection as the file has it, and its synapses."""

    source: str
    target: str
    port: str
    lag: int
    delay: int
    exponent: int
    pattern: str
    settings: dict[str, Any]
    values: np.ndarray
    synapses: Synapses

    @property
    def name(self) -> str:
        """As the file's notes call it."""
        return f"{self.source} -> {self.target}.{self.port}{f' {self.lag:+d}' if self.lag else ''}"


@dataclass(frozen=True)
class Network:
    """The integer network, or the float network that it means."""

    populations: dict[str, Population]
    connections: list[Connection]


@dataclass(frozen=True)
class Folder:
    """All that the checker reads.

    encodings  by name of a connection, how its synapses lie in memory, where a note of the compiler says it
    """

    board: dict[str, Any]
    chip: dict[str, Any]
    network: Network
    reference: Network
    cores: list[dict[str, Any]]
    encodings: dict[str, str]

    def limit(self, name: str) -> int | None:
        """One of the chip's limits; None where it has none."""
        return number(self.chip["limits"][name])

    def width(self, name: str) -> int | None:
        """One of the chip's widths; None where it has none."""
        return number(self.chip["widths"][name])


def number(entry: dict[str, Any] | None) -> int | None:
    """The value of a number of the chip's description."""
    return None if entry is None else int(entry["value"])


def read(path: Path) -> Folder:
    """Read a Program's folder."""
    content = json.loads((path / "program.json").read_text())["content"]
    tensors = load_file(path / "tensors.safetensors")
    meant = {k.removeprefix("reference."): v for k, v in tensors.items() if k.startswith("reference.")}
    return Folder(
        board=content["board"],
        chip=content["board"]["chip"],
        network=_network(content["network"], tensors),
        reference=_network(content["reference"], meant),
        cores=content["cores"],
        encodings=_said(content["passes"]),
    )


def _said(passes: list[dict[str, Any]]) -> dict[str, str]:
    """ "stored dense: ..." of the notes of the pass that assigned the cores."""
    notes = [note for each in passes if each["name"] == "partition" for note in each["notes"]]
    stored = [(note["subject"], note["text"]) for note in notes if note["text"].startswith("stored ")]
    return {subject: text.removeprefix("stored ").split(":")[0] for subject, text in stored}


def _network(plain: dict[str, Any], tensors: dict[str, np.ndarray]) -> Network:
    made = [_population(p, i, plain["kinds"], tensors) for i, p in enumerate(plain["populations"])]
    populations = {each.name: each for each in made}
    connections = [_connection(c, i, populations, tensors) for i, c in enumerate(plain["connections"])]
    return Network(populations, connections)


def _population(
    plain: dict[str, Any], position: int, kinds: dict[str, Any], tensors: dict[str, np.ndarray]
) -> Population:
    kind, prefix = kinds.get(plain.get("kind")), f"population.{position}.parameter."
    parameters = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    message = 0, 1
    if kind is not None:
        ranges = [(low, high) for low, high, _ in kind["outputs"].values()]
        message = min((low for low, _ in ranges), default=0), max((high for _, high in ranges), default=0)
    elif plain.get("node") == "Input":
        message = plain["settings"]["low"], plain["settings"]["high"]
    least_and_most = min(0, int(message[0])), max(0, int(message[1]))  # 0 is no message
    shape, period = tuple(plain["shape"]), plain.get("period", 0)
    return Population(plain["name"], shape, kind, parameters, least_and_most, period)


def _connection(
    plain: dict[str, Any], position: int, populations: dict[str, Population], tensors: dict[str, np.ndarray]
) -> Connection:
    arrays = {name: tensors[f"connection.{position}.{name}"] for name in plain["arrays"]}
    known = {name: plain[name] for name in ("source", "target", "port", "lag", "delay", "exponent")}
    listed = _PATTERNS[plain["pattern"]](arrays, plain["settings"])
    sizes = populations[plain["target"]].size, populations[plain["source"]].size
    for places, size in zip((listed.target, listed.source), sizes, strict=True):
        if places.size and not 0 <= places.min() <= places.max() < size:
            raise ValueError(f"connection {position} has synapses beyond its populations of {sizes} neurons")
    return Connection(
        **known,
        pattern=plain["pattern"],
        settings=plain["settings"],
        values=arrays["values"],
        synapses=listed,
    )


# ---- patterns: every synapse --------------------------------------------------------------------------


def _dense(arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Synapses:
    target, source = np.indices(arrays["values"].shape, np.int32)
    return Synapses(target.ravel(), source.ravel(), arrays["values"].ravel())


def _one_to_one(arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Synapses:
    neurons = np.arange(arrays["values"].size)
    return Synapses(neurons, neurons, arrays["values"])


def _sparse(arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Synapses:
    starts = arrays["starts"]
    target = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    return Synapses(target, arrays["columns"], arrays["values"])


def _random(arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Synapses:
    """Every target draws a source from each of nearly equal parts of its window, and one of the weights.

    A draw is SplitMix64 of its number, with the seed's own draw added: the upper 32 bits say which source, the
    lower ones which weight.
    """
    targets, sources, inputs, window = (settings[k] for k in ("targets", "sources", "inputs", "window"))
    middle = (2 * np.arange(targets) + 1) * sources // (2 * targets)
    first = np.clip(middle - window // 2, 0, sources - window)
    ends = np.arange(inputs + 1) * window // inputs
    step, half = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)
    numbers = np.arange(1, targets * inputs + 1, dtype=np.uint64)
    bits = _mixed(_mixed(np.array([settings["seed"]], np.uint64) + step) + step * numbers)
    within = (bits >> half) * np.tile(np.diff(ends), targets).astype(np.uint64) >> half
    source = np.repeat(first, inputs) + np.tile(ends[:-1], targets) + within.astype(np.int64)
    which = (bits & np.uint64(0xFFFFFFFF)) * np.uint64(arrays["values"].size) >> half
    target = np.repeat(np.arange(targets), inputs)
    return Synapses(target, source, arrays["values"][which.astype(np.int64)])


def _mixed(state: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014): 64 bits that look random."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))


def _conv(arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Synapses:
    """Output o reads input o * stride - padding + cell * dilation through each cell, along every axis."""
    values, inputs = arrays["values"], settings["input_shape"][1:]
    outputs, read, *kernel = values.shape
    size = output_shape(settings, values.shape)[1:]
    channel = np.arange(outputs)[:, None]
    feeds = channel // (outputs // settings["groups"]) * read + np.arange(read)  # (outputs, read)
    targets, sources, weights = [], [], []
    for cell in product(*map(range, kernel)):
        places = np.indices(size).reshape(len(size), -1)  # of every output of a plane
        pixel, inside = np.zeros(places.shape[1], np.int64), np.ones(places.shape[1], np.bool_)
        for axis, n in enumerate(inputs):
            at = places[axis] * settings["stride"][axis] - settings["padding"][axis]
            at = at + cell[axis] * settings["dilation"][axis]
            inside &= (at >= 0) & (at < n)
            pixel = pixel * n + at
        one = np.flatnonzero(inside)
        each = np.broadcast_shapes((outputs, read, 1), one.shape)
        places_read = feeds[..., None] * prod(inputs) + pixel[one]
        targets.append(np.broadcast_to(channel[..., None] * prod(size) + one, each).astype(np.int32).ravel())
        sources.append(np.broadcast_to(places_read, each).astype(np.int32).ravel())
        weights.append(np.broadcast_to(values[(..., *cell)][..., None], each).ravel())
    return Synapses(*(np.concatenate(each) for each in (targets, sources, weights)))


def output_shape(settings: dict[str, Any], filters: tuple[int, ...]) -> tuple[int, ...]:
    """Channels and plane of a convolution's outputs."""
    keys = ("stride", "padding", "dilation")
    along = zip(settings["input_shape"][1:], filters[2:], *(settings[k] for k in keys), strict=True)
    return (filters[0], *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in along))


_PATTERNS = {"Dense": _dense, "OneToOne": _one_to_one, "Sparse": _sparse, "Random": _random, "Conv": _conv}
