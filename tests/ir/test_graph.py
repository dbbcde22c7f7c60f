"""The Graph: text form, look-ups, immutability, the laws, and plain data and back."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
from float_networks import (
    DT,
    astrocyte,
    compiled,
    cuba,
    edge,
    gain_control,
    graph,
    lif,
    random_closed_loop,
    settings_job,
    several_inputs,
)
from networks import connection, network, population

from astrodeploy.compartments import Range
from astrodeploy.errors import InputError
from astrodeploy.ir import Graph, Input, Population, RateEncoder, verify
from astrodeploy.ir.graph import array_text
from astrodeploy.ir.host import HostStage
from astrodeploy.ir.plain import fingerprint, from_plain, to_plain
from astrodeploy.ir.wiring import Dense, Sparse

SETTINGS = "integrator=euler reset=value comparison=> refractory=0 sends=spikes"


EVERY = {"integrator": "exponential", "reset": "subtract", "comparison": ">=", "refractory": 3}
STAGE = HostStage(b"any bytes \x00\xff", (5, 1), (2,), ("Gemm", "Relu"))
AFTER = replace(STAGE, inputs=(2, 2), outputs=(3,))


def closed_loop():
    astro, *loop = gain_control("a", np.array([0, 0, 1]), astrocyte([0.0, 1.0]), mean=True)
    edges = [edge("x", "a", np.ones((3, 2))), edge("a", "b", np.ones((4, 3))), *loop]
    return graph(2, [Population("a", (3,), lif()), Population("b", (2, 2), cuba()), astro], edges)


# ---- look-ups and text -------------------------------------------------------------------------------


def test_populations_by_name():
    made = closed_loop()
    assert made["b"].shape == (2, 2)
    assert made["b"].size == 4
    assert made.layers == ("x", "a", "b", "astro")
    assert made.input.name == "x"
    assert [c.name for c in made.into("a")] == ["x -> a.current", "astro -> a.modulation +1"]
    assert [c.name for c in made.out_of("a")] == ["a -> b.current", "a -> astro.activity +1"]
    with pytest.raises(InputError, match="there is no population 'c'; there are x, a, b, astro"):
        made["c"]


def test_kinds_of_populations():
    made = closed_loop()
    assert [p.is_input for p in made.populations] == [True, False, False, False]
    assert [p.is_astrocyte for p in made.populations] == [False, False, False, True]
    assert [p.is_astrocyte for p in compiled(made).network.populations if p.name == "astro"] == [True]
    assert made.encoder is None
    encoded = made.with_population(Population("x", (2,), RateEncoder(5, 1)))
    assert encoded.encoder == encoded["x"].node
    assert encoded["x"].is_input


def test_what_a_graph_holds_can_not_be_written_to():
    made = closed_loop()
    weight = np.ones((3, 2))
    copied = edge("x", "a", weight)
    weight[0, 0] = 7
    assert copied.weight[0, 0] == 1
    for array in (
        made.connections[0].weight,
        made["a"].node.tau,
        compiled(made).network["a"].node.parameters["du"],
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_text_of_arrays():
    assert array_text(np.full(3, 0.25)) == "0.25"
    assert array_text(np.zeros(0)) == "empty"
    assert array_text(np.array([1.0, 2.5])).startswith("1..2.5#")
    assert array_text(np.array([1.0, 2.5])) != array_text(np.array([2.5, 1.0]))


def test_the_text_form():
    encoded = closed_loop().with_population(Population("x", (2,), RateEncoder(24, 7)))
    lines = encoded.text().splitlines()
    assert lines[:3] == [
        "graph dt=0.001s output=b readout=count",
        "  x: RateEncoder[2] depth=0 steps=24 seed=7",
        f"  a: LIF[3] depth=0 {SETTINGS} tau=0.01 r=1 v_leak=0 v_threshold=1 v_reset=0 bias=0",
    ]
    assert lines[3].startswith(f"  b: CubaLIF[2x2] depth=0 {SETTINGS} tau=")
    assert "  x -> a.current: float64[3x2] 1 lag=0 delay=0" in lines
    integer = network(2, [population("p", "lif", 3, du=5)], [connection("x", "p", np.eye(3, 2), exponent=-2)])
    assert "  p: lif[3] depth=0 du=5 dv=0 threshold=0 bias=0" in integer.text()
    assert " *2^-2 lag=0 delay=1" in integer.text()


# ---- plain data --------------------------------------------------------------------------------------

GRAPHS = {
    "float": closed_loop,
    "encoder": lambda: closed_loop().with_population(Population("x", (2,), RateEncoder(24, 7))),
    "recurrent": lambda: random_closed_loop(np.random.default_rng(0)),
    "integer": lambda: compiled(random_closed_loop(np.random.default_rng(0))).network,
    "every pattern": lambda: several_inputs(np.random.default_rng(0)).program.reference,
    "every pattern, integer": lambda: (
        compiled(several_inputs(np.random.default_rng(0)).program.reference).network
    ),
    "every setting": lambda: settings_job(np.random.default_rng(0), EVERY).program.reference,
    "ordinary layers": lambda: replace(closed_loop(), before=STAGE, after=AFTER),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_plain_data_and_back(name):
    made = GRAPHS[name]()
    plain, tensors = to_plain(made)
    again = from_plain(plain, tensors)
    assert fingerprint(again) == fingerprint(made)
    assert again.text() == made.text()
    verify(again)
    assert again.before == made.before or again.before.onnx == made.before.onnx
    for one, two in zip(again.populations, made.populations, strict=True):
        assert one.node.scalars().keys() == two.node.scalars().keys()
        if not hasattr(two.node, "kind"):
            assert one.node.scalars() == two.node.scalars()


def test_a_fingerprint_depends_on_everything():
    made = closed_loop()
    node = made["a"].node
    touched = made["a"].node.bias + 2**-50
    others = [
        replace(made, dt=2e-3),
        replace(made, outputs=("a",)),
        made.with_population(replace(made["a"], node=replace(node, bias=touched))),
        made.with_population(replace(made["b"], shape=(4,))),
        made.with_population(replace(made["b"], depth=1)),
        made.with_population(replace(made["astro"], node=replace(made["astro"].node, period=5))),
        replace(made, connections=made.connections[:-1]),
        replace(made, connections=(replace(made.connections[0], lag=1), *made.connections[1:])),
        replace(made, connections=(replace(made.connections[0], exponent=1), *made.connections[1:])),
        with_first(made, wiring=Dense(np.zeros((3, 2)))),
        with_first(made, wiring=Sparse.of(np.ones((3, 2)))),
        replace(made, readout="last"),
        replace(made, before=STAGE),
        replace(made, after=STAGE),
        replace(made, before=replace(STAGE, onnx=b"other bytes")),
        *(with_node(made, "b", **{key: value}) for key, value in (EVERY | {"sends": "membrane"}).items()),
        with_node(made, "x", high=2),
        with_node(made, "x", unit=2.0),
    ]
    assert len({fingerprint(each) for each in [made, *others]}) == len(others) + 1


def positions(plain, path=()):
    """Every place in nested plain data."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from positions(value, (*path, key))


