"""The laws that every Graph keeps; checked after loading and between passes."""

import numpy as np

from astrodeploy.compartments.kind import Range
from astrodeploy.compartments.proof import LIMIT, WORD_BITS
from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.graph import ROLES, Connection, Graph, Population
from astrodeploy.ir.nodes import (
    COMPARISONS,
    INTEGRATORS,
    LIF,
    OUTPUTS,
    RESETS,
    SENDS,
    Astrocyte,
    Compartments,
    Constant,
    CubaLIF,
    Input,
    Membrane,
    RateEncoder,
    SigmaDelta,
)
from astrodeploy.ir.readout import KNOWN, READOUTS

SINGLE_PRECISION = 1e-6  # time constants are the inverses of a float32
MAXIMAL_REFRACTORY = 63
MOST_SOURCES = (
    1 << 24
)  # of a connection on the chip: the sum of so many weights fits 32 bits, times messages 62
WORD = Range.signed(WORD_BITS)
PORTS: dict[type, tuple[str, ...]] = {
    Input: (),
    RateEncoder: (),
    Constant: (),
    LIF: ("current", "modulation"),
    CubaLIF: ("current", "modulation"),
    SigmaDelta: ("current",),
    Astrocyte: ("activity", "left", "right", "factor"),
}


def verify(graph: Graph) -> None:
    """Raise InputError, with every finding, where the Graph breaks a law."""
    findings = _structure(graph)
    if not findings:
        for population in graph.populations:
            findings += _node(population, graph.dt)
        for connection in graph.connections:
            findings += _connection(graph, connection)
        if not findings:
            findings += _arrivals(graph)
    if findings:
        raise InputError("the network can't be compiled: " + "; ".join(findings))


def _structure(graph: Graph) -> list[str]:
    names = graph.layers
    findings = [f"two populations are called {n!r}" for n in sorted(set(names)) if names.count(n) > 1]
    findings += _ends(graph)
    if not (np.isfinite(graph.dt) and graph.dt > 0):
        findings.append(f"dt must be a positive number of seconds, not {graph.dt!r}")
    for c in graph.connections:
        findings += [
            f"{c.name}: {end!r} is no population" for end in (c.source, c.target) if end not in names
        ]
    ends = [c.name for c in graph.connections]
    findings += [f"{n} is connected twice" for n in sorted(set(ends)) if ends.count(n) > 1]
    kinds = {
        p.node.kind.fingerprint: p.node.kind.name
        for p in graph.populations
        if isinstance(p.node, Compartments)
    }
    called = list(kinds.values())
    findings += [f"two kinds are called {n!r}" for n in sorted(set(called)) if called.count(n) > 1]
    modulated = [c.target for c in graph.connections if c.port == "modulation" and _is_float(graph, c.target)]
    findings += [f"{n} has two gains: give it one" for n in sorted(set(modulated)) if modulated.count(n) > 1]
    findings += [each for p in graph.populations for each in _role(p)]
    for p in graph.populations:
        if not p.shape or any(n < 1 for n in p.shape):
            findings.append(f"{p.name} has the empty shape {p.shape}")
    return findings


def _role(population: Population) -> list[str]:
    name, role = population.name, population.role
    if role not in ROLES:
        return [f"{name} has the role {role!r}; known are {', '.join(ROLES)}"]
    if (role == "input") != population.is_input:
        what = "comes from outside" if population.is_input else "is computed on the chip"
        return [f"{name} {what}, its role can't be {role!r}: leave the role out"]
    return []


def _ends(graph: Graph) -> list[str]:
    """Findings about what goes in and comes out."""
    findings = [f"its output {name!r} is no population" for name in graph.outputs if name not in graph.layers]
    if len(set(graph.outputs)) != len(graph.outputs) or not graph.outputs:
        findings.append(f"its outputs must be one or more different populations, not {graph.outputs}")
    if not graph.inputs:
        findings.append("it needs an input")
    elif len({_presented(p) for p in graph.inputs}) > 1:
        findings.append("its inputs must all have encoders of the same steps, or none")
    if graph.before is not None and len(graph.inputs) > 1:
        findings.append("ordinary layers before the network need it to have one input")
    if graph.after is not None and len(graph.outputs) > 1:
        findings.append("ordinary layers after the network need it to have one output")
    return findings or [*_read_outs(graph), *_joints(graph)]


