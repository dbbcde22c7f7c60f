"""`inspect` of what networks may be: patterns, settings, several inputs and outputs, ordinary layers."""

import json
import sys
import tracemalloc

import numpy as np
import pytest
from float_networks import DT, graph, lif, several_inputs

import astrodeploy as ad
from astrodeploy.cli import main
from astrodeploy.cli.tables import graph_facts, pattern_text
from astrodeploy.frontends.torch.checkpoint import write_checkpoint
from astrodeploy.ir import Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, pool


@pytest.fixture
def inspect(monkeypatch, capsys):
    """What `inspect` prints of a path."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["astrodeploy", "inspect", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        assert (leaving.value.code, captured.err) == (0, "")
        return captured.out

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of every pattern, as a checkpoint and compiled."""
    made = tmp_path_factory.mktemp("given")
    net = several_inputs(np.random.default_rng(0)).program.reference
    write_checkpoint(net, made / "net.pt")
    ad.compile(net).save(made / "net.astro")
    return made


@pytest.mark.parametrize(
    ("wiring", "text"),
    [
        (Dense(np.ones((10, 512))), "Dense 10x512"),
        (OneToOne(np.ones(7)), "OneToOne 7"),
        (Sparse.of(np.eye(3, 5)), "Sparse 3x5 of 3"),
        (Conv(np.ones((24, 3, 3, 3)), (3, 32, 32), (2, 2), (0, 0), (1, 1)), "Conv 24x3x3x3 s2"),
        (Conv(np.ones((4, 1, 3, 1)), (2, 9, 9), (1, 2), (1, 0), (2, 2), 2), "Conv 4x1x3x1 s1x2 p1x0 d2 g2"),
        (Conv(np.ones((4, 2, 5)), (2, 9), (1,), (2,), (1,)), "Conv 4x2x5 p2"),
        (pool((6, 8, 8), (2, 2), (2, 2), (0, 0)), "Conv 6x1x2x2 s2 g6"),
    ],
)
def test_patterns_in_a_few_words(wiring, text):
    assert pattern_text(wiring) == text


def test_a_program_as_text(inspect, folder):
    out = inspect(folder / "net.astro")
    for text in (
        "Conv 4x1x3x2 s2x1 p1x0 d1x2 g2",
        "Sparse 24x7 of",
        "OneToOne 24",
        "integrator euler, reset subtract, comparison >, refractory 0, sends spikes",
        "reset value, comparison >=",
        "sends membrane",
        "low -20, high 30, unit 16.0",
        "kind lif_subtract",
        "kind lif_at_least",
    ):
        assert text in " ".join(out.split()), text


def test_a_program_and_a_checkpoint_as_json(inspect, folder):
    program = json.loads(inspect(folder / "net.astro", "--json"))
    checkpoint = json.loads(inspect(folder / "net.pt", "--json"))
    for facts in (program, checkpoint, program["reference"]):
        assert facts["inputs"] == ["camera", "sensor"]
        assert facts["outputs"] == ["c", "b"]
        assert facts["readout"] == "mean,count"
        assert facts["read"] == {
            "c": "the mean of its membrane over a sample",
            "b": "the count of its spikes",
        }
        patterns = {each["name"]: each["pattern"] for each in facts["connections"]}
        assert patterns["camera -> a.current"] == "Conv 4x1x3x2 s2x1 p1x0 d1x2 g2"
    settings = {each["name"]: each["settings"] for each in program["reference"]["layers"]}
    assert settings["b"] == {
        "integrator": "euler",
        "reset": "value",
        "comparison": ">=",
        "refractory": 0,
        "sends": "spikes",
    }
    assert settings["sensor"] == {"low": -20, "high": 30, "unit": 16.0}
    ticks = {row["layer"]: row for row in program["ticks"]}
    assert set(ticks["b"]["delays in"]) == {
        "a.current",
        "one.current",
        "sensor.current +0",
        "sensor.current +2",
    }


def test_a_checkpoint_as_text(inspect, folder):
    out = inspect(folder / "net.pt")
    assert out == ad.load(folder / "net.pt").text()
    assert "output=c,b readout=mean,count" in out
    assert "Conv stride=[2, 1] padding=[1, 0] dilation=[1, 2] groups=2 float64[4x1x3x2]" in out


def test_a_large_network_is_described_by_its_patterns():
    """A million neurons behind a convolution: nothing is listed synapse by synapse."""
    shape = (16, 256, 256)
    conv = Conv(np.ones((16, 16, 3, 3)), shape, (1, 1), (1, 1), (1, 1))
    populations = (Population("x", shape, Input()), Population("a", shape, lif(tau=5 * DT)))
    net = Graph(DT, populations, (Connection("x", "a", "current", conv),), ("a",))
    tracemalloc.start()
    facts, text = graph_facts(net), net.text()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert facts["connections"][0]["synapses"] == 16 * 16 * (3 * 256 - 2) ** 2
    assert "Conv" in text
    assert most < 50 << 20


def test_a_graph_of_one_input_is_as_before():
    net = graph(2, [Population("a", (2,), lif())], [])
    facts = graph_facts(net)
    assert (facts["input"], facts["inputs"], facts["output"], facts["outputs"]) == ("x", ["x"], "a", ["a"])
