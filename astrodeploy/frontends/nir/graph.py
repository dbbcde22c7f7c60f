"""From a NIR network with known shapes to the Graph: neurons as populations, all between them as wiring."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.nir.loops import closing_edges, linear_order
from astrodeploy.frontends.nir.maps import AffineMap, Misfit
from astrodeploy.frontends.nir.network import Edge, Network, natural
from astrodeploy.frontends.nir.nodes import Delay, Neuron, NirNode, Port, Shape
from astrodeploy.frontends.nir.rules import FUSED, NirOptions, check, forgetful, membrane
from astrodeploy.frontends.nir.shapes import Shapes
from astrodeploy.frontends.nir.signals import Signal, added, delayed, mapped
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.ir.graph import Connection, Graph, Population
from astrodeploy.ir.nodes import LIF, Input
from astrodeploy.ir.wiring import OneToOne

NEARLY = 1e-4  # of a step: as near to a multiple of dt as single precision brings a delay
ROUGH = 0.05  # of a step: further off, a delay is not what was meant
LONGEST_DELAY = 1 << 20  # steps


def build(network: Network, shapes: Shapes, options: NirOptions, findings: Findings) -> Graph | None:
    """The Graph of a network in which everything fits; None where findings are errors now."""
    assert options.dt is not None
    network = _fused(network, shapes, findings)
    steps = _delays(network, shapes, options.dt, findings)
    if findings.errors:
        return None
    slow = frozenset(name for name, each in steps.items() if each.min() >= 1)
    closing = closing_edges(network, slow)
    for source, target in sorted(closing):
        findings.note(target, f"closes a loop: the edge {source} -> {target} carries the step before")
    builder = _Builder(network, shapes, options, findings, steps, closing)
    graph = builder.graph()
    return None if findings.errors else graph


def _fused(network: Network, shapes: Shapes, findings: Findings) -> Network:
    """A leaky integrator that only a Threshold hears is one neuron with it, without a reset."""
    nodes, edges = dict(network.nodes), list(network.edges)
    for name, node in network.nodes.items():
        before = network.before(name)
        if node.kind != "Threshold" or len(before) != 1 or network.after(before[0]) != [name]:
            continue
        first = network.nodes[before[0]]
        if first.kind not in ("I", "LI", "CubaLI") or shapes.given[first.name] != shapes.given[name]:
            continue
        assert isinstance(first, Neuron)
        shapes.parameters[name] = shapes.parameters[first.name] | {
            "v_threshold": shapes.parameters[name]["threshold"]
        }
        nodes[name] = Neuron(name, FUSED, first.parameters)
        del nodes[first.name]
        edges = [(s, name if t == first.name else t) for s, t in edges if s != first.name]
        findings.note(name, f"and the {first.kind} {first.name} before it are one neuron without a reset")
    return Network(nodes, tuple(edges))


def _delays(network: Network, shapes: Shapes, dt: float, findings: Findings) -> dict[str, IntArray]:
    """The delays in steps, (neurons,)."""
    found = {}
    for name, node in network.nodes.items():
        if not isinstance(node, Delay):
            continue
        exact = shapes.parameters[name]["delay"].ravel() / dt
        if exact.max() > LONGEST_DELAY:
            findings.error(
                name, f"has a delay of {exact.max():g} steps of dt = {dt:g} s, more than {LONGEST_DELAY}"
            )
            continue
        steps = np.rint(exact)
        worst = float(np.abs(exact - steps).max())
        if worst > NEARLY:
            tell = findings.warn if worst > ROUGH else findings.note
            tell(
                name, f"has delays that are no multiples of dt = {dt:g} s: rounded by up to {worst:.3g} steps"
            )
        found[name] = steps.astype(np.int64)
    return found


@dataclass(frozen=True, eq=False)
class _Builder:
    network: Network
    shapes: Shapes
    options: NirOptions
    findings: Findings
    steps: Mapping[str, IntArray]
    closing: frozenset[Edge]

    def graph(self) -> Graph | None:
        signals = self._signals()
        if signals is None:
            return None
        populations, connections = [], []
        for name in self.network.ports("Input"):
            populations.append(Population(name, self.shapes.given[name], Input()))
        for node in self.network.nodes.values():
            if isinstance(node, Neuron) and (made := self._population(node, signals)) is not None:
                populations.append(made[0])
                connections += made[1]
        more, outputs, readout = self._outputs(signals)
        populations += [each for each, _ in more]
        connections += [c for _, into in more for c in into]
        dt = self.options.dt
        assert dt is not None
        return Graph(dt, tuple(populations), tuple(connections), outputs, readout)

    # ---- signals ---------------------------------------------------------------------------------------

    def _signals(self) -> dict[str, Signal] | None:
        """What every node gives; None where linear nodes wait for each other."""
        sends = {
            n for n, node in self.network.nodes.items() if isinstance(node, Neuron) or node.kind == "Input"
        }
        found = {name: Signal(prod(self.shapes.given[name]), {(name, 0): None}) for name in sends}
        order, circle = linear_order(self.network, self.network.nodes.keys() - sends)
        if circle:
            self.findings.error(
                circle[0], f"lies in the loop {' -> '.join(circle)}, in which there is no neuron"
            )
            return None
        for name in order:
            try:
                found[name] = self._through(self.network.nodes[name], self._arriving(name, found))
            except Misfit as misfit:
                self.findings.error(name, str(misfit))
                return None
            if not self.network.after(name) and self.network.nodes[name].kind != "Output":
                self.findings.note(name, "leads to no Output and no neuron: it is left out")
        return found

    def _arriving(self, name: str, signals: Mapping[str, Signal]) -> Signal:
        """The sum of what is sent to a node."""
        parts = []
        for source in sorted(self.network.before(name), key=natural):
            signal = signals[source]
            late = (source, name) in self.closing
            parts.append(delayed(signal, np.ones(signal.size, np.int64)) if late else signal)
        size = parts[0].size if parts else self._size(name)
        return added(size, parts)

    def _size(self, name: str) -> int:
        made = self.shapes.maps.get(name)
        return prod(self.shapes.given[name]) if made is None or made.wiring is None else made.wiring.shape[1]

    def _through(self, node: NirNode, signal: Signal) -> Signal:
        if isinstance(node, Delay):
            if signal.constant is not None and np.any(signal.constant):
                self.findings.note(
                    node.name, "delays messages; the constant part of what it gets is there from step 0"
                )
            return delayed(signal, self.steps[node.name])
        return mapped(signal, self.shapes.maps.get(node.name, AffineMap(self.shapes.given[node.name])))

    # ---- populations -----------------------------------------------------------------------------------

    def _population(
        self, node: Neuron, signals: Mapping[str, Signal]
    ) -> tuple[Population, list[Connection]] | None:
        name, shape = node.name, self.shapes.given[node.name]
        if not self.network.before(name):
            if not self.network.after(name):
                self.findings.warn(name, "is connected to nothing: it is left out")
                return None
            self.findings.warn(name, "is fed by nothing")
        try:
            signal = self._arriving(name, signals)
        except Misfit as misfit:
            self.findings.error(name, str(misfit))
            return None
        made = membrane(node, self.shapes.parameters[name], _bias(signal, shape), self.options)
        assert self.options.dt is not None
        check(name, made, self.options.dt, self.findings)
        if made.sends == "spikes" and not self.network.after(name):
            self.findings.note(name, "is heard by no node and no Output")
        return Population(name, shape, made), _connections(name, signal)

    def _outputs(
        self, signals: Mapping[str, Signal]
    ) -> tuple[list[tuple[Population, list[Connection]]], tuple[str, ...], str]:
        """Populations for read-outs without neurons, the outputs' names, and how they are read."""
        made: dict[str, tuple[Population, list[Connection]]] = {}
        names: list[str] = []
        for output in self.network.ports("Output"):
            signal = signals[output]
            name = signal.messages
            if not signal.terms:
                self.findings.error(output, "is an Output that nothing reaches")
                continue
            if name is None:
                name = self._reader_name(output)
                made[name] = self._reader(name, output, signal)
            if name in names:
                self.findings.note(output, f"reads {name}, which another Output reads too")
            else:
                names.append(name)
        return list(made.values()), tuple(names), self._readout(names, made)

    def _reader_name(self, output: str) -> str:
        """The linear node that an Output reads, or where it reads several the Output itself."""
        before = self.network.before(output)
        single = len(before) == 1 and not isinstance(self.network.nodes[before[0]], Port | Neuron)
        return before[0] if single else output

    def _reader(self, name: str, output: str, signal: Signal) -> tuple[Population, list[Connection]]:
        shape = self.shapes.given[output]
        assert self.options.dt is not None
        node = LIF(**forgetful(_bias(signal, shape), self.options.dt), sends="membrane")
        self.findings.note(
            output,
            f"reads a linear signal: the neurons {name}, whose membrane is their input of a step, send it",
        )
        return Population(name, shape, node), _connections(name, signal)

    def _readout(self, names: list[str], linear: Mapping[str, object]) -> str:
        nodes = self.network.nodes
        sends = [n for n in names if n not in linear and nodes[n].kind in ("I", "LI", "CubaLI")]
        if sends and any(n in linear for n in names):
            self.findings.warn(
                "", "has both membranes and linear signals as Outputs: of all, the last value is read"
            )
        if sends:
            self.findings.note(
                "", f"has the membrane of {', '.join(sends)} as Output: its last value is read"
            )
            return "last"  # beside which spikes are counted
        if any(n in linear for n in names):
            self.findings.note("", "has linear signals as Outputs: their mean over a sample is read")
            return "mean"
        return "count"


def _bias(signal: Signal, shape: Shape) -> FloatArray:
    constant = signal.constant
    return np.zeros(shape) if constant is None else constant.reshape(shape)


def _connections(name: str, signal: Signal) -> list[Connection]:
    return [
        Connection(
            source, name, "current", OneToOne(np.ones(signal.size)) if wiring is None else wiring, lag=lag
        )
        for (source, lag), wiring in signal.terms.items()
    ]