def _read_outs(graph: Graph) -> list[str]:
    """Findings about how outputs are read."""
    said = graph.readout.split(",") if graph.readout else []
    if unknown := [word for word in said if word not in READOUTS]:
        return [f"its read-out must be one of {', '.join(READOUTS)}, not {unknown[0]!r}"]
    if len(said) not in (0, 1, len(graph.outputs)):
        return [
            f"its read-out has {len(said)} words, {graph.readout!r}, and there are {len(graph.outputs)} outputs"
        ]
    return [
        f"its output {name} is read as {each.how!r} of its {each.what}: known are {', '.join(KNOWN[each.what])}"
        if each.what != "host"
        else f"what the host makes of every step is read as {each.how!r}: known are {', '.join(KNOWN['host'])}"
        for name, each in graph.read_outs.items()
        if each.how not in KNOWN[each.what] and (each.what == "host" or not _is_integer(graph, name))
    ]


def _joints(graph: Graph) -> list[str]:
    """Findings where ordinary layers give or take another shape than the network beside them."""
    findings, before, after = [], graph.before, graph.after
    if before is not None and before.outputs != graph.input.shape:
        findings.append(
            f"the ordinary layers before it give {before.outputs}, its input is {graph.input.shape}"
        )
    if after is not None and after.inputs != graph[graph.output].shape:
        findings.append(
            f"the ordinary layers after it take {after.inputs}, its output is {graph[graph.output].shape}"
        )
    return findings


def _presented(population: Population) -> int:
    return population.node.steps if isinstance(population.node, RateEncoder) else 0


def _is_integer(graph: Graph, name: str) -> bool:
    return isinstance(graph[name].node, Compartments)


def _is_float(graph: Graph, name: str) -> bool:
    return any(p.name == name and not isinstance(p.node, Compartments) for p in graph.populations)


def _node(population: Population, dt: float) -> list[str]:
    node, name = population.node, population.name
    if isinstance(node, Compartments):
        return _compartments(population, node)
    findings: list[str] = []
    for key, array in node.arrays().items():
        if not (isinstance(node, Membrane) and key in _UNBOUNDED):
            findings += finite(f"{name}.{key}", array)
        if array.shape not in ((), population.shape):
            findings.append(f"{name}.{key} has shape {array.shape}, the population {population.shape}")
    if findings:
        return findings
    if isinstance(node, Membrane):
        findings += _membrane(name, node, dt)
    if isinstance(node, Input) and not (
        node.low <= 0 < node.high and np.isfinite(node.unit) and node.unit > 0
    ):
        findings.append(f"{name} must send a range around 0 in a positive unit, not {node.low}..{node.high}")
    if isinstance(node, Input) and not WORD.contains(Range(node.low, node.high)):
        findings.append(
            f"{name} sends {node.low}..{node.high}, but messages are words of {WORD_BITS} bits, {WORD}"
        )
    if isinstance(node, RateEncoder) and not 0 <= node.seed < 1 << 32:
        findings.append(f"{name}.seed must lie in 0..2**32 - 1, not {node.seed}")
    if isinstance(node, RateEncoder) and node.steps < 1:
        findings.append(f"{name} must present a sample for at least 1 step, not {node.steps}")
    if isinstance(node, SigmaDelta):
        if np.any(node.threshold < 0):
            findings.append(f"{name}.threshold must be at least 0, not {node.threshold.min():g}")
        if node.activation not in ("relu", "none") or node.receives not in ("changes", "values"):
            findings.append(
                f"{name} has the settings {node.activation!r}, {node.receives!r}, which are unknown"
            )
    if isinstance(node, Astrocyte):
        findings += _astrocyte(name, node)
    return findings