@pytest.mark.parametrize("name", ["encoder", "integer"])
def test_malformed_plain_data_is_refused(name):
    """Whatever is missing or of another type: InputError, or a graph that `verify` still refuses or accepts."""
    plain, tensors = to_plain(GRAPHS[name]())
    refused = 0
    for path in list(positions({k: v for k, v in plain.items() if k != "kinds"})):
        for damage in ("remove", None, "text", [], {}, -1):
            broken = copy.deepcopy(plain)
            place = broken
            for key in path[:-1]:
                place = place[key]
            if damage == "remove":
                del place[path[-1]]
            else:
                place[path[-1]] = damage
            try:
                verify(from_plain(broken, tensors))
            except InputError:
                refused += 1
    assert refused > 100
    for missing in tensors:
        with pytest.raises(InputError, match="the network's description is malformed: KeyError"):
            from_plain(plain, {k: v for k, v in tensors.items() if k != missing})


def test_integers_must_be_integers():
    plain, tensors = to_plain(GRAPHS["integer"]())
    name = next(k for k in tensors if "parameter" in k)
    with pytest.raises(InputError, match="a tensor of integers holds float64"):
        from_plain(plain, tensors | {name: tensors[name].astype(float)})


# ---- the laws ----------------------------------------------------------------------------------------


