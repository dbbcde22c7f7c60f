"""A chip's file is what the compiler obeys: narrower widths of everything give a legal Program, or a true refusal."""

import re

import numpy as np
import pytest
from float_networks import DT, astrocyte, cuba, edge, gain_control, lif
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from legality.checker import violations

import astrodeploy as ad
from astrodeploy.chip import Board, load_chip, load_target
from astrodeploy.chip.board import Arrangement
from astrodeploy.chip.costs import Crossing, Power, Reset
from astrodeploy.chip.formats import Formats
from astrodeploy.chip.limits import Execution, Formula, Limits, Synapses, Widths
from astrodeploy.chip.numbers import Data
from astrodeploy.compartments import Range
from astrodeploy.errors import ChipError, DoesNotFit, UnsupportedError
from astrodeploy.ir import Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv
from astrodeploy.resources import data_folder

WIDTHS = {
    "weight_bits": (2, 8),
    "weight_exponent_bits": (1, 6),
    "accumulator_bits": (12, 24),
    "threshold_mantissa_bits": (3, 17),
    "bias_mantissa_bits": (3, 13),
    "maximal_bias_exponent": (0, 7),
    "message_bits": (4, 32),
}
LIMITS = {
    "maximal_delay_steps": (1, 40),
    "threshold_values_per_core": (1, 16),
    "decay_pairs_per_core": (1, 32),
    "compartments_per_core": (4, 1024),
}


def number(value: int) -> str:
    return f'{{ value = {value}, source = "a test\'s", quality = "assumed" }}'


def chip_file(path, base: str, **values: int):
    """A copy of a chip's file with other numbers; those that it lacks are added to their table."""
    text = (data_folder("targets") / base / "chip.toml").read_text(encoding="utf-8")
    for key, value in values.items():
        line, table = f"{key} = {number(value)}", "[limits]" if key in LIMITS else "[widths]"
        changed, found = re.subn(rf"(?m)^{key} = .*$", line, text)
        text = changed if found else text.replace(table, f"{table}\n{line}", 1)
    text = text.replace(f'name = "{base}"', 'name = "other"')
    path.write_text(text, encoding="utf-8")
    return path


def layers(rng: np.random.Generator, weight: float, bias: float, membranes: bool, modulated: bool) -> Graph:
    """A layer with biases and thresholds of its own, one with a current and a delay; a membrane; gains."""
    sends = {"sends": "membrane"} if membranes else {}
    populations = [
        Population("a", (6,), lif(v_threshold=rng.uniform(0.5, 2, 6), bias=rng.normal(0, bias, 6))),
        Population("b", (5,), cuba(tau=rng.uniform(5, 15, 5) * DT, bias=np.full(5, bias))),
        Population("c", (4,), lif(**sends)),
        Population("d", (3,), lif(sends="membrane")),
    ]
    edges = [
        edge("x", "a", rng.normal(0.3, 0.5, (6, 4)) * weight),
        edge("a", "b", rng.normal(0.3, 0.5, (5, 6)) * weight),
        edge("b", "b", rng.normal(0, 0.2, (5, 5)) * weight, lag=9),
        edge("b", "c", rng.normal(0.2, 0.5, (4, 5))),
        edge("c", "d", rng.normal(0.2, 0.5, (3, 4))),
    ]
    if modulated:
        astro, *loop = gain_control("a", np.arange(6) % 2, astrocyte(np.zeros(2)), mean=True)
        populations, edges = [*populations, astro], [*edges, *loop]
    return Graph(DT, (Population("x", (4,), Input()), *populations), tuple(edges), ("d",), readout="last")


def refused_truly(error: Exception) -> None:
    """A refusal says what the chip holds, and never blames a number that the compiler chose itself."""
    told = str(error)
    assert not re.search(
        r"has the weight exponent|round the bias|quantise to fewer bits|rescale the layer \(", told
    ), told
    held = r"times at (least|most) 2\^-?\d+|accumulator (of|holds) |accumulator \d+|carries \d+"
    assert re.search(held, told), told


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), base=st.sampled_from(["loihi1", "loihi2"]), seed=st.integers(0, 99))
def test_narrower_widths_give_a_legal_program_or_a_true_refusal(tmp_path, data, base, seed):
    values = {
        key: data.draw(st.integers(*span), key)
        for key, span in (WIDTHS | LIMITS).items()
        if not (base == "loihi1" and key == "message_bits")
    }
    calibrated = data.draw(st.booleans())
    values["maximal_delay_steps"] += (
        20 * calibrated
    )  # the longest delay is 10: relays are not what was measured
    target = chip_file(tmp_path / "chip.toml", base, **values)
    rng = np.random.default_rng(seed)
    weight, bias = data.draw(st.sampled_from([0.02, 1.0, 50.0])), data.draw(st.sampled_from([0.0, 0.05]))
    many = base == "loihi2"
    net = layers(rng, weight, bias, membranes=many, modulated=many and data.draw(st.booleans()))
    x = (rng.random((4, 12, 4)) < 0.4).astype(np.uint8) if calibrated else None
    try:
        program = ad.compile(net, target, calibrate=x)
    except (DoesNotFit, UnsupportedError) as error:
        refused_truly(error)
        return
    held = Formats.of(program.chip)
    assert all(held.exponent.low <= c.exponent <= held.exponent.high for c in program.network.connections)
    assert violations(program.save(tmp_path / "net.astro")) == []


