"""quantise: nothing overflows or is clipped, weights become a neighbour, all else the nearest, and the float network stays near."""

from dataclasses import replace

import numpy as np
import pytest
from float_networks import DT, astrocyte, cuba, edge, gain_control, graph, lif, random_closed_loop
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_networks import Chain, Hybrid, Nested, sequential, spikes, values

import astrodeploy as ad
from astrodeploy.chip import load_chip, load_target
from astrodeploy.errors import AstrodeployError, InputError, UnsupportedError
from astrodeploy.ir import LIF, CubaLIF, Input, Population
from astrodeploy.ir.nodes import SigmaDelta
from astrodeploy.passes.base import Draft
from astrodeploy.passes.canonicalise import Canonicalise
from astrodeploy.passes.quantise import Quantise
from astrodeploy.passes.retime import Retime


def quantised(each, target="loihi2"):
    """The float network on the chip's clock, the integer one, and the notes by subject."""
    draft = Draft(each, load_target(target))
    for one in (Canonicalise(), Retime()):
        draft, _ = one.apply(draft)
    integer, notes = Quantise().apply(draft)
    return draft.graph, integer.graph, notes


def random_network(seed):
    """Any fan-in, time constant, sign and size of weights; astrocytes and synaptic currents."""
    rng = np.random.default_rng(seed)
    inputs, n = int(rng.choice([1, 3, 30, 400])), int(rng.integers(1, 9))
    size = 10.0 ** rng.uniform(-4, 3)
    anywhere = lambda low, high: rng.uniform(low, high, n)
    parameters = {
        "tau": DT * 10.0 ** anywhere(0, 3),
        "r": 10.0 ** anywhere(-2, 2),
        "v_leak": anywhere(-0.2, 0.1),
        "v_reset": anywhere(-0.3, 0.2),
        "v_threshold": anywhere(0.3, 1.2),
    }
    synaptic = rng.random() < 0.5
    node = cuba(**parameters, tau_syn=DT * 10.0 ** anywhere(0, 3.3)) if synaptic else lif(**parameters)
    weight = lambda m: size * rng.normal(rng.uniform(-1, 1), 0.5, (n, m)) * (rng.random((n, m)) < 0.8)
    edges = [edge("x", "a", weight(inputs)), edge("a", "a", weight(n) * rng.uniform(0, 2), lag=1)]
    populations = [Population("a", (n,), node)]
    if rng.random() < 0.5:
        high = float(rng.choice([0.0, 0.3, 1.585, 3.9]))
        domains = rng.permutation(np.arange(n) % int(rng.integers(1, n + 1)))
        domains = np.unique(domains, return_inverse=True)[1]
        control = astrocyte(
            rng.uniform(-1, high, domains.max() + 1),
            period=int(rng.integers(1, 100)),
            rate=float(10.0 ** rng.uniform(-3, 1)),
            high=high,
        )
        astro, *loop = gain_control(
            "a", domains, control, mean=bool(rng.random() < 0.5) and domains.max() > 0
        )
        populations.append(astro)
        edges += loop
    return graph(inputs, populations, edges)


def exact_power_of_two(log_gain):
    """The chip's, which is a quadratic between octaves; on integers."""
    octave, fraction = divmod(log_gain + (4 << 16), 1 << 16)
    slope = ((fraction * (65536 - 43025)) >> 16) + 43025
    return ((((fraction * slope) >> 16) + 65536) << octave) >> 12


def worst_arrivals(network, population):
    """Least and most that may come in one step to each neuron's current, (neurons,) each, in units of v."""
    low, high = np.zeros(population.size, np.int64), np.zeros(population.size, np.int64)
    for c in network.into(population.name):
        if c.port == "current":
            weight = c.weight.astype(np.int64)
            for total, part in ((low, np.minimum(weight, 0)), (high, np.maximum(weight, 0))):
                summed = part.sum(1)
                total += summed << c.exponent if c.exponent >= 0 else summed >> -c.exponent
    return low, high


def largest_gain(network, population):
    node = population.node
    gains = [int(node.initial["gain"].max())] if "gain" in node.initial else [256]
    for c in network.into(population.name):
        if c.port == "modulation":
            highest = network[c.source].node.parameters["log_gain_high"].max()
            gains.append(exact_power_of_two(int(highest)))
    return max(gains)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32))
