"""What may arrive at a port is never reckoned too small, however large the numbers of a graph."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrodeploy.compartments.kind import Port, Range, State
from astrodeploy.compartments.language import compartment, table
from astrodeploy.compartments.proof import LIMIT
from astrodeploy.errors import InputError
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population, verify
from astrodeploy.ir.verify import MOST_SOURCES, arrivals
from astrodeploy.ir.wiring import Dense, OneToOne


@compartment(
    states={"v": State(Range(0, 99))}, inputs={"current": Port(Range(0, 3))}, tables={"t": (11, 22, 33, 44)}
)
def reader(n):
    """Looks up what arrives."""
    n.v = table("t", n.current)


def read(wires: list[tuple[np.ndarray, int, tuple[int, int]]]) -> Graph:
    """Inputs that send whatever lies in a range, all to one neuron, which trusts that 0..3 arrive."""
    inputs = [
        Population(f"x{i}", (weights.shape[1],), Input(low, high))
        for i, (weights, _, (low, high)) in enumerate(wires)
    ]
    node = Compartments(reader, {}, {"v": np.zeros(1, np.int64)})
    edges = [
        Connection(f"x{i}", "reader", "current", Dense(weights), exponent, 0, 1)
        for i, (weights, exponent, _) in enumerate(wires)
    ]
    return Graph(1e-3, (*inputs, Population("reader", (1,), node)), tuple(edges), ("reader",))


def wires() -> st.SearchStrategy[list[tuple[np.ndarray, int, tuple[int, int]]]]:
    weight = st.integers(-128, 127)
    row = st.lists(weight, min_size=1, max_size=6).map(lambda w: np.array([w], np.int8))
    ends = st.tuples(st.integers(-(1 << 31), 0), st.integers(1, (1 << 31) - 1))
    return st.lists(st.tuples(row, st.integers(-32, 32), ends), min_size=1, max_size=4)


@given(wires())
def test_bounds_are_those_of_python_integers(wired):
    low = high = 0
    for weights, exponent, (least, most) in wired:
        ends = [(w * least, w * most) for w in weights[0].tolist()]
        sums = (sum(map(min, ends)), sum(map(max, ends)))
        scaled = [s << exponent if exponent >= 0 else s >> -exponent for s in sums]
        low, high = low + scaled[0], high + scaled[1]
    found = arrivals(read(wired), "reader", "current")
    assert (found.low, found.high) == (max(low, -LIMIT), min(high, LIMIT))


def test_what_would_wrap_to_a_small_number_is_refused():
    """4 * (2**31 - 1) * 2**32, and 8 * 127 that hide what is left of it in 64 bits."""
    wired = [
        (np.array([[4]], np.int8), 32, (0, (1 << 31) - 1)),
        (np.full((1, 8), 127, np.int8), 0, (0, 1)),
    ]
    with pytest.raises(InputError, match=r"reader.current may receive 0..4611686018427387904 in one step"):
        verify(read(wired))


def test_messages_are_words_of_32_bits():
    graph = read([(np.array([[1]], np.int8), 0, (0, 3))])
    verify(graph)
    wide = graph.with_population(replace(graph["x0"], node=Input(0, 1 << 31)))
    with pytest.raises(InputError, match=r"x0 sends 0..2147483648, but messages are words of 32 bits"):
        verify(wide)


def test_more_sources_than_a_sum_can_take_are_refused():
    many = MOST_SOURCES + 1
    kind = Compartments(reader, {}, {"v": np.zeros(many, np.int64)})
    wire = Connection("x", "reader", "current", OneToOne(np.ones(many, np.int8)), 0, 0, 1)
    made = Graph(
        1e-3, (Population("x", (many,), Input()), Population("reader", (many,), kind)), (wire,), ("reader",)
    )
    with pytest.raises(InputError, match="16777217 sources, at most 16777216 can be added up"):
        verify(made)