def _astrocyte(name: str, node: Astrocyte) -> list[str]:
    findings: list[str] = []
    if node.period < 1:
        findings.append(f"{name}.period must be at least 1 step, not {node.period}")
    if np.any((node.decay < 0) | (node.decay > 1)):
        worst = node.decay.flat[np.abs(node.decay - 0.5).argmax()]
        findings.append(f"{name}.decay must lie in 0..1, not {worst:g}")
    if node.output not in OUTPUTS:
        findings.append(f"{name}.output is {node.output!r}; known are {', '.join(OUTPUTS)}")
    if not (np.isfinite(node.exponent) and -4 <= node.exponent <= 4):
        findings.append(f"{name}.exponent must lie in -4..4, not {node.exponent:g}")
    return findings + (_gain_control(name, node) if node.modulates else [])


def _gain_control(name: str, node: Astrocyte) -> list[str]:
    findings: list[str] = []
    if not (np.isfinite(node.rate) and node.rate >= 0):
        findings.append(f"{name}.rate must be finite and at least 0, not {node.rate:g}")
    if not node.low <= 0 <= node.high:
        findings.append(f"{name}'s gain range must contain 1, not 2**{node.low:g}..2**{node.high:g}")
    if np.any((node.log_gain < node.low) | (node.log_gain > node.high)):
        findings.append(f"{name} has resting gains outside its range, 2**{node.low:g}..2**{node.high:g}")
    return findings


_UNBOUNDED = ("tau",)  # infinite: no leak


def _membrane(name: str, node: Membrane, dt: float) -> list[str]:
    findings: list[str] = []
    taus = {"tau": node.tau} | ({"tau_syn": node.tau_syn} if isinstance(node, CubaLIF) else {})
    least = dt * (1 - SINGLE_PRECISION) if node.integrator == "euler" else 0.0
    for key, tau in taus.items():
        if np.any(np.isnan(tau)) or np.any(tau <= 0):
            findings.append(f"{name}.{key} must be positive (seconds), not {np.min(tau):g}")
        elif np.any(tau < least):
            findings.append(
                f"{name}.{key} is {tau.min():g} s, shorter than dt = {dt:g} s: choose a smaller dt"
            )
    for what, allowed in (
        ("reset", RESETS),
        ("comparison", COMPARISONS),
        ("integrator", INTEGRATORS),
        ("sends", SENDS),
    ):
        if getattr(node, what) not in allowed:
            findings.append(f"{name}.{what} is {getattr(node, what)!r}; known are {', '.join(allowed)}")
    if not 0 <= node.refractory <= MAXIMAL_REFRACTORY:
        findings.append(f"{name}.refractory must lie in 0..{MAXIMAL_REFRACTORY} steps, not {node.refractory}")
    resets = node.sends == "spikes" and node.reset != "none"
    if resets and np.any(node.v_threshold <= node.v_reset):
        findings.append(f"{name} resets to {node.v_reset.max():g}, not below its threshold")
    return findings


def _compartments(population: Population, node: Compartments) -> list[str]:
    findings: list[str] = []
    declared: dict[str, Range] = dict(node.kind.parameters)
    for group, ranges, arrays in (
        ("parameter", declared, node.parameters),
        ("state", {k: s.range for k, s in node.kind.states.items()}, node.initial),
    ):
        if set(ranges) != set(arrays):
            findings.append(f"{population.name} has the {group}s {sorted(arrays)}, its kind {sorted(ranges)}")
            continue
        for key, each in ranges.items():
            array = arrays[key]
            if array.shape != (population.size,):
                findings.append(f"{population.name}.{key} has shape {array.shape}, not ({population.size},)")
            elif not each.contains(Range(int(array.min()), int(array.max()))):
                findings.append(f"{population.name}.{key} is {array.min()}..{array.max()}, allowed is {each}")
    if (node.period > 0) != (node.kind.window is not None):
        findings.append(
            f"{population.name} has period {node.period}, its kind {node.kind.name} does not fit that"
        )
    return findings


