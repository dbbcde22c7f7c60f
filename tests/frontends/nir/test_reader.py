"""The tolerant reader: what other tools write, mended and said; what is open, asked for; what can't be, refused."""

import itertools

import h5py
import nir
import numpy as np
import pytest
from nir_documents import DT, chained, neurons, recurrent_cell

import astrodeploy as ad
from astrodeploy.engines.reference import simulate
from astrodeploy.errors import InputError, NirError
from astrodeploy.frontends.nir.file import from_nir, read_nir
from astrodeploy.frontends.nir.rules import NirOptions
from astrodeploy.pipeline import read

OPTIONS = NirOptions(dt=DT, reset="zero", threshold=">", if_r="per_second")
RNG = np.random.default_rng(0)


def lif(shape, **given):
    """Fields of a LIF as they stand in a file, without a v_reset."""
    full = {"tau": 10 * DT, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.5} | given
    return {"type": "LIF"} | {k: np.full(shape, v) if isinstance(v, float) else v for k, v in full.items()}


def linear(*shape, kind="Linear", **given):
    return {"type": kind, "weight": np.random.default_rng(1).random(shape)} | given


def port(kind, *shape):
    return {"type": kind, "shape": np.array(shape)}


def chain(**nodes):
    """A file's tree: nodes in a row."""
    return {"type": "NIRGraph", "nodes": nodes, "edges": list(itertools.pairwise(nodes))}


def write(path, tree, version="0.2"):
    """The tree as HDF5, whatever it says."""
    with h5py.File(path, "w") as file:
        file.create_dataset("version", data=version)
        _group(file.create_group("node"), tree)
    return path


def _group(group, tree):
    for name, value in tree.items():
        if isinstance(value, dict):
            _group(group.create_group(name), value)
        elif name == "edges":
            data = np.array([[a.encode(), b.encode()] for a, b in value], dtype=object).reshape(-1, 2)
            group.create_dataset(name, data=data, dtype=h5py.string_dtype())
        else:
            group.create_dataset(name, data=value)


def small(**changed):
    """input -> w -> lif -> output, with some nodes exchanged, added, or left out (None)."""
    nodes = {
        "input": port("Input", 6),
        "w": linear(4, 6),
        "lif": lif(4),
        "output": port("Output", 4),
    }
    nodes |= changed
    return chain(**{k: v for k, v in nodes.items() if v is not None})


def told(reading, severity=None):
    return [str(f) for f in reading.findings if severity in (None, f.severity)]


def mended(tmp_path, tree, options=OPTIONS):
    """The Graph of a file and everything found in it but what every file leaves open."""
    reading = read_nir(write(tmp_path / "a.nir", tree), options)
    return reading.graph, [f for f in told(reading) if "how it is stepped" not in f]


def refusal(tmp_path, tree, options=OPTIONS):
    with pytest.raises(NirError) as refused:
        read_nir(write(tmp_path / "a.nir", tree), options)
    assert [f for f in refused.value.findings if f.severity == "error"]
    return str(refused.value).removeprefix(f"{tmp_path}/")


# ---- what is mended ----------------------------------------------------------------------------------------


def same_network(one, two):
    x = np.random.default_rng(2).random((2, 10, one.input.size)) < 0.5
    runs = [simulate(g, x.astype(np.float64)).spikes for g in (one, two)]
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in two.layers)
    assert runs[0][one.output].sum() > 0


