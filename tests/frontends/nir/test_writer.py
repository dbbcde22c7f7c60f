"""The writer: every Graph comes back as it was, nir itself reads it, and its core runs the same alone where it says so."""

import json
from dataclasses import replace

import nir
import numpy as np
import pytest
from float_networks import cuba, edge, graph, lif, random_closed_loop
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_documents import DT, Random, interpret

import astrodeploy as ad
from astrodeploy.engines.reference import simulate
from astrodeploy.errors import NirError
from astrodeploy.frontends.nir.file import from_nir, read_nir, to_nir, write_nir
from astrodeploy.frontends.nir.rules import NirOptions
from astrodeploy.ir import Connection, Graph, Input, Population
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.host import HostStage
from astrodeploy.ir.nodes import Constant, RateEncoder
from astrodeploy.ir.plain import fingerprint
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, pool

OPTIONS = NirOptions(dt=DT, if_r="per_second")
RNG = np.random.default_rng(0)


def round_trip(made, path):
    """Write, let nir read, check and write it again, read both: the same Graph. The document's description."""
    write_nir(made, path)
    nir.write(path.with_suffix(".again"), nir.read(path))
    for each in (path, path.with_suffix(".again")):
        assert fingerprint(read_nir(each).graph) == fingerprint(canonical(made))
    return json.loads(str(to_nir(made).metadata["astrodeploy"]))


def core_alone(made):
    """The Graph that a reader sees who knows nothing of our metadata."""
    document = to_nir(made)
    document.metadata = {}
    return from_nir(document, NirOptions(dt=made.dt, if_r="per_second")).graph


def same_spikes(made, other, steps=14):
    x = {p.name: (np.random.default_rng(1).random((2, steps, p.size)) < 0.5) * 1.0 for p in made.inputs}
    one, two = (simulate(g, x).spikes for g in (made, other))
    for name in made.layers:
        if name in two:
            assert np.allclose(one[name], two[name], atol=1e-9), name
    return one


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_random_networks_come_back_and_their_cores_run_the_same(tmp_path_factory, seed):
    made = from_nir(Random(seed).document, OPTIONS).graph
    said = round_trip(made, tmp_path_factory.mktemp("nir") / "a.nir")
    assert (said["core"] == "runs at rest") == (not said["differs"])
    same_spikes(made, core_alone(made))


@pytest.mark.parametrize("seed", range(3))
def test_closed_loops_with_lags_come_back(seed, tmp_path):
    assert (
        round_trip(random_closed_loop(np.random.default_rng(seed)), tmp_path / "a.nir")["core"]
        == "runs at rest"
    )


def test_what_is_written_runs_in_an_interpreter_of_nir(tmp_path):
    """Without loops, whose late edge an interpreter would have to be told."""
    image = Conv(RNG.normal(0.2, 0.5, (3, 2, 2, 3)), (2, 5, 6), (1, 2), (1, 0), (1, 1))
    shape = image.output_shape
    populations = (
        Population("x", (2, 5, 6), Input()),
        Population("a", shape, lif(bias=np.repeat([0.1, 0.0, -0.1], 12).reshape(shape))),
        Population("b", (7,), cuba(bias=RNG.uniform(0.1, 1, 7))),
        Population("c", (7,), lif(tau=np.inf, r=900.0)),
        Population("d", (7,), lif(tau=DT)),
    )
    connections = (
        Connection("x", "a", "current", image),
        Connection("a", "b", "current", Dense(RNG.normal(0, 0.3, (7, 36)))),
        Connection("b", "c", "current", OneToOne(RNG.random(7))),
        Connection(
            "x", "c", "current", Sparse.of(RNG.normal(0.4, 0.4, (7, 60)) * (RNG.random((7, 60)) < 0.2)), lag=3
        ),
        Connection("c", "d", "current", OneToOne(np.full(7, 2.0))),
    )
    made = Graph(DT, populations, connections, ("d", "b"))
    round_trip(made, tmp_path / "a.nir")
    document = nir.read(tmp_path / "a.nir")
    x = (np.random.default_rng(1).random((2, 14, 2, 5, 6)) < 0.5) * 1.0
    ours = simulate(made, x.reshape(2, 14, -1)).spikes
    theirs = interpret(document, x)
    for name in made.layers:
        assert np.array_equal(ours[name], theirs[name].reshape(ours[name].shape)), name
        assert ours[name].any()


# ---- forms of wiring ----------------------------------------------------------------------------------------------


def one_layer(wiring, shape=None, source=None, **given):
    """x -> a by a wiring, then a read-out neuron."""
    source = source or ((wiring.input_shape) if isinstance(wiring, Conv) else (wiring.shape[1],))
    shape = shape or (wiring.output_shape if isinstance(wiring, Conv) else (wiring.shape[0],))
    populations = (Population("x", source, Input()), Population("a", shape, lif(**given)))
    return Graph(DT, populations, (Connection("x", "a", "current", wiring),), ("a",))


