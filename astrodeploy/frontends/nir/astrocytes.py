"""What NIR can't say, in the metadata of the top graph: above all the astrocytes.

`metadata["astrodeploy"]` is one JSON string, arrays stand beside it as numeric metadata:

    schema       "astrodeploy.nir", version 3
    core         "runs at rest": other tools can run the core graph, which is the network with all
                 gains at rest; or "parts only", with the reasons as `differs`
    core_sha256  hash of the core's content: an edited core no longer fits what is said about it
    dt, outputs, readout, reset, threshold, integrator     how the network is to be stepped and read
    network      the Graph as plain data (`ir/plain.py`), which names its tensors
    tensors      where each of them is: ["core", node, field, shape], ["uniform", shape, value, type], or
                 ["metadata"], beside this string
    sha256       hash of all of the above and of the arrays
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from math import prod
from typing import Any

import numpy as np

from astrodeploy.errors import InputError, NirError
from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.hdf5.file import Tree
from astrodeploy.frontends.limits import MOST_NEURONS
from astrodeploy.frontends.nir.nodes import kind_of
from astrodeploy.frontends.nir.writer import Core, differences, rules_of
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.graph import Graph
from astrodeploy.ir.plain import from_plain, to_plain
from astrodeploy.storage import json_text

KEY = "astrodeploy"
SCHEMA = "astrodeploy.nir"
VERSION = 3
UNIFORM = ("<f8", "<i8", "|u1", "|i1")  # types of tensors


def metadata(graph: Graph, core: Core, tree: Tree) -> dict[str, Any]:
    """The metadata of a canonical Graph; `tree` is its core as a reader sees it."""
    plain, tensors = to_plain(graph)
    places = {name: _place(name, graph, core, tree, array) for name, array in tensors.items()}
    beside = {f"{KEY}.{name}": tensors[name] for name, place in places.items() if place[0] == "metadata"}
    reasons = list(differences(graph))
    text = {
        "schema": SCHEMA,
        "version": VERSION,
        "core": "parts only" if reasons else "runs at rest",
        "differs": reasons,
        "core_sha256": core_hash(tree),
        "dt": graph.dt,
        "outputs": list(graph.outputs),
        "readout": graph.readout,
        **rules_of(graph),
        "network": plain,
        "tensors": places,
    }
    text["sha256"] = _seal(text, beside)
    return {KEY: json.dumps(text, sort_keys=True)} | {k: np.array(v) for k, v in beside.items()}


def _place(name: str, graph: Graph, core: Core, tree: Tree, array: Array) -> list[Any]:
    """Where a tensor can be read back from."""
    what, _, rest = name.partition(".")
    index, _, field = rest.partition(".")
    if what in ("population", "connection"):
        parts = graph.populations if what == "population" else graph.connections
        node, theirs = core.held.get((parts[int(index)].name, field), ("", ""))
        held = tree["nodes"].get(node, {}).get(theirs)
        if held is not None and held.dtype == array.dtype and np.array_equal(held.ravel(), array.ravel()):
            return ["core", node, theirs, list(array.shape)]
    if array.size == 0 or np.all(array == array.flat[0]):
        value = array.flat[0].item() if array.size else 0
        if np.isfinite(value) and array.dtype.str in UNIFORM:
            return ["uniform", list(array.shape), value, array.dtype.str]
    return ["metadata"]


def core_hash(tree: Tree) -> str:
    """Hash of a core: nodes and edges, but the Outputs, which nir itself adds to every loose end."""
    digest = sha256()
    outputs = {name for name, node in tree["nodes"].items() if kind_of(node) == "Output"}
    for name in sorted(tree["nodes"].keys() - outputs):
        digest.update(f"node {name}\n".encode())
        for key, value in sorted(tree["nodes"][name].items()):
            if key != "metadata":
                digest.update(f"{key} {_content(value)}\n".encode())
    for source, target in sorted({(str(s), str(t)) for s, t in tree["edges"] if t not in outputs}):
        digest.update(f"edge {source}\n{target}\n".encode())
    return digest.hexdigest()


def _content(value: Any) -> str:
    if isinstance(value, dict):
        return json_text({k: _content(v) for k, v in value.items()})
    if isinstance(value, str) or value.dtype.kind not in "biuf":
        return str(value)
    numbers = np.ascontiguousarray(value, np.float64)
    return f"{numbers.shape} {sha256(numbers.tobytes()).hexdigest()}"


def _seal(text: Mapping[str, Any], tensors: Mapping[str, Any]) -> str:
    digest = sha256(json_text({k: v for k, v in text.items() if k != "sha256"}).encode())
    for name in sorted(name for name in tensors if name.startswith(f"{KEY}.")):
        array = np.asarray(tensors[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


# ---- reading ---------------------------------------------------------------------------------------------


def description(tree: Tree, what: str) -> dict[str, Any] | None:
    """The parsed JSON string, or None where the file has none. Raises NirError."""
    found = tree.get("metadata")
    if not isinstance(found, dict) or KEY not in found:
        return None
    try:
        data: dict[str, Any] = json.loads(str(found[KEY]))
        schema, version = data["schema"], int(data["version"])
        intact = version != VERSION or data["sha256"] == _seal(data, found)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise NirError(f"{what}: its astrocyte metadata is damaged: export the network again") from error
    if schema != SCHEMA or version > VERSION:
        raise NirError(
            f"{what}: its astrocytes are of {schema} {version}, read here is up to {SCHEMA} {VERSION}: "
            "update astrodeploy"
        )
    if version < VERSION:
        raise NirError(
            f"{what}: its metadata is of {SCHEMA} {version}, which is read no more: export the network again, or "
            "delete the metadata to compile the core alone"
        )
    if not intact:
        raise NirError(f"{what}: its astrocyte metadata was edited or damaged: export the network again")
    return data


def tell_more(tree: Tree, outputs: Mapping[str, Any], findings: Findings) -> None:
    """A finding for what others changed in a file of ours beside what it describes: nothing of that is read.

    `outputs` are the Outputs that the core of the described network has: its hash leaves them out.
    """
    nodes, extra = tree["nodes"], tree["metadata"].keys()
    more = [f"the field {key!r}" for key in sorted(tree.keys() - {"type", "nodes", "edges", "metadata"})]
    more += [f"the metadata {key!r}" for key in sorted(extra) if key != KEY and not key.startswith(f"{KEY}.")]
    more += [f"the metadata of {name}" for name in sorted(nodes) if nodes[name].get("metadata")]
    more += [
        f"another {name}" for name in sorted(outputs) if name in nodes and _said(nodes[name]) != outputs[name]
    ]
    if more:
        findings.warn("", f"holds {', '.join(more)[:200]}, which astrodeploy did not write: not read")


def output_contents(tree: Tree) -> dict[str, str]:
    """What the Outputs of a core say."""
    return {name: _said(node) for name, node in tree["nodes"].items() if kind_of(node) == "Output"}


def _said(node: Tree) -> str:
    return _content({key: value for key, value in node.items() if key != "metadata"})


def described(tree: Tree, data: dict[str, Any], what: str) -> Graph:
    """The Graph that a file describes. Raises NirError where its core no longer fits."""
    try:
        if core_hash(tree) != data["core_sha256"]:
            raise NirError(
                f"{what}: its core graph was edited after its astrocytes were written, so they no longer fit: "
                "export it again, or delete the metadata to compile the core alone"
            )
        tensors = {str(name): _tensor(name, place, tree) for name, place in data["tensors"].items()}
        graph = from_plain(data["network"], tensors)
        if any(p.size > MOST_NEURONS for p in graph.populations):
            raise ValueError("more neurons than fit this machine")
        return graph
    except NirError:
        raise
    except (
        InputError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        MemoryError,
    ) as error:
        raise NirError(f"{what}: its astrocyte metadata is damaged ({error!r}): export it again") from error


def _tensor(name: str, place: list[Any], tree: Tree) -> Array:
    where, *rest = place
    if where == "core":
        node, field, shape = rest
        return np.asarray(tree["nodes"][node][field]).reshape(tuple(int(n) for n in shape))
    if where == "uniform":
        shape, value, kind = rest
        if kind not in UNIFORM or prod(int(n) for n in shape) > MOST_NEURONS * np.dtype(kind).itemsize:
            raise ValueError(f"a uniform tensor of {shape} {kind}")
        return np.full(tuple(int(n) for n in shape), value, np.dtype(kind))
    return np.asarray(tree["metadata"][f"{KEY}.{name}"])
