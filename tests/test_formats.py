"""A chip's file is what the compiler obeys: narrower widths of everything give a legal Program, or a true refusal."""

import re

import numpy as np
from float_networks import DT, astrocyte, cuba, edge, gain_control, lif
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from legality.checker import violations

import astrodeploy as ad
from astrodeploy.chip.formats import Formats
from astrodeploy.errors import DoesNotFit, UnsupportedError
from astrodeploy.ir import Graph, Input, Population
from astrodeploy.resources import data_folder

WIDTHS = {
    "weight_bits": (2, 8),
    "weight_exponent_bits": (0, 6),
    "accumulator_bits": (12, 24),
    "threshold_mantissa_bits": (3, 17),
    "bias_mantissa_bits": (3, 13),
    "maximal_bias_exponent": (0, 7),
    "message_bits": (4, 32),
}
LIMITS = {
    "maximal_delay_steps": (1, 63),
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


def refused_truly(error: Exception, values: dict[str, int]) -> None:
    """A refusal says which number of the file it is about, or what the chip holds."""
    told = str(error)
    assert not re.search(r"rescale the layer$|weight exponent|round the bias|quantise to fewer bits", told), (
        told
    )
    assert re.search(r"2\^-?\d+|accumulator of|thresholds|carries \d+|per 4096|which takes \d+ bits", told), (
        told
    )


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), base=st.sampled_from(["loihi1", "loihi2"]), seed=st.integers(0, 99))
def test_narrower_widths_give_a_legal_program_or_a_true_refusal(tmp_path, data, base, seed):
    values = {
        key: data.draw(st.integers(*span), key)
        for key, span in (WIDTHS | LIMITS).items()
        if not (base == "loihi1" and key == "message_bits")
    }
    target = chip_file(tmp_path / "chip.toml", base, **values)
    rng = np.random.default_rng(seed)
    weight, bias = data.draw(st.sampled_from([0.02, 1.0, 50.0])), data.draw(st.sampled_from([0.0, 0.05]))
    many = base == "loihi2"
    net = layers(rng, weight, bias, membranes=many, modulated=many and data.draw(st.booleans()))
    x = (rng.random((4, 12, 4)) < 0.4).astype(np.uint8) if data.draw(st.booleans()) else None
    try:
        program = ad.compile(net, target, calibrate=x)
    except (DoesNotFit, UnsupportedError) as error:
        refused_truly(error, values)
        return
    held = Formats.of(program.chip)
    assert all(held.exponent.low <= c.exponent <= held.exponent.high for c in program.network.connections)
    assert violations(program.save(tmp_path / "net.astro")) == []
