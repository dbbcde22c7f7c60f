"""A NIR file as one flat network: nested graphs opened, edges named and mended.

A node of a nested graph is called graph.node. What other tools write wrongly about names and edges is
mended where there is one way to do it, and said.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.hdf5.file import Tree
from astrodeploy.frontends.nir.nodes import Neuron, NirNode, Port, kind_of, read_node

Edge = tuple[str, str]
PORTS = ("Input", "Output")
INNER = ("inner Input", "inner Output")  # those of a nested graph
SHOWN = 6  # names in a message
GRAPH = ("type", "nodes", "edges")  # the fields of a graph that are read


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes by name, and who feeds whom."""

    nodes: Mapping[str, NirNode]
    edges: tuple[Edge, ...]

    def before(self, name: str) -> list[str]:
        """The nodes that feed a node."""
        return self._neighbours(0).get(name, [])

    def after(self, name: str) -> list[str]:
        """The nodes that a node feeds."""
        return self._neighbours(1).get(name, [])

    def _neighbours(self, end: int) -> dict[str, list[str]]:
        cached: dict[str, list[str]] | None = self.__dict__.get(f"_{end}")
        if cached is None:
            cached = {}
            for edge in self.edges:
                cached.setdefault(edge[1 - end], []).append(edge[end])
            object.__setattr__(self, f"_{end}", cached)
        return cached

    def ports(self, kind: str) -> list[str]:
        """The names of the network's own Inputs or Outputs, in natural order."""
        return sorted((n for n, node in self.nodes.items() if node.kind == kind), key=natural)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts 2 before 10."""
    parts, digits = [], ""
    for letter in f"{name}\0":
        if letter.isascii() and letter.isdigit():
            digits += letter
            continue
        if digits:
            parts.append((0, int(digits[:18]), digits))
            digits = ""
        parts.append((1, 0, letter))
    return tuple(parts)


def read_network(tree: Tree, findings: Findings) -> Network:
    """The flat network of a file's tree."""
    if kind_of(tree) != "NIRGraph" or not isinstance(tree.get("nodes"), dict):
        findings.error("", "holds no NIRGraph with nodes")
        return Network({}, ())
    level = _Level(tree, "", findings)
    edges = tuple(dict.fromkeys(level.edges))
    network = Network(level.nodes, edges)
    return _with_ports(network, findings)