MENDS = {
    "numbers for all neurons": (
        small(lif=lif(())),
        "lif has one number as its tau, r, v_leak, v_threshold: spread over (4,)",
    ),
    "one of them": (
        small(lif=lif(4, tau=np.array(10 * DT))),
        "lif has one number as its tau: spread over (4,)",
    ),
    "a batch in the input": (
        small(input=port("Input", 1, 6)),
        "input declares (1, 6), where (6,) is used: its batch is left out",
    ),
    "a batch in the output": (
        small(output=port("Output", 5, 4)),
        "output declares (5, 4), a dimension more than it gets: taken is (4,)",
    ),
    "a batch in the parameters": (
        small(lif=lif((1, 4))),
        "lif has its v_threshold in the shape (1, 4), taken as (4,)",
    ),
    "a type of its own name": (small(input={"type": "Input", "input_type": {"input": np.array([6])}}), None),
    "a number as text": (
        small(lif=lif(4, tau="0.01")),
        "lif has its tau as the text '0.01', which is read as a number",
    ),
    "an unknown field": (
        small(lif=lif(4, beta=0.5)),
        "lif has a field 'beta', which no LIF has: it is not read",
    ),
    "floats of half precision": (small(lif=lif(4, v_leak=np.zeros(4, np.float16))), None),
    "big-endian numbers": (small(lif=lif(4, v_leak=np.zeros(4, ">f4"))), None),
    "integers": (small(lif=lif(4, r=np.ones(4, np.int32))), None),
    "an Affine without a bias": (
        small(w=linear(4, 6, kind="Affine")),
        "w is an Affine without its bias, which is taken as 0",
    ),
    "no Input": (
        small(input=None),
        "w is where the network begins: an Input is added, as nir does",
    ),
    "no Output": (small(output=None), "lif is where the network ends: an Output is added, as nir does"),
    "an Input without a shape": (small(input={"type": "Input"}), "input declares no shape: taken is (6,)"),
}


@pytest.mark.parametrize("name", MENDS)
def test_habits_are_mended_and_said(name, tmp_path):
    tree, said = MENDS[name]
    graph, found = mended(tmp_path, tree)
    assert (said in found) if said else (found == [])
    assert graph["lif"].shape == (4,)
    assert graph.input.shape == (6,)
    plain, nothing = mended(tmp_path, small())
    assert nothing == []
    same_network(plain, graph)


def test_transposed_weights_are_turned_where_nothing_else_fits(tmp_path):
    weight = linear(4, 6)["weight"]
    graph, found = mended(tmp_path, small(w={"type": "Linear", "weight": weight.T}))
    assert found == ["w has a weight of (6, 4), which fits only transposed: it was transposed"]
    same_network(mended(tmp_path, small())[0], graph)
    wrong = small(w={"type": "Affine", "weight": weight.T, "bias": np.zeros(6)})
    assert "w has a weight of shape (6, 4), needed is (targets, 6)" in refusal(tmp_path, wrong)


def test_edges_that_stand_twice_count_once(tmp_path):
    tree = small()
    tree["edges"] *= 2
    graph, found = mended(tmp_path, tree)
    assert "the file holds the edge input -> w 2 times: it counts once" in found
    same_network(mended(tmp_path, small())[0], graph)


def conv(kind, weight, **given):
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | given
    return {"type": kind, "weight": weight} | settings


def test_convolutions_without_input_shape_and_bias(tmp_path):
    weight = RNG.random((2, 1, 3, 3))
    nodes = {"input": port("Input", 1, 6, 5), "c": conv("Conv2d", weight), "lif": lif((2, 4, 3))}
    graph, found = mended(tmp_path, chain(**nodes, output=port("Output", 2, 4, 3)))
    assert found == ["c is a Conv2d without its bias, which is taken as 0"]
    (connection,) = graph.connections
    assert connection.wiring.output_shape == (2, 4, 3)


def test_a_conv_says_a_wrong_input_shape(tmp_path):
    weight = RNG.random((2, 1, 3, 3))
    node = conv("Conv2d", weight, input_shape=np.array([9, 9]), bias=np.zeros(2))
    tree = chain(input=port("Input", 1, 6, 5), c=node, lif=lif((2, 4, 3)), output=port("Output", 2, 4, 3))
    _, found = mended(tmp_path, tree)
    assert found == ["c says its input is (9, 9), and gets (6, 5): taken is what it gets"]


