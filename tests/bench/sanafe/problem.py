"""The benchmark network and its way from a Program to the file that both sides read."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from mapped import UNIT, Connection, Layer, Mapped

from astrodeploy.chip import load_target
from astrodeploy.ir import LIF, Graph, Input, Population
from astrodeploy.ir import Connection as Edge
from astrodeploy.ir.arrays import IntArray
from astrodeploy.ir.wiring import Dense, Wiring
from astrodeploy.passes.base import Draft
from astrodeploy.passes.flow import FLOW, run_flow
from astrodeploy.program import Program
from astrodeploy.synapses import store

SIZES, STEPS, RATE, SEED = (784, 1024, 512, 10), 100, 0.1, 7
DECAY, THRESHOLDS = 410, (900.0, 800.0, 500.0)
DT = 1e-3
# SANA-FE has no synapses stored by run length; astrodeploy takes the costs of sparse ones for them too
ENCODINGS = {"dense": "dense", "sparse": "sparse", "runlength": "sparse", "convolution": "conv"}
TILE, ROWS = 4, 4  # cores a tile, and tiles a column of the chip


def benchmark() -> tuple[Graph, np.ndarray]:
    """784-1024-512-10 LIF neurons of whole numbers, which compile to the same, and spikes (1, steps, 784)."""
    rng = np.random.default_rng(SEED)
    weights = [
        np.clip(2 * np.rint(rng.normal(0, 20, (targets, sources))), -256, 254)
        for sources, targets in pairwise(SIZES)
    ]
    spikes = rng.random((1, STEPS, SIZES[0])) < RATE
    names = ["x", *(f"layer{i + 1}" for i in range(len(weights)))]
    layers = [
        Population(name, (len(w),), lif(threshold))
        for name, w, threshold in zip(names[1:], weights, THRESHOLDS, strict=True)
    ]
    edges = [
        Edge(source, target, "current", Dense(w))
        for source, target, w in zip(names, names[1:], weights, strict=False)
    ]
    inputs = Population("x", (SIZES[0],), Input())
    return Graph(DT, (inputs, *layers), tuple(edges), (names[-1],)), spikes


def compiled(graph: Graph, pack: str) -> Program:
    """On loihi1, whose steps alone are compared: as if clearing it took nothing, so that more cores are faster."""
    board = load_target("loihi1")
    board = board.model_copy(update={"chip": board.chip.model_copy(update={"reset": None})})
    draft, reports = run_flow(Draft(graph, board, pack=pack), FLOW)
    assert draft.reference is not None
    return Program(draft.graph, draft.reference, board, draft.cores, reports)


def lif(threshold: float) -> LIF:
    """A neuron that keeps 1 - DECAY / 4096 of its membrane and takes its input whole."""
    leak = DECAY / 4096
    given = {
        "tau": DT / leak,
        "r": 1 / leak,
        "v_leak": 0.0,
        "v_threshold": threshold,
        "v_reset": 0.0,
        "bias": 0.0,
    }
    return LIF(**{name: np.asarray(value) for name, value in given.items()})


def mapped(program: Program, spikes: np.ndarray, inputs: str) -> Mapped:
    """A Program's integers on its cores. Input neurons have no core there; SANA-FE puts them on one:

    inputs  "corner": on the first tile, on a core of their own if there is one left; "spread": over all cores
    """
    layers, connections = [], []
    for each in program.network.populations:
        if not each.is_input:
            into = [store(c, each.shape, program.chip) for c in program.network.into(each.name)]
            (encoding,) = {ENCODINGS[one.encoding] for one in into}  # SANA-FE takes one for a population
            layers.append(replace(_layer(each), encoding=encoding))
            connections += [_connection(one.connection) for one in into]
    cores = {each.name: _cores(program, each) for each in program.network.populations if not each.is_input}
    source = program.network.input
    used = sorted({int(core) for held in cores.values() for core in held})
    cores[source.name] = _input_cores(used, source.size, inputs)
    shown = np.asarray(spikes[0], bool).reshape(len(spikes[0]), -1)
    given = {source.name: np.pad(shown, ((0, program.depth), (0, 0)))}  # until the last layer has answered
    return Mapped(given, tuple(layers), tuple(connections), cores)


def _layer(population: Population) -> Layer:
    values = {name: np.unique(v) for name, v in population.node.parameters.items()}
    assert population.node.kind.name == "lif", population.node.kind.name
    assert all(len(v) == 1 for v in values.values()), (
        f"{population.name} needs the same numbers for all neurons"
    )
    assert values["du"] == 4096 and values["bias"] == 0, (
        f"{population.name} has a current that lasts, or a bias"
    )
    return Layer(population.name, int(values["dv"][0]), int(values["threshold"][0]) * UNIT, "dense")


def _connection(edge: Edge) -> Connection:
    """Without the weights of 0, which we count no operations for and SANA-FE would."""
    assert edge.delay == 1, edge.name
    weights = _whole(edge.wiring) * 2**edge.exponent * UNIT
    stored = weights != 0
    name = f"{edge.source}_{edge.target}_{edge.lag}"
    return Connection(name, edge.source, edge.target, weights, stored)


def _whole(wiring: Wiring) -> IntArray:
    """Weights (targets, sources)."""
    units = np.eye(wiring.shape[1], dtype=np.int64)
    return np.asarray(wiring.deliver(units)).T.astype(np.int64)


def _cores(program: Program, population: Population) -> IntArray:
    """Every neuron's core, numbered as SANA-FE does: tiles down the columns of the mesh."""
    cores = np.full(population.size, -1)
    for core in program.cores:
        for cut in core.slices:
            if cut.population == population.name:
                cores[cut.neurons(population.shape)] = numbered(program, core.index)
    assert (cores >= 0).all(), population.name
    return cores


def numbered(program: Program, core: int) -> int:
    """SANA-FE's number of a core."""
    column, row = program.board.tiles(np.array([core]))[:, 0]
    return int((column * ROWS + row) * TILE + core % TILE)


def _input_cores(used: list[int], size: int, inputs: str) -> IntArray:
    if inputs == "spread":
        return np.array(used)[np.arange(size) % len(used)]
    spare = [core for core in range(TILE) if core not in used]
    return np.full(size, spare[0] if spare else 0)
