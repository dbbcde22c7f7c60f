"""The astrocyte convention: what NIR can't say, in the metadata of the top graph.

`metadata["astrodeploy"]` is one JSON string, its tensors stand beside it as numeric metadata:

    schema       "astrodeploy.nir", version 1
    core         "runs at rest": other tools can run the core graph, which is the network with all
                 gains at rest
    core_sha256  hash of the core's content: an edited core no longer fits its astrocytes
    dt, reset, threshold, integrator     how the network is to be stepped
    output       the layer that is read out; nir gives every other layer without a successor an Output too
    encoder      settings of the rate encoder at the input, or null
    astrocytes   per astrocyte population: its settings, and whom it observes and modulates
    lags         connections of the core with a delay of their own
    shapes       populations of more than one dimension, which are flat in the core
    modulated    layers whose weights before folding stand beside the string
    sha256       hash of all of the above and of the tensors
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np

from astrodeploy.errors import NirError
from astrodeploy.ir import Astrocyte, Connection, Graph, Population, RateEncoder
from astrodeploy.ir.astrocytes import resting_gains
from astrodeploy.ir.canonical import reshaped
from astrodeploy.ir.nodes import Array, Membrane
from astrodeploy.ir.plain import fingerprint
from astrodeploy.ir.wiring import Dense
from astrodeploy.storage import json_text

KEY = "astrodeploy"
SCHEMA = "astrodeploy.nir"
VERSION = 1
SETTINGS = ("period", "decay", "rate", "set_point", "low", "high")


def metadata(graph: Graph, core: Graph) -> dict[str, Any]:
    """The metadata of a Graph whose NIR core is `core`."""
    tensors: dict[str, Array] = {}
    astrocytes = [
        _astrocyte(graph, p, f"{KEY}.astrocyte.{i}", tensors)
        for i, p in enumerate(p for p in graph.populations if p.is_astrocyte)
    ]
    modulated = sorted(resting_gains(graph))
    for name in modulated:
        for each in graph.into(name):
            if each.port == "current":
                tensors[f"{KEY}.weight.{replace(each, lag=0).name}"] = each.weight
        tensors[f"{KEY}.bias.{name}"] = _bias(graph[name])
    encoder = graph.encoder
    text = {
        "schema": SCHEMA,
        "version": VERSION,
        "core": "runs at rest",
        "core_sha256": fingerprint(_bare(core)),
        "dt": graph.dt,
        "outputs": list(core.outputs),
        "readout": core.readout,
        "reset": "value",
        "threshold": ">",
        "integrator": "forward euler, current updated first",
        "encoder": None if encoder is None else {"steps": encoder.steps, "seed": encoder.seed},
        "astrocytes": astrocytes,
        "lags": {replace(c, lag=0).name: c.lag for c in core.connections if c.lag},
        "shapes": {p.name: list(p.shape) for p in graph.populations if len(p.shape) > 1},
        "modulated": modulated,
    }
    text["sha256"] = _seal(text, tensors)
    return {KEY: json.dumps(text, sort_keys=True)} | {k: np.array(v) for k, v in tensors.items()}


def _seal(text: Mapping[str, Any], tensors: Mapping[str, Any]) -> str:
    digest = sha256(json_text({k: v for k, v in text.items() if k != "sha256"}).encode())
    for name in sorted(name for name in tensors if name.startswith(f"{KEY}.")):
        array = np.asarray(tensors[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _bare(core: Graph) -> Graph:
    """The core as a reader of plain NIR sees it: no encoder, no lags."""
    from astrodeploy.ir import Input

    bare = core.with_population(replace(core.input, node=Input()))
    return replace(bare, connections=tuple(replace(c, lag=0) for c in bare.connections))


def _astrocyte(
    graph: Graph, population: Population, prefix: str, tensors: dict[str, Array]
) -> dict[str, Any]:
    node = population.node
    assert isinstance(node, Astrocyte)
    (observed,) = graph.into(population.name)
    (modulated,) = graph.out_of(population.name)
    tensors |= {
        f"{prefix}.log_gain": node.log_gain,
        f"{prefix}.pool": observed.weight,
        f"{prefix}.spread": modulated.weight,
    }
    return {
        "name": population.name,
        "tensors": prefix,
        "observes": [observed.source, observed.lag],
        "modulates": [modulated.target, modulated.lag],
        **{name: getattr(node, name) for name in SETTINGS},
    }


def _bias(population: Population) -> Array:
    assert isinstance(population.node, Membrane)
    return population.node.bias


def extension(metadata: Mapping[str, Any], what: str) -> dict[str, Any] | None:
    """The parsed JSON string, or None where the file has none. Raises NirError."""
    if KEY not in metadata:
        return None
    text = metadata[KEY]
    try:
        data: dict[str, Any] = json.loads(text.decode() if isinstance(text, bytes) else str(text))
        schema, version = data["schema"], int(data["version"])
        intact = version > VERSION or data["sha256"] == _seal(data, metadata)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NirError(f"{what}: its astrocyte metadata is damaged: export the network again") from error
    if schema != SCHEMA or version > VERSION:
        raise NirError(
            f"{what}: its astrocytes are of {schema} {version}, read here is up to {SCHEMA} {VERSION}: "
            "update astrodeploy"
        )
    if not intact:
        raise NirError(f"{what}: its astrocyte metadata was edited or damaged: export the network again")
    return data


def restored(core: Graph, metadata: Mapping[str, Any], data: dict[str, Any], what: str) -> Graph:
    """The core with its astrocytes, encoder and lags put back. Raises NirError where they don't fit."""
    if fingerprint(core) != data["core_sha256"]:
        raise NirError(
            f"{what}: its core graph was edited after its astrocytes were written, so they no longer fit: "
            "export it again, or delete the metadata to compile the core alone"
        )
    try:
        return _restored(core, metadata, data)
    except (KeyError, TypeError, ValueError) as error:
        raise NirError(f"{what}: its astrocyte metadata is damaged ({error!r}): export it again") from error