def test_a_flatten_that_forgot_that_there_is_no_batch(tmp_path):
    nodes = {
        "input": port("Input", 2, 3, 4),
        "f": {"type": "Flatten", "start_dim": 1, "end_dim": -1, "input_type": np.array([1, 2, 3, 4])},
        "w": linear(5, 24),
        "lif": lif(5),
    }
    graph, found = mended(tmp_path, chain(**nodes, output=port("Output", 5)))
    assert found == ["w gets (2, 12) and takes it flattened"]
    assert graph.connections[0].wiring.shape == (5, 24)


def test_nodes_of_a_chain_are_composed(tmp_path):
    a, b = linear(5, 6), linear(4, 5, kind="Affine", bias=np.arange(4.0))
    graph, _ = mended(tmp_path, small(w=None, a=a, b=b) | {"edges": edges("input a b lif output")})
    assert np.allclose(graph.connections[0].weight, b["weight"] @ a["weight"])
    assert np.array_equal(graph["lif"].node.bias, np.arange(4.0))


def edges(*ways):
    return [edge for way in ways for edge in itertools.pairwise(way.split())]


# ---- nested graphs and loops -----------------------------------------------------------------------------------


def cell(**changed):
    nodes = {"input": port("Input", 4), "lif": lif(4), "w_rec": linear(4, 4), "output": port("Output", 4)}
    nodes = {k: v for k, v in (nodes | changed).items() if v is not None}
    inner = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    kept = [edge for edge in inner if set(edge) <= set(nodes)]
    return {"type": "NIRGraph", "nodes": nodes, "edges": kept}


def with_cell(inner):
    return small(lif=None, rec=inner) | {"edges": edges("input w rec output")}


