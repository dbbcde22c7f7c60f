"""Small integer networks for tests: builders, and random ones that push every width to its edge."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np

from astrodeploy.chip import load_target
from astrodeploy.compartments import KINDS, Kind, Range
from astrodeploy.compartments.kind import Port, State
from astrodeploy.compartments.language import (
    Neuron,
    Value,
    compartment,
    count_leading_zeros,
    latch,
    maximum,
    minimum,
    saturate,
    select,
    shift_toward_zero,
    table,
    wrap,
)
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.errors import InputError
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population, verify
from astrodeploy.ir.verify import arrival_range, message_range
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Random, Sparse, Wiring
from astrodeploy.program import Program

Generator = np.random.Generator


def population(
    name: str,
    kind: Kind | str,
    size: int,
    *,
    period: int = 0,
    depth: int = 0,
    initial: Mapping[str, object] | None = None,
    **parameters: object,
) -> Population:
    """Neurons of a kind; parameters and initial states are scalars or arrays, those left out are 0 or at rest."""
    kind = KINDS[kind] if isinstance(kind, str) else kind
    rest = {k: s.initial for k, s in kind.states.items()} | dict(initial or {})
    given = {k: min(max(0, r.low), r.high) for k, r in kind.parameters.items()} | parameters
    return Population(
        name, (size,), Compartments(kind, _whole(given, size), _whole(rest, size), period), depth
    )


def _whole(values: Mapping[str, object], size: int) -> dict[str, np.ndarray]:
    return {k: np.broadcast_to(np.asarray(v, np.int64), (size,)) for k, v in values.items()}


def connection(
    source: str,
    target: str,
    weight: object,
    *,
    port: str = "current",
    exponent: int = 0,
    delay: int = 1,
    lag: int = 0,
) -> Connection:
    """Weights (target size, source size) on their way from source to target."""
    return Connection(source, target, port, Dense(np.asarray(weight, np.int8)), exponent, lag, delay)


def network(inputs: int, populations: Sequence[Population], connections: Sequence[Connection]) -> Graph:
    """An integer network that keeps every law; its input is called `x`, its output is the last population."""
    graph = Graph(
        dt=1e-3,
        populations=(Population("x", (inputs,), Input()), *populations),
        connections=tuple(connections),
        outputs=(populations[-1].name,),
    )
    verify(graph)
    return graph


def job(graph: Graph, spikes: object, *, reset_every: int = 0, record_all: bool = True) -> Job:
    """Run `spikes` (rows, steps, inputs), or those by input, and, as a default, record every state."""
    program = Program(graph, graph, load_target("loihi2"), (), (), reset_every)
    record = frozenset(
        (p.name, state)
        for p in graph.populations
        if isinstance(p.node, Compartments)
        for state in p.node.kind.states
    )
    given = spikes if isinstance(spikes, dict) else {graph.input.name: np.asarray(spikes, np.uint8)}
    return Job(
        program,
        given,
        reset_every,
        record if record_all else frozenset(),
    )


def exchange(each: Job, changed: Connection) -> Job:
    """The same job with one connection replaced by its namesake."""
    graph = each.program.network
    connections = tuple(changed if c.name == changed.name else c for c in graph.connections)
    return replace(each, program=replace(each.program, network=replace(graph, connections=connections)))


def differences(a: Recording, b: Recording) -> tuple[int, int]:
    """How many values differ, and how many were compared; both must hold the same arrays."""
    assert set(a.spikes) == set(b.spikes)
    assert set(a.states) == set(b.states)
    pairs = [(a.spikes[k], b.spikes[k]) for k in a.spikes] + [(a.states[k], b.states[k]) for k in a.states]
    assert all(left.shape == right.shape for left, right in pairs)
    return sum(int(np.sum(left != right)) for left, right in pairs), sum(left.size for left, _ in pairs)


# ---- random networks -------------------------------------------------------------------------------


def edgy(rng: Generator, each: Range, size: int) -> np.ndarray:
    """Values of a range, half of them at its edges or beside 0."""
    edges = [each.low, each.high, each.low + 1, each.high - 1, -1, 0, 1]
    edges = [v for v in edges if each.low <= v <= each.high]
    anywhere = rng.integers(each.low, each.high, size, endpoint=True)
    return np.where(rng.random(size) < 0.5, rng.choice(edges, size), anywhere)


def random_population(rng: Generator, name: str, kind: Kind, size: int) -> Population:
    """A population with parameters and states at rest that favour the edges of their ranges."""
    return population(
        name,
        kind,
        size,
        period=int(rng.integers(1, 6)) if kind.window else 0,
        depth=int(rng.integers(0, 5)),
        initial={k: edgy(rng, s.range, size) for k, s in kind.states.items()},
        **{k: edgy(rng, r, size) for k, r in kind.parameters.items()},
    )


def random_connection(
    rng: Generator, source: Population, target: Population, port: str, share: int
) -> Connection:
    """Weights and an exponent that nearly fill one `share`-th of what the port takes, now and then a small one."""
    wiring = random_pattern(rng, source.size, target.size)
    weight = rng.integers(-128, 128, wiring.values.shape)
    accumulator = target.node.kind.inputs[port].range
    if accumulator.low >= 0:
        weight = abs(weight) if message_range(source).low >= 0 else np.zeros_like(weight)
    if rng.random() < 0.3:
        weight[rng.random(weight.shape) < 0.9] = 0
    allowed = Range(accumulator.low // share, accumulator.high // share)
    made = Connection(
        source.name,
        target.name,
        port,
        wiring.with_values(np.clip(weight, -128, 127).astype(np.int8)),
        delay=int(rng.integers(1, 5)),
        lag=int(rng.integers(0, 4)),
    )
    graph = Graph(1e-3, (source,) if source is target else (source, target), (made,), (target.name,))
    fitting = [e for e in range(-32, 17) if allowed.contains(arrival_range(graph, replace(made, exponent=e)))]
    if not fitting:
        return replace(made, wiring=wiring.with_values(np.zeros(weight.shape, np.int8)))
    return replace(made, exponent=max(fitting) if rng.random() < 0.7 else int(rng.choice(fitting[-12:])))


def random_pattern(rng: Generator, sources: int, targets: int) -> Wiring:
    """Any pattern between populations of these sizes, of ones."""
    found: list[Wiring] = [Dense(np.ones((targets, sources)))] * 2
    there = rng.random((targets, sources)) < 0.4
    found.append(Sparse.of(there * 1.0))
    window = int(rng.integers(1, sources + 1))
    drawn = {"inputs": int(rng.integers(1, window + 1)), "window": window, "seed": int(rng.integers(1 << 40))}
    found.append(Random(np.ones(int(rng.integers(1, 6))), targets, sources, **drawn))
    if sources == targets:
        found.append(OneToOne(np.ones(sources)))
    if fitting := _convolutions(sources, targets):
        found.append(fitting[int(rng.integers(len(fitting)))])
    return found[int(rng.integers(len(found)))]


@cache
def _convolutions(sources: int, targets: int) -> list[Conv]:
    """Convolutions of small settings from so many neurons to so many."""
    found = []
    for channels, outputs, kernel, stride, padding, dilation in product(
        (1, 2, 3), (1, 2, 3, 4), (1, 2, 3), (1, 2), (0, 1), (1, 2)
    ):
        for groups, plane in product((1, channels), _planes(sources, channels)):
            n = len(plane)
            values = np.ones((outputs, channels // groups, *(kernel, 2)[:n]))
            try:
                made = Conv(
                    values,
                    (channels, *plane),
                    (stride, 1)[:n],
                    (padding, 1)[:n],
                    (dilation, 1)[:n],
                    groups,
                )
            except InputError:
                continue
            found += [made] * (made.shape == (targets, sources))
    return found


def _planes(sources: int, channels: int) -> list[tuple[int, ...]]:
    if sources % channels:
        return []
    size = sources // channels
    return [(size,)] + [(n, size // n) for n in range(1, size + 1) if size % n == 0]


Wire = tuple[int, int, str]  # source (-1: the input, -2: another, of graded messages), target, port


def random_wires(rng: Generator, kinds: Sequence[Kind]) -> list[Wire]:
    """Each port fed by an input or any population, its own and later ones too; by some twice."""
    wires: list[Wire] = []
    for target, kind in enumerate(kinds):
        for port in kind.inputs:
            count = min(len(kinds) + 2, int(rng.integers(1, 4)))
            sources = [int(n) for n in rng.choice(len(kinds) + 2, count, replace=False) - 2]
            sources += sources[:1] * int(rng.random() < 0.2)
            wires += [(source, target, port) for source in sources]
    return wires


def random_network(rng: Generator, kinds: Sequence[Kind], wires: Sequence[Wire], inputs: int = 9) -> Graph:
    """Random sizes, parameters, patterns, weights, exponents, delays and lags for populations so wired."""
    sizes = [int(n) for n in rng.integers(1, 8, len(kinds))]
    nodes = [random_population(rng, f"p{i}", kinds[i], sizes[i]) for i in range(len(kinds))]
    low, high = -int(rng.integers(0, 200)), int(rng.integers(2, 200))
    outside = [Population("x", (inputs,), Input()), Population("y", (6,), Input(low, high, 8.0))]
    connections: list[Connection] = []
    for source, target, port in wires:
        share = sum((t, p) == (target, port) for _, t, p in wires)
        start = outside[-1 - source] if source < 0 else nodes[source]
        made = random_connection(rng, start, nodes[target], port, share)
        while made.name in [c.name for c in connections]:
            made = replace(made, lag=made.lag + 1)
        connections.append(made)
    used = [p for p in outside if p.name == "x" or p.name in [c.source for c in connections]]
    outputs = tuple(dict.fromkeys((nodes[-1].name, nodes[0].name)))
    graph = Graph(1e-3, (*used, *nodes), tuple(connections), outputs)
    verify(graph)
    return graph


def random_job(rng: Generator, graph: Graph, rows: int = 3, steps: int = 24) -> Job:
    """Rows of silence, of full fire and of between; sometimes with resets."""
    rate = rng.choice([0.0, 0.1, 0.5, 1.0], (rows, steps, 1))
    given = {"x": (rng.random((rows, steps, graph.input.size)) < rate).astype(np.uint8)}
    for each in graph.inputs[1:]:
        graded = rng.integers(each.node.low, each.node.high, (rows, steps, each.size), endpoint=True)
        given[each.name] = (graded * (rng.random((rows, steps, 1)) < 0.5)).astype(np.int32)
    return job(graph, given, reset_every=int(rng.choice([0, 5, 7])))


SIGNED = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "minimum": minimum,
    "maximum": maximum,
    "latch": latch,
}
COMPARED = {
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
}


class RandomBody:
    """Writes a random neuron program: every operation may come, all values stay within 62 bits."""

    def __init__(self, rng: Generator, length: int) -> None:
        self.rng, self.length = rng, length

    def __call__(self, n: Neuron) -> None:
        self.values: list[Value] = [n.a, n.b, n.p, n.q, n.s0, n.s1, n.s2]
        self.bits: list[Value] = [n.a != 0, n.s0 < n.p]
        for _ in range(self.length):
            self._emit(n)
        n.s0 = saturate(self._recent(), -(1 << 23), 1 << 23)
        n.s1 = wrap(self._recent(), int(self.rng.integers(2, 25)))
        n.s2 = saturate(self._recent() - n.s2, -(1 << 31), (1 << 31) - 1)

    def _recent(self) -> Value:
        return self.values[-int(self.rng.integers(1, 5))]

    def _some(self, limit: int) -> Value:
        value = self.values[int(self.rng.integers(len(self.values)))]
        return saturate(value, -limit, limit)

    def _bit(self) -> Value:
        return self.bits[int(self.rng.integers(len(self.bits)))]

    def _emit(self, n: Neuron) -> None:
        rng, values = self.rng, self.values
        a, b = self._some(1 << 60), self._some(1 << 60)
        match rng.choice(
            ["signed", "signed", "compare", "logic", "multiply", "left", "right", "select", "other"]
        ):
            case "signed":
                values.append(SIGNED[rng.choice(list(SIGNED))](a, b))
            case "compare":
                self.bits.append(COMPARED[rng.choice(list(COMPARED))](a, b))
            case "logic":
                x, y = self._bit(), self._bit()
                self.bits.append(x & y if rng.random() < 0.5 else x | y)
            case "multiply":
                values.append(self._some(1 << 31) * self._some((1 << 30) - 1))
            case "left":
                bits = int(rng.integers(0, 40))
                values.append(self._some((1 << 61 - bits) - 1) << bits)
                values.append(self._some((1 << 46) - 1) << n.r)
            case "right":
                bits = n.r if rng.random() < 0.5 else int(rng.integers(0, 63))
                values.append(a >> bits if rng.random() < 0.5 else shift_toward_zero(a, bits))
            case "select":
                values.append(select(self._bit(), a, b))
            case "other":
                values.append(self._other(a))

    def _other(self, a: Value) -> Value:
        match self.rng.integers(4):
            case 0:
                return table("t", saturate(a >> 3, -16, 16) + 16)
            case 1:
                return table("tt", saturate(a, 0, 2))
            case 2:
                return count_leading_zeros(saturate(a, 0, (1 << 32) - 1))
            case _:
                return wrap(a, int(self.rng.integers(2, 62)))


def random_kind(seed: int, length: int = 10) -> Kind:
    """A random neuron program with two tables; a third of them have a slow list, half are graded."""
    rng = np.random.default_rng(seed)
    step, window = RandomBody(rng, length), RandomBody(rng, length // 2)
    graded, slow, by_window = rng.random() < 0.5, rng.random() < 0.4, rng.random() < 0.5
    sent = Range(-50, 50) if graded else Range(0, 1)

    def send(n: Neuron) -> None:
        n.out = saturate(n.s0 + n.s1, sent.low, sent.high)

    def step_body(n: Neuron) -> None:
        step(n)
        if not (slow and by_window):
            send(n)

    def window_body(n: Neuron) -> None:
        window(n)
        if by_window:
            send(n)

    step_body.__name__ = f"random_{seed}"
    return compartment(
        states={
            "s0": State(Range(-(1 << 23), 1 << 23), 7),
            "s1": State(Range(-(1 << 23), 1 << 23), -3, slow=True),
            "s2": State(Range.signed(32), 1),
        },
        parameters={"p": Range.signed(20), "q": Range(-5, 61), "r": Range(0, 15)},
        inputs={"a": Port(Range.signed(18)), "b": Port(Range.signed(40), slow=True)},
        outputs={"out": Port(sent)},
        tables={
            "t": tuple(int(v) for v in rng.integers(-(1 << 20), 1 << 20, 33)),
            "tt": (-(1 << 61), 0, 1 << 61),
        },
        window=window_body if slow else None,
    )(step_body)
