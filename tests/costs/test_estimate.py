"""Rates, runs and streams, and wrong use."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hand_mapped import connection, population, program_of
from priced import (
    SPIKES,
    closed_loop,
    trace_of,
    two_neurons,
)

from astrodeploy.chip import load_chip
from astrodeploy.costs import Estimate, Span, estimate
from astrodeploy.errors import InputError
from astrodeploy.ir import Connection, Input, Population, RateEncoder
from astrodeploy.program import Program

# ---- rates -------------------------------------------------------------------------------------------


def test_rates_say_that_they_are_assumed():
    e = estimate(two_neurons(), rates=0.5, steps=10)
    assert (e.basis, e.steps) == ("assumed", 10 + 2)  # until the last answer is there
    assert e.basis_text == (
        "events assumed, not counted, for an inference of 12 steps; messages per neuron and step: "
        "input 0.5, a 0.5, b 0.5"
    )
    assert e.events["synaptic_operations_sparse"] == pytest.approx(2 * 0.5 * 10)
    assert e.events["active_updates"] == pytest.approx(2 * 0.5 * 10)
    assert e.events["inactive_updates"] == pytest.approx(2 * 12 - 2 * 0.5 * 10)


def test_rates_by_layer():
    e = estimate(two_neurons(), rates={"input": 1.0, "a": 0.25, "b": 0.0}, steps=4)
    assert e.events["synaptic_operations_sparse"] == pytest.approx(4 + 1)


def test_layers_that_compiling_added_need_no_rates():
    program = program_of(
        [
            Population("input", (2,), Input()),
            population("relay", 2),
            population("one", 1),
            population("b", 1, depth=2),
        ],
        [
            connection("input", "relay", np.eye(2)),
            connection("relay", "b", [[1, 1]]),
            connection("one", "b", [[1]]),
        ],
    )
    network = program.network
    kept = tuple(p for p in network.populations if p.name in ("input", "b"))
    reference = replace(
        network,
        populations=kept,
        connections=(Connection("input", "b", "current", network.connections[1].wiring),),
    )
    e = estimate(replace(program, reference=reference), rates={"input": 0.25, "b": 0.0}, steps=4)
    assert e.events["messages_sent"] == pytest.approx(4 * (2 * 0.25 + 1))
    assert "relay 0.25, one 1, b 0" in e.basis_text


def test_rates_with_an_encoder_last_its_steps_and_the_depth():
    program = two_neurons(inputs=Population("input", (1,), RateEncoder(6, 0)))
    e = estimate(program, rates=0.5)
    assert e.steps == 6 + 2
    assert e.events["synaptic_operations_sparse"] == pytest.approx(2 * 6 * 0.5)
    assert estimate(program, rates=0.5, steps=12).steps == 14


def test_rates_without_an_encoder_are_those_of_one_step():
    e = estimate(two_neurons(), rates=0.1)
    assert e.steps == 1 + 2 and "an inference of 3 steps;" in e.basis_text
    assert e.events["synaptic_operations_sparse"] == pytest.approx(0.2)


def test_expected_astrocytes_tick_once_a_period():
    e = estimate(closed_loop(period=8), rates=0.1, steps=4)
    assert e.events["window_updates"] == pytest.approx(2 * (4 + 2) / 8)
    assert e.astrocyte_share > 0


def test_every_constant_comes_with_its_source_and_quality():
    e = estimate(two_neurons("loihi2"), rates=0.1)
    model = load_chip("loihi2").cost()
    names = [c.name for c in e.constants]
    assert set(names) == {k for k in type(model).model_fields if k.startswith(("energy", "time"))} | {
        "static_power_per_chip_mW",
        "host_power_per_chip_mW",
    }
    assert all(c.source and c.quality for c in e.constants)
    assert "not published" in e.constants[0].source and e.constants[0].quality == "calibrated"


def test_an_estimate_is_plain_data_and_can_not_be_changed():
    e = estimate(closed_loop(), rates=0.1)
    plain = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    assert plain["energy_joules"]["typical"] == e.energy_joules.typical
    assert plain["by_core"]["0"]["high"] == e.by_core[0].high
    assert plain["constants"][0]["source"]
    assert plain["model"] == "toy" and plain["power_watts"]["typical"] == e.power_watts.typical
    assert isinstance(e, Estimate)
    with pytest.raises(AttributeError):
        e.steps = 3


def test_spans():
    a, b = Span(1, 2, 3), Span(2, 3, 4)
    assert a + b == Span(3, 5, 7)
    assert a * b == Span(2, 6, 12)
    assert a * 2.0 == Span(2, 4, 6)
    assert Span(1, 2, 4).inverse == Span(0.25, 0.5, 1)


# ---- runs and streams --------------------------------------------------------------------------------


def test_a_run_costs_what_its_trace_costs(monkeypatch):
    program = closed_loop(inputs=Population("input", (3,), RateEncoder(6, 0)))
    x = np.random.default_rng(0).random((3, 3))
    trace = program.run(x, engine="oracle")
    monkeypatch.setattr(Program, "run", lambda self, given: trace if given is x else None)
    assert estimate(program, x) == estimate(program, trace)
    assert estimate(program, trace).steps == 6 + 2


def test_a_stream_is_counted_as_the_one_run_that_it_was():
    program = closed_loop(inputs=Population("input", (3,), RateEncoder(6, 0)))
    trace = program.run(np.full((5, 3), 0.9), engine="oracle", carry=("astrocytes",))
    e = estimate(program, trace)
    steps = 5 * 6 + 2
    assert e.steps == 6
    assert e.events["active_updates"] + e.events["inactive_updates"] == pytest.approx((4 + 2) * steps / 5)
    assert e.events["window_updates"] == pytest.approx(2 * ((steps - 2) // 4) / 5)


# ---- wrong use ---------------------------------------------------------------------------------------


def test_one_of_a_batch_and_rates():
    program = two_neurons()
    with pytest.raises(InputError, match=r"either a batch .* or rates="):
        estimate(program)
    with pytest.raises(InputError, match="give one of the two"):
        estimate(program, np.zeros((1, 2, 1)), rates=0.1)


def test_steps_go_with_rates():
    with pytest.raises(InputError, match="steps= goes with rates="):
        estimate(two_neurons(), np.zeros((1, 2, 1)), steps=3)


def test_at_least_one_step():
    with pytest.raises(InputError, match="steps must be at least 1, not 0"):
        estimate(two_neurons(), rates=0.1, steps=0)


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_rates_lie_in_0_to_1(rate):
    with pytest.raises(
        InputError, match=r"the rate of input must lie in 0\.\.1 messages per neuron and step, not"
    ):
        estimate(two_neurons(), rates=rate)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": 0.1}, "rates are needed for input, a, b; that of input, b is missing"),
        ({"input": 0.1, "a": 0.1, "b": 0.1, "c": 0.1}, "rates are taken of input, a, b, not of c$"),
    ],
)
def test_rates_of_all_layers(given, message):
    with pytest.raises(InputError, match=message):
        estimate(two_neurons(), rates=given)


def test_a_trace_of_another_program():
    program = two_neurons()
    trace = replace(trace_of(program, SPIKES), program="other")
    with pytest.raises(InputError, match="the Trace is of another Program"):
        estimate(program, trace)
