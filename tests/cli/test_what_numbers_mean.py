"""What the commands say of their numbers: axes, read-outs, undecided samples, labels, and whether it is the same network."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from float_networks import edge, graph, lif

import astrodeploy as ad
from astrodeploy.cli import main
from astrodeploy.ir import Population
from astrodeploy.ir.wiring import Dense


def network(weight=2.0):
    """4 inputs, 3 spiking classes that answer the inputs 0, 1 and 2."""
    return graph(4, [Population("out", (3,), lif())], [edge("x", "out", weight * np.eye(3, 4))])


@pytest.fixture(scope="module")
def program():
    return ad.compile(network())


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path, program):
    """Run a command beside net.astro: exit code, stdout, stderr on one line."""
    monkeypatch.chdir(tmp_path)
    program.save("net.astro")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["astrodeploy", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        return leaving.value.code, captured.out, " ".join(captured.err.split())

    return run


def stimulus():
    """5 samples of 9 steps: two of class 1, a silent one, one that all classes answer, one of 0 and 2 alike."""
    x = np.zeros((5, 9, 4), np.uint8)
    x[0, :, 1] = x[1, :, 1] = 1
    x[3] = 1
    x[4, :, 0] = x[4, :, 2] = 1
    return x


def test_a_run_says_how_it_read_its_input_and_output_and_what_is_undecided(cli):
    np.savez("x.npz", x=stimulus(), y=[1, 0, 0, 0, 0])
    code, out, _ = cli("run", "net.astro", "--input", "x.npz", "--engine", "oracle", "--engine", "reference")
    assert code == 0
    assert "x is read as (batch, steps, 4): 5 samples of 9 steps" in out
    assert "out is read by the count of its spikes" in out
    for engine in ("oracle", "reference"):
        assert f"{engine}: 2 of 5 samples are undecided" in out
    assert "1 of 5 end in a tie of some classes" in out
    assert "40.0 %" in out  # the first, and the tie whose first class is right
    code, out, _ = cli("run", "net.astro", "--input", "x.npz", "--engine", "oracle", "--json")
    (row,) = json.loads(out)
    assert row["predictions"] == [1, 1, -1, -1, 0]
    assert (row["undecided"], row["ties"], row["accuracy"]) == (2, 1, 0.4)
    assert row["readout"] == {"out": "the count of its spikes"}
    assert row["axes"] == "x is read as (batch, steps, 4): 5 samples of 9 steps"


@pytest.mark.parametrize("command", ["run", "verify", "report"])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([97, 1, 1, 1, 1], "the labels of 3 classes are whole numbers in 0..2, given are 1..97"),
        ([-1, 1, 1, 1, 1], "0..2, given are -1..1"),
        ([0.5, 1, 1, 1, 1], "given are fractions, 0.5 for one"),
        ([np.nan, 1, 1, 1, 1], "given are some that are not finite"),
        ([1] * 9, "a sample has as many steps: x is read as (batch, steps, ...), so where time stands first"),
    ],
)
def test_labels_that_no_class_has_are_refused(cli, command, labels, message):
    np.savez("x.npz", x=stimulus(), y=labels)
    engines = {"run": ("--engine", "oracle"), "verify": ("--engines", "fast"), "report": ()}[command]
    code, out, err = cli(command, "net.astro", "--input", "x.npz", *engines)
    assert code == 2
    assert out == ""
    assert message in err


@pytest.mark.parametrize("command", ["run", "verify", "estimate", "report", "compile"])
def test_the_layout_stands_in_the_help(cli, command):
    assert "(batch, steps, *shape)" in " ".join(cli(command, "--help")[1].split())


@pytest.mark.parametrize("command", ["verify", "estimate"])
def test_others_say_how_they_read_it_too(cli, command):
    np.savez("x.npz", x=stimulus())
    code, out, _ = cli(
        command, "net.astro", "--input", "x.npz", *(["--engines", "fast"] if command == "verify" else [])
    )
    assert code == 0
    assert "x is read as (batch, steps, 4): 5 samples of 9 steps" in out


@pytest.mark.parametrize("labels", [None, [0, 0]])
def test_silent_samples_are_verified(program, labels):
    found = ad.verify(program, np.zeros((2, 9, 4), np.uint8), ("fast", "brian2"), labels=labels)
    assert found.equal
    assert found.faithful
    assert (found.distance.total.accuracy, found.distance.exact) == (
        (None, None) if labels is None else (0.0, 0.0)
    )
    assert found.text.startswith("equal; predicts as the float network does for all 2 samples")


def ruined(program):
    """The same Program with the weights of its classes exchanged: it is another network than the float one."""
    (c,) = program.network.connections
    turned = replace(c, wiring=Dense(np.roll(c.weight, 1, 0)))
    return replace(program, network=replace(program.network, connections=(turned,)))


def test_the_verdict_says_whether_it_is_still_the_same_network(cli, program, tmp_path):
    ruined(program).save("ruined.astro")
    np.savez("x.npz", x=stimulus(), y=[1, 1, 1, 1, 1])
    code, out, _ = cli("verify", "net.astro", "--input", "x.npz", "--engines", "fast")
    assert code == 0
    last = out.splitlines()[-1]
    assert last.startswith("equal; predicts as the float network does for all 5 samples, ")
    assert "accuracy 40.0% after 40.0%" in last
    code, out, _ = cli("verify", "ruined.astro", "--input", "x.npz", "--engines", "fast")
    assert code == 0  # the engines agree, which is what the exit code says
    last = out.splitlines()[-1]
    assert last.startswith("equal; PREDICTIONS CHANGED: 2 of 5 differ from the float network's, ")
    assert "accuracy 0.0% after 40.0%" in last
    facts = json.loads(cli("verify", "ruined.astro", "--input", "x.npz", "--engines", "fast", "--json")[1])
    assert (facts["equal"], facts["faithful"]) == (True, False)


def test_the_reports_mark_is_green_only_where_no_prediction_changes(program, tmp_path):
    def marks(made):
        page = ad.report(made, stimulus(), path=tmp_path / "report.html").read_text()
        top = page[page.index("<header>") : page.index("</header>")]
        return [line for line in top.splitlines() if line.startswith('<p class="verdict')]

    same = marks(program)
    assert [each.split('"')[1] for each in same] == ["verdict good", "verdict good"]
    other = marks(ruined(program))
    assert [each.split('"')[1] for each in other] == ["verdict open", "verdict bad"]
    assert "Quantisation changed" in other[1]