@pytest.mark.parametrize("scale", [1.0, 64.0, 1 / 64])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("calibrated", [False, True])
def test_weight_exponents_are_chosen_within_the_file(tmp_path, bits, scale, calibrated):
    rng = np.random.default_rng(0)
    edges = [
        edge("x", "a", rng.normal(0.1, 0.5, (6, 4)) * scale),
        edge("a", "b", rng.normal(0.1, 0.5, (5, 6)) * scale),
    ]
    populations = (Population("x", (4,), Input()), Population("a", (6,), lif()), Population("b", (5,), lif()))
    x = (rng.random((4, 12, 4)) < 0.4).astype(np.uint8) if calibrated else None
    target = chip_file(tmp_path / "chip.toml", "loihi1", weight_exponent_bits=bits)
    program = ad.compile(Graph(DT, populations, tuple(edges), ("b",)), target, calibrate=x)
    allowed = Range.signed(bits)
    assert all(allowed.low <= c.exponent <= allowed.high for c in program.network.connections)


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_the_chips_own_formats(name):
    """What Lava's LIF has, and nengo-loihi and brian2_loihi tell of Loihi 1."""
    held = Formats.of(load_chip(name))
    assert (held.weight, held.exponent) == (Range(-128, 127), Range(-8, 7))
    assert held.threshold == Range(0, 131071)
    assert (held.bias.mantissa, held.bias.shifts, held.bias.high) == (Range(-4096, 4095), 7, 4095 << 7)
    assert held.accumulator == {"loihi1": (1 << 21) - 64, "loihi2": (1 << 24) - 64}[name]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("weight_bits", 1, "at least 2, a sign and a bit"),
        ("weight_bits", 9, "at most 8"),
        ("weight_exponent_bits", 0, "at least 1, a sign"),
        ("weight_exponent_bits", 7, "at most 6"),
        ("accumulator_bits", 6, "at least 7"),
        ("threshold_mantissa_bits", 0, "at least 1"),
        ("threshold_mantissa_bits", 18, "at most 17, of a compartment"),
        ("decay_bits", 11, "at least 12, as decays are factors per 4096"),
        ("decay_bits", 13, "at most 12, as decays are factors per 4096"),
        ("bias_mantissa_bits", 1, "at least 2, a sign and a bit"),
        ("maximal_bias_exponent", 8, "make biases of 21 bits, the engines' compartments hold 20"),
        ("maximal_delay_steps", 0, "at least 1, the step that every message takes"),
    ],
)
def test_what_the_engines_cannot_compute_with_is_refused(tmp_path, key, value, told):
    with pytest.raises(ChipError, match=rf"{key}.*\(line \d+\).*{re.escape(told)}|{key}.*{re.escape(told)}"):
        load_chip(chip_file(tmp_path / "chip.toml", "loihi1", **{key: value}))


def test_membranes_take_the_bits_that_a_message_carries(tmp_path):
    populations = (
        Population("x", (4,), Input()),
        Population("a", (6,), lif(sends="membrane")),
        Population("b", (5,), lif()),
    )
    rng = np.random.default_rng(0)
    edges = (edge("x", "a", rng.normal(0, 1, (6, 4))), edge("a", "b", rng.normal(0, 1, (5, 6))))
    net = Graph(DT, populations, edges, ("b",))
    for bits, held in ((4, 4), (8, 8), (32, 8)):
        program = ad.compile(net, chip_file(tmp_path / "chip.toml", "loihi2", message_bits=bits))
        (port,) = program.network["a"].node.kind.outputs.values()
        assert port.range == Range.signed(held)
        x = (rng.random((2, 20, 4)) < 0.4).astype(np.uint8)
        runs = [program.run(x, engine=engine).spikes["a"] for engine in ("fast", "oracle")]
        np.testing.assert_array_equal(*runs)
        assert np.any(runs[0]) and runs[0].min() >= port.range.low and runs[0].max() <= port.range.high


# ---- every number of a file is read ----------------------------------------------------------------------


def test_every_number_of_a_target_is_read_by_something(monkeypatch):
    """Compiled, checked and estimated, no key is left that nothing ever looked at; prices have tests of their own."""
    read: set[tuple[str, str]] = set()
    plain = Data.__getattribute__

    def watched(self, name):
        if not name.startswith("_"):
            read.add((type(self).__name__, name))
        return plain(self, name)

    target = load_target("kapoho-bay")
    chip = load_chip("loihi2")
    rng = np.random.default_rng(0)
    x = (rng.random((2, 12, 4)) < 0.4).astype(np.uint8)
    populations = (
        Population("x", (4,), Input()),
        Population("a", (6,), lif(bias=np.full(6, 0.01))),
        Population("b", (1, 3, 3), lif()),
        Population("c", (1, 2, 2), lif()),
    )
    filters = Conv(rng.normal(0.2, 0.5, (1, 1, 2, 2)), (1, 3, 3), (1, 1), (0, 0), (1, 1))
    edges = (
        edge("x", "a", rng.normal(0.5, 0.5, (6, 4))),
        edge("a", "b", rng.normal(0.5, 0.5, (9, 6)), lag=3),
        Connection("b", "c", "current", filters),
    )
    net = Graph(DT, populations, edges, ("c",))
    monkeypatch.setattr(Data, "__getattribute__", watched)
    for each in (target, Board.of(chip)):
        for timing in ("largest", "queueing"):
            monkeypatch.setattr("astrodeploy.pipeline.load_target", lambda target, each=each: each)
            program = ad.compile(net, "watched")
            ad.estimate(program, x, timing=timing)
    tables = [Limits, Widths, Synapses, Formula, Execution, Power, Reset, Arrangement, Crossing]
    left = {(table.__name__, key) for table in tables for key in table.model_fields} - read
    assert not left
