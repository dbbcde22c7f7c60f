"""Which shape every signal of a NIR network has, from the Inputs on; and the map of every linear node.

What a node declares is a claim, what arrives is the fact: the two are held against each other.
"""

from dataclasses import dataclass, field

from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.nir.maps import AffineMap, Misfit, affine_map, agree, check_size, spread
from astrodeploy.frontends.nir.network import Network, natural
from astrodeploy.frontends.nir.nodes import (
    Delay,
    Factor,
    Filter,
    Flatten,
    Matrix,
    Neuron,
    NirNode,
    Port,
    Shape,
)
from astrodeploy.ir.arrays import FloatArray

Expected = tuple[int | None, ...]  # None: any


@dataclass(frozen=True, eq=False)
class Shapes:
    """Of every node: the shape of what it gives; the maps of linear ones, the spread numbers of others."""

    given: dict[str, Shape] = field(default_factory=dict)
    maps: dict[str, AffineMap] = field(default_factory=dict)
    parameters: dict[str, dict[str, FloatArray]] = field(default_factory=dict)


def find_shapes(network: Network, input_shape: Shape | None, findings: Findings) -> Shapes:
    """The shapes of a network; what does not fit becomes an error of the node that it arrives at."""
    return _Search(network, input_shape, findings).run()