def kinds(made):
    return sorted(
        type(n).__name__
        for n in to_nir(made).nodes.values()
        if not isinstance(n, nir.Input | nir.Output | nir.LIF)
    )


@pytest.mark.parametrize(
    ("wiring", "expected"),
    [
        (Dense(RNG.normal(0.3, 1, (4, 5))), ["Linear"]),
        (OneToOne(np.ones(5)), []),
        (OneToOne(np.arange(1, 6) / 2), ["Scale"]),
        (Sparse.of(np.eye(4, 5)), ["Linear"]),
        (pool((2, 6, 6), (2, 2), (2, 2), (0, 0)), ["SumPool2d"]),
        (pool((2, 6, 8), (2, 4), (1, 2), (1, 0), 1 / 8), ["AvgPool2d"]),
        (pool((2, 6, 6), (2, 2), (2, 2), (0, 0), 0.7), ["Conv2d"]),
        (Conv(RNG.random((2, 1, 3)), (1, 9), (2,), (1,), (2,)), ["Conv1d"]),
        (Conv(RNG.random((2, 3, 3, 3)), (3, 6, 7), (1, 2), (0, 1), (1, 1)), ["Conv2d"]),
        (Conv(RNG.random((4, 2, 3, 3)), (4, 6, 7), (1, 1), (1, 1), (2, 2), 2), ["Conv2d"]),
        (Conv(RNG.random((2, 1, 3, 5)), (1, 10, 12), (1, 1), (0, 0), (1, 1)), ["Conv2d"]),
        (Conv(RNG.random((2, 1, 2, 5)), (1, 10, 12), (1, 1), (0, 0), (1, 1)), ["Flatten", "Linear"]),
    ],
)
def test_every_wiring_has_a_form_in_nir(wiring, expected, tmp_path):
    made = one_layer(wiring, v_threshold=0.5)
    round_trip(made, tmp_path / "a.nir")
    assert kinds(made) == expected
    same_spikes(made, core_alone(made))


def test_neurons_of_one_dimension_may_be_read_as_an_image(tmp_path):
    """Our flat input is the file's image, since NIR can flatten but not unflatten."""
    wiring = Conv(RNG.random((2, 1, 3, 3)), (1, 6, 6), (1, 1), (0, 0), (1, 1))
    made = one_layer(wiring, shape=(32,), source=(36,))
    round_trip(made, tmp_path / "a.nir")
    assert kinds(made) == ["Conv2d"]
    same_spikes(made, core_alone(made))


@pytest.mark.parametrize("bias", ["channel", "neuron"])
def test_a_bias_of_a_convolution(bias, tmp_path):
    wiring = Conv(RNG.random((2, 1, 3, 3)), (1, 6, 6), (1, 1), (0, 0), (1, 1))
    values = np.repeat([0.1, 0.2], 16) if bias == "channel" else RNG.random(32)
    made = one_layer(wiring, bias=values.reshape(2, 4, 4))
    round_trip(made, tmp_path / "a.nir")
    assert kinds(made) == (["Conv2d"] if bias == "channel" else ["Affine", "Flatten"])
    same_spikes(made, core_alone(made))


@pytest.mark.parametrize("fed", [True, False])
def test_a_bias_without_a_weight_beside_it(fed, tmp_path):
    populations = [Population("b", (3,), lif(bias=np.array([0.5, 0.1, 2.0]))), Population("a", (3,), lif())]
    first = Connection("x", "b", "current", OneToOne(np.full(3, 0.3)))
    made = graph(3, populations, [edge("b", "a", np.eye(3)), *([first] if fed else [])])
    round_trip(made, tmp_path / "a.nir")
    same_spikes(made, core_alone(made))


@pytest.mark.parametrize("lags", [(0, 1), (1, 2), (0, 2), (1,), (3,)])
def test_several_lags_between_the_same_neurons(lags, tmp_path):
    populations = [Population("a", (3,), lif()), Population("b", (3,), lif())]
    edges = [
        edge("x", "a", RNG.random((3, 2))),
        *(edge("a", "b", RNG.random((3, 3)), lag=lag) for lag in lags),
    ]
    made = graph(2, populations, [*edges, edge("b", "a", -RNG.random((3, 3)), lag=1)])
    assert round_trip(made, tmp_path / "a.nir")["core"] == "runs at rest"
    same_spikes(made, core_alone(made))


