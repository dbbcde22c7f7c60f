"""Graphs as plain data and named tensors, and back: what checkpoints and Programs are made of."""

from collections.abc import Mapping
from dataclasses import fields, replace
from hashlib import sha256
from typing import Any

import numpy as np

from astrodeploy.compartments.kind import Kind
from astrodeploy.errors import InputError
from astrodeploy.ir.graph import Connection, Graph, Population
from astrodeploy.ir.host import HostStage
from astrodeploy.ir.nodes import FLOAT_NODES, Array, Compartments, Node
from astrodeploy.ir.readout import older_words, said
from astrodeploy.ir.wiring import from_parts
from astrodeploy.storage import MALFORMED, json_text

Plain = dict[str, Any]
_TYPES: dict[str, type] = {"int": int, "float": float, "str": str}


def to_plain(graph: Graph) -> tuple[Plain, dict[str, Array]]:
    """JSON-able data, and the tensors that it names by position."""
    tensors: dict[str, Array] = {}
    populations = [_population(p, f"population.{i}", tensors) for i, p in enumerate(graph.populations)]
    connections = [_connection(c, f"connection.{i}", tensors) for i, c in enumerate(graph.connections)]
    plain = {
        "dt": float(graph.dt),
        "outputs": list(graph.outputs),
        "readout": _readout(graph),
        "before": _stage(graph.before, "before", tensors),
        "after": _stage(graph.after, "after", tensors),
        "populations": populations,
        "connections": connections,
        "kinds": {
            p.node.kind.name: p.node.kind.to_dict()
            for p in graph.populations
            if isinstance(p.node, Compartments)
        },
    }
    return plain, tensors


def _readout(graph: Graph) -> str | Plain:
    """The one word that says it all; else, or where the host is read, the word for each output by name."""
    words = {name: each.how for name, each in graph.read_outs.items()}
    return words if graph.after or len(set(words.values())) > 1 else next(iter(words.values()))


def _population(population: Population, prefix: str, tensors: dict[str, Array]) -> Plain:
    node = population.node
    plain: Plain = {"name": population.name, "shape": list(population.shape), "depth": population.depth}
    if population.role != node.role:  # else it follows from the node, and is not said twice
        plain["role"] = population.role
    if isinstance(node, Compartments):
        tensors |= {f"{prefix}.parameter.{k}": v for k, v in node.parameters.items()}
        tensors |= {f"{prefix}.initial.{k}": v for k, v in node.initial.items()}
        units = {k: float(v) for k, v in node.units.items()}
        return plain | {"kind": node.kind.name, "period": int(node.period), "units": units}
    tensors |= {f"{prefix}.{k}": v for k, v in node.arrays().items()}
    return plain | {"node": type(node).__name__, "settings": _settings(node)}


def _settings(node: Node) -> Plain:
    """A node's settings in the types that it declares: 1 and 1.0 are the same time constant, and one text."""
    declared = {each.name: _TYPES.get(_type_name(each.type)) for each in fields(node)}  # type: ignore[arg-type]
    return {name: (declared[name] or type(value))(value) for name, value in node.scalars().items()}


def _stage(stage: HostStage | None, prefix: str, tensors: dict[str, Array]) -> Plain | None:
    if stage is None:
        return None
    tensors[f"{prefix}.onnx"] = np.frombuffer(stage.onnx, np.uint8)
    shapes = {"inputs": list(stage.inputs), "outputs": list(stage.outputs)}
    return shapes | {"operators": list(stage.operators)}


def _connection(connection: Connection, prefix: str, tensors: dict[str, Array]) -> Plain:
    wiring = connection.wiring
    tensors |= {f"{prefix}.{k}": v for k, v in wiring.arrays().items()}
    names = ("source", "target", "port", "exponent", "lag", "delay")
    pattern = {"pattern": type(wiring).__name__, "settings": wiring.settings()}
    return pattern | {"arrays": sorted(wiring.arrays())} | {name: getattr(connection, name) for name in names}