CELLS = {
    "as it should be": (cell(), None),
    "without Input": (cell(input=None), "rec has no Input: taken for it is rec.lif"),
    "without Output": (cell(output=None), "rec has no Output: taken for it is rec.lif"),
    "with the graph's name in its edges": (
        cell() | {"edges": [("rec.input", "rec.lif"), *cell()["edges"][1:]]},
        "rec.lif is called 'rec.lif' by an edge: taken as the same node",
    ),
    "with the graph's name for its neuron": (
        cell() | {"edges": [("input", "lif"), ("rec", "w_rec"), ("w_rec", "rec"), ("lif", "output")]},
        "rec.lif is called 'rec' by an edge: taken as the same node",
    ),
    "with another graph's name in its edges": (
        cell() | {"edges": [("input", "lif"), ("lif", "old.w_rec"), ("old.w_rec", "lif"), ("lif", "output")]},
        "rec.w_rec is called 'old.w_rec' by an edge: taken as the same node",
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_nested_recurrent_cells(name, tmp_path):
    inner, said = CELLS[name]
    graph, found = mended(tmp_path, with_cell(inner))
    loop = "rec.lif closes a loop: the edge rec.w_rec -> rec.lif carries the step before"
    assert loop in found
    assert said is None or said in found
    assert graph.layers == ("input", "rec.lif")
    assert graph.output == "rec.lif"
    assert [(c.source, c.lag) for c in graph.connections] == [("input", 0), ("rec.lif", 1)]
    assert np.array_equal(graph.connections[1].weight, linear(4, 4)["weight"])


def test_a_flat_recurrent_cell_with_dots_in_its_names(tmp_path):
    tree = small(lif=None, **{"rec.lif": lif(4), "rec.w_rec": linear(4, 4)})
    tree["edges"] = edges("input w rec.lif output", "rec.lif rec.w_rec rec.lif")
    same_network(mended(tmp_path, with_cell(cell()))[0], mended(tmp_path, tree)[0])


def test_graphs_in_graphs_and_edges_to_their_ports(tmp_path):
    inner = with_cell(cell())
    tree = small(lif=None, deep=inner, w=linear(6, 6)) | {"edges": edges("input w deep.input", "deep output")}
    graph, _ = mended(tmp_path, tree)
    assert graph.layers == ("input", "deep.rec.lif")


def test_two_populations_that_feed_each_other(tmp_path):
    tree = small(a=lif(4), there=linear(4, 4), back=linear(4, 4))
    tree["edges"] = edges("input w a there lif output", "lif back a")
    graph, found = mended(tmp_path, tree)
    assert {(c.source, c.target): c.lag for c in graph.connections} == {
        ("input", "a"): 0,
        ("a", "lif"): 0,
        ("lif", "a"): 1,
    }
    assert "a closes a loop: the edge back -> a carries the step before" in found


def test_a_loop_through_a_delay_has_its_time_already(tmp_path):
    tree = small(back=linear(4, 4), slow={"type": "Delay", "delay": np.full(4, 3 * DT)})
    tree["edges"] = edges("input w lif output", "lif slow back lif")
    graph, _ = mended(tmp_path, tree)
    assert [c.lag for c in graph.connections] == [0, 3]


# ---- joins, several ports, read-outs ------------------------------------------------------------------------------


def test_paths_that_meet_add_up(tmp_path):
    a, b = (
        linear(4, 6, kind="Affine", bias=np.full(4, 0.1)),
        linear(4, 6, kind="Affine", bias=np.full(4, 0.2)),
    )
    tree = small(w=None, a=a, b=b) | {"edges": edges("input a lif output", "input b lif")}
    graph, _ = mended(tmp_path, tree)
    assert np.allclose(graph.connections[0].weight, a["weight"] + b["weight"])
    assert np.allclose(graph["lif"].node.bias, 0.3)


def test_several_inputs_and_outputs(tmp_path):
    tree = small(more=port("Input", 3), v=linear(4, 3), other=lif(4), x=linear(4, 4), end=port("Output", 4))
    tree["edges"] = edges("input w lif output", "more v lif", "lif x other end")
    graph, _ = mended(tmp_path, tree)
    assert {p.name: p.size for p in graph.inputs} == {"input": 6, "more": 3}
    assert set(graph.outputs) == {"lif", "other"}
    assert graph.readout == "count"


def test_delays_become_lags(tmp_path):
    delay = {"type": "Delay", "delay": np.array([0, 1, 1, 2.02, 7, 7]) * DT}
    graph, found = mended(
        tmp_path, small(w=None, d=delay, w2=linear(4, 6)) | {"edges": edges("input d w2 lif output")}
    )
    assert found == ["d has delays that are no multiples of dt = 0.001 s: rounded by up to 0.02 steps"]
    weight = linear(4, 6)["weight"]
    for lag, columns in ((0, [0]), (1, [1, 2]), (2, [3]), (7, [4, 5])):
        (connection,) = [c for c in graph.connections if c.lag == lag]
        assert np.array_equal(connection.weight, np.where(np.isin(np.arange(6), columns), weight, 0))


def test_a_delay_far_from_a_step_is_a_warning(tmp_path):
    delay = {"type": "Delay", "delay": np.full(6, 1.4 * DT)}
    tree = small(w=None, d=delay, w2=linear(4, 6)) | {"edges": edges("input d w2 lif output")}
    reading = read_nir(write(tmp_path / "a.nir", tree), OPTIONS)
    assert told(reading, "warning") == [
        "d has delays that are no multiples of dt = 0.001 s: rounded by up to 0.4 steps"
    ]


def test_an_output_of_a_membrane_is_read_last(tmp_path):
    li = {k: v for k, v in lif(4).items() if k != "v_threshold"} | {"type": "LI"}
    graph, found = mended(tmp_path, small(lif=li))
    assert graph.readout == "last"
    assert graph["lif"].node.sends == "membrane"
    assert "the file has the membrane of lif as Output: its last value is read" in found


def test_a_linear_output_is_read_as_a_mean(tmp_path):
    tree = small(out=linear(3, 4, kind="Affine", bias=np.arange(3.0)), output=port("Output", 3))
    tree["edges"] = edges("input w lif out output")
    graph, found = mended(tmp_path, tree)
    assert (graph.outputs, graph.readout) == (("out",), "mean")
    assert any("reads a linear signal" in f for f in found)
    x = (np.random.default_rng(0).random((1, 9, 6)) < 0.5).astype(np.float64)
    sent = simulate(graph, x).spikes
    assert np.allclose(sent["out"], sent["lif"] @ tree["nodes"]["out"]["weight"].T + np.arange(3.0))


def test_a_membrane_that_only_a_threshold_hears_is_one_neuron(tmp_path):
    li = {k: v for k, v in lif(4).items() if k != "v_threshold"} | {"type": "LI"}
    tree = small(lif=li, t={"type": "Threshold", "threshold": np.full(4, 0.5)})
    tree["edges"] = edges("input w lif t output")
    graph, found = mended(tmp_path, tree)
    assert "t and the LI lif before it are one neuron without a reset" in found
    assert graph.layers == ("input", "t")
    assert graph["t"].node.reset == "none"


@pytest.mark.parametrize("threshold", [0.5, 0.0, -0.5])
def test_a_threshold_forgets(threshold, tmp_path):
    tree = small(lif={"type": "Threshold", "threshold": np.full(4, threshold)})
    graph, _ = mended(tmp_path, tree)
    x = (np.random.default_rng(0).random((2, 9, 6)) < 0.3).astype(np.float64)
    assert np.array_equal(simulate(graph, x).spikes["lif"], x @ tree["nodes"]["w"]["weight"].T > threshold)


def test_what_leads_nowhere_is_left_out_and_said(tmp_path):
    tree = small(lost=linear(3, 4), alone=lif(2), source=lif(2), v=linear(4, 2))
    tree["edges"] = edges("input w lif output", "lif lost", "source v lif")
    graph, found = mended(tmp_path, tree)
    assert graph.layers == ("input", "lif", "source")
    assert {
        "lost leads to no Output and no neuron: it is left out",
        "alone is connected to nothing: it is left out",
        "source is fed by nothing",
    } <= set(found)


# ---- what is asked for --------------------------------------------------------------------------------------------


def test_everything_that_is_open_is_asked_for_at_once(tmp_path):
    node = {"type": "IF", "r": np.ones(4), "v_threshold": np.ones(4)}
    message = refusal(tmp_path, small(lif=node, w=linear(4, 5)), NirOptions())
    assert message.startswith("a.nir can't be used, 4 errors:\n- ")
    for part in (
        "does not say its time step: give it with --dt (seconds), or dt=",
        "does not say how lif resets, it has no v_reset: give --reset zero or --reset subtract",
        "does not say whether r = 1 of lif is per second, as NIR has it, or per step, as several tools write it: give "
        "--if-r per_second or --if-r per_step",
        "w has a weight of shape (4, 5), needed is (targets, 6)",
    ):
        assert part in message


def test_the_options_answer(tmp_path):
    path = write(tmp_path / "a.nir", small(lif={"type": "IF", "r": np.ones(4), "v_threshold": np.ones(4)}))
    load = lambda **given: ad.load(path, dt=DT, **given)["lif"].node
    zero, subtract = (load(reset=r, if_r="per_second") for r in ("zero", "subtract"))
    assert (zero.reset, subtract.reset) == ("value", "subtract")
    assert (zero.r == 1).all()
    step = load(reset="zero", if_r="per_step", threshold=">=")
    assert np.allclose(step.drive(DT), 1)
    assert (step.comparison, zero.comparison) == (">=", ">")


def test_a_file_with_its_v_reset_is_not_asked(tmp_path):
    path = write(tmp_path / "a.nir", small(lif=lif(4, v_reset=-0.2)))
    graph = ad.load(path, dt=DT)
    assert graph["lif"].node.reset == "value"
    assert (graph["lif"].node.v_reset == -0.2).all()
    assert ad.load(path, dt=DT, reset="subtract")["lif"].node.reset == "subtract"
    reading = read(path, dt=DT, reset="zero")
    assert (reading.graph["lif"].node.v_reset == 0).all()
    assert told(reading, "warning") == ["lif has v_reset -0.2, and is reset to 0 as --reset zero says"]


def test_assumptions_are_said(tmp_path):
    reading = read_nir(write(tmp_path / "a.nir", small(lif=lif(4, v_reset=0.0))), NirOptions(dt=DT))
    assert told(reading, "note") == [
        "the file resets to its v_reset; --reset subtract takes the other rule, which NIR can't say",
        "the file does not say how it is stepped: taken is forward Euler, a synaptic current first",
        "the file spikes where v > v_threshold, as NIR has it; --threshold '>=' takes the other",
    ]


def cuba(**given):
    fields = {
        "tau_syn": 5 * DT,
        "tau_mem": 10 * DT,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
    }
    return {"type": "CubaLIF"} | {k: np.full(4, v) for k, v in (fields | given).items()}


@pytest.mark.parametrize(
    ("node", "reset", "said"),
    [
        (lif(4, v_reset=-0.2), None, "where the membrane of lif starts: taken is v_leak"),
        (lif(4, v_leak=0.1), "zero", "where the membrane of lif starts: taken is v_leak"),
        (lif(4), "subtract", "snnTorch takes it off after that leak"),
        (cuba(), None, "w_in = 1 in lif: an input of 1 adds dt / tau_syn"),
        (cuba(w_in=1.0), None, "Norse's LIFCell adds 1"),
    ],
)
def test_where_tools_differ_is_said(node, reset, said, tmp_path):
    reading = read_nir(write(tmp_path / "a.nir", small(lif=node)), NirOptions(dt=DT, reset=reset))
    assert sum(said in note for note in told(reading, "note")) == 1


@pytest.mark.parametrize(
    "node", [cuba(w_in=5.0), cuba(v_leak=0.1, v_reset=0.1, w_in=5.0), cuba(tau_syn=DT, w_in=1.0)]
)
def test_where_tools_agree_nothing_is_said(node, tmp_path):
    reading = read_nir(write(tmp_path / "a.nir", small(lif=node)), NirOptions(dt=DT))
    assert not [note for note in told(reading) if "starts" in note or "w_in" in note or "snnTorch" in note]


def test_time_constants_in_steps_are_suspected(tmp_path):
    reading = read_nir(write(tmp_path / "a.nir", small(lif=lif(4, tau=20.0))), OPTIONS)
    assert told(reading, "warning") == [
        "lif has tau = 20 s, 20000 steps of dt = 0.001 s: if its tool meant steps, give --dt 1"
    ]
    assert (reading.graph["lif"].node.tau == 20).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reset": "hard"}, "--reset is 'hard', known are zero, subtract, value"),
        ({"threshold": "<"}, "--threshold is '<', known are >, >="),
        ({"if_r": "1"}, "--if-r is '1', known are per_second, per_step"),
        ({"dt": 0.0}, "dt must be a positive number of seconds, not 0.0"),
    ],
)
def test_options_that_are_none(given, message, tmp_path):
    path = write(tmp_path / "a.nir", small())
    with pytest.raises(InputError, match=message):
        ad.load(path, **({"dt": DT} | given))


