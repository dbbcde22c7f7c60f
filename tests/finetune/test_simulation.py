"""The differentiable run of a Program: with the chip's rounding it is the Program, without it the float network."""

import float_networks
import numpy as np
import pytest
import torch

import astrodeploy as ad
from astrodeploy.compartments import Range
from astrodeploy.engines import make_plan
from astrodeploy.finetune.simulation import Simulation
from astrodeploy.finetune.trained import Trained, untied
from astrodeploy.ir import LIF, Connection, CubaLIF, Graph, Input, Population, RateEncoder
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, pool

WEIGHT = Range.signed(8)
STEPS = 14


def neurons(shape, kind=LIF, **given):
    numbers = {"tau": 1e-2, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "bias": 0.0}
    settings = {
        k: given.pop(k) for k in ("integrator", "reset", "comparison", "refractory", "sends") if k in given
    }
    numbers |= given
    return kind(**{k: np.broadcast_to(v, shape).astype(float) for k, v in numbers.items()}, **settings)


def many_patterns(seed=0, **variant):
    """Convolution, pooling, feedback, membranes between neurons; the first layer is of the given variant."""
    rng = np.random.default_rng(seed)
    first = neurons((4, 6, 6), bias=rng.normal(0, 0.1, (4, 1, 1)), **variant)
    second = neurons((4, 3, 3), CubaLIF, bias=0.2, tau_syn=4e-3, w_in=4.0)
    populations = (
        Population("x", (2, 6, 6), Input()),
        Population("a", (4, 6, 6), first),
        Population("b", (4, 3, 3), second),
        Population("m", (9,), neurons((9,), sends="membrane")),
        Population("r", (9,), neurons((9,), sends="rectified")),
        Population("o", (5,), neurons((5,), sends="membrane", tau=2e-2)),
    )
    sparse = Sparse.of(rng.normal(size=(5, 9)) * (rng.random((5, 9)) < 0.5))
    filters = Conv(rng.normal(size=(4, 2, 3, 3)) * 2, (2, 6, 6), (1, 1), (1, 1), (1, 1))
    connections = (
        Connection("x", "a", "current", filters),
        Connection("a", "b", "current", pool((4, 6, 6), (2, 2), (2, 2), (0, 0))),
        Connection("b", "b", "current", OneToOne(np.full(36, -0.5)), lag=1),
        Connection("b", "o", "current", Dense(rng.normal(size=(5, 36)))),
        Connection("a", "m", "current", Dense(rng.normal(0, 0.1, (9, 144)))),
        Connection("m", "r", "current", Dense(rng.normal(size=(9, 9)))),
        Connection("r", "o", "current", sparse),
    )
    return Graph(1e-3, populations, connections, ("o",), "last")


VARIANTS = (
    {},
    {"reset": "subtract"},
    {"reset": "none"},
    {"comparison": ">="},
    {"refractory": 2},
    {"integrator": "exponential"},
    {"v_leak": 0.1, "v_reset": -0.2},
)


def simulated(program, x, chip, dtype=torch.float64):
    """Messages by population and the read-out, in the model's own time, as far as the Program's run goes."""
    graph = untied(program.reference, program.network)
    simulation = Simulation(Trained(graph, dtype), graph, program.network, WEIGHT, chip)
    plan = make_plan(program, x)
    messages = {name: torch.from_numpy(each) for name, each in plan.job.spikes.items()}
    output = program.network[program.network.output]
    with torch.no_grad():
        sent = simulation.run(messages, plan.job.steps)
        outputs = simulation.outputs(messages, min(plan.steps, plan.job.steps - output.depth))
    return {name: each.numpy() for name, each in sent.items()}, outputs.numpy()


def on_its_clock(program, trace, name):
    """What a population sent in answer to the stimulus, (samples, steps, size)."""
    sent, depth = trace.spikes[name], program.network[name].depth
    return sent.reshape(*sent.shape[:2], -1)[:, depth : depth + trace.steps]


