"""Random float networks of every wiring, and random tiny chips and boards to map them to."""

import numpy as np
from float_networks import DT, astrocyte, cuba, gain_control, lif
from hand_mapped import board_of_toys

from astrodeploy.chip import Board, Chip, Formula, Number, load_chip
from astrodeploy.errors import InputError
from astrodeploy.ir import Connection, Graph, Input, Population, verify
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Random, Sparse, Wiring, pool
from astrodeploy.passes.base import Draft
from astrodeploy.passes.flow import FLOW, run_flow
from astrodeploy.program import Program

Generator = np.random.Generator
Shape = tuple[int, ...]


# ---- networks ----------------------------------------------------------------------------------------


def random_network(rng: Generator, largest: int = 60) -> Graph:
    """Up to five layers of at most about so many neurons, with skips and loops, inputs of every kind, astrocytes."""
    populations = [Population("x", _shape(rng), Input())]
    if rng.random() < 0.3:
        graded = Input(-int(rng.integers(0, 9)), int(rng.integers(1, 200)), 4.0)
        populations.append(Population("y", _shape(rng), graded if rng.random() < 0.5 else Input()))
    connections = [_layer(rng, populations, i, largest) for i in range(int(rng.integers(1, 6)))]
    neurons = [p for p in populations if not p.is_input]
    for _ in range(int(rng.integers(0, 3))):
        connections.append(_extra(rng, populations, neurons))
    connections = list({c.name: c for c in connections}.values())
    if rng.random() < 0.3:
        served = neurons[int(rng.integers(len(neurons)))]
        domains = rng.permutation(np.arange(served.size) % int(rng.integers(1, min(served.size, 4) + 1)))
        node = astrocyte(rng.uniform(-0.5, 0.5, domains.max() + 1), set_point=0.1)
        astro, *edges = gain_control(served.name, domains, node, mean=False)
        populations.append(astro)
        connections += edges
    made = Graph(DT, tuple(populations), tuple(connections), (neurons[-1].name,))
    verify(made)
    return made


def _shape(rng: Generator) -> Shape:
    return tuple(int(n) for n in rng.integers(1, 7, rng.choice([1, 2, 3])))


def _layer(rng: Generator, populations: list[Population], number: int, largest: int) -> Connection:
    """One more layer, and what feeds it."""
    source = populations[int(rng.integers(len(populations)))] if rng.random() < 0.3 else populations[-1]
    wiring, shape = _wiring(rng, source, largest)
    varied = {"tau": rng.uniform(2, 20, shape) * DT, "v_threshold": rng.uniform(0.5, 1.5, shape)}
    settings = {"reset": str(rng.choice(["value", "subtract"])), "refractory": int(rng.choice([0, 0, 2]))}
    make = lif if rng.random() < 0.7 else cuba
    node = make(**(varied if rng.random() < 0.4 else {}), **settings)
    populations.append(Population(f"layer{number}", shape, node))
    return Connection(source.name, f"layer{number}", "current", wiring)


def _wiring(rng: Generator, source: Population, largest: int) -> tuple[Wiring, Shape]:
    """A pattern from a population, and the shape of what it feeds."""
    if len(source.shape) > 1 and rng.random() < 0.6:
        made = _conv(rng, source.shape, largest)
        return made, made.output_shape
    if rng.random() < 0.2 and source.size <= largest:
        return OneToOne(_weights(rng, (source.size,))), source.shape
    shape = tuple(int(n) for n in rng.integers(1, 6, rng.choice([1, 1, 3])))
    return _matrix(rng, (int(np.prod(shape)), source.size)), shape


