"""Small Programs whose cores are written down by hand."""

import numpy as np

from astrodeploy.chip import Arrangement, Board, Cost, Crossing, Number, load_chip, load_target
from astrodeploy.compartments import KINDS
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.wiring import Dense, Wiring
from astrodeploy.program import Core, Program, Slice


def population(name, size, kind="lif", depth=1, period=0, **parameters):
    """Of a size or a shape, with the least parameters that its kind takes."""
    shape = size if isinstance(size, tuple) else (size,)
    made, n = KINDS[kind], int(np.prod(shape))
    values = {
        k: np.full(n, parameters.get(k, 4096 if k in ("du", "dv") else max(0, r.low)))
        for k, r in made.parameters.items()
    }
    initial = {k: np.full(n, s.initial) for k, s in made.states.items()}
    return Population(name, shape, Compartments(made, values, initial, period), depth)


def connection(source, target, weight, port="current", delay=1, lag=0):
    wiring = weight if isinstance(weight, Wiring) else Dense(np.asarray(weight, np.int8))
    return Connection(source, target, port, wiring, lag=lag, delay=delay)


def program_of(populations, connections, cores=None, target="toy"):
    """Cores: index -> what lies there, "name" or ("name", (start, stop), ...); all on core 0 unless given."""
    graph = Graph(1e-3, tuple(populations), tuple(connections), (populations[-1].name,))
    if cores is None:
        cores = {0: [p.name for p in populations if not p.is_input]}
    made = tuple(Core(i, tuple(cut(graph, each) for each in held), {}, {}) for i, held in cores.items())
    board = load_target(target) if isinstance(target, str) else target
    return Program(graph, graph, board, made, ())


def cut(graph, what):
    if isinstance(what, str):
        what = (what, *((0, n) for n in graph[what].shape))
    return Slice(what[0], tuple(what[1:]))


def board_of_toys(columns=2, rows=2):
    """Toy chips, 2 x 2 tiles of 4 cores each, side by side."""
    chip = load_chip("toy")
    number = lambda n: Number(value=n, source="made up", quality="assumed")
    cost = lambda n: Cost(low=n, typical=2 * n, high=4 * n, source="made up", quality="assumed")
    crossing = Crossing(
        energy_per_crossing_pJ=cost(50.0),
        time_per_crossing_ns=cost(20.0),
        time_per_message_on_link_ns=cost(3.0),
    )
    arrangement = Arrangement(chips=number(columns * rows), columns=number(columns), rows=number(rows))
    return Board(name="toys", description="", chip=chip, arrangement=arrangement, crossing=crossing)
