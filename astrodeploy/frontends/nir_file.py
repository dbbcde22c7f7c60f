"""NIR files: always valid NIR 1.0.8, with what NIR can't say in the top graph's metadata.

The core graph is the network with its astrocytes at their resting gain, which any reader of NIR can
run. `astrocyte_nir.py` holds the convention for the rest.
"""

from collections.abc import Mapping
from io import BytesIO
from math import isclose
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from astrodeploy import storage
from astrodeploy.errors import NirError, UnsupportedError
from astrodeploy.frontends import astrocyte_nir
from astrodeploy.ir import LIF, Connection, CubaLIF, Graph, Input, Population, verify
from astrodeploy.ir.astrocytes import without_astrocytes
from astrodeploy.ir.canonical import canonical, flattened
from astrodeploy.ir.nodes import Array, Membrane, Node
from astrodeploy.ir.wiring import Dense

WEIGHTS = (nir.Linear, nir.Affine)
NEURONS = (nir.LIF, nir.CubaLIF)
DAMAGED = (  # what HDF5 and nir raise for bytes that are no NIR graph
    OSError,
    AssertionError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    OverflowError,
)
READ = (nir.Input, nir.Output, *WEIGHTS, *NEURONS)


def write_nir(graph: Graph, path: Path) -> None:
    """Write a float Graph as a .nir file, whole or not at all. Raises NirError, ProgramError."""
    content = nir_bytes(graph)
    with storage.atomic_file(path) as fresh:
        fresh.write_bytes(content)


def nir_bytes(graph: Graph) -> bytes:
    """The content of a float Graph's .nir file; made in memory, because HDF5 crashes on a full disk."""
    stream = BytesIO()
    nir.write(stream, to_nir(graph))
    return stream.getvalue()


