"""From a batch to a Trace: layout on the chip's clock, streams, windows, probes, and what is refused."""

import numpy as np
import pytest
from bad_files import BAD_ARRAYS
from torch_networks import Chain, Hybrid, Nested, spikes, values

import astrodeploy as ad
from astrodeploy.encoders import encode_rate
from astrodeploy.engines import engine_named, make_plan
from astrodeploy.engines.recording import Job
from astrodeploy.errors import InputError, StimulusError

CARRY = ("astrocytes",)
EXACT = ("oracle", "fast", "reference")


@pytest.fixture(scope="module")
def hybrid():
    return ad.compile(Hybrid())


@pytest.fixture(scope="module")
def plain():
    return ad.compile(Hybrid(encoder=False))


@pytest.fixture(scope="module")
def chain():
    return ad.compile(Chain())


# ---- samples -----------------------------------------------------------------------------------------


def test_a_run_waits_for_the_last_layer(chain):
    x = spikes()
    trace = chain.run(x, engine="oracle")
    assert trace.steps == 20
    assert {k: v.shape for k, v in trace.spikes.items()} == {
        "input": (3, 22, 6),
        "hidden": (3, 22, 10),
        "readout": (3, 22, 4),
    }
    assert np.array_equal(trace.spikes["input"][:, :20], x)
    assert not trace.spikes["input"][:, 20:].any()
    assert np.array_equal(trace.outputs, trace.spikes["readout"][:, 2:].sum(1))


def test_with_an_encoder_a_run_waits_for_the_last_layer(hybrid):
    x = values()
    trace = hybrid.run(x, engine="oracle")
    assert trace.steps == 12
    assert trace.spikes["readout"].shape == (3, 14, 4)
    assert np.array_equal(trace.spikes["input"][:, :12], encode_rate(x, 12, 0))
    assert trace.spikes["input"][:, 12:].sum() == 0
    assert np.array_equal(trace.outputs, trace.spikes["readout"][:, 2:14].sum(1))


def test_a_sample_may_be_shown_for_longer(hybrid):
    short, long = hybrid.run(values(), engine="oracle"), hybrid.run(values(), engine="oracle", steps=30)
    assert long.steps == 30
    assert np.array_equal(long.spikes["hidden"][:, :13], short.spikes["hidden"][:, :13])
    assert np.array_equal(long.outputs, long.spikes["readout"][:, 2:32].sum(1))


@pytest.mark.parametrize("engine", EXACT)
def test_samples_start_from_rest_and_do_not_know_each_other(engine, plain):
    x = spikes(samples=4)
    together = plain.run(x, engine=engine)
    for i in range(4):
        alone = plain.run(x[i : i + 1], engine=engine)
        for name in plain.layers:
            assert np.array_equal(alone.spikes[name][0], together.spikes[name][i])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float16, np.float64])
def test_spikes_may_be_of_any_type(dtype, chain):
    assert np.array_equal(
        chain.run(spikes().astype(dtype), engine="oracle").outputs,
        chain.run(spikes().tolist(), "oracle").outputs,
    )


def test_populations_of_several_dimensions_keep_their_shape():
    from float_networks import edge, graph, lif

    from astrodeploy.ir import Population

    program = ad.compile(graph(6, [Population("a", (2, 3), lif())], [edge("x", "a", 12 * np.eye(6))]))
    trace = program.run(spikes(), engine="oracle", probes=("a.v",))
    assert trace.spikes["a"].shape == (3, 21, 2, 3)
    assert trace.states["a", "v"].shape == (3, 21, 2, 3)
    assert trace.outputs.shape == (3, 2, 3)
    assert np.array_equal(trace.spikes["a"].reshape(3, 21, 6)[:, 1:], spikes())
    assert trace.predictions.shape == (3,)


