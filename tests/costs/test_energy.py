"""Energy and latency, by hand on small networks."""

import json
from dataclasses import replace

import numpy as np
import pytest

from astrodeploy.chip import load_chip, operation_count
from astrodeploy.compartments import KINDS
from astrodeploy.costs import Estimate, Span, estimate
from astrodeploy.errors import InputError
from astrodeploy.ir import Compartments, Connection, Graph, Input, Population, RateEncoder
from astrodeploy.ir.wiring import Dense
from astrodeploy.passes.base import Draft
from astrodeploy.passes.partition import Partition
from astrodeploy.program import Program
from astrodeploy.trace import Trace

PICO, NANO, MILLI = 1e-12, 1e-9, 1e-3


def population(name, size, kind="lif", depth=1, period=0, **parameters):
    made = KINDS[kind]
    values = {k: np.full(size, parameters.get(k, max(0, r.low))) for k, r in made.parameters.items()}
    initial = {k: np.full(size, s.initial) for k, s in made.states.items()}
    return Population(name, (size,), Compartments(made, values, initial, period), depth)


def connection(source, target, weight, port="current", delay=1, lag=0):
    return Connection(source, target, port, Dense(np.asarray(weight, np.int8)), lag=lag, delay=delay)


def program_of(populations, connections, target="toy"):
    graph = Graph(1e-3, tuple(populations), tuple(connections), (populations[-1].name,))
    draft, _ = Partition().apply(Draft(graph, load_chip(target)))
    return Program(graph, graph, draft.chip, draft.cores, ())


def two_neurons(target="toy", inputs=None):
    """input -> a -> b, one neuron each."""
    return program_of(
        [inputs or Population("input", (1,), Input()), population("a", 1), population("b", 1, depth=2)],
        [connection("input", "a", [[1]]), connection("a", "b", [[1]])],
        target,
    )


def closed_loop(period=4, inputs=None):
    pool = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    return program_of(
        [
            inputs or Population("input", (3,), Input()),
            population("layer", 4, "modulated_lif", threshold=1, du=4096),
            population("astro", 2, "astrocyte", depth=2, period=period),
        ],
        [
            connection("input", "layer", np.full((4, 3), 9)),
            connection("layer", "astro", pool, "activity"),
            connection("astro", "layer", pool.T, "modulation", lag=1),
        ],
    )


def trace_of(program, spikes, stream=False, steps=None):
    rows = len(spikes[program.network.output])
    return Trace(
        engine="hand",
        program=program.fingerprint,
        steps=steps or spikes["input"].shape[1],
        stream=stream,
        spikes=spikes,
        states={},
        outputs=np.zeros((rows, 1)),
        events={},
        seconds=0.0,
        versions={},
    )


def column(*values):
    return np.array(values)[None, :, None]


def assert_span(span, low, typical, high):
    assert (span.low, span.typical, span.high) == pytest.approx((low, typical, high), rel=1e-9)


SPIKES = {"input": column(1, 1, 0, 0), "a": column(0, 1, 0, 0), "b": column(0, 0, 0, 0)}
# step   synaptic operations   active            messages received   sent
#  1     1 (input -> a)        a                 1                   1 (a -> b)
#  2     2 (input -> a, a->b)  a, b              2                   0
# in all 3 operations, 3 active and 5 inactive updates, 3 received, 1 sent, on one core, 4 steps


def test_energy_of_two_neurons_by_hand():
    program = two_neurons()
    assert len(program.cores) == 1
    e = estimate(program, trace_of(program, SPIKES))
    operations = 3 * 10 + 3 * 80 + 5 * 40 + 3 * 2  # pJ; all of them in one tile
    assert_span(
        e.parts["operations"],
        (3 * 5 + 3 * 40 + 5 * 20 + 3 * 1) * PICO,
        operations * PICO,
        (3 * 20 + 3 * 160 + 5 * 80 + 3 * 4) * PICO,
    )
    assert_span(e.parts["step overhead"], 0, 4 * 100 * PICO, 4 * 200 * PICO)
    assert_span(e.latency_seconds, 4 * 50 * NANO, 4 * 100 * NANO, 4 * 200 * NANO)  # the barrier is longer
    assert_span(e.parts["static"], 5 * MILLI * 200e-9, 10 * MILLI * 400e-9, 20 * MILLI * 800e-9)
    assert_span(e.parts["host processors"], 0, 1 * MILLI * 400e-9, 2 * MILLI * 800e-9)
    whole = operations * PICO + 400 * PICO + 11 * MILLI * 400e-9
    assert e.energy_joules.typical == pytest.approx(whole, rel=1e-9)
    # a: 2 operations, 2 active, 2 inactive, 2 received; b: 1, 1, 3, 1
    assert e.by_layer["a"].typical == pytest.approx((2 * 10 + 2 * 80 + 2 * 40 + 2 * 2) * PICO)
    assert e.by_layer["b"].typical == pytest.approx((10 + 80 + 3 * 40 + 2) * PICO)
    assert e.by_core[0].typical == pytest.approx(operations * PICO)
    assert (e.steps, e.basis, e.target) == (4, "counted", "toy")
    assert e.basis_text == "events counted in a run of 1 sample on hand"
    assert e.astrocyte_share == 0 and e.astrocyte_joules == Span(0, 0, 0)