def read_nir(path: Path, dt: float | None = None) -> Graph:
    """The float Graph of a .nir file. dt (seconds) is asked for where the file does not say it.

    Raises NirError, UnsupportedError, InputError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NirError(f"{path} can't be read: {error.strerror or error}") from error
    try:
        _check_types(content)
        document = nir.read(BytesIO(content))
    except DAMAGED as error:
        raise NirError(f"{path} can't be read as NIR: {error or type(error).__name__}") from error
    graph = from_nir(document, dt, str(path))
    verify(graph)
    return graph


def _check_types(content: bytes) -> None:
    """Raise TypeError unless all data are numbers and text: HDF5 crashes where it is told otherwise."""

    def check(name: str, item: Any) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and item.dtype.kind not in "biuf"
            and not h5py.check_string_dtype(item.dtype)
        ):
            raise TypeError(f"{name} holds {item.dtype}, neither numbers nor text")

    with h5py.File(BytesIO(content), "r") as file:
        file.visititems(check)


def to_nir(graph: Graph) -> nir.NIRGraph:
    """The NIR document of a float Graph. Raises NirError for a name that no file can keep."""
    core = canonical(flattened(without_astrocytes(graph)))
    names = _Names(core)
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[tuple[str, str]] = []
    for population in core.populations:
        if population.name in ("", ".") or "/" in population.name:  # HDF5 reads names as paths
            raise NirError(
                f"NIR can't say the name {population.name!r}: a layer's name is not empty and has no slash"
            )
        nodes[population.name] = _neurons_to_nir(population)
        biased = True  # the first connection carries the bias: there is no other place for one
        for connection in core.into(population.name):
            label = names.connection(connection)
            nodes[label] = _weights_to_nir(connection, core[connection.target], biased)
            edges += [(connection.source, label), (label, connection.target)]
            biased = False
    nodes[names.output] = nir.Output(output_type={"output": np.array(core[core.output].shape)})
    edges.append((core.output, names.output))
    document = nir.NIRGraph(nodes=nodes, edges=edges, type_check=True)
    document.metadata = astrocyte_nir.metadata(graph, core)
    return document


class _Names:
    """Names of nodes that are no population, kept apart from those that are."""

    def __init__(self, graph: Graph) -> None:
        self.taken = set(graph.layers)
        self.output = self._free("output")

    def connection(self, connection: Connection) -> str:
        return self._free(f"{connection.source}_to_{connection.target}")

    def _free(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def _neurons_to_nir(population: Population) -> nir.NIRNode:
    node = population.node
    if population.is_input:
        return nir.Input(input_type={"input": np.array(population.shape)})
    if isinstance(node, LIF):
        return nir.LIF(
            tau=np.array(node.tau),
            r=np.array(node.r),
            v_leak=np.array(node.v_leak),
            v_threshold=np.array(node.v_threshold),
            v_reset=np.array(node.v_reset),
        )
    if isinstance(node, CubaLIF):
        return nir.CubaLIF(
            tau_syn=np.array(node.tau_syn),
            tau_mem=np.array(node.tau),
            r=np.array(node.r),
            v_leak=np.array(node.v_leak),
            v_threshold=np.array(node.v_threshold),
            v_reset=np.array(node.v_reset),
            w_in=np.array(node.w_in),
        )
    raise NirError(f"{population.name} is a {type(node).__name__}, which NIR can't say")


def _weights_to_nir(connection: Connection, target: Population, biased: bool) -> nir.NIRNode:
    assert isinstance(target.node, Membrane)
    weight = np.array(connection.weight)
    if biased and np.any(target.node.bias):
        return nir.Affine(weight=weight, bias=np.array(target.node.bias).reshape(-1))
    return nir.Linear(weight=weight)


def from_nir(document: nir.NIRGraph, dt: float | None = None, what: str = "the NIR graph") -> Graph:
    """The float Graph of a NIR document. Raises NirError, UnsupportedError."""
    for name, node in document.nodes.items():
        if not isinstance(node, READ):
            known = ", ".join(kind.__name__ for kind in READ)
            raise UnsupportedError(f"{what}: {name} is a {type(node).__name__}; supported are {known}")
    extension = astrocyte_nir.extension(document.metadata, what)
    step = extension["dt"] if extension else dt
    if step is None:
        raise NirError(f"{what} does not say its time step: give it with --dt (seconds), or dt=")
    if extension and dt is not None and not isclose(dt, step, rel_tol=1e-9):
        raise NirError(f"{what} was written for dt = {step:g} s, asked for is dt = {dt:g} s: leave dt out")
    try:
        output = str(extension["outputs"][0]) if extension else None
        core = canonical(_core(document, float(step), output, what))
    except (KeyError, ValueError, TypeError) as error:
        raise NirError(f"{what} is no valid NIR graph: {error!r}") from error
    if extension is None:
        _refuse_loops(core.connections, what)
        return core
    return canonical(astrocyte_nir.restored(core, document.metadata, extension, what))


def _core(document: nir.NIRGraph, dt: float, output: str | None, what: str) -> Graph:
    """The Graph of the core; `output` is the layer that is read out, where the file says it."""
    nodes, edges = document.nodes, list(dict.fromkeys(document.edges))
    inputs = [name for name, node in nodes.items() if isinstance(node, nir.Input)]
    outputs = [name for name, node in nodes.items() if isinstance(node, nir.Output)]
    feeding = [source for source, target in edges if target in outputs and output in (None, source)]
    if len(inputs) != 1 or len(feeding) != 1 or (output is None and len(outputs) != 1):
        raise UnsupportedError(f"{what} must have one input and one output, fed by one layer")
    weights, biases = _weights(nodes, edges, what)
    populations = []
    for name, node in nodes.items():
        if isinstance(node, NEURONS):
            size = int(np.prod(node.input_type["input"]))
            node_float = _neurons_from_nir(node, biases.get(name, np.zeros(size)))
            populations.append(Population(name, tuple(np.shape(node.v_threshold)), node_float))
    shape = tuple(int(n) for n in nodes[inputs[0]].input_type["input"])
    populations.append(Population(inputs[0], shape, Input()))
    connections = tuple(Connection(s, t, "current", Dense(w)) for (s, t), w in weights.items())
    return Graph(dt, tuple(populations), connections, (feeding[0],))


def _weights(
    nodes: Mapping[str, nir.NIRNode], edges: list[tuple[str, str]], what: str
) -> tuple[dict[tuple[str, str], Array], dict[str, Array]]:
    """Weights by (source, target) population, and biases by target."""
    weights: dict[tuple[str, str], Array] = {}
    biases: dict[str, Array] = {}
    for middle, target in edges:
        if not isinstance(nodes[target], NEURONS):
            continue
        node = nodes[middle]
        if not isinstance(node, WEIGHTS):
            raise UnsupportedError(
                f"{what}: {target} is fed by {middle}: put a Linear or Affine between them"
            )
        bias = getattr(node, "bias", None)
        if bias is not None:
            biases[target] = biases.get(target, 0) + np.asarray(bias, np.float64)
        for source in (s for s, t in edges if t == middle):
            if isinstance(nodes[source], WEIGHTS):
                raise UnsupportedError(f"{what}: {middle} follows {source}: put neurons between two weights")
            weight = np.asarray(node.weight, np.float64)
            weights[source, target] = weights.get((source, target), 0) + weight
    return weights, biases


def _neurons_from_nir(node: Any, bias: Array) -> Node:
    v_reset = np.zeros_like(node.v_threshold) if node.v_reset is None else node.v_reset
    membrane = {
        "r": node.r,
        "v_leak": node.v_leak,
        "v_threshold": node.v_threshold,
        "v_reset": v_reset,
        "bias": np.asarray(bias).reshape(np.shape(node.v_threshold)),
    }
    if isinstance(node, nir.LIF):
        return LIF(tau=node.tau, **membrane)
    return CubaLIF(tau_syn=node.tau_syn, w_in=node.w_in, tau=node.tau_mem, **membrane)


def _refuse_loops(connections: tuple[Connection, ...], what: str) -> None:
    after: dict[str, set[str]] = {}
    for each in connections:
        after.setdefault(each.source, set()).add(each.target)
    for start in after:
        reached: set[str] = set()
        frontier = set(after[start])
        while frontier - reached:
            reached |= frontier
            frontier = set().union(*(after.get(name, set()) for name in frontier))
        if start in reached:
            raise UnsupportedError(f"{what}: {start} feeds back into itself; recurrent NIR is not supported")