def test_options_are_for_nir_alone(tmp_path):
    graph = read_nir(write(tmp_path / "a.nir", small()), OPTIONS).graph
    with pytest.raises(
        InputError, match="reset can be given for NIR only, which does not say it: leave it out"
    ):
        ad.load(graph, reset="zero")


def test_findings_stand_first_in_the_programs_report(tmp_path):
    path = write(tmp_path / "a.nir", small(lif=lif(())))
    program = ad.compile(path, dt=DT, reset="zero")
    assert program.passes[0].name == "load"
    notes = [(n.subject, n.text) for n in program.passes[0].notes]
    assert ("lif", "has one number as its tau, r, v_leak, v_threshold: spread over (4,)") in notes


# ---- what is refused ----------------------------------------------------------------------------------------------


def changed(node, **fields):
    return {k: v for k, v in (node | fields).items() if v is not None}


REFUSED = {
    "no graph": ({"type": "LIF"}, "a.nir holds no NIRGraph with nodes"),
    "an unknown node": (small(lif={"type": "ALIF"}), "lif is a ALIF; known are NIRGraph, Input, Output, Linear"),
    "a node without a type": (small(lif={"tau": np.ones(4)}), "lif is a node without a type; known are"),
    "a missing field": (small(lif=changed(lif(4), r=None)), "lif is a LIF without its field 'r'"),
    "a negative time constant": (small(lif=lif(4, tau=-0.01)), "lif has tau = -0.01 s: a time constant must be positive"),
    "NaN": (small(lif=lif(4, r=np.nan)), "lif holds 4 NaN or infinite values in its r"),
    "infinity": (small(w={"type": "Linear", "weight": np.full((4, 6), np.inf)}), "w holds 24 NaN or infinite values in its"),
    "text for numbers": (small(lif=lif(4, tau="fast")), "lif has the text 'fast' as its tau, needed are numbers"),
    "unequal parameters": (small(lif=lif(4, tau=np.full(3, 0.01))), "lif has its tau in the shape (3,), needed is one number or (4,)"),
    "a short time constant": (small(lif=lif(4, tau=1e-4)), "lif has tau = 0.0001 s, shorter than dt = 0.001 s: choose a smaller dt"),
    "a low threshold": (small(lif=lif(4, v_threshold=-1.0)), "lif resets neuron 0 to 0, not below its threshold -1"),
    "an output of another shape": (small(output=port("Output", 9)), "output declares the shape (9,), and gets (4,)"),
    "an empty shape": (small(input=port("Input", 0)), "input has the shape (0,), all of whose numbers must be at least 1"),
    "half a kernel": (
        chain(
            input=port("Input", 1, 6, 6), c=conv("Conv2d", np.ones((1, 1, 3, 3)), stride=1.5), output=port("Output", 1, 4, 4)
        ),
        "c has stride 1.5, 1.5, needed are whole numbers",
    ),
    "a kernel larger than its input": (
        chain(input=port("Input", 1, 2, 2), c=conv("Conv2d", np.ones((1, 1, 3, 3))), output=port("Output", 1)),
        "c can't be computed: a convolution of kernel (3, 3) has no output on an input of (2, 2)",
    ),
    "'same' with a stride": (
        chain(
            input=port("Input", 1, 6, 6),
            c=conv("Conv2d", np.ones((1, 1, 3, 3)), stride=2, padding="same"),
            output=port("Output", 1),
        ),
        "c has the padding 'same' with the stride (2, 2): give the padding in numbers",
    ),
    "wrong channels": (
        chain(input=port("Input", 3, 6, 6), c=conv("Conv2d", np.ones((1, 2, 3, 3))), output=port("Output", 1)),
        "c can't be computed: a convolution takes 2 channels, its input has 3",
    ),
    "a delay of the future": (
        small(w=None, d={"type": "Delay", "delay": np.full(6, -DT)}, w2=linear(4, 6)),
        "d has a delay of -0.001 s: a message can't come before it is sent",
    ),
    "an endless delay": (
        small(w=None, d={"type": "Delay", "delay": np.full(6, 1e9)}, w2=linear(4, 6))
        | {"edges": edges("input d w2 lif output")},
        "d has a delay of 1e+12 steps of dt = 0.001 s, more than",
    ),
    "an Input that is fed": (
        small() | {"edges": edges("input w lif output", "lif input")},
        "input is an Input, and fed by lif: only the stimulus can feed it",
    ),
    "an edge from nowhere": (
        small() | {"edges": edges("input w lif output", "ghost w")},
        "a.nir holds the edge 'ghost' -> 'w', but no node 'ghost'; there are input, lif, output, w",
    ),
    "edges that are no pairs": (small() | {"edges2": 1, "edges": [("a", "b")]}, "no node 'a'"),
    "an Output that nothing reaches": (small() | {"edges": edges("input w lif")}, "output is an Output that nothing reaches"),
    "a loop without neurons": (
        small(a=linear(4, 4), b=linear(4, 4)) | {"edges": edges("input w a b lif output", "b a")},
        "a lies in the loop a -> b -> a, in which there is no neuron",
    ),
    "joins of two shapes": (
        small(v=linear(3, 6)) | {"edges": edges("input w lif output", "input v lif")},
        "lif gets (3,) from v, where it takes (4,)",
    ),
    "two nodes of one name": (
        small(lif=None, rec=cell(), **{"rec.lif": lif(4)}) | {"edges": edges("input w rec output")},
        "rec.lif is the name of two nodes, one of them in a nested graph: rename one",
    ),
    "a nested graph with two Inputs": (
        with_cell(cell(more=port("Input", 4)) | {"edges": [*cell()["edges"], ("more", "lif")]}),
        "rec has 2 Inputs: an edge must name one, as rec.input or rec.more",
    ),
    "more neurons than a machine has": (small(input=port("Input", 10**5, 10**5)), "input has the shape (100000, 100000): more than 16777216 neurons do not fit this machine"),
    "a giant image": (
        chain(
            input=port("Input", 1, 10**6, 10**6),
            p={"type": "SumPool2d", "kernel_size": np.array([2, 2]), "stride": np.array([2, 2]), "padding": np.array([0, 0])},
            output=port("Output", 1),
        ),
        "input has the shape (1, 1000000, 1000000): more than",
    ),
    "a giant kernel": (
        chain(
            input=port("Input", 1, 10, 10),
            p={"type": "SumPool2d", "kernel_size": np.array([10**5, 10**5]), "stride": np.array([1, 1]), "padding": np.array([10**5, 10**5])},
            output=port("Output", 1),
        ),
        "p takes 10000000000 synapses when it is written out, more than",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_used_is_refused_by_the_name_of_its_node(name, tmp_path):
    tree, message = REFUSED[name]
    assert message in refusal(tmp_path, tree)


def test_a_document_of_a_node_that_nir_does_not_know():
    document = chained(nir.Linear(np.ones((4, 6))), neurons("LIF", (4,)), shape=(6,))
    document.nodes["n0"].weight = None
    with pytest.raises(NirError, match="the NIR graph: n0 is a Linear without its field 'weight'"):
        from_nir(document, OPTIONS)


def test_a_document_in_memory_may_hold_tensors_and_numbers():
    import torch

    document = chained(nir.Linear(np.ones((4, 6))), recurrent_cell(4, RNG), shape=(6,))
    document.nodes["n0"].weight = torch.ones(4, 6)
    graph = from_nir(document, OPTIONS).graph
    assert (graph.connections[0].weight == 1).all()


# ---- convolutions against torch -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("padding", ["same", "valid", 1, (2, 0)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "dilation"), [((3, 3), 1), ((2, 4), 1), ((4, 2), (3, 2)), ((1, 3), (1, 2))]
)
def test_convolutions_are_torchs(padding, groups, kernel, dilation, tmp_path):
    import torch

    weight, bias = RNG.random((4, 4 // groups, *kernel)), RNG.random(4)
    x = torch.from_numpy(RNG.random((3, 4, 11, 12)))
    weights = (torch.from_numpy(a) for a in (weight, bias))
    wanted = torch.nn.functional.conv2d(x, *weights, 1, padding, dilation, groups).numpy()
    settings = {"padding": padding, "groups": groups, "dilation": np.array(dilation), "bias": bias}
    tree = chain(
        input=port("Input", 4, 11, 12),
        c=conv("Conv2d", weight, **settings),
        output=port("Output", *wanted.shape[1:]),
    )
    graph, _ = mended(tmp_path, tree)
    (connection,) = graph.connections
    found = connection.wiring.deliver(x.numpy().reshape(3, -1)) + graph["c"].node.bias.ravel()
    assert np.allclose(found, wanted.reshape(3, -1))
