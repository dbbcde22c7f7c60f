"""`astrodeploy estimate`: models, rates by layer, what-if; and one sentence for whatever is wrong with them."""

import json
import sys

import numpy as np
import pytest
from priced import closed_loop, spread, two_neurons

from astrodeploy.cli import main
from astrodeploy.costs import estimate, what_if
from astrodeploy.ir import Input, Population, RateEncoder


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run `estimate` on saved Programs: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    two_neurons("loihi1").save("two.astro")
    two_neurons("loihi1", inputs=Population("input", (1,), Input())).save("one.astro")
    closed_loop(inputs=Population("input", (3,), RateEncoder(6, 0))).save("loop.astro")
    spread().save("spread.astro")
    np.savez("x.npz", x=np.random.default_rng(0).random((3, 3)))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["astrodeploy", "estimate", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        return leaving.value.code, captured.out, captured.err

    return run


def plain(found):
    """As JSON gives it back."""
    return json.loads(json.dumps(found.to_dict()))


def test_the_answer_names_its_model_and_timing(cli):
    code, out, _ = cli("two.astro", "--rate", "0.1")
    assert code == 0 and "cost model davies-2018; 1 core on 1 chip in use" in out
    code, out, _ = cli("two.astro", "--rate", "0.1", "--model", "sana-fe", "--timing", "barrier-after")
    assert code == 0 and "cost model sana-fe, timing barrier-after; 1 core" in out
    for told in (
        "inferences, one after the other",
        "power then",
        "operations by event",
        "operations by core",
    ):
        assert told in out
    found = json.loads(cli("two.astro", "--rate", "0.1", "--model", "sana-fe", "--json")[1])
    assert found == plain(estimate(two_neurons("loihi1"), rates=0.1, model="sana-fe"))


def test_clearing_has_its_lines_or_a_sentence_that_it_is_not_known(cli):
    out = cli("two.astro", "--rate", "0.1")[1]
    lines = [line for line in out.splitlines() if "clearing between samples" in line]
    assert len(lines) == 2  # of the energy and of the latency
    assert "5.94 uJ" in lines[0] and "326 us (710 ns to 409 us)" in lines[1]
    assert "between two samples the chip is cleared, 1 core, while no step runs" in out
    out = cli("loop.astro", "--rate", "0.1")[1]
    assert "clearing between samples" not in out and "toy has no table [reset]" in " ".join(out.split())


def test_rates_by_layer(cli):
    code, out, _ = cli("two.astro", "--rate", "0.1", "--rate", "a=0.5", "--steps", "4", "--json")
    assert code == 0
    expected = estimate(two_neurons("loihi1"), rates={"input": 0.1, "a": 0.5, "b": 0.1}, steps=4)
    assert json.loads(out) == plain(expected)


def test_what_if_is_a_table_and_json(cli):
    given = (
        "--rate",
        "0.1",
        "--what-if",
        "steps=8,16",
        "--what-if",
        "rate=0.02",
        "--what-if",
        "board=kapoho-bay,hala-point",
    )
    code, out, _ = cli("two.astro", *given)
    assert code == 0
    for told in (
        "one thing changed at a time",
        "as it is",
        "steps 8",
        "steps 16",
        "rate 0.02",
        "board kapoho-bay",
    ):
        assert told in out
    assert "board hala-point: the Program was compiled for loihi1, hala-point carries loihi2: compile" in out
    found = json.loads(cli("two.astro", *given, "--json")[1])
    vary = {"steps": [8, 16], "rate": [0.02], "board": ["kapoho-bay", "hala-point"]}
    assert found == plain(what_if(two_neurons("loihi1"), rates=0.1, vary=vary))


def test_what_if_with_data(cli):
    code, out, _ = cli("loop.astro", "--input", "x.npz", "--what-if", "steps=3,12", "--json")
    assert code == 0
    base, *cases = (json.loads(out), *json.loads(out)["what_if"])
    assert base["basis"] == "counted" and [case["steps"] for case in cases] == [3 + 2, 12 + 2]
    assert all(case["basis"] == "counted" for case in cases)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--rate", "much"), "--rate takes a number, or layer=number, not 'much'"),
        (("--rate", "1.5"), "the rate of input must lie in 0..1 messages per neuron and step, not 1.5"),
        (("--rate", "0.1", "--rate", "c=0.1"), "rates are taken of input, a, b, not of c"),
        (("--rate", "a=0.1"), "rates are needed for input, a, b; that of input, b is missing"),
        (
            ("--rate", "0.1", "--model", "mine"),
            "loihi1 has no cost model 'mine': choose one of davies-2018, nahuku, sana-fe",
        ),
        (
            ("--rate", "0.1", "--timing", "mine"),
            "there is no timing 'mine': choose one of largest, barrier-after",
        ),
        (
            ("--rate", "0.1", "--what-if", "size=3"),
            "--what-if takes steps, rate, board, model, timing and values",
        ),
        (("--rate", "0.1", "--what-if", "steps"), "--what-if takes steps, rate, board"),
        (("--rate", "0.1", "--what-if", "steps=,"), "--what-if takes steps, rate, board"),
        (("--rate", "0.1", "--what-if", "steps=8.5"), "--what-if steps= takes whole numbers, not '8.5'"),
        (("--rate", "0.1", "--what-if", "steps=0"), "steps must be at least 1, not 0"),
        (("--rate", "0.1", "--what-if", "rate=x"), "--what-if rate= takes numbers in 0..1, not 'x'"),
        (("--rate", "0.1", "--what-if", "rate=7"), "the rate of input must lie in 0..1"),
        (("--rate", "0.1", "--what-if", "board=nowhere"), "there is no target 'nowhere': choose a chip"),
        (("--input", "x.npz", "--rate", "0.1"), "give one"),
        ((), "give one"),
    ],
)
def test_wrong_options_are_told_in_one_sentence(given, message, cli):
    code, out, err = cli("two.astro", *given)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and message in err and len(err.splitlines()) == 1