def test_identities_of_several_lags_in_a_loop(tmp_path):
    populations = [Population("a", (3,), lif()), Population("b", (3,), lif())]
    same = lambda s, t, lag: Connection(s, t, "current", OneToOne(np.ones(3)), lag=lag)
    edges = [edge("x", "a", RNG.random((3, 2))), same("a", "b", 0), same("a", "b", 1), same("b", "a", 1)]
    made = graph(2, populations, edges)
    round_trip(made, tmp_path / "a.nir")
    same_spikes(made, core_alone(made))


def test_read_outs_without_neurons_are_linear_in_the_file(tmp_path):
    reader = lif(tau=DT, sends="membrane", bias=np.arange(2.0))
    made = graph(
        3,
        [Population("a", (3,), lif()), Population("r", (2,), reader)],
        [edge("x", "a", np.eye(3)), edge("a", "r", RNG.random((2, 3)))],
    )
    made = replace(made, readout="mean")
    round_trip(made, tmp_path / "a.nir")
    assert kinds(made) == ["Affine", "Linear"]


# ---- what NIR can't say ---------------------------------------------------------------------------------------------


RULES = {
    "exponential": ({"integrator": "exponential"}, "a is integrated by the exponential rule"),
    "subtract": ({"reset": "subtract"}, "a has the reset 'subtract'"),
    "none": ({"reset": "none"}, "a has the reset 'none'"),
    "at least": ({"comparison": ">="}, "a spikes where v >= its threshold"),
    "refractory": ({"refractory": 2}, "a is refractory for 2 steps"),
    "rectified": ({"sends": "rectified"}, "a sends its membrane rectified"),
}


@pytest.mark.parametrize("make", [lif, cuba])
@pytest.mark.parametrize("name", RULES)
def test_rules_that_nir_has_not_stand_beside_the_core(name, make, tmp_path):
    rule, reason = RULES[name]
    node = replace(make(), **rule)
    made = graph(3, [Population("a", (3,), node)], [edge("x", "a", RNG.random((3, 3)))])
    said = round_trip(made, tmp_path / "a.nir")
    assert (said["core"], said["differs"]) == ("parts only", [reason])


def test_inputs_and_read_outs_stand_beside_the_core(tmp_path):
    made = graph(3, [Population("a", (3,), lif(sends="membrane"))], [edge("x", "a", RNG.random((3, 3)))])
    for node in (Input(-5, 100, 20.0), RateEncoder(8, 3)):
        each = replace(made.with_population(Population("x", (3,), node)), readout="max")
        assert round_trip(each, tmp_path / "a.nir")["core"] == "runs at rest"


def test_ordinary_layers_stand_beside_the_core(tmp_path):
    made = graph(3, [Population("a", (3,), lif())], [edge("x", "a", RNG.random((3, 3)))])
    stage = HostStage(bytes(range(256)), (3,), (2,), ("Gemm",))
    said = round_trip(replace(made, after=stage), tmp_path / "a.nir")
    assert said["differs"] == ["ordinary layers on the host are no part of it"]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Constant(), "a is a Constant, which NIR can't say"),
        (
            lif(tau=np.array([DT, np.inf, 1.0])),
            "a has neurons with and without leak: NIR can't say both in one node",
        ),
        (cuba(tau=np.inf), "a has a synaptic current and no leak, which NIR can't say"),
    ],
)
def test_what_nir_can_not_say_at_all(node, message, tmp_path):
    populations = (Population("x", (3,), Input()), Population("a", (3,), node))
    made = Graph(DT, populations, () if isinstance(node, Constant) else (edge("x", "a", np.eye(3)),), ("a",))
    with pytest.raises(NirError, match=message):
        write_nir(made, tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", ".", "a/b", "a\nb"])
def test_names_that_no_file_can_keep(name):
    made = Graph(
        DT,
        (Population(name, (3,), lif()), Population("x", (3,), Input())),
        (edge("x", name, np.eye(3)),),
        (name,),
    )
    with pytest.raises(NirError, match="NIR can't say the name"):
        to_nir(made)


def test_options_may_say_what_a_file_of_ours_says_and_nothing_else(tmp_path):
    made = graph(3, [Population("a", (3,), lif(reset="subtract"))], [edge("x", "a", RNG.random((3, 3)))])
    write_nir(made, tmp_path / "a.nir")
    assert ad.load(tmp_path / "a.nir", dt=DT, reset="subtract", threshold=">").layers == ("x", "a")
    with pytest.raises(
        NirError, match="says its own reset rule, subtract, asked for is zero: leave reset out"
    ):
        ad.load(tmp_path / "a.nir", reset="zero")
    with pytest.raises(
        NirError, match="says its own threshold rule, >, asked for is >=: leave threshold out"
    ):
        ad.load(tmp_path / "a.nir", threshold=">=")