# ---- streams -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("make", ["plain", "hybrid"])
def test_rows_of_a_stream_hold_each_samples_own_window(engine, make, request):
    """One long run by hand, resets included, cut into windows one step later per depth."""
    program = request.getfixturevalue(make)
    x = values(samples=6) if program.network.encoder else spikes(samples=6, steps=12)
    trace = program.run(x, engine=engine, carry=CARRY)
    sent = encode_rate(x, 12, 0) if program.network.encoder else x
    long = np.zeros((1, 6 * 12 + program.depth, 6), np.uint8)
    long[0, :72] = sent.reshape(72, 6)
    recording = engine_named(engine)(Job(program, {program.network.input.name: long}, reset_every=12))
    assert trace.stream
    assert trace.steps == 12
    for p in program.network.populations:
        rows = trace.spikes[p.name]
        assert rows.shape == (6, 12 + program.depth, p.size)
        for i in range(6):
            window = rows[i, p.depth : p.depth + 12]
            assert np.array_equal(
                window, recording.spikes[p.name][0, i * 12 + p.depth : (i + 1) * 12 + p.depth]
            )
        assert rows[:, : p.depth].sum() == rows[:, p.depth + 12 :].sum() == 0
    assert np.array_equal(trace.outputs, trace.spikes["readout"].sum(1))


def test_the_first_sample_of_a_stream_is_a_sample_from_rest(plain):
    x = spikes(samples=3, steps=20)
    stream = plain.run(x, engine="oracle", carry=CARRY)
    rest = plain.run(x, engine="oracle")
    for p in plain.network.populations:
        answers = slice(p.depth, p.depth + 20)
        assert np.array_equal(stream.spikes[p.name][0, answers], rest.spikes[p.name][0, answers])
    assert not np.array_equal(stream.outputs[1:], rest.outputs[1:])


def test_a_network_without_astrocytes_forgets_in_a_stream(chain):
    x = spikes(samples=4)
    stream = chain.run(x, engine="oracle", carry=CARRY)
    padded = chain.run(np.pad(x, ((0, 0), (0, 2), (0, 0))), engine="oracle")
    assert np.array_equal(stream.outputs, padded.spikes["readout"][:, 2:22].sum(1))


def test_paths_of_unequal_length_forget_together_in_a_stream():
    program = ad.compile(Nested())
    x = spikes(samples=5, steps=9)
    stream = program.run(x, engine="oracle", carry=CARRY)
    for i in range(5):
        alone = program.run(np.pad(x[i : i + 1], ((0, 0), (0, 3), (0, 0))), engine="oracle")
        for p in program.network.populations:
            inside = slice(p.depth, p.depth + 9)
            assert np.array_equal(stream.spikes[p.name][i, inside], alone.spikes[p.name][0, inside])


def test_an_astrocytes_clock_counts_steps_of_the_stream(plain):
    """Windows of 8 steps in samples of 5: ticks at steps 8, 16, .. of the stream, one step late."""
    x = spikes(samples=8, steps=5)
    trace = plain.run(x, engine="oracle", carry=CARRY)
    sent = np.argwhere(trace.spikes["hidden_astrocytes"].any(2))
    assert [5 * sample + step for sample, step in sent.tolist()] == [8, 16, 24, 32, 40]
    assert plain.run(x, engine="oracle").spikes["hidden_astrocytes"].sum() == 0


def test_states_are_folded_as_spikes_are(plain):
    trace = plain.run(
        spikes(samples=4, steps=9), engine="oracle", carry=CARRY, probes=("hidden.gain", "hidden.v")
    )
    gain, v = trace.states["hidden", "gain"], trace.states["hidden", "v"]
    assert gain.shape == v.shape == (4, 11, 12)
    assert gain[:, 0].sum() == gain[:, 10:].sum() == 0
    assert gain[:, 1:10].min() > 0
    assert len(np.unique(gain[:, 1:10])) > 3


# ---- resets ------------------------------------------------------------------------------------------


