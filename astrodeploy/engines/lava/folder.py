"""The folder of a job in Lava, written and read; its format stands in targets/lava_cpu/job.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from astrodeploy import arithmetic
from astrodeploy.compartments import Range
from astrodeploy.engines.lava.stock import stock_lif, stock_synapses
from astrodeploy.engines.recording import Job, Recording, StateName
from astrodeploy.errors import EngineError
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.verify import message_range
from astrodeploy.ir.wiring import Conv, Sparse
from astrodeploy.storage import file_hash

SPIKE = Range(0, 1)


def write(job: Job, folder: Path, prefix: str) -> None:
    """Write what the runner needs; `prefix` begins the names of its shared memory."""
    network = job.program.network
    arrays: dict[str, Array] = {}
    for i, population in enumerate(network.populations):
        if population.is_input:
            np.save(folder / f"{i}.spikes.npy", job.spikes[population.name], allow_pickle=False)
    populations = [_population(p, i, job, arrays) for i, p in enumerate(network.populations)]
    connections = [_connection(c, i, network, arrays) for i, c in enumerate(network.connections)]
    data = {
        "rows": job.rows,
        "steps": job.steps,
        "reset_every": job.reset_every,
        "arithmetic": str(_arithmetic_file()),
        "shared_memory": prefix,
        "populations": populations,
        "connections": connections,
    }
    (folder / "job.json").write_text(json.dumps(data))
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)


def _population(population: Population, index: int, job: Job, arrays: dict[str, Array]) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "size": population.size,
        "depth": population.depth,
        "graded": _is_graded(population),
    }
    node = population.node
    if not isinstance(node, Compartments):
        return plain | {"process": "source", "kind": None, "period": 0, "record": []}
    stock = stock_lif(population, job.program.network, job.steps)
    parameters = node.parameters if stock is None else stock
    arrays |= {f"{index}.parameter.{k}": v for k, v in parameters.items()}
    arrays |= {f"{index}.initial.{k}": v for k, v in node.initial.items()}
    return plain | {
        "process": "program" if stock is None else "lif",
        "kind": node.kind.to_dict(),
        "period": node.period,
        "record": [state for _, state in _recorded(job, population)],
    }


def _connection(
    connection: Connection, index: int, network: Graph, arrays: dict[str, Array]
) -> dict[str, Any]:
    source, target = network[connection.source], network[connection.target]
    assert isinstance(target.node, Compartments)
    inputs = target.node.kind.inputs
    process = stock_synapses(connection, source)
    settings, weights = _pattern(connection, process)
    arrays |= {f"{index}.{name}": array for name, array in weights.items()}
    return {
        "source": network.layers.index(source.name),
        "target": network.layers.index(target.name),
        "port": list(inputs).index(connection.port),
        "process": process,
        "settings": settings,
        "exponent": connection.exponent,
        "lag": connection.lag,
        "delay": connection.delay,
        "slow": inputs[connection.port].slow,
        "graded": _is_graded(source),
    }


def _pattern(connection: Connection, process: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Settings and arrays of the Lava process that carries a connection."""
    wiring = connection.wiring
    if process == "dense":
        return {}, {"weight": wiring.matrix()}
    if process == "conv" and isinstance(wiring, Conv):
        return _planar(wiring)
    synapses = Sparse.of(wiring.sparse)
    weights = {"weight": synapses.values, "columns": synapses.columns, "starts": synapses.starts}
    return {"sources": synapses.sources}, weights


def _planar(wiring: Conv) -> tuple[dict[str, Any], dict[str, Array]]:
    """A convolution over two dimensions: one over a line is over a strip of width 1."""
    missing = 3 - len(wiring.input_shape)
    settings = {
        "input_shape": [*wiring.input_shape, *[1] * missing],
        "output_shape": [*wiring.output_shape, *[1] * missing],
        "stride": [*wiring.stride, *[1] * missing],
        "padding": [*wiring.padding, *[0] * missing],
        "dilation": [*wiring.dilation, *[1] * missing],
        "groups": wiring.groups,
    }
    return settings, {"weight": wiring.values.reshape(*wiring.values.shape, *[1] * missing)}


def _is_graded(population: Population) -> bool:
    return not SPIKE.contains(message_range(population))


def _recorded(job: Job, population: Population) -> list[StateName]:
    return sorted(key for key in job.record if key[0] == population.name)


def read(job: Job, folder: Path) -> Recording:
    """Read what the runner recorded. Raises EngineError where it did not execute our arithmetic."""
    network = job.program.network
    result = json.loads((folder / "result.json").read_text())
    ours = file_hash(_arithmetic_file())
    if result["arithmetic"] != ours:
        raise EngineError(
            f"Lava's runner executed the arithmetic {result['arithmetic'][:12]}, ours is {ours[:12]}: "
            "it changed during the run, run again"
        )
    spikes: dict[str, Array] = dict(job.spikes)
    states: dict[StateName, Array] = {}

    def load(name: str) -> Array:
        array: Array = np.load(folder / name, allow_pickle=False)
        return array.reshape(job.rows, job.steps, -1)

    for i, population in enumerate(network.populations):
        if not population.is_input:
            spikes[population.name] = load(f"{i}.npy")
            states |= {key: load(f"{i}.{j}.npy") for j, key in enumerate(_recorded(job, population))}
    return Recording(spikes, states, result["versions"] | {"arithmetic": ours})


def _arithmetic_file() -> Path:
    return Path(arithmetic.__file__)