def from_plain(plain: Mapping[str, Any], tensors: Mapping[str, Array]) -> Graph:
    """Read back what `to_plain` gave. Raises InputError where something is missing or of a wrong type."""
    check_plain(plain)
    for name, tensor in tensors.items():
        if tensor.dtype.kind not in "biuf":
            raise InputError(f"the tensor {name} holds {tensor.dtype}, needed are real numbers")
    try:
        kinds = {name: Kind.from_dict(kind) for name, kind in plain["kinds"].items()}
        graph = Graph(
            dt=float(plain["dt"]),
            outputs=tuple(str(name) for name in plain["outputs"]),
            before=_read_stage(plain["before"], "before", tensors),
            after=_read_stage(plain["after"], "after", tensors),
            populations=tuple(
                _read_population(p, f"population.{i}", tensors, kinds)
                for i, p in enumerate(plain["populations"])
            ),
            connections=tuple(
                _read_connection(c, f"connection.{i}", tensors) for i, c in enumerate(plain["connections"])
            ),
        )
        return replace(graph, readout=_read_readout(plain["readout"], graph))
    except MALFORMED as error:
        raise InputError(f"the network's description is malformed: {error!r}") from error


def check_plain(plain: Any) -> None:
    """Raise InputError unless all that a description holds is text, numbers, lists and tables, as JSON has them."""
    try:
        json_text(plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the network's description holds more than text, numbers, lists and tables: {error}"
        ) from error


def _read_readout(plain: str | Mapping[str, Any], graph: Graph) -> str:
    """The words of all outputs; one alone may be of a file of before, and means what it meant then."""
    if isinstance(plain, str):
        nodes = [graph[name].node for name in graph.outputs]
        return said(older_words(plain, nodes, graph.after))
    return said([str(plain[name]) for name in graph.outputs])


def _read_population(
    plain: Mapping[str, Any], prefix: str, tensors: Mapping[str, Array], kinds: Mapping[str, Kind]
) -> Population:
    node: Node
    if "kind" in plain:
        kind = kinds[plain["kind"]]
        node = Compartments(
            kind=kind,
            parameters={k: _integers(tensors[f"{prefix}.parameter.{k}"]) for k in kind.parameters},
            initial={k: _integers(tensors[f"{prefix}.initial.{k}"]) for k in kind.states},
            period=int(plain["period"]),
            units={str(k): float(v) for k, v in plain["units"].items()},
        )
    else:
        node = _read_float_node(plain, prefix, tensors)
    shape = tuple(int(n) for n in plain["shape"])
    return Population(str(plain["name"]), shape, node, int(plain["depth"]), str(plain.get("role", "")))


def _read_float_node(plain: Mapping[str, Any], prefix: str, tensors: Mapping[str, Array]) -> Node:
    cls = FLOAT_NODES.get(plain["node"])
    if cls is None:
        raise InputError(f"the node {plain['node']!r} is unknown; known are {', '.join(FLOAT_NODES)}")
    arguments: dict[str, Any] = {}
    for each in fields(cls):  # type: ignore[arg-type]
        if each.name in plain["settings"]:
            arguments[each.name] = _TYPES[_type_name(each.type)](plain["settings"][each.name])
        else:
            arguments[each.name] = tensors[f"{prefix}.{each.name}"]
    return cls(**arguments)


def _type_name(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _integers(array: Array) -> Array:
    if array.dtype.kind != "i":
        raise InputError(f"a tensor of integers holds {array.dtype}")
    return array.astype(np.int64)


def _read_stage(
    plain: Mapping[str, Any] | None, prefix: str, tensors: Mapping[str, Array]
) -> HostStage | None:
    if plain is None:
        return None
    return HostStage(
        onnx=tensors[f"{prefix}.onnx"].astype(np.uint8).tobytes(),
        inputs=tuple(int(n) for n in plain["inputs"]),
        outputs=tuple(int(n) for n in plain["outputs"]),
        operators=tuple(str(name) for name in plain["operators"]),
    )


def _read_connection(plain: Mapping[str, Any], prefix: str, tensors: Mapping[str, Array]) -> Connection:
    arrays = {str(k): tensors[f"{prefix}.{k}"] for k in plain["arrays"]}
    return Connection(
        source=str(plain["source"]),
        target=str(plain["target"]),
        port=str(plain["port"]),
        wiring=from_parts(str(plain["pattern"]), dict(plain["settings"]), arrays),
        exponent=int(plain["exponent"]),
        lag=int(plain["lag"]),
        delay=int(plain["delay"]),
    )


def fingerprint(graph: Graph) -> str:
    """Hash of everything that a Graph holds."""
    plain, tensors = to_plain(graph)
    digest = sha256(json_text(plain).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