def test_a_program_that_resets_itself_is_one_run_of_several_samples():
    program, once = ad.compile(Chain(), reset_every=10), ad.compile(Chain())
    x = spikes(samples=2, steps=30)
    trace = program.run(x, engine="oracle")
    for i in range(3):
        alone = once.run(np.pad(x[:, 10 * i : 10 * i + 10], ((0, 0), (0, 2), (0, 0))), engine="oracle")
        for p in program.network.populations:
            steps = min(10, 30 - 10 * i - p.depth)
            ours = trace.spikes[p.name][:, 10 * i + p.depth : 10 * i + p.depth + steps]
            assert np.array_equal(ours, alone.spikes[p.name][:, p.depth : p.depth + steps])


def test_resets_and_streams_exclude_each_other():
    program = ad.compile(Chain(), reset_every=10)
    with pytest.raises(
        InputError, match=r"the Program resets itself within a run \(reset_every\): it can't carry"
    ):
        program.run(spikes(), carry=CARRY)


# ---- probes and options ------------------------------------------------------------------------------


def test_probes_select_layers_and_states(plain):
    x = spikes(samples=1)
    keys = lambda *probes: set(plain.run(x, engine="oracle", probes=probes).states)
    assert keys() == set()
    assert keys("hidden.v") == {("hidden", "v")}
    assert keys("hidden") == {("hidden", s) for s in ("u", "v", "gain")}
    assert keys("readout.u", "readout.u", "hidden_astrocytes.trace") == {
        ("readout", "u"),
        ("hidden_astrocytes", "trace"),
    }


@pytest.mark.parametrize("probe", ["nobody", "hidden.w", "input", ".v", ""])
def test_probes_of_nothing(probe, plain):
    with pytest.raises(
        InputError, match=rf"there is no state '{probe}' to probe; try hidden.u, hidden.v, hidden.gain"
    ):
        plain.run(spikes(), engine="oracle", probes=(probe,))


def test_unknown_engines(plain):
    with pytest.raises(
        InputError, match="there is no engine 'gpu'; there are fast, oracle, lava, brian2, reference"
    ):
        plain.run(spikes(), engine="gpu")


def test_unknown_state_to_carry(plain):
    with pytest.raises(InputError, match="what can be carried is astrocytes, not dendrites"):
        plain.run(spikes(), carry=("astrocytes", "dendrites"))


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays(name, plain):
    x, message = BAD_ARRAYS[name]
    for carry in ((), CARRY):
        with pytest.raises(StimulusError, match=message):
            make_plan(plain, x, carry=carry)


@pytest.mark.parametrize(
    ("x", "given", "message"),
    [
        (np.zeros((3, 20, 6)), {}, r"has shape \(3, 20, 6\), needed is \(batch, 6\)"),
        (np.zeros((3, 5)), {}, r"has shape \(3, 5\), needed is \(batch, 6\)"),
        (np.zeros((0, 6)), {}, r"is empty: its shape is \(0, 6\), needed is \(batch, 6\)"),
        (np.full((3, 6), 1.25), {}, r"the values to encode lie in 1.25..1.25; the rate encoder takes 0\.\.1"),
        (np.full((3, 6), np.nan), {}, "the values to encode hold NaN or infinity"),
        (np.full((3, 6), "a"), {}, r"must hold numbers, not <U1; its shape is to be \(batch, 6\)"),
        (np.zeros((3, 6)), {"steps": 0}, "steps must be at least 1, not 0"),
        (np.zeros((3, 6)), {"steps": -3}, "steps must be at least 1, not -3"),
    ],
)
def test_bad_values_for_the_encoder(x, given, message, hybrid):
    with pytest.raises(StimulusError, match=message):
        hybrid.run(x, **given)


def test_steps_without_an_encoder(chain):
    assert chain.run(spikes(), engine="oracle", steps=20).steps == 20
    with pytest.raises(StimulusError, match="the stimulus has 20 steps, asked for are 10: leave steps out"):
        chain.run(spikes(), steps=10)


def test_ragged_lists(chain):
    with pytest.raises(StimulusError, match="the stimulus can't be read as an array"):
        chain.run([[[0] * 6], [[0] * 5]])