def test_nothing_overflows_whatever_the_input(seed):
    try:
        _, network, _ = quantised(random_network(seed))
    except UnsupportedError:
        return
    for population in network.populations:
        if population.is_input:
            continue
        node = population.node
        for name, declared in node.kind.parameters.items():
            assert (
                declared.low <= node.parameters[name].min() <= node.parameters[name].max() <= declared.high
            ), name
        for name, state in node.kind.states.items():
            assert state.range.low <= node.initial[name].min() <= node.initial[name].max() <= state.range.high
        if population.is_astrocyte:
            continue
        low, high = worst_arrivals(network, population)
        declared = node.kind.inputs["current"].range
        assert declared.low <= low.min()
        assert high.max() <= declared.high
        # u' = u (4096 - du) / 4096 toward zero + a settles below a * 4096 / du, for either sign
        gain, du = largest_gain(network, population), node.parameters["du"]
        assert ((high * gain >> 2) * 4096 <= du << 23).all()
        assert (-(low * gain >> 2) * 4096 < du << 23).all()
        assert ((node.parameters["threshold"] << 6) <= 1 << 21).all()


def factors(node):
    """What a weight is multiplied with: k r, and k_syn w_in with a synaptic current."""
    factor = DT / node.tau * node.r
    return factor * DT / node.tau_syn * node.w_in if isinstance(node, CubaLIF) else factor


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32))
def test_weights_become_a_neighbour_and_all_else_the_nearest(seed):
    try:
        original, network, _ = quantised(random_network(seed))
    except UnsupportedError:
        return
    node, integer = original["a"].node, network["a"].node
    scale = integer.units["v"]
    for before, after in zip(original.connections, network.connections, strict=True):
        assert (before.name, before.delay, before.lag) == (after.name, after.delay, after.lag)
        if after.port == "current":
            assert -8 <= after.exponent <= 7
            exact = before.weight * factors(node)[:, None] * scale / 64
            error = np.abs(after.weight * 2.0**after.exponent - exact)
            assert (
                error.max() <= 2.0**after.exponent * 1.000001
            )  # a neighbour, where its neuron's sum asks for it
            assert np.abs(after.weight.astype(int)).max() >= 63 or after.exponent == -8 or not exact.any()
    nearest = lambda exact: np.rint(exact).astype(int).tolist()
    assert integer.parameters["dv"].tolist() == nearest(4096 * DT / node.tau)
    assert integer.parameters["threshold"].tolist() == nearest((node.v_threshold - node.v_reset) * scale / 64)
    assert integer.initial["v"].tolist() == nearest((node.v_leak - node.v_reset) * scale)
    bias = DT / node.tau * (node.v_leak - node.v_reset) * scale
    exponent = np.ceil(np.log2(np.maximum(np.abs(bias), 1) / 4095.5)).clip(0)
    assert (np.abs(integer.parameters["bias"] - bias) <= 2.0 ** (exponent - 1) * 1.000001).all()


def test_by_hand():
    """k = 0.1, largest folded weight 0.2, threshold 1: 1.0 of v is 127 * 64 / 0.2 * 2**5, below 2**21 / 1.0."""
    made = graph(
        2, [Population("a", (2,), lif(v_reset=-0.5, v_leak=-0.25))], [edge("x", "a", [[2, -1], [0.5, 0]])]
    )
    _, network, notes = quantised(made)
    node = network["a"].node
    scale = 127 * 64 / 0.2 * 2**5
    assert node.units["v"] == pytest.approx(scale)
    (connection,) = network.connections
    assert connection.exponent == 5
    assert connection.weight.tolist() == [[127, -64], [32, 0]]  # 31.75 and -63.5, ties to even
    assert node.parameters["threshold"].tolist() == [round(1.5 * scale / 64)] * 2
    assert node.parameters["du"].tolist() == [4096, 4096]
    assert node.initial["v"].tolist() == [round(0.25 * scale)] * 2
    assert node.parameters["bias"].tolist() == [round(0.025 * scale / 8) * 8] * 2
    weights, parameters = (note for note in notes if note.subject != "network")
    assert weights.subject == "x -> a.current"
    assert weights.values == {
        "largest error": pytest.approx(0.5 / 127),
        "changed": pytest.approx(2 / 3),  # 31.75 and -63.5 of three weights that are not zero
        "rounded to zero": 0.0,
        "saturated": 0.0,
        "exponent": 5.0,
    }
    assert parameters.subject == "a"
    assert parameters.values["dv"] == pytest.approx(0.4 / 409.6)