class _Search:
    def __init__(self, network: Network, input_shape: Shape | None, findings: Findings) -> None:
        self.network, self.findings = network, findings
        self.input_shape = input_shape
        self.shapes = Shapes()
        self.failed: set[str] = set()

    def run(self) -> Shapes:
        for name in self.network.ports("Input"):
            if (shape := self._input(name)) is not None and self._fits(name, shape):
                self._give(name, shape)
        while (found := self._declaring()) is not None:
            self._settle(*found)
        unknown = [n for n in self.network.nodes if n not in self.shapes.given and n not in self.failed]
        if not self.findings.errors:
            for name in unknown:
                self.findings.error(
                    name, "has no shape of its own, and none reaches it: declare its Input's shape"
                )
        self._compare()
        return self.shapes

    def _fits(self, name: str, shape: Shape) -> bool:
        try:
            check_size(shape)
        except Misfit as misfit:
            self.findings.error(name, str(misfit))
            self.failed.add(name)
            return False
        return True

    # ---- forward ---------------------------------------------------------------------------------------

    def _give(self, name: str, shape: Shape) -> None:
        """Fix what a node gives, and go on to all that get it, breadth first."""
        self.shapes.given[name] = shape
        waiting = [name]
        for source in waiting:
            for target in self.network.after(source):
                if target not in self.shapes.given and target not in self.failed:
                    self._fit(target, self.shapes.given[source])
                    waiting += [target] if target in self.shapes.given else []

    def _settle(self, name: str, incoming: Shape) -> None:
        self._fit(name, incoming)
        if name in self.shapes.given:
            self._give(name, self.shapes.given[name])

    def _fit(self, name: str, incoming: Shape) -> None:
        node = self.network.nodes[name]
        if type(node) is NirNode:  # could not be read, which has been said
            self.failed.add(name)
            return
        try:
            check_size(incoming)
            self.shapes.given[name] = self._taken(node, incoming)
        except Misfit as misfit:
            self.findings.error(name, str(misfit))
            self.failed.add(name)

    def _taken(self, node: NirNode, incoming: Shape) -> Shape:
        """What a node gives where it gets this shape. Raises Misfit."""
        if isinstance(node, Neuron | Delay):
            numbers = dict(node.parameters) if isinstance(node, Neuron) else {"delay": node.seconds}
            shape = self._neurons(node, numbers, incoming)
            self.shapes.parameters[node.name] = {
                key: spread(node.name, key, values, shape, self.findings) for key, values in numbers.items()
            }
            return shape
        if isinstance(node, Port):
            self._check_port(node, incoming)
            return incoming
        made = affine_map(node, incoming, self.findings)
        self.shapes.maps[node.name] = made
        return made.shape

    def _neurons(self, node: NirNode, numbers: dict[str, FloatArray], incoming: Shape) -> Shape:
        """The shape of neurons: what arrives, or where that is one number, that of their parameters."""
        largest = max((values.shape for values in numbers.values()), key=lambda s: (_count(s), len(s)))
        if _count(incoming) == 1 and _count(largest) > 1:
            raise Misfit(f"has parameters of shape {largest}, and gets a signal of shape {incoming}")
        single = [key for key, values in numbers.items() if values.size == 1]
        if single and _count(incoming) > 1:
            self.findings.note(
                node.name, f"has one number as its {', '.join(single)}: spread over {incoming}"
            )
        return incoming

    def _check_port(self, node: Port, incoming: Shape) -> None:
        declared = node.shape
        if node.kind == "Input" and self.network.before(node.name):
            raise Misfit("is an Input, and fed by a node: nothing but the stimulus can feed it")
        if declared is None or declared == incoming or node.kind == "Input":
            return
        if declared[1:] == incoming:
            self.findings.note(
                node.name, f"declares {declared}, a dimension more than it gets: taken is {incoming}"
            )
        elif agree(declared, incoming):
            self.findings.note(node.name, f"declares {declared}, and gets {incoming}: taken is what it gets")
        else:
            raise Misfit(f"declares the shape {declared}, and gets {incoming}")

    # ---- where nothing arrives from an Input ---------------------------------------------------------------

    def _input(self, name: str) -> Shape | None:
        """An Input's shape, without a batch that it may declare."""
        node = self.network.nodes[name]
        declared = node.shape if isinstance(node, Port) else None
        wanted = [w for w in self._wanted(name) if w is not None]
        if declared is None:
            declared = self.input_shape or next((w for w in map(_known, wanted) if w is not None), None)
            if declared is not None:
                self.findings.note(name, f"declares no shape: taken is {declared}")
            return declared
        if any(_matches(declared, each) for each in wanted):
            return declared
        if len(declared) > 1 and any(_matches(declared[1:], each) for each in wanted):
            self.findings.note(
                name, f"declares {declared}, where {declared[1:]} is used: its batch is left out"
            )
            return declared[1:]
        return declared

    def _wanted(self, name: str) -> list[Expected | None]:
        """What the nodes that a node feeds expect, through the ports of nested graphs."""
        found: list[Expected | None] = []
        seen, waiting = {name}, [name]
        for each in waiting:
            for target in self.network.after(each):
                node = self.network.nodes[target]
                if isinstance(node, Port) and target not in seen:
                    seen.add(target)
                    waiting.append(target)
                elif isinstance(node, Neuron | Factor | Delay) and target in self.shapes.given:
                    found.append(self.shapes.given[target])
                else:
                    found.append(expectation(node))
        return found

    def _declaring(self) -> tuple[str, Shape] | None:
        """A node that nothing has reached and that declares what it gets; the first in natural order."""
        for name in sorted(self.network.nodes, key=natural):
            if name not in self.shapes.given and name not in self.failed:
                declared = self._declared(name)
                if declared is not None:
                    return name, declared
        return None

    def _declared(self, name: str) -> Shape | None:
        node = self.network.nodes[name]
        own = expectation(node)
        if own is not None and (known := _known(own)) is not None:
            return known
        if isinstance(node, Neuron) or node.kind == "Input":
            wanted = [_known(w) for w in self._wanted(name) if w is not None]
            return next((w for w in wanted if w is not None), (1,) if isinstance(node, Neuron) else None)
        return None

    # ---- joins -----------------------------------------------------------------------------------------

    def _compare(self) -> None:
        """Every further signal that arrives at a node has the shape of the first."""
        for source, target in self.network.edges:
            given, node = self.shapes.given.get(source), self.network.nodes[target]
            if given is None or target not in self.shapes.given:
                continue
            if node.kind == "Input":
                self.findings.error(
                    target, f"is an Input, and fed by {source}: only the stimulus can feed it"
                )
                continue
            taken = self._incoming(target)
            if taken is not None and not agree(given, taken):
                self.findings.error(target, f"gets {given} from {source}, where it takes {taken}")

    def _incoming(self, name: str) -> Shape | None:
        """A shape of as many numbers as a node takes."""
        made = self.shapes.maps.get(name)
        if made is None:
            return self.shapes.given[name]
        if made.wiring is None:  # in whatever shape
            return (_count(made.shape),)
        known = [self.shapes.given[s] for s in self.network.before(name) if s in self.shapes.given]
        sizes = {_count(s) for s in known}
        fitting = [s for s in known if _count(s) == made.wiring.shape[1]]
        return fitting[0] if fitting else (made.wiring.shape[1],) if sizes else None


def expectation(node: NirNode) -> Expected | None:
    """What a node declares about its input; None where it takes anything."""
    if isinstance(node, Port):
        return node.shape
    if isinstance(node, Matrix):
        return (*node.weight.shape[:-2], node.weight.shape[-1])
    if isinstance(node, Filter):
        spatial = node.input_shape or (None,) * (node.weight.ndim - 2)
        return (node.weight.shape[1] * node.groups, *spatial)
    if isinstance(node, Flatten):
        return node.input_shape
    numbers = list(node.parameters.values()) if isinstance(node, Neuron) else []
    numbers += [node.scale] if isinstance(node, Factor) else [node.seconds] if isinstance(node, Delay) else []
    largest = max((v.shape for v in numbers), key=lambda s: (_count(s), len(s)), default=())
    return largest if _count(largest) > 1 else None


def _known(expected: Expected) -> Shape | None:
    known = tuple(n for n in expected if n is not None)
    return known if known and len(known) == len(expected) else None


def _matches(shape: Shape, expected: Expected) -> bool:
    return len(shape) == len(expected) and all(e in (None, n) for n, e in zip(shape, expected, strict=True))


def _count(shape: Shape) -> int:
    count = 1
    for n in shape:
        count *= n
    return count
