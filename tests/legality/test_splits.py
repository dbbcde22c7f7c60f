"""A fan-in in parts computes what it computes in one piece, bit for bit, later by the steps that the depths record."""

import numpy as np
import pytest
from float_networks import DT, cuba, edge, graph, lif
from hypothesis import given, settings
from hypothesis import strategies as st
from legality.checker import violations
from random_mappings import mapped, random_network, roomy_chip

from astrodeploy.chip import Board
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir import Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv

STEPS = 40


def split_notes(program):
    return [note for each in program.passes if each.name == "split" for note in each.notes]


def stimulus(rng, network):
    """Spikes, or numbers of a graded input, some of which are 0."""
    given = {}
    for population in network.inputs:
        node = population.node
        sent = rng.integers(node.low, node.high + 1, (2, STEPS, *population.shape))
        given[population.name] = sent * (rng.random(sent.shape) < 0.4) / node.unit
    return given


def shifted_run(program, given):
    """What every population sends and keeps, from the step on in which the stimulus reaches it: name -> arrays."""
    kept = [p for p in program.reference.populations if not p.is_input]
    names = tuple(p.name for p in kept if program.network[p.name].node.kind.states)
    trace = program.run(given, engine="fast", probes=names)
    found = {}
    for population in kept:
        depth = program.network[population.name].depth
        found[population.name] = trace.spikes[population.name][:, depth:]
    for (name, state), values in trace.states.items():
        found[f"{name}.{state}"] = values[:, program.network[name].depth :]
    return found


def assert_equal(network, given, **limits):
    """Run on a chip where the fan-in must be split, and on one where it need not be."""
    board, whole = Board.of(roomy_chip(**limits)), Board.of(roomy_chip())
    split, plain = mapped(network, board, "fewest"), mapped(network, whole, "fewest")
    assert split_notes(split) and not split_notes(plain)
    ours, theirs = shifted_run(split, given), shifted_run(plain, given)
    assert set(ours) == set(theirs)
    for name in ours:
        steps = min(ours[name].shape[1], theirs[name].shape[1])
        assert steps > STEPS // 2
        np.testing.assert_array_equal(ours[name][:, :steps], theirs[name][:, :steps], err_msg=name)
    return split, plain


def dense_network(rng, *sizes):
    populations = [
        Population(f"l{i}", (n,), lif(bias=rng.normal(0, 0.1, n))) for i, n in enumerate(sizes[1:])
    ]
    names = ["x", *(p.name for p in populations)]
    edges = [
        edge(a, b, rng.normal(0.05, 0.5, (n, m)))
        for a, b, m, n in zip(names[:-1], names[1:], sizes[:-1], sizes[1:], strict=True)
    ]
    return graph(sizes[0], populations, edges)


def sends(program, name):
    return program.network[name].depth


def test_a_dense_layer_in_parts(tmp_path):
    rng = np.random.default_rng(0)
    network = dense_network(rng, 100, 12, 5)
    given = stimulus(rng, network)
    split, plain = assert_equal(network, given, input_axons_per_core=30)
    (note,) = split_notes(split)
    assert note.subject == "x -> l0.current"
    assert note.values["parts"] >= 4
    late = note.values["steps"]
    assert late in (1, 2)
    assert [sends(split, n) - sends(plain, n) for n in ("l0", "l1")] == [late, late]
    assert f"l0 answers {late:.0f} step" in note.text
    assert shifted_run(split, given)["l0"].any()
    assert violations(split.save(tmp_path / "split")) == []


def test_a_layer_that_is_split_twice_over(tmp_path):
    """Two layers, of which each is later."""
    rng = np.random.default_rng(1)
    network = dense_network(rng, 90, 80, 5)
    split, plain = assert_equal(network, stimulus(rng, network), input_axons_per_core=30)
    assert {note.subject for note in split_notes(split)} == {"x -> l0.current", "l0 -> l1.current"}
    late = [note.values["steps"] for note in split_notes(split)]
    assert sends(split, "l1") - sends(plain, "l1") == sum(late)
    assert violations(split.save(tmp_path / "split")) == []


def test_a_convolution_in_parts(tmp_path):
    rng = np.random.default_rng(2)
    conv = Conv(rng.normal(0, 0.4, (3, 6, 3, 3)), (6, 5, 5), (1, 1), (1, 1), (1, 1))
    network = Graph(
        DT,
        (Population("x", (6, 5, 5), Input()), Population("a", conv.output_shape, cuba())),
        (Connection("x", "a", "current", conv),),
        ("a",),
    )
    split, _ = assert_equal(network, stimulus(rng, network), input_axons_per_core=20, convolution=None)
    assert violations(split.save(tmp_path / "split")) == []


def test_graded_messages_in_parts():
    rng = np.random.default_rng(3)
    network = dense_network(rng, 70, 6).with_population(Population("x", (70,), Input(-20, 100, 8.0)))
    assert_equal(network, stimulus(rng, network), input_axons_per_core=20)


def test_a_skip_waits_for_the_layer_that_is_later():
    """x -> a -> b and x -> b: what skips the split layer is held back by as many steps."""
    rng = np.random.default_rng(4)
    network = graph(
        60,
        [Population("a", (8,), lif()), Population("b", (4,), lif())],
        [
            edge("x", "a", rng.normal(0.1, 0.5, (8, 60))),
            edge("a", "b", rng.normal(0.1, 0.6, (4, 8))),
            edge("x", "b", rng.normal(0.1, 0.4, (4, 60)) * (rng.random((4, 60)) < 0.1)),
        ],
    )
    assert_equal(network, stimulus(rng, network), input_axons_per_core=24)


def test_a_loop_with_time_for_it():
    rng = np.random.default_rng(5)
    network = graph(
        60,
        [Population("a", (8,), lif())],
        [edge("x", "a", rng.normal(0.1, 0.5, (8, 60))), edge("a", "a", rng.normal(0, 0.4, (8, 8)), lag=3)],
    )
    assert_equal(network, stimulus(rng, network), input_axons_per_core=24)


def test_without_graded_messages_a_fan_in_stays_whole():
    network = dense_network(np.random.default_rng(0), 100, 4)
    board = Board.of(roomy_chip(input_axons_per_core=30, message_bits=0))
    with pytest.raises(DoesNotFit, match="neuron 0 of l0 alone does not fit .*input_axons 100 of 30"):
        mapped(network, board, "fewest")


def random_case(seed):
    """A network, the few axons into a core that are to split it, and what it is shown."""
    rng = np.random.default_rng(seed)
    axons = int(rng.integers(6, 40))
    network = random_network(rng)
    return network, {"input_axons_per_core": axons}, stimulus(rng, network)


@pytest.mark.parametrize("seed", [21, 23, 39, 48, 49, 50, 51])
def test_random_networks_in_parts(seed):
    network, limits, given = random_case(seed)
    assert_equal(network, given, **limits)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_any_network_in_parts(seed):
    network, limits, given = random_case(seed)
    try:
        split = split_notes(mapped(network, Board.of(roomy_chip(**limits)), "fewest"))
    except DoesNotFit:
        return
    if split:
        assert_equal(network, given, **limits)