def test_weights_that_vanish_are_reported():
    made = graph(3, [Population("a", (1,), lif())], [edge("x", "a", [[1.0, 1e-4, 0.0]])])
    _, _, notes = quantised(made)
    assert notes[0].values["rounded to zero"] == 0.5
    assert "makes 50.00% of them zero" in notes[0].text


def test_a_bias_through_astrocytes_is_multiplied_and_one_without_is_added_up():
    node = lif(bias=0.3, v_leak=0.1)
    plain = graph(2, [Population("a", (2,), node)], [edge("x", "a", np.eye(2))])
    _, network, _ = quantised(plain)
    scale = network["a"].node.units["v"]
    assert network["a"].node.parameters["bias"][0] == pytest.approx((0.01 + 0.03) * scale, rel=2e-4)
    astro, *loop = gain_control("a", np.array([0, 1]), astrocyte([0.5, 0.0]), mean=True)
    _, network, _ = quantised(
        graph(2, [Population("a", (2,), node), astro], [edge("x", "a", np.eye(2)), *loop])
    )
    parameters, scale = network["a"].node.parameters, network["a"].node.units["v"]
    assert parameters["bias"][0] == pytest.approx(0.01 * scale, rel=2e-4)
    assert parameters["modulated_bias"][0] == pytest.approx(0.03 * scale, rel=2e-4)
    assert network["a"].node.initial["gain"].tolist() == [round(256 * 2**0.5), 256]


def test_pools_are_exact_where_their_weights_are_multiples():
    domains = np.array([0, 0, 0, 1, 1, 2])
    for mean, exact in ((False, True), (True, False)):
        astro, *loop = gain_control("a", domains, astrocyte([0.0] * 3), mean=mean)
        made = graph(2, [Population("a", (6,), lif()), astro], [edge("x", "a", np.ones((6, 2))), *loop])
        original, network, notes = quantised(made)
        pool = next(c for c in network.connections if c.port == "activity")
        before = next(c for c in original.connections if c.port == "activity").weight
        ratio = pool.weight / np.where(before == 0, 1, before)
        error = next(n for n in notes if n.subject == "astro").values["largest pool weight error"]
        for row, weights in zip(ratio, before, strict=True):
            spread = np.ptp(row[weights != 0]) / row.max()
            assert spread <= (1e-12 if exact else 2 * error + 0.02)
        assert (error < 1e-12) == exact or error < 0.005


def test_chips_with_a_narrower_accumulator_get_a_smaller_scale():
    rng = np.random.default_rng(0)
    made = graph(200, [Population("a", (4,), lif(v_threshold=30.0))], [edge("x", "a", rng.random((4, 200)))])
    scales = {}
    for target in ("loihi1", "loihi2"):
        _, network, _ = quantised(made, target)
        scales[target] = network["a"].node.units["v"]
        _, high = worst_arrivals(network, network["a"])
        limit = load_chip(target).accumulator_limit
        assert limit is None or (high.max() << 6) <= limit
    assert scales["loihi1"] <= scales["loihi2"]


@pytest.mark.parametrize(
    ("node", "weight", "message"),
    [
        (cuba(tau_syn=9.0), 1.0, "a.tau_syn is longer than 8192 steps: its decay rounds to none at all"),
        (
            lif(tau=1.0, r=100.0, v_leak=-50.0),
            1.0,
            "a.v at rest reaches .* which is .* on the chip; its format holds -8388607",
        ),
        (lif(), 1e9, "a has thresholds that round to 0 on the chip, where its weights need the range"),
        (lif(bias=1e4), 1e-3, "x -> a.current: all its weights round to 0 on the chip"),
    ],
)
def test_what_has_no_place_on_the_chip_is_refused(node, weight, message):
    made = graph(1, [Population("a", (2,), node)], [edge("x", "a", np.full((2, 1), weight))])
    with pytest.raises(UnsupportedError, match=message):
        ad.compile(made)


def test_more_inputs_than_a_slow_current_can_hold():
    made = graph(16000, [Population("a", (1,), cuba(tau_syn=8.0))], [edge("x", "a", np.ones((1, 16000)))])
    with pytest.raises(
        UnsupportedError, match="a sums 16000 inputs over up to 4096 steps, more than its current of 24"
    ):
        ad.compile(made)