def test_davies_numbers_on_loihi1():
    program = two_neurons("loihi1")
    e = estimate(program, trace_of(program, SPIKES))
    assert e.parts["operations"].typical == pytest.approx((3 * 23.6 + 3 * 81 + 5 * 52 + 3 * 1.7) * PICO)
    assert e.parts["static"].typical == pytest.approx(96.3e-3 * e.latency_seconds.typical)


def test_latency_is_that_of_the_busiest_core():
    chip = load_chip("toy")
    costs = chip.costs.model_copy(
        update={
            "time_per_barrier_ns": chip.costs.time_per_barrier_ns.model_copy(
                update=dict.fromkeys(("low", "typical", "high"), 15.0)
            )
        }
    )
    program = two_neurons()
    e = estimate(program, trace_of(program, SPIKES), chip=chip.model_copy(update={"costs": costs}))
    # typical: 8 (two inactive, 15 is longer); 2 + 8 + 4 + 1 received + 2 sent; 4 + 16 + 2 received; 15
    assert e.latency_seconds.typical == pytest.approx((15 + 17 + 22 + 15) * NANO)


def test_a_batch_gives_the_mean_of_its_samples():
    program = two_neurons()
    one = estimate(program, trace_of(program, SPIKES))
    both = {k: np.concatenate([v, np.zeros_like(v)]) for k, v in SPIKES.items()}
    e = estimate(program, trace_of(program, both))
    silent = 8 * 40 * PICO
    assert e.parts["operations"].typical == pytest.approx((one.parts["operations"].typical + silent) / 2)
    assert e.events["synaptic_operations"] == 1.5
    assert "2 samples" in e.basis_text


def test_larger_programs_cost_in_proportion_and_windows_on_their_clock():
    program = closed_loop()
    spikes = {"input": np.zeros((1, 8, 3)), "layer": np.zeros((1, 8, 4)), "astro": np.zeros((1, 8, 2))}
    e = estimate(program, trace_of(program, spikes))
    plain = operation_count(KINDS["lif"].step)
    modulated = operation_count(KINDS["modulated_lif"].step)
    step, window = operation_count(KINDS["astrocyte"].step), operation_count(KINDS["astrocyte"].window)
    assert e.events["window_updates"] == 2  # one tick, in step 5: windows of 4 from step 2 on
    layer = 8 * 4 * 40 * modulated / plain
    astro = ((8 - 1) * 2 * 40 + 2 * 80) * step / plain + 2 * 80 * window / plain
    assert e.by_layer["layer"].typical == pytest.approx(layer * PICO)
    assert e.by_layer["astro"].typical == pytest.approx(astro * PICO)
    # astrocytes cause their own updates and what a modulated neuron does beyond a plain one
    share = astro + layer * (modulated - plain) / modulated
    assert e.astrocyte_joules.typical == pytest.approx(share * PICO)
    assert e.astrocyte_share == pytest.approx(share / (layer + astro))


def test_connections_of_astrocytes_are_theirs():
    program = closed_loop()
    quiet = {"input": np.zeros((1, 8, 3)), "layer": np.zeros((1, 8, 4)), "astro": np.zeros((1, 8, 2))}
    pooled = quiet | {"layer": np.eye(8)[None, :, :4]}  # each neuron sends once: 4 operations in the pool
    told = quiet | {"astro": np.eye(8)[None, :, :2]}  # each astrocyte sends once, to 2 neurons
    rest, pool, gain = (estimate(program, trace_of(program, each)) for each in (quiet, pooled, told))
    assert pool.events["synaptic_operations"] == gain.events["synaptic_operations"] == 4
    assert pool.astrocyte_joules.typical > rest.astrocyte_joules.typical + 4 * 10 * PICO
    assert gain.astrocyte_joules.typical > rest.astrocyte_joules.typical + 4 * 10 * PICO
    assert gain.by_layer["layer"].typical > rest.by_layer["layer"].typical + 4 * 10 * PICO


