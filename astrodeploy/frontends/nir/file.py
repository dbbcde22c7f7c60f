"""NIR files: every file of NIR is read, and what is written is always valid NIR 1.0.8.

    tree          file or document -> plain data, nothing of which is trusted
    network       plain data -> checked nodes and edges, nested graphs opened
    shapes        the shape of every signal
    rules         what the file leaves open, and the options that answer it
    graph         -> the Graph
    writer        a Graph -> NIR's own nodes, with what they can't say beside them (astrocytes)

Everything that is mended or assumed is a finding; all that keeps a file from being used is one NirError.
"""

import re
from collections.abc import Iterable
from io import BytesIO
from math import isclose
from pathlib import Path
from typing import Any

import nir
import numpy as np

from astrodeploy import storage
from astrodeploy.errors import InputError, NirError
from astrodeploy.frontends.findings import Finding, Findings, Reading, message
from astrodeploy.frontends.hdf5.file import Tree
from astrodeploy.frontends.nir import astrocytes
from astrodeploy.frontends.nir.graph import build
from astrodeploy.frontends.nir.network import read_network
from astrodeploy.frontends.nir.rules import NirOptions, ask
from astrodeploy.frontends.nir.shapes import find_shapes
from astrodeploy.frontends.nir.tree import read_tree, tree_of
from astrodeploy.frontends.nir.writer import Core, core_of
from astrodeploy.ir import Graph, verify
from astrodeploy.ir.astrocytes import without_astrocytes
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.nodes import Membrane

VERSION = re.compile(
    r"/version \((0\.\d+|1\.0)(\.\w+)*\)"
)  # of the nir that wrote the file, of a format that is known

# ---- reading ---------------------------------------------------------------------------------------------


def read_nir(path: Path, options: NirOptions | None = None) -> Reading:
    """The float Graph of a .nir file, by any tool. Raises NirError with all findings."""
    tree, unread = read_tree(path)
    return _reading(tree, options or NirOptions(), str(path), unread)


def from_nir(document: nir.NIRGraph, options: NirOptions | None = None) -> Reading:
    """The float Graph of a NIR document. Raises NirError with all findings."""
    what = "the NIR graph"
    try:
        tree = tree_of(document)
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise NirError(f"{what} is no valid NIR document: {error!r}") from error
    return _reading(tree, options or NirOptions(), what)


def _reading(tree: Tree, options: NirOptions, what: str, unread: tuple[str, ...] = ()) -> Reading:
    findings = Findings()
    if beside := sorted(each for each in set(unread) if not VERSION.fullmatch(each)):
        findings.warn("", f"holds {', '.join(beside)[:200]}, of which NIR knows nothing: not read")
    try:
        with np.errstate(all="ignore"):  # what is no number any more is refused where the Graph is checked
            return _read(tree, options, what, findings)
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        raise NirError(f"{what} is no valid NIR graph: {error!r}") from error


def _read(tree: Tree, options: NirOptions, what: str, findings: Findings) -> Reading:
    own = astrocytes.description(tree, what)
    if own is not None:
        ours = _own(tree, own, options, what)
        astrocytes.tell_more(tree, astrocytes.output_contents(tree_of(_core(ours))), findings)
        return Reading(ours, findings.all)
    graph = _foreign(tree, options, findings)
    if graph is None:
        raise NirError(message(what, findings.errors), findings.all)
    return Reading(_lawful(canonical(graph), what, findings.all), findings.all)


def _foreign(tree: Tree, options: NirOptions, findings: Findings) -> Graph | None:
    """The Graph of a file that another tool wrote; None where findings are errors."""
    network = read_network(tree, findings)
    if network.nodes:
        shapes = find_shapes(network, options.input_shape, findings)
        ask(network.nodes, options, findings)
        if isinstance(tree.get("metadata"), dict) and tree["metadata"]:
            findings.note(
                "", f"has metadata ({', '.join(sorted(tree['metadata']))[:80]}), which are not read"
            )
    return None if findings.errors else build(network, shapes, options, findings)


def _lawful(graph: Graph, what: str, findings: tuple[Finding, ...]) -> Graph:
    try:
        verify(graph)
    except InputError as error:
        raise NirError(f"{what}: {error}", findings) from error
    return graph


def _own(tree: Tree, data: dict[str, Any], options: NirOptions, what: str) -> Graph:
    """The Graph of a file of ours, exactly. Options may say what it says, and nothing else."""
    graph = _lawful(astrocytes.described(tree, data, what), what, ())
    if options.dt is not None and not isclose(options.dt, graph.dt, rel_tol=1e-9):
        raise NirError(
            f"{what} was written for dt = {graph.dt:g} s, asked for is dt = {options.dt:g} s: leave dt out"
        )
    for option, given, rule in (
        ("reset", options.reset, _resets(graph)),
        ("threshold", options.threshold, {n.comparison for n in _spiking(graph)}),
    ):
        if given is not None and rule - {given}:
            raise NirError(
                f"{what} says its own {option} rule, {', '.join(sorted(rule))}, asked for is {given}: "
                f"leave {option} out"
            )
    return canonical(graph)


def _spiking(graph: Graph) -> Iterable[Membrane]:
    nodes = (p.node for p in graph.populations)
    return [node for node in nodes if isinstance(node, Membrane) and node.sends == "spikes"]


def _resets(graph: Graph) -> set[str]:
    zero = all(not np.any(n.v_reset) for n in _spiking(graph))
    return {"zero" if n.reset == "value" and zero else n.reset for n in _spiking(graph)}


# ---- writing ---------------------------------------------------------------------------------------------


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


def to_nir(graph: Graph) -> nir.NIRGraph:
    """The NIR document of a float Graph. Raises NirError for what NIR can't say."""
    whole = canonical(graph)
    core = core_of(canonical(without_astrocytes(whole)))
    document = _document(core)
    document.metadata = astrocytes.metadata(whole, core, tree_of(document))
    return document


def _core(graph: Graph) -> nir.NIRGraph:
    """The document of a network alone, without what NIR can't say beside it."""
    return _document(core_of(canonical(without_astrocytes(graph))))


def _document(core: Core) -> nir.NIRGraph:
    try:
        return nir.NIRGraph(nodes=core.nodes, edges=core.edges, type_check=True)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise NirError(f"NIR can't say this network: {error}") from error