def test_a_bias_in_a_synaptic_current_is_moved_before_and_not_forgotten():
    each = graph(1, [Population("a", (2,), cuba(bias=0.1))], [edge("x", "a", np.ones((2, 1)))])
    with pytest.raises(
        UnsupportedError, match="a has a bias in its synaptic current: the pass lower comes first"
    ):
        quantised(each)
    ad.compile(each)


def test_a_population_without_inputs_or_with_zero_weights_only():
    populations = [
        Population("a", (2,), lif(bias=1.4)),
        Population("b", (2,), lif()),
        Population("c", (1,), lif()),
    ]
    made = graph(1, populations, [edge("x", "b", np.zeros((2, 1))), edge("a", "c", np.ones((1, 2)))])
    program = ad.compile(made)
    x = np.ones((1, 60, 1))
    ours, theirs = program.run(x, engine="oracle"), program.run(x, engine="reference")
    assert ours.spikes["a"].sum() == theirs.spikes["a"].sum() > 4
    assert ours.spikes["b"].sum() == 0


def test_one_connection_of_zeros_among_several_blocks_nothing():
    made = graph(
        3,
        [Population("a", (2,), lif(v_threshold=0.3)), Population("b", (2,), lif())],
        [edge("x", "a", np.eye(2, 3)), edge("x", "b", np.zeros((2, 3))), edge("a", "b", np.eye(2) * 4)],
    )
    program = ad.compile(made)
    x = np.ones((1, 50, 3), np.uint8)
    assert program.run(x).spikes["b"].sum() == program.run(x, engine="reference").spikes["b"].sum() > 0


def test_a_connection_that_vanishes_beside_another_is_noted():
    edges = [edge("x", "a", np.ones((1, 2))), edge("a", "a", np.full((1, 1), 1e-8), lag=1)]
    program = ad.compile(graph(2, [Population("a", (1,), lif())], edges))
    notes = {n.subject: n for report in program.passes if report.name == "quantise" for n in report.notes}
    assert notes["a -> a.current +1"].values["rounded to zero"] == 1
    assert notes["x -> a.current"].values["rounded to zero"] == 0


def sender(**given):
    """A membrane that goes to other neurons."""
    return replace(lif(**given), sends="membrane")


def test_a_loop_of_membranes_is_refused_by_name_without_data():
    populations = [Population("a", (2,), sender()), Population("b", (1,), lif())]
    loop = [
        edge("x", "a", np.eye(2)),
        edge("a", "a", np.eye(2) * 0.5, lag=1),
        edge("a", "b", np.ones((1, 2))),
    ]
    with pytest.raises(UnsupportedError, match="a sends its membrane around a loop.*--calibrate"):
        ad.compile(graph(2, populations, loop))


def test_the_order_of_populations_does_not_change_what_a_membranes_message_means():
    """A receiver that stands before its sender knows the sender's unit."""
    edges = [edge("x", "a", np.eye(2) * 2), edge("a", "b", np.ones((2, 2)))]
    populations = [Population("b", (2,), lif(v_threshold=0.2)), Population("a", (2,), sender())]
    made = graph(2, populations, edges)
    made = replace(made, outputs=("b",))
    draft, _ = Retime().apply(Draft(made, load_target("loihi2"), reference=made))
    backwards, _ = Quantise().apply(draft)
    _, forwards, _ = quantised(made)
    assert [p.name for p in backwards.graph.populations] == ["x", "b", "a"]
    own = {c.name: c for c in backwards.graph.connections}
    for c in forwards.connections:
        assert own[c.name].exponent == c.exponent
        assert np.array_equal(own[c.name].weight, c.weight)


def loop_of(**settings):
    astro, *loop = gain_control("a", np.array([0, 1]), astrocyte([0.0, 0.0], **settings), mean=True)
    return [Population("a", (2,), lif()), astro], [edge("x", "a", np.eye(2)), *loop]


