"""split: what no partial sum can mend is refused with the limit that a core lacks."""

import re

import numpy as np
import pytest
from float_networks import edge, graph, lif

import astrodeploy as ad
from astrodeploy.errors import ChipError, DoesNotFit
from astrodeploy.ir import Population
from astrodeploy.resources import data_folder

TOY = (data_folder("targets") / "toy" / "chip.toml").read_text()


def toy_with(folder, key, value):
    """The file of a toy chip with another number."""
    text, changed = re.subn(rf"(?m)^({key} = \{{ value = )[^,]+", rf"\g<1>{value}", TOY)
    assert changed
    path = folder / "chip.toml"
    path.write_text(text)
    return path


def small():
    """Twelve sources, six neurons."""
    weights = np.random.default_rng(0).normal(0, 0.5, (6, 12))
    return graph(12, [Population("p0", (6,), lif())], [edge("x", "p0", weights)])


@pytest.mark.parametrize(
    ("key", "value", "limit"),
    [
        ("synaptic_memory_bits_per_core", 0, "synaptic_memory_bits, the limit is 0"),
        ("synaptic_memory_bits_per_core", 1, "synaptic_memory_bits, the limit is 1"),
        ("synaptic_memory_bits_per_core", 63, "synaptic_memory_bits, the limit is 63"),
        ("input_axons_per_core", 0, "input_axons, the limit is 0"),
        ("word_bits", 1 << 48, f"takes {1 << 48} of a core's synaptic_memory_bits"),
    ],
)
def test_a_core_without_room_for_one_synapse_is_refused_by_its_limit(key, value, limit, tmp_path):
    with pytest.raises(DoesNotFit, match=re.escape(limit)):
        ad.compile(small(), toy_with(tmp_path, key, value))


KEYS = sorted(set(re.findall(r"(?m)^(\w+) = \{ value", TOY)))


@pytest.mark.parametrize("key", KEYS)
def test_any_number_of_a_chip_compiles_or_is_refused(key, tmp_path):
    for value in (0, 1, 2, 3, 100, 1 << 48):
        try:
            ad.compile(small(), toy_with(tmp_path, key, value))
        except (ChipError, DoesNotFit) as error:
            assert len(str(error)) > 20
