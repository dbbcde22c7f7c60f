"""Random integer networks of every wiring and compartment kind, with several and with graded inputs."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
from networks import Generator, edgy, population

from astrodeploy.chip import load_target
from astrodeploy.compartments import Kind, Range
from astrodeploy.engines.recording import Job
from astrodeploy.errors import InputError
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population, verify
from astrodeploy.ir.verify import message_range, shifted
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, Wiring, pool
from astrodeploy.program import Program

SPIKES, GRADED = Input(), Input(-300, 1000)
Shape = tuple[int, ...]


def weights(rng: Generator, shape: Shape, positive: bool = False) -> np.ndarray:
    """8-bit weights that favour the edges; some are 0."""
    values = edgy(rng, Range(0, 127) if positive else Range(-128, 127), prod(shape)).reshape(shape)
    return np.where(rng.random(shape) < 0.2, 0, values).astype(np.int8)


def random_conv(rng: Generator, shape: Shape, positive: bool = False, largest: int = 60) -> Conv:
    """A convolution over (channels, length) or (channels, height, width) of any settings.

    It has at most `largest` targets: the oracle takes them one by one.
    """
    channels, spatial = shape[0], len(shape) - 1
    divisors = [g for g in range(1, channels + 1) if channels % g == 0]
    while True:
        groups = int(rng.choice(divisors))
        outputs = groups * int(rng.integers(1, 4))
        kernel, stride, dilation = (
            tuple(int(n) for n in rng.integers(1, high, spatial)) for high in (5, 4, 4)
        )
        padding = tuple(int(n) for n in rng.integers(0, 4, spatial))
        try:
            values = weights(rng, (outputs, channels // groups, *kernel), positive)
            made = Conv(values, shape, stride, padding, dilation, groups)
        except InputError:  # no output on so small an input
            continue
        if made.shape[0] <= largest:
            return made


def random_pool(rng: Generator, shape: Shape, positive: bool = False) -> Conv:
    """Sum pooling with one weight."""
    kernel = tuple(int(rng.integers(1, min(n, 4) + 1)) for n in shape[1:])
    made = pool(shape, kernel, kernel, (0,) * len(kernel))
    return made.with_values(np.full(made.values.shape, rng.integers(1, 128), np.int8))


def random_sparse(rng: Generator, targets: int, sources: int, positive: bool = False) -> Sparse:
    """A list of synapses; some targets have none."""
    chosen = rng.random((targets, sources)) < rng.choice([0.05, 0.3, 0.8])
    return Sparse.of(weights(rng, (targets, sources), positive) * chosen)


def shaped(population: Population, shape: Shape) -> Population:
    """The same neurons in another shape."""
    return replace(population, shape=shape)


def first_wiring(rng: Generator, source: Population, positive: bool) -> tuple[Wiring, Shape]:
    """A wiring out of a population that decides on the shape of its target."""
    shape = source.shape
    match rng.choice(["conv", "conv", "pool", "one", "sparse", "dense"]):
        case "conv" if len(shape) > 1:
            conv = random_conv(rng, shape, positive)
            return conv, conv.output_shape
        case "pool" if len(shape) > 1:
            pooled = random_pool(rng, shape)
            return pooled, pooled.output_shape
        case "one":
            return OneToOne(weights(rng, (source.size,), positive)), shape
        case "dense":
            return Dense(weights(rng, (7, source.size), positive)), (7,)
    target = (2, int(rng.integers(2, 5)), int(rng.integers(1, 4)))
    return random_sparse(rng, prod(target), source.size, positive), target


def wire(
    rng: Generator, source: Population, target: Population, port: str, wiring: Wiring, share: int = 1
) -> Connection:
    """A connection with an exponent that nearly fills one `share`-th of what the port takes, or a smaller one."""
    assert isinstance(target.node, Compartments)
    message, accumulator = message_range(source), target.node.kind.inputs[port].range
    allowed = Range(accumulator.low // share, accumulator.high // share)
    low, high = wiring.bounds(message.low, message.high)
    ends = int(low.min(initial=0)), int(high.max(initial=0))
    fitting = [e for e in range(-32, 17) if allowed.contains(Range(*(shifted(end, e) for end in ends)))]
    if not fitting:  # a negative message on an unsigned port
        wiring, fitting = wiring.with_values(np.zeros_like(wiring.values)), [0]
    exponent = max(fitting) if rng.random() < 0.7 else int(rng.choice(fitting[-12:]))
    delay, lag = int(rng.choice([1, 1, 2, 5])), int(rng.integers(0, 4))
    return Connection(source.name, target.name, port, wiring, exponent, lag, delay)


def random_neurons(rng: Generator, name: str, kind: Kind, shape: Shape) -> Population:
    """Neurons whose parameters favour the edges; half the time one number for all of them."""
    size = prod(shape)
    uniform = rng.random() < 0.5
    made = population(
        name,
        kind,
        size,
        period=int(rng.integers(1, 6)) if kind.window else 0,
        depth=int(rng.integers(0, 5)),
        initial={k: edgy(rng, s.range, size) for k, s in kind.states.items()},
        **{k: edgy(rng, r, 1 if uniform else size) for k, r in kind.parameters.items()},
    )
    return shaped(made, shape)


def structured_network(rng: Generator, kinds: Sequence[Kind]) -> Graph:
    """A population of every kind; its first input decides its shape, others come from anywhere, itself too."""
    image = (int(rng.choice([1, 2])), int(rng.integers(3, 6)), int(rng.integers(3, 6)))
    line = (int(rng.choice([1, 3])), int(rng.integers(4, 12)))
    populations = [Population("x", image, SPIKES), Population("y", line, GRADED)]
    connections: list[Connection] = []
    for i, kind in enumerate(kinds):
        port = next(iter(kind.inputs))
        source = populations[int(rng.integers(max(0, len(populations) - 3), len(populations)))]
        wiring, shape = first_wiring(rng, source, kind.inputs[port].range.low >= 0)
        neurons = random_neurons(rng, f"p{i}", kind, shape)
        populations.append(neurons)
        connections.append(wire(rng, source, neurons, port, wiring, share=3))
    for target in populations[2:]:
        for port, declared in target.node.kind.inputs.items():
            for index in rng.choice(len(populations), 2, replace=False):
                source, positive = populations[index], declared.range.low >= 0
                more = random_sparse(rng, target.size, source.size, positive)
                if source.size == target.size and rng.random() < 0.5:
                    more = OneToOne(weights(rng, (target.size,), positive))
                connections.append(wire(rng, source, target, port, more, share=3))
    once = {c.name: c for c in connections}
    graph = Graph(1e-3, tuple(populations), tuple(once.values()), (populations[-1].name,))
    verify(graph)
    return graph


def stimulus(rng: Generator, node: Input, shape: tuple[int, int, int]) -> np.ndarray:
    """Messages that a node of that range can send; silence now and then."""
    sent = rng.integers(node.low, node.high, shape, endpoint=True)
    rate = rng.choice([0.0, 0.1, 0.5, 1.0], (*shape[:2], 1))
    return np.where(rng.random(shape) < rate, sent, 0).astype(np.uint8 if node is SPIKES else np.int32)


def structured_job(rng: Generator, graph: Graph, rows: int = 2, steps: int = 15) -> Job:
    """Random stimuli for all inputs, every state recorded, sometimes with resets."""
    spikes = {p.name: stimulus(rng, p.node, (rows, steps, p.size)) for p in graph.inputs}
    record = frozenset(
        (p.name, state)
        for p in graph.populations
        if isinstance(p.node, Compartments)
        for state in p.node.kind.states
    )
    reset_every = int(rng.choice([0, 5, 7]))
    program = Program(graph, graph, load_target("loihi2"), (), (), reset_every)
    return Job(program, spikes, reset_every, record)