def broken(change, made=None):
    made = closed_loop() if made is None else made
    with pytest.raises(InputError, match="the network can't be compiled: ") as refusal:
        verify(change(made))
    return str(refusal.value)


def with_node(made, name, **fields):
    return made.with_population(replace(made[name], node=replace(made[name].node, **fields)))


def with_first(made, **fields):
    return replace(made, connections=(replace(made.connections[0], **fields), *made.connections[1:]))


def with_more(made, *populations):
    return replace(made, populations=(*made.populations, *populations))


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda g: with_more(g, g["a"]), "two populations are called 'a'"),
        (
            lambda g: with_more(g, Population("y", (1,), RateEncoder(5, 1))),
            "its inputs must all have encoders of the same steps, or none",
        ),
        (lambda g: replace(g, outputs=()), "its outputs must be one or more different populations"),
        (lambda g: replace(g, outputs=("a", "a")), "its outputs must be one or more different populations"),
        (lambda g: replace(g, readout="median"), "must be one of count, sum, last, mean, max, not 'median'"),
        (
            lambda g: replace(with_more(g, Population("y", (1,), Input())), before=STAGE),
            "ordinary layers before the network need it to have one input",
        ),
        (
            lambda g: replace(g, outputs=("a", "b"), after=STAGE),
            "ordinary layers after the network need it to have one output",
        ),
        (
            lambda g: with_node(g, "x", low=1, high=3),
            r"x must send a range around 0 in a positive unit, not 1..3",
        ),
        (lambda g: with_node(g, "x", unit=0.0), "x must send a range around 0 in a positive unit"),
        (lambda g: with_node(g, "a", tau=-1.0), r"a.tau must be positive \(seconds\), not -1"),
        (lambda g: with_node(g, "a", tau=np.nan), r"a.tau must be positive \(seconds\), not nan"),
        (
            lambda g: with_node(g, "a", tau=[1.0, np.nan, np.inf]),
            r"a.tau must be positive \(seconds\), not nan",
        ),
        (lambda g: with_node(g, "b", tau_syn=0.0), r"b.tau_syn must be positive \(seconds\), not 0"),
        (lambda g: with_node(g, "b", tau_syn=np.inf), "b.tau_syn holds 1 NaN or infinite value"),
        (lambda g: with_node(g, "a", reset="soft"), "a.reset is 'soft'; known are value, subtract, none"),
        (lambda g: with_node(g, "a", comparison="<"), "a.comparison is '<'; known are >, >="),
        (
            lambda g: with_node(g, "a", integrator="rk4"),
            "a.integrator is 'rk4'; known are euler, exponential",
        ),
        (lambda g: with_node(g, "a", sends="v"), "a.sends is 'v'; known are spikes, membrane, rectified"),
        (lambda g: with_node(g, "a", refractory=-1), r"a.refractory must lie in 0..63 steps, not -1"),
        (lambda g: with_node(g, "a", refractory=64), r"a.refractory must lie in 0..63 steps, not 64"),
        (lambda g: Graph(DT, g.populations[1:], (), ("a",)), "it needs an input"),
        (lambda g: replace(g, outputs=("z",)), "its output 'z' is no population"),
        (lambda g: replace(g, dt=0.0), "dt must be a positive number of seconds, not 0.0"),
        (lambda g: replace(g, dt=float("nan")), "dt must be a positive number of seconds, not nan"),
        (lambda g: with_first(g, target="z"), "x -> z.current: 'z' is no population"),
        (
            lambda g: replace(g, connections=(*g.connections, g.connections[0])),
            "x -> a.current is connected twice",
        ),
        (lambda g: with_more(g, Population("y", (0,), lif())), r"y has the empty shape \(0,\)"),
        (lambda g: with_more(g, Population("y", (), lif())), r"y has the empty shape \(\)"),
        (lambda g: with_node(g, "a", bias=[1.0, np.nan, np.inf]), "a.bias holds 2 NaN or infinite values"),
        (lambda g: with_node(g, "a", bias=[1.0, 2.0]), r"a.bias has shape \(2,\), the population \(3,\)"),
        (lambda g: with_node(g, "a", v_threshold=[1.0, 2.0]), r"a.v_threshold has shape \(2,\)"),
        (
            lambda g: with_node(g, "a", tau=1e-4),
            r"a.tau is 0.0001 s, shorter than dt = 0.001 s: choose a smaller dt",
        ),
        (lambda g: with_node(g, "b", tau_syn=1e-4), "b.tau_syn is 0.0001 s, shorter than dt = 0.001 s"),
        (lambda g: with_node(g, "a", v_reset=1.0), "a resets to 1, not below its threshold"),
        (lambda g: with_node(g, "astro", log_gain=[0.0, 3.0]), r"astro has resting gains outside its range"),
        (
            lambda g: g.with_population(Population("x", (2,), RateEncoder(0, 1))),
            "x must present a sample for at least 1",
        ),
        (
            lambda g: with_first(g, wiring=Dense(np.ones((2, 3)))),
            r"weights are \(2, 3\), needed is \(target, source\) = \(3, 2\)",
        ),
        (
            lambda g: with_first(g, wiring=Dense(np.full((3, 2), np.nan))),
            "x -> a.current holds 6 NaN or infinite values",
        ),
        (lambda g: with_first(g, port="nose"), r"x -> a.nose: a has the ports \('current', 'modulation'\)"),
        (lambda g: with_first(g, target="x"), r"x -> x.current: x has the ports \(\)"),
        (lambda g: with_first(g, lag=-1), "x -> a.current -1: a delay can't be negative"),
        (lambda g: with_first(g, exponent=1), "x -> a.current: only weights on the chip have an exponent"),
    ],
)
def test_float_networks_that_break_a_law(change, finding):
    assert re.search(finding, broken(change))