def test_layers_and_cores_add_up_to_the_operations():
    program = program_of(
        [Population("input", (20,), Input()), population("a", 30), population("b", 20, depth=2)],
        [connection("input", "a", np.ones((30, 20))), connection("a", "b", np.ones((20, 30)))],
    )
    assert len(program.cores) > 3
    e = estimate(program, rates=0.2, steps=5)
    for level in ("low", "typical", "high"):
        dynamic = getattr(e.parts["operations"], level)
        assert sum(getattr(s, level) for s in e.by_layer.values()) == pytest.approx(dynamic)
        assert sum(getattr(s, level) for s in e.by_core.values()) == pytest.approx(dynamic)
        assert sum(getattr(s, level) for s in e.parts.values()) == pytest.approx(
            getattr(e.energy_joules, level)
        )
    assert set(e.by_core) == {core.index for core in program.cores}


def test_rates_say_that_they_are_assumed():
    e = estimate(two_neurons(), rates=0.5, steps=10)
    assert (e.basis, e.steps) == ("assumed", 10)
    assert e.basis_text == (
        "events assumed, not counted, for an inference of 10 steps; messages per neuron and step: "
        "input 0.5, a 0.5, b 0.5"
    )
    assert e.events["synaptic_operations"] == pytest.approx(2 * 0.5 * 10)
    assert e.events["active_updates"] == pytest.approx(2 * 0.5 * 10)


def test_rates_by_layer():
    e = estimate(two_neurons(), rates={"input": 1.0, "a": 0.25, "b": 0.0}, steps=4)
    assert e.events["synaptic_operations"] == pytest.approx(4 + 1)


def test_rates_with_an_encoder_last_its_steps_and_the_depth():
    program = two_neurons(inputs=Population("input", (1,), RateEncoder(6, 0)))
    e = estimate(program, rates=0.5)
    assert e.steps == 6 + 2
    assert e.events["synaptic_operations"] == pytest.approx(2 * 6 * 0.5)
    assert estimate(program, rates=0.5, steps=12).steps == 14


def test_rates_without_an_encoder_are_those_of_one_step():
    e = estimate(two_neurons(), rates=0.1)
    assert e.steps == 1 and "an inference of 1 steps" in e.basis_text
    assert e.events["synaptic_operations"] == pytest.approx(0.2)


def test_expected_astrocytes_tick_once_a_period():
    e = estimate(closed_loop(period=8), rates=0.1, steps=4)
    assert e.events["window_updates"] == pytest.approx(2 * 4 / 8)
    assert e.astrocyte_share > 0


def test_more_activity_costs_more():
    energies = [estimate(closed_loop(), rates=r, steps=8).energy_joules.typical for r in (0.0, 0.1, 0.5, 1.0)]
    assert energies == sorted(energies) and energies[0] < energies[-1]


def test_every_constant_comes_with_its_source_and_quality():
    e = estimate(two_neurons("loihi2"), rates=0.1)
    chip = load_chip("loihi2")
    assert [c.name for c in e.constants] == list(type(chip.costs).model_fields)
    synop = e.constants[0]
    assert (synop.typical, synop.quality) == (19.4, "derived")
    assert "not published" in synop.source


def test_an_estimate_is_plain_data_and_can_not_be_changed():
    e = estimate(closed_loop(), rates=0.1)
    plain = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    assert plain["energy_joules"]["typical"] == e.energy_joules.typical
    assert plain["by_core"]["0"]["high"] == e.by_core[0].high
    assert plain["constants"][0]["source"]
    assert isinstance(e, Estimate)
    with pytest.raises(AttributeError):
        e.steps = 3


def test_spans():
    a, b = Span(1, 2, 3), Span(2, 3, 4)
    assert a + b == Span(3, 5, 7)
    assert a * b == Span(2, 6, 12)
    assert a * 2.0 == Span(2, 4, 6)


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


def test_rates_of_all_layers():
    with pytest.raises(InputError, match="rates are needed for input, a, b, given are a"):
        estimate(two_neurons(), rates={"a": 0.1})


def test_a_trace_of_another_program():
    program = two_neurons()
    trace = replace(trace_of(program, SPIKES), program="other")
    with pytest.raises(InputError, match="the Trace is of another Program"):
        estimate(program, trace)


def test_another_chip_can_be_asked_about():
    assert estimate(two_neurons(), rates=0.1, chip=load_chip("loihi2")).target == "loihi2"