def test_astrocytes_that_have_no_place_on_the_chip():
    populations, edges = loop_of()
    (modulation,) = (e for e in edges if e.port == "modulation")
    others = [e for e in edges if e is not modulation]
    half = replace(modulation, wiring=modulation.wiring.with_values(modulation.weight / 2))
    with pytest.raises(
        UnsupportedError, match=r"astro -> a.modulation \+1: a gain is passed on as it is, with weights 0"
    ):
        ad.compile(graph(2, populations, [*others, half]))
    (activity,) = (e for e in edges if e.port == "activity")
    empty = replace(activity, wiring=activity.wiring.with_values(np.array([[0.0, 0.0], [1.0, -1.0]])))
    with pytest.raises(
        UnsupportedError, match="astro observes nothing: a domain is empty, or is the whole layer"
    ):
        ad.compile(graph(2, populations, [e for e in edges if e is not activity] + [empty]))
    with pytest.raises(UnsupportedError, match=r"astro.rate = .* does not fit a factor of m / 2\*\*s"):
        ad.compile(graph(2, *loop_of(rate=1e6)))
    with pytest.raises(
        UnsupportedError, match=r"astro.(rate|drive) = .* does not fit a factor of m / 2\*\*s"
    ):
        ad.compile(graph(2, *loop_of(rate=1e-9)))
    for changed, message in (
        ({"rate": -1.0}, "astro.rate must be finite and at least 0, not -1"),
        ({"rate": float("nan")}, "astro.rate must be finite"),
        ({"set_point": float("inf")}, "astro.offset holds 1 NaN or infinite value"),
        ({"decay": 1.5}, r"astro.decay must lie in 0\.\.1, not 1.5"),
        ({"period": 0}, "astro.period must be at least 1 step, not 0"),
        ({"low": 0.5}, r"astro's gain range must contain 1, not 2\*\*0.5\.\.2\*\*2"),
    ):
        with pytest.raises(InputError, match=message):
            graph(2, *loop_of(**changed))


def test_a_membrane_that_never_leaks_is_reported():
    made = graph(1, [Population("a", (1,), lif(tau=100.0, r=1e4))], [edge("x", "a", [[1.0]])])
    program = ad.compile(made)
    notes = [note.text for report in program.passes for note in report.notes if note.subject == "a"]
    assert "its membrane time constant is beyond 8192 steps: it does not leak at all" in notes


@pytest.mark.parametrize("seed", range(3))
def test_the_integer_network_stays_near_the_float_one(seed):
    """Spike counts in a recurrent network within 4 %, of each layer within 12 %."""
    rng = np.random.default_rng(seed)
    program = ad.compile(random_closed_loop(rng))
    x = rng.random((3, 90, 12)) < 0.3
    ours, theirs = program.run(x, engine="oracle"), program.run(x, engine="reference")
    counts = np.array(
        [[trace.spikes[name].sum() for name in ("a", "b", "c")] for trace in (ours, theirs)], float
    )
    assert counts.min() > 80
    assert np.abs(counts[0] / counts[1] - 1).max() < 0.12
    assert abs(counts[0].sum() / counts[1].sum() - 1) < 0.04
    assert isinstance(program.reference["a"].node, LIF)


@pytest.mark.parametrize("make", [Chain, Hybrid, Nested, sequential])
def test_networks_without_feedback_differ_in_a_few_spikes(make):
    program = ad.compile(make())
    x = values(samples=20) if program.network.encoder else spikes(samples=20, steps=40)
    ours, theirs = program.run(x, engine="oracle"), program.run(x, engine="reference")
    names = [p.name for p in program.network.populations if not p.is_astrocyte]
    sent = sum(int(theirs.spikes[name].sum()) for name in names)
    wrong = sum(int((ours.spikes[name] != theirs.spikes[name]).sum()) for name in names)
    assert sent > 500
    assert wrong < 0.05 * sent


def test_every_random_network_compiles_or_is_refused_in_words():
    refused = 0
    for seed in range(40):
        try:
            ad.compile(random_network(seed))
        except AstrodeployError as error:
            refused += 1
            assert not str(error).startswith("after the pass"), error
    assert refused < 20


def test_sigma_delta_neurons_that_hear_themselves():
    """What a message means is known before the population that sends it is quantised."""
    node = SigmaDelta(np.zeros(2), np.zeros(2))
    first = SigmaDelta(np.zeros(2), np.zeros(2), activation="none", receives="values")
    made = graph(
        2,
        [Population("a", (2,), first), Population("b", (2,), node)],
        [edge("x", "a", np.eye(2)), edge("a", "b", np.eye(2)), edge("b", "b", 0.5 * np.eye(2), lag=1)],
    )
    program = ad.compile(made.with_population(Population("x", (2,), Input(-64, 64))))
    x = np.full((1, 40, 2), 8.0)
    np.testing.assert_allclose(
        program.run(x, probes=("b.activation",)).states["b", "activation"][0, -1] / 4096, 16, rtol=0.02
    )