def _restored(core: Graph, metadata: Mapping[str, Any], data: dict[str, Any]) -> Graph:
    graph = core
    for name, shape in data["shapes"].items():
        graph = graph.with_population(reshaped(graph[name], tuple(int(n) for n in shape)))
    if data["encoder"] is not None:
        encoder = RateEncoder(int(data["encoder"]["steps"]), int(data["encoder"]["seed"]))
        graph = graph.with_population(replace(graph.input, node=encoder))
    connections = []
    for each in graph.connections:
        if each.target in data["modulated"]:
            each = replace(each, wiring=Dense(metadata[f"{KEY}.weight.{each.name}"]))
        connections.append(replace(each, lag=int(data["lags"].get(each.name, 0))))
    for name in data["modulated"]:
        population = graph[name]
        assert isinstance(population.node, Membrane)
        bias = replace(population.node, bias=metadata[f"{KEY}.bias.{name}"])
        graph = graph.with_population(replace(population, node=bias))
    populations = list(graph.populations)
    for each in data["astrocytes"]:
        log_gain = np.asarray(metadata[f"{each['tensors']}.log_gain"])
        node = Astrocyte(log_gain=log_gain, **{name: each[name] for name in SETTINGS})
        populations.append(Population(each["name"], log_gain.shape, node))
        connections += _loop(each, metadata)
    return replace(graph, populations=tuple(populations), connections=tuple(connections))


def _loop(each: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[Connection]:
    (source, observe_lag), (target, modulate_lag) = each["observes"], each["modulates"]
    pool, spread = metadata[f"{each['tensors']}.pool"], metadata[f"{each['tensors']}.spread"]
    return [
        Connection(source, each["name"], "activity", Dense(pool), lag=int(observe_lag)),
        Connection(each["name"], target, "modulation", Dense(spread), lag=int(modulate_lag)),
    ]