def _conv(rng: Generator, shape: Shape, largest: int) -> Conv:
    """Strided, padded, dilated, grouped, with some weights of 0; or a pool."""
    n = len(shape) - 1
    pick = lambda low, high: tuple(int(v) for v in rng.integers(low, high + 1, n))
    while True:
        groups = int(rng.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
        values = _weights(rng, (groups * int(rng.integers(1, 4)), shape[0] // groups, *pick(1, 3)))
        try:
            if rng.random() < 0.2:
                kernel = pick(1, 2)
                return pool(shape, kernel, kernel, (0,) * n, 0.5)
            made = Conv(values, shape, pick(1, 2), pick(0, 1), pick(1, 2), groups)
        except InputError:  # no output on so small an input
            continue
        if made.shape[0] <= largest:
            return made


def _weights(rng: Generator, shape: Shape) -> np.ndarray:
    fill = rng.choice([0.1, 0.5, 1.0])
    values = rng.normal(0.1, 0.5, shape) * (rng.random(shape) < fill)
    values.flat[0] = 0.5
    return values


def _matrix(rng: Generator, shape: Shape) -> Wiring:
    if rng.random() < 0.2:
        inputs = int(rng.integers(1, shape[1] + 1))
        window, numbers = int(rng.integers(inputs, shape[1] + 1)), _weights(rng, (5,))
        return Random(numbers, *shape, inputs, window, int(rng.integers(0, 1 << 40)))
    values = _weights(rng, shape)
    return Dense(values) if rng.random() < 0.5 else Sparse.of(values)


def _extra(rng: Generator, populations: list[Population], neurons: list[Population]) -> Connection:
    """A skip, or a loop with a lag."""
    source = populations[int(rng.integers(len(populations)))]
    target = neurons[int(rng.integers(len(neurons)))]
    alike = source.size == target.size and rng.random() < 0.5
    wiring = OneToOne(_weights(rng, (source.size,))) if alike else _matrix(rng, (target.size, source.size))
    back = populations.index(source) >= populations.index(target)
    lag = int(rng.integers(6, 9)) if back else int(rng.choice([0, 0, 0, 2]))  # no loop has more edges
    return Connection(source.name, target.name, "current", wiring, lag=lag)


# ---- chips and boards --------------------------------------------------------------------------------


def random_board(rng: Generator) -> Board:
    """One to four chips like the toy, with limits that bite, or do not."""
    board = Board.of(random_chip(rng))
    columns, rows = (int(n) for n in rng.integers(1, 3, 2))
    if columns * rows > 1:
        board = board_of_toys(columns, rows).model_copy(update={"chip": board.chip})
    if rng.random() < 0.3:
        usable = _number(int(rng.integers(1, board.chip.limits.cores.value + 1)))
        arrangement = board.arrangement.model_copy(update={"usable_cores_per_chip": usable})
        board = board.model_copy(update={"arrangement": arrangement})
    return Board.model_validate(board.model_dump())


def random_chip(rng: Generator) -> Chip:
    """The toy chip with other limits, other accounts of memory, and with or without what not every chip has."""
    toy, pick = load_chip("toy"), lambda *values: int(rng.choice(values))
    compartments, memory = pick(1, 3, 8, 16, 40, 200), pick(512, 2048, 8192, 65536)
    limits = {
        "cores": pick(2, 6, 24, 64),
        "tiles_x": 8,
        "compartments_per_core": compartments,
        "synaptic_memory_bits_per_core": memory,
        "input_axons_per_core": pick(4, 20, 60, 300),
        "output_axons_per_core": pick(2, 10, 60, 300),
        "memory_bits_per_core": None if rng.random() < 0.3 else memory + pick(500, 4000, 60000),
        "threshold_values_per_core": None if rng.random() < 0.7 else pick(1, 4, 20),
        "decay_pairs_per_core": None if rng.random() < 0.7 else pick(1, 4, 20),
        "synapse_formats_per_core": None if rng.random() < 0.7 else pick(1, 3, 8),
        "program_instructions_per_core": None if rng.random() < 0.5 else pick(60, 200, 1000),
        "maximal_delay_steps": pick(2, 8, 60),
    }
    synapses = {
        "index_bits": _number(max(1, (compartments - 1).bit_length())),
        "words_per_axon": None if rng.random() < 0.6 else _number(pick(1, 2, 6, 30)),
        "convolution_axon_bits": None if rng.random() < 0.4 else _number(pick(20, 64)),
        "formulas": {f"f{i}": _formula(rng) for i in range(pick(1, 2, 3))},
    }
    changed = {k: None if v is None else _number(v) for k, v in limits.items()}
    widths = {"message_bits": _number(pick(0, 10, 32))}
    return toy.model_copy(
        update={
            "limits": toy.limits.model_copy(update=changed),
            "synapses": toy.synapses.model_copy(update=synapses),
            "widths": toy.widths.model_copy(update=widths),
        }
    )


def _number(value: int) -> Number:
    return Number(value=value, source="made up", quality="assumed")


def _formula(rng: Generator) -> Formula:
    header, index, most = (int(n) for n in (rng.integers(0, 20), rng.integers(0, 10), rng.integers(1, 65)))
    least = int(rng.integers(1, 4))
    skips = {"least_skip_bits": _number(least), "most_skip_bits": _number(least + int(rng.integers(0, 4)))}
    return Formula(
        entry_header_bits=_number(header),
        dense_index_bits=_number(index),
        synapses_per_entry=_number(most),
        **(skips if rng.random() < 0.6 else {}),
    )


def mapped(network: Graph, board: Board, pack: str) -> Program:
    """What `compile` makes of a network on a board that has no file."""
    draft, reports = run_flow(Draft(network, board, pack=pack), FLOW)
    return Program(draft.graph, draft.reference, board, draft.cores, reports)


def roomy_chip(convolution: int | None = 64, message_bits: int = 32, **limits: int) -> Chip:
    """A chip like the toy that holds everything, but for the limits that are given."""
    toy = load_chip("toy")
    roomy = {
        "cores": 256,
        "tiles_x": 32,
        "compartments_per_core": 64,
        "synaptic_memory_bits_per_core": 1 << 20,
        "memory_bits_per_core": 1 << 21,
        "input_axons_per_core": 4096,
        "output_axons_per_core": 4096,
        "maximal_delay_steps": 60,
    }
    changed = {k: _number(v) for k, v in (roomy | limits).items()}
    axon = None if convolution is None else _number(convolution)
    synapses = {"index_bits": _number(6), "convolution_axon_bits": axon}
    return toy.model_copy(
        update={
            "limits": toy.limits.model_copy(update=changed),
            "synapses": toy.synapses.model_copy(update=synapses),
            "widths": toy.widths.model_copy(update={"message_bits": _number(message_bits)}),
        }
    )