def stimulus(shape=(2, 6, 6), samples=3):
    return (np.random.default_rng(5).random((samples, STEPS, *shape)) < 0.3).astype(np.uint8)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_with_rounding_it_is_the_program_bit_for_bit(variant):
    program, x = ad.compile(many_patterns(**variant), calibrate=stimulus()), stimulus()
    sent, outputs = simulated(program, x, chip=True)
    trace = program.run(x)
    for name in ("a", "b", "m", "r"):
        expected = on_its_clock(program, trace, name)
        assert np.array_equal(sent[name][:, : expected.shape[1]], expected), name
        assert np.any(expected), name
    assert np.allclose(outputs, trace.outputs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_without_rounding_it_is_the_float_network_spike_for_spike(variant):
    program, x = ad.compile(many_patterns(**variant), calibrate=stimulus()), stimulus()
    sent, outputs = simulated(program, x, chip=False)
    trace = program.run(x, engine="reference")
    for name in ("a", "b"):
        expected = on_its_clock(program, trace, name)
        assert np.array_equal(sent[name][:, : expected.shape[1]], expected), name
        assert np.any(expected), name
    assert np.allclose(outputs, trace.outputs, rtol=0, atol=1e-9)


def test_single_precision_is_close_enough_to_train_with():
    program, x = ad.compile(many_patterns()), stimulus(samples=20)
    sent, outputs = simulated(program, x, chip=True, dtype=torch.float32)
    trace = program.run(x)
    expected = on_its_clock(program, trace, "b")
    assert np.mean(sent["b"][:, : expected.shape[1]] != expected) < 1e-3
    assert np.allclose(outputs, trace.outputs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_an_encoder_recurrence_and_counted_spikes(target):
    rng = np.random.default_rng(1)
    graph = Graph(
        1e-3,
        (
            Population("x", (12,), RateEncoder(9, 3)),
            Population(
                "h", (20,), neurons((20,), CubaLIF, tau_syn=3e-3, w_in=3.0, tau=rng.uniform(4, 30, 20) * 1e-3)
            ),
            Population("o", (4,), neurons((4,), tau=4e-3)),
        ),
        (
            Connection("x", "h", "current", Dense(rng.normal(1, 2, (20, 12)))),
            Connection("h", "h", "current", Dense(rng.normal(0, 1, (20, 20))), lag=1),
            Connection("h", "o", "current", Dense(rng.normal(0.3, 1.5, (4, 20)))),
        ),
        ("o",),
    )
    program, x = ad.compile(graph, target), rng.random((6, 12))
    sent, outputs = simulated(program, x, chip=True)
    trace = program.run(x)
    assert trace.outputs.sum() > 10
    assert np.array_equal(outputs, trace.outputs)
    expected = on_its_clock(program, trace, "h")
    assert np.array_equal(sent["h"][:, :9], expected)


@pytest.mark.parametrize("chip", [True, False])
def test_gains_stay_at_rest(chip):
    graph = float_networks.random_closed_loop(np.random.default_rng(3))
    program = ad.compile(graph)
    x = (np.random.default_rng(0).random((4, 4, 12)) < 0.4).astype(np.uint8)
    sent, _ = simulated(program, x, chip)
    trace = program.run(x, engine="fast" if chip else "reference")
    first = on_its_clock(program, trace, "a")  # the shortest window: no astrocyte has spoken yet
    assert np.any(first)
    assert np.array_equal(sent["a"][:, :4], first)


def test_filters_that_the_chip_can_not_share_become_synapses():
    graph = many_patterns(tau=np.random.default_rng(0).uniform(3, 20, (4, 6, 6)) * 1e-3)
    program, x = ad.compile(graph), stimulus()
    assert isinstance(untied(program.reference, program.network).connections[0].wiring, Sparse)
    sent, outputs = simulated(program, x, chip=True)
    trace = program.run(x)
    assert np.array_equal(sent["a"][:, :STEPS], on_its_clock(program, trace, "a"))
    assert np.allclose(outputs, trace.outputs, rtol=0, atol=1e-12)


def test_the_trained_numbers_are_the_graphs_until_they_move():
    graph = ad.compile(many_patterns()).reference
    trained = Trained(graph, torch.float64)
    for before, after in zip(graph.connections, trained.graph().connections, strict=True):
        assert np.allclose(before.wiring.values, after.wiring.values, rtol=1e-14)
    assert trained.values["a"].shape == (4, 1, 1)  # one bias a channel, as the convolution had it
    with torch.no_grad():
        trained.values["b -> o.current"] += 1
    before, after = ({c.name: c.wiring.values for c in g.connections} for g in (graph, trained.graph()))
    unit = np.sqrt(np.mean(before["b -> o.current"] ** 2))
    assert np.allclose(after["b -> o.current"], before["b -> o.current"] + unit)


def test_gradients_without_spikes_are_those_of_the_equations():
    """A network of membranes is linear in its last weights: finite differences know its gradient."""
    program, x = ad.compile(many_patterns()), stimulus()
    graph = untied(program.reference, program.network)
    messages = {"x": torch.from_numpy(make_plan(program, x).job.spikes["x"])}

    def outputs(shift, chip):
        trained = Trained(graph, torch.float64)
        with torch.no_grad():
            trained.values["b -> o.current"][2] += shift
        return trained, Simulation(trained, graph, program.network, WEIGHT, chip).outputs(messages, STEPS - 2)

    for chip, tolerance in ((False, 1e-6), (True, 0.05)):
        trained, at = outputs(0.0, chip)
        at[:, 2].sum().backward()
        slope = float((outputs(0.5, False)[1] - outputs(-0.5, False)[1])[:, 2].detach().sum())
        assert slope != 0
        assert float(trained.values["b -> o.current"].grad[2].sum()) == pytest.approx(slope, rel=tolerance)