class _Level:
    """One graph: its flat nodes and edges, and where edges of the graph around it begin and end."""

    def __init__(self, tree: Tree, path: str, findings: Findings) -> None:
        self.path, self.findings = path, findings
        self.nodes: dict[str, NirNode] = {}
        self.direct: list[str] = []  # the nodes that lie in no graph inside this one
        self.inner: dict[str, _Level] = {}
        self._gates: dict[int, list[str]] = {}
        self._tell_more(tree)
        for name, node in tree["nodes"].items():
            self._read(str(name), node)
        self.edges: list[Edge] = [edge for inner in self.inner.values() for edge in inner.edges]
        self.own: list[Edge] = []
        for source, target in self._pairs(tree.get("edges")):
            self._connect(source, target)
        self.edges += self.own

    def _tell_more(self, tree: Tree) -> None:
        """What else stands in the graph; the metadata of the whole file are told where it is read."""
        known = (*GRAPH, *(() if self.path else ("metadata",)))
        for key in sorted(
            k for k, v in tree.items() if k not in known and not (isinstance(v, dict) and not v)
        ):
            self.findings.note(self.path, f"has a field {key!r}, which no NIRGraph has: it is not read")

    def _flat(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _read(self, name: str, tree: object) -> None:
        flat = self._flat(name)
        if not isinstance(tree, dict):
            self.findings.error(flat, "is no node: it has no fields")
            self._add(flat, NirNode(flat, ""))
        elif kind_of(tree) == "NIRGraph" and isinstance(tree.get("nodes"), dict):
            self.inner[name] = inner = _Level(tree, flat, self.findings)
            for each, node in inner.nodes.items():
                self._add(each, node)
        else:
            node = read_node(flat, tree, self.findings)
            if self.path and isinstance(node, Port):
                node = replace(node, kind=INNER[PORTS.index(node.kind)])
            self.direct.append(flat)
            self._add(flat, node)

    def _add(self, name: str, node: NirNode) -> None:
        if name in self.nodes:
            self.findings.error(name, "is the name of two nodes, one of them in a nested graph: rename one")
        self.nodes[name] = node

    # ---- edges -----------------------------------------------------------------------------------------

    def _pairs(self, value: object) -> list[Edge]:
        """The edges as they stand in the file."""
        if value is None or np.size(value) == 0:  # type: ignore[arg-type]
            return []
        try:
            array = np.asarray(value, object)
        except ValueError:
            array = np.zeros(0, object)
        if array.ndim != 2 or array.shape[1] != 2 or not all(isinstance(e, str) for e in array.ravel()):
            self.findings.error(self.path, "has edges that are no pairs of names")
            return []
        pairs = [(str(a), str(b)) for a, b in array]
        for (source, target), times in Counter(pairs).items():
            if times > 1:
                self.findings.note(
                    self.path, f"holds the edge {source} -> {target} {times} times: it counts once"
                )
        return list(dict.fromkeys(pairs))

    def _connect(self, source: str, target: str) -> None:
        starts, ends = self._ends(source, 1), self._ends(target, 0)
        if starts is None or ends is None:
            unknown = source if starts is None else target
            self.findings.error(
                self.path,
                f"holds the edge {_short(source)} -> {_short(target)}, but no node {_short(unknown)}; there are "
                f"{_listed([*self.nodes])}",
            )
            return
        self.own += [(start, end) for start in starts for end in ends]

    def _ends(self, name: str, port: int) -> list[str] | None:
        """The flat nodes in which an edge's end lies: 0 where it leads to, 1 where it comes from."""
        for candidate, mended in self._candidates(name):
            found = self._known(candidate, port)
            if found is None:
                continue
            if mended:
                self.findings.note(
                    found[0] if found else self.path,
                    f"is called {_short(name)} by an edge: taken as the same node",
                )
            return found
        return None

    def _candidates(self, name: str) -> Iterable[tuple[str, bool]]:
        """Names that an edge may mean, the likeliest first."""
        yield name, False
        own = self.path.split(".") if self.path else []
        for start in range(len(own)):
            prefix = ".".join(own[start:])
            yield name.removeprefix(f"{prefix}."), True
            yield f"{prefix}.{name}", True
        last = name.rpartition(".")[2]
        alike = [n for n in self._names() if n.rpartition(".")[2] == last]
        if len(alike) == 1:
            yield alike[0], True
        neurons = [n for n in self._names() if isinstance(self.nodes.get(self._flat(n)), Neuron)]
        if own and name == own[-1] and len(neurons) == 1:
            yield neurons[0], True

    def _names(self) -> list[str]:
        cut = len(self.path) + 1 if self.path else 0
        return [flat[cut:] for flat in self.nodes]

    def _known(self, name: str, port: int) -> list[str] | None:
        if name in self.inner:
            return self.inner[name].gates(port)
        flat = self._flat(name)
        return [flat] if flat in self.nodes else None

    def gates(self, port: int) -> list[str]:
        """The nodes through which edges enter (0) or leave (1) this nested graph."""
        if port not in self._gates:
            self._gates[port] = self._declared_gates(port) or self._guessed_gates(port)
        return self._gates[port]

    def _declared_gates(self, port: int) -> list[str]:
        gates = [n for n in self.direct if self.nodes[n].kind == INNER[port]]
        if len(gates) > 1:
            self.findings.error(
                self.path,
                f"has {len(gates)} {PORTS[port]}s: an edge must name one, as {gates[0]} or {gates[1]}",
            )
        return gates[:1]

    def _guessed_gates(self, port: int) -> list[str]:
        touched = {edge[1 - port] for edge in self.edges}
        loose = [n for n in self.direct if n not in touched]
        neurons = [n for n, node in self.nodes.items() if isinstance(node, Neuron)]
        found = loose or (neurons if len(neurons) == 1 else [])
        if found:
            self.findings.note(self.path, f"has no {PORTS[port]}: taken for it is {', '.join(found)}")
        else:
            self.findings.error(
                self.path, f"has no {PORTS[port]}, and all its nodes lie in a circle: give it one"
            )
        return found


def _short(name: str) -> str:
    return repr(name[:60])


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


# ---- the network's own ports -----------------------------------------------------------------------------


def _with_ports(network: Network, findings: Findings) -> Network:
    """The network with an Input and an Output, as nir itself adds them, where it has none."""
    nodes, edges = dict(network.nodes), list(network.edges)
    for end, kind in enumerate(PORTS):
        if network.ports(kind):
            continue
        touched = {edge[1 - end] for edge in edges}
        loose = [n for n in nodes if n not in touched and not isinstance(nodes[n], Port)]
        if not loose:
            findings.error("", f"has no {kind}, and no node at which one could be added")
        for name in loose:
            port = kind.lower() if len(loose) == 1 else f"{kind.lower()}_{name}"
            while port in nodes:
                port += "_"
            nodes[port] = Port(port, kind, None)
            edges.append((name, port) if end else (port, name))
            findings.note(
                name, f"is where the network {('begins', 'ends')[end]}: an {kind} is added, as nir does"
            )
    return Network(nodes, tuple(edges))