def integer():
    return network(2, [population("p", "lif", 3, du=5)], [connection("x", "p", np.ones((3, 2)))])


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda g: with_first(g, delay=0), "x -> p.current: on the chip a delay is at least 1 step"),
        (
            lambda g: with_first(g, wiring=Dense(np.ones((3, 2)))),
            "x -> p.current: weights on the chip are int8, not float64",
        ),
        (lambda g: with_first(g, exponent=33), "x -> p.current: the exponent 33 lies outside -32..32"),
        (
            lambda g: with_first(g, exponent=20),
            "p.current may receive 0..2097152 in one step, its accumulator holds",
        ),
        (lambda g: with_first(g, port="modulation"), "p has the ports ('current',)"),
        (
            lambda g: with_node(g, "p", parameters={"du": np.zeros(3)}),
            "p has the parameters ['du'], its kind [",
        ),
        (lambda g: with_node(g, "p", initial={}), "p has the states [], its kind ['u', 'v']"),
        (lambda g: with_node(g, "p", period=4), "p has period 4, its kind lif does not fit that"),
        (
            lambda g: with_node(g, "p", parameters=g["p"].node.parameters | {"du": np.full(3, 4097)}),
            "p.du is 4097..4097, allowed is 0..4096",
        ),
        (
            lambda g: with_node(g, "p", parameters=g["p"].node.parameters | {"du": np.zeros(2)}),
            "p.du has shape (2,), not (3,)",
        ),
    ],
)
def test_integer_networks_that_break_a_law(change, finding):
    assert finding in broken(change, integer())


def test_two_kinds_of_one_name():
    made = integer()
    kind = made["p"].node.kind
    other = replace(kind, parameters=kind.parameters | {"bias": Range(0, 1)})
    changed = replace(made["p"].node, kind=other)
    text = broken(lambda g: with_more(g, Population("q", (3,), changed)), made)
    assert "two kinds are called 'lif'" in text


def test_all_findings_are_told_at_once():
    text = broken(lambda g: with_first(with_node(g, "a", bias=np.nan, tau=-1.0), lag=-1, port="nose"))
    assert text.count(";") == 2
    for finding in ("a.bias holds 1 NaN", "a delay can't be negative", "a has the ports"):
        assert finding in text
