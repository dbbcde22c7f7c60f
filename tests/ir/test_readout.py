"""Read-outs: what the Graph says is what is read, and what Graphs of before meant."""

from dataclasses import replace

import numpy as np
import pytest
from float_networks import DT, edge, graph, lif

import astrodeploy as ad
from astrodeploy.errors import InputError
from astrodeploy.ir import Astrocyte, Graph, Population
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.host import HostStage
from astrodeploy.ir.nodes import SigmaDelta
from astrodeploy.ir.plain import from_plain, to_plain
from astrodeploy.ir.readout import ReadOut, usual_after
from astrodeploy.ir.verify import verify


def population(name):
    """A population that is read by its spikes, its membrane, its value, or what it sends, now or remembered."""
    return {
        "spiking": Population("spiking", (2,), lif()),
        "membrane": Population("membrane", (2,), lif(sends="membrane")),
        "rectified": Population("rectified", (2,), lif(sends="rectified")),
        "value": Population("value", (2,), SigmaDelta(np.zeros(()), np.zeros(()))),
        "function": Population("function", (2,), Astrocyte(1, np.ones(()), np.ones(()))),
        "slow": Population("slow", (2,), Astrocyte(4, np.array(0.5), np.ones(()))),
    }[name]


def made(*outputs, readout="", after=None):
    populations = [population(name) for name in outputs]
    port = {"function": "activity", "slow": "activity"}
    edges = [edge("x", name, np.ones((2, 3)), port=port.get(name, "current")) for name in outputs]
    start = graph(3, [Population("spiking", (2,), lif())], [edge("x", "spiking", np.ones((2, 3)))])["x"]
    return Graph(DT, (start, *populations), tuple(edges), outputs, readout, after=after)


USUAL = {
    "spiking": ("spikes", "count"),
    "membrane": ("membrane", "last"),
    "rectified": ("membrane", "last"),
    "value": ("value", "last"),
    "function": ("messages", "sum"),
    "slow": ("messages", "last"),
}


@pytest.mark.parametrize("name", USUAL)
def test_what_is_not_said_is_read_as_usual_and_then_said(name):
    one = made(name)
    verify(one)
    assert one.read_outs == {name: ReadOut(*USUAL[name])}
    assert canonical(one).readout == USUAL[name][1]
    assert f"readout={USUAL[name][1]}" in one.text()


@pytest.mark.parametrize("name", [name for name in USUAL if name != "spiking"])
def test_what_is_no_spike_can_not_be_counted(name):
    with pytest.raises(
        InputError, match=f"its output {name} is read as 'count' of its {USUAL[name][0]}: known are"
    ):
        verify(made(name, readout="count"))
    with pytest.raises(InputError, match=f"its output {name} is read as 'count'"):
        verify(made("spiking", name, readout="count"))


@pytest.mark.parametrize("word", ["last", "mean", "max", "sum"])
def test_spikes_are_counted_and_nothing_else(word):
    with pytest.raises(
        InputError, match=f"its output spiking is read as '{word}' of its spikes: known are count"
    ):
        verify(made("spiking", readout=word))


def test_one_word_is_for_all_that_hold_numbers_and_several_are_in_order():
    both = made("membrane", "spiking", readout="mean")
    assert [each.how for each in both.read_outs.values()] == ["mean", "count"]
    assert canonical(both).readout == "mean,count"
    each = made("function", "membrane", "spiking", readout="max,mean,count")
    verify(each)
    assert [each.how for each in each.read_outs.values()] == ["max", "mean", "count"]
    with pytest.raises(InputError, match="its read-out has 2 words, 'last,count', and there are 3 outputs"):
        verify(replace(each, readout="last,count"))


@pytest.mark.parametrize(
    ("operators", "how"),
    [
        (("Gemm",), "sum"),
        (("Reshape", "MatMul", "Add"), "sum"),
        (("Gemm", "Softmax"), "mean"),
        (("LogSoftmax", "Reshape"), "mean"),
        (("Gemm", "Relu", "Gemm"), "mean"),
        (("Exp", "ReduceSum", "Div"), "mean"),
        (("Sigmoid",), "mean"),
    ],
)
def test_what_the_host_makes_is_summed_where_it_is_affine_and_else_its_mean(operators, how):
    stage = HostStage(b"", (2,), (2,), operators)
    assert usual_after(stage) == how
    read = made("spiking", after=stage).read_outs["spiking"]
    assert (read.what, read.how) == ("host", how)
    assert read.text == f"the {how} of what the host makes of every step ({', '.join(operators)})"
    with pytest.raises(InputError, match="the host makes of every step is read as 'count': known are sum"):
        verify(made("spiking", readout="count", after=stage))


@pytest.mark.parametrize(
    "outputs", [("spiking",), ("membrane",), ("membrane", "spiking"), ("function", "value")]
)
def test_graphs_as_data_keep_how_they_are_read(outputs):
    one = canonical(made(*outputs))
    again = from_plain(*to_plain(one))
    assert (again.readout, again.read_outs) == (one.readout, one.read_outs)


@pytest.mark.parametrize("how", ["sum", "last", "mean", "max"])
def test_what_is_made_of_the_hosts_answers_is_kept(how):
    stage = HostStage(bytes(range(9)), (2,), (2,), ("Gemm", "Softmax"))
    one = made("spiking", readout=how, after=stage)
    assert from_plain(*to_plain(one)).read_outs == one.read_outs


@pytest.mark.parametrize(
    ("outputs", "word", "meant"),
    [
        (("spiking",), "count", "count"),
        (("spiking",), "last", "count"),
        (("membrane",), "count", "last"),
        (("membrane",), "mean", "mean"),
        (("value",), "count", "last"),
        (("function",), "count", "sum"),
        (("slow",), "count", "sum"),
        (("membrane", "spiking"), "max", "max,count"),
        (("membrane", "function", "spiking"), "count", "last,sum,count"),
    ],
)
def test_a_graph_of_before_means_what_was_read_then(outputs, word, meant):
    plain, tensors = to_plain(canonical(made(*outputs)))
    again = from_plain(plain | {"readout": word}, tensors)
    verify(again)
    assert again.readout == meant


def test_a_program_keeps_how_it_is_read(tmp_path):
    program = ad.compile(made("membrane", readout="mean"))
    x = (np.random.default_rng(0).random((2, 9, 3)) < 0.4).astype(np.uint8)
    assert program.network.readout == program.reference.readout == "mean"
    again = ad.Program.load(program.save(tmp_path / "net.astro"))
    assert again.network.readout == "mean"
    assert np.array_equal(again.run(x).outputs, program.run(x).outputs)