def _connection(graph: Graph, connection: Connection) -> list[str]:
    source, target = graph[connection.source], graph[connection.target]
    wiring = connection.wiring
    findings = finite(connection.name, wiring.values)
    if wiring.shape != (target.size, source.size):
        findings.append(
            f"{connection.name}: weights are {wiring.shape}, "
            f"needed is (target, source) = ({target.size}, {source.size})"
        )
    node = target.node
    ports = tuple(node.kind.inputs) if isinstance(node, Compartments) else PORTS[type(node)]
    if connection.port not in ports:
        findings.append(f"{connection.name}: {target.name} has the ports {ports}")
    if connection.lag < 0 or connection.delay < 0:
        findings.append(f"{connection.name}: a delay can't be negative")
    if isinstance(node, Compartments) and connection.delay < 1:
        findings.append(f"{connection.name}: on the chip a delay is at least 1 step")
    if not isinstance(node, Compartments) and connection.exponent:
        findings.append(f"{connection.name}: only weights on the chip have an exponent, not float ones")
    if isinstance(node, Compartments) and wiring.values.dtype != np.int8:
        findings.append(f"{connection.name}: weights on the chip are int8, not {wiring.values.dtype}")
    if isinstance(node, Compartments) and wiring.shape[1] > MOST_SOURCES:
        findings.append(
            f"{connection.name}: {wiring.shape[1]} sources, at most {MOST_SOURCES} can be added up"
        )
    if not -32 <= connection.exponent <= 32:
        findings.append(f"{connection.name}: the exponent {connection.exponent} lies outside -32..32")
    return findings


def message_range(source: Population) -> Range:
    """What a neuron of a population can send; 0, no message, is always part of it."""
    if isinstance(source.node, Compartments):
        ranges = [port.range for port in source.node.kind.outputs.values()]
        return (
            Range(min(0, *[r.low for r in ranges]), max(0, *[r.high for r in ranges]))
            if ranges
            else Range(0, 0)
        )
    if isinstance(source.node, Input):
        return Range(source.node.low, source.node.high)
    return Range(0, 1)


def arrival_range(graph: Graph, connection: Connection) -> Range:
    """The least and most that one connection can bring to a neuron in a step."""
    message = message_range(graph[connection.source])
    low, high = connection.wiring.bounds(message.low, message.high)
    return Range(
        shifted(int(low.min(initial=0)), connection.exponent),
        shifted(int(high.max(initial=0)), connection.exponent),
    )


def arrivals(graph: Graph, name: str, port: str) -> Range:
    """The least and most that all connections together can bring to a neuron's port in a step."""
    low = high = np.zeros(1, np.int64)
    for c in graph.into(name):
        if c.port == port:
            message = message_range(graph[c.source])
            least, most = c.wiring.bounds(message.low, message.high)
            least, most = _scaled(least, c.exponent), _scaled(most, c.exponent)
            low, high = np.maximum(low, -LIMIT - least) + least, np.minimum(high, LIMIT - most) + most
    return Range(int(low.min()), int(high.max()))


def _scaled(value: Array, exponent: int) -> Array:
    """value * 2**exponent, floor, held within -LIMIT..LIMIT.

    What somebody else wrote may ask for sums far beyond 64 bits, which would wrap and then seem to fit. No port is
    as wide as LIMIT, so that what is held there fits none.
    """
    if exponent < 0:
        return value >> -exponent
    return np.clip(value, -(LIMIT >> exponent), LIMIT >> exponent) << exponent


def shifted(value: int, exponent: int) -> int:
    """value * 2**exponent, floor."""
    return value << exponent if exponent >= 0 else value >> -exponent


def _arrivals(graph: Graph) -> list[str]:
    findings = []
    for population in graph.populations:
        if not isinstance(population.node, Compartments):
            continue
        for port, declared in population.node.kind.inputs.items():
            total = arrivals(graph, population.name, port)
            if not declared.range.contains(total):
                findings.append(
                    f"{population.name}.{port} may receive {total} in one step, "
                    f"its accumulator holds {declared.range}: use fewer inputs or smaller weights"
                )
    return findings


def finite(name: str, array: Array) -> list[str]:
    """A finding where an array holds NaN or infinity."""
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        bad = int(np.sum(~np.isfinite(array)))
        return [f"{name} holds {bad} NaN or infinite value{'s' if bad > 1 else ''}"]
    return []
