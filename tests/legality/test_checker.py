"""The independent checker sees what is wrong with a Program: every kind of error, planted into a saved one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from float_networks import edge, graph, lif
from hand_mapped import connection, population, program_of
from legality.checker import violations
from legality.memory import Memory, runs
from safetensors.numpy import load_file, save_file

import astrodeploy as ad
from astrodeploy.chip import load_chip
from astrodeploy.ir import Connection, Graph, Input, Population
from astrodeploy.ir.wiring import Conv, OneToOne, Sparse


class Saved:
    """A saved Program that can be tampered with: the content of its JSON, and its tensors."""

    def __init__(self, program, folder):
        self.folder = program.save(folder / "program")
        self.manifest = json.loads((self.folder / "program.json").read_text())
        self.content = self.manifest["content"]
        self.tensors = load_file(self.folder / "tensors.safetensors")
        self.cores, self.network = self.content["cores"], self.content["network"]
        self.limits = self.content["board"]["chip"]["limits"]

    def found(self):
        (self.folder / "program.json").write_text(json.dumps(self.manifest))
        save_file(self.tensors, self.folder / "tensors.safetensors")
        return "\n".join(violations(self.folder))

    def limit(self, name, value):
        self.limits[name] = {"value": value, "source": "made up", "quality": "assumed"}


def mixed_network():
    """A convolution, a dense and a sparse layer, a loop of one-to-one connections."""
    rng = np.random.default_rng(0)
    conv = Conv(rng.normal(0, 1, (4, 2, 3, 3)), (2, 8, 8), (2, 2), (1, 1), (1, 1))
    dense = rng.normal(0, 1, (12, 64))
    sparse = Sparse.of(rng.normal(0, 1, (10, 12)) * (rng.random((10, 12)) < 0.4))
    return Graph(
        1e-3,
        (
            Population("x", (2, 8, 8), Input()),
            Population("conv", conv.output_shape, lif()),
            Population("dense", (12,), lif(v_threshold=np.linspace(1, 2, 12))),
            Population("sparse", (10,), lif()),
        ),
        (
            Connection("x", "conv", "current", conv),
            edge("conv", "dense", dense),
            Connection("dense", "sparse", "current", sparse),
            Connection("sparse", "sparse", "current", OneToOne(np.ones(10)), lag=1),
        ),
        ("sparse",),
    )


@pytest.fixture(scope="module")
def mixed():
    return ad.compile(mixed_network(), "toy", pack="fewest")


@pytest.fixture
def saved(mixed, tmp_path):
    return Saved(mixed, tmp_path)


def box(saved, name):
    """A core that holds a box of a population, and the box."""
    return next((c, s) for c in saved.cores for s in c["slices"] if s["population"] == name)


def test_what_the_compiler_makes_is_legal(saved):
    assert saved.found() == ""
    assert len(saved.cores) > 4


def test_an_outsider_needs_nothing_of_the_compiler(saved):
    """The checker runs by itself, and imports nothing from astrodeploy."""
    code = "import sys, legality.checker; sys.exit(any('astrodeploy' in name for name in sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, cwd=Path(__file__).parents[1]).returncode == 0
    command = [sys.executable, "-m", "legality.checker", str(saved.folder)]
    ran = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "legal\n")
    saved.cores[0]["index"] = 99
    saved.found()
    ran = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert (ran.returncode, "core 99 is not on toy" in ran.stdout) == (1, True)


# ---- neurons and cores -------------------------------------------------------------------------------


def test_a_neuron_on_a_second_core(saved):
    saved.cores[-1]["slices"].append({"population": "conv", "ranges": [[0, 1], [0, 1], [0, 1]]})
    found = saved.found()
    assert "neuron 0 of conv lies on 2 cores, not on 1 (1 such)" in found
    assert "x -> conv.current has" in found  # its synapses, too


def test_a_neuron_that_is_moved(saved):
    """The boxes still hold every neuron once: the loads tell."""
    core, dense = box(saved, "dense")
    other = next(c for c in saved.cores if c is not core)
    (dense["ranges"],) = [[[0, 11]]]
    other["slices"].append({"population": "dense", "ranges": [[11, 12]]})
    found = saved.found()
    assert f"core {core['index']} says compartments" in found
    assert f"core {other['index']} says compartments" in found
    assert "lies on" not in found


def test_a_box_that_is_dropped(saved):
    core, sparse = box(saved, "sparse")
    core["slices"].remove(sparse)
    found = saved.found()
    assert "neuron 0 of sparse lies on 0 cores, not on 1 (10 such)" in found
    assert "sparse -> sparse.current +1 has 10 synapses, 0 lie on the cores" in found


def test_a_core_that_is_dropped(saved):
    del saved.cores[0]
    assert "of conv lies on 0 cores" in saved.found()


def test_an_input_on_a_core(saved):
    saved.cores[0]["slices"].append({"population": "x", "ranges": [[0, 1], [0, 1], [0, 1]]})
    assert "neuron 0 of x lies on 1 cores, not on 0" in saved.found()


def test_a_box_beyond_its_population(saved):
    box(saved, "dense")[1]["ranges"] = [[0, 13]]
    assert "which the network has not" in saved.found()


@pytest.mark.parametrize("index", [16, -1, 1 << 40])
def test_a_core_beyond_the_board(saved, index):
    saved.cores[0]["index"] = index
    assert f"core {index} is not on toy, which has 1 chips of 16 usable cores" in saved.found()


def test_a_core_that_can_not_be_used(saved):
    number = {"value": 3, "source": "made up", "quality": "assumed"}
    saved.content["board"]["arrangement"]["usable_cores_per_chip"] = number
    assert "core 3 is not on toy, which has 1 chips of 3 usable cores" in saved.found()


def test_a_core_that_is_used_twice(saved):
    saved.cores[1]["index"] = saved.cores[0]["index"]
    assert "core 0 is used 2 times" in saved.found()


# ---- loads -------------------------------------------------------------------------------------------

LOADS = ("compartments", "synaptic_memory_bits", "input_axons", "output_axons", "memory_bits")


@pytest.mark.parametrize("name", LOADS)
@pytest.mark.parametrize("by", [-1, 1])
def test_a_load_that_is_not_true(saved, name, by):
    saved.cores[1]["loads"][name] += by
    true = saved.cores[1]["loads"][name] - by
    assert saved.found() == f"core 1 says {name} {true + by}, counted are {true}"


def test_a_load_that_is_not_told(saved):
    del saved.cores[0]["loads"]["input_axons"]
    assert "core 0 says input_axons None, counted are" in saved.found()


@pytest.mark.parametrize("name", LOADS)
def test_a_limit_that_is_not_the_chips(saved, name):
    saved.cores[0]["limits"][name] *= 2
    assert "says otherwise" in saved.found()


@pytest.mark.parametrize("name", LOADS)
def test_a_load_over_the_chips_limit(saved, name):
    most = max(core["loads"][name] for core in saved.cores)
    saved.limit(f"{name}_per_core", most)
    assert "needs" not in saved.found()
    saved.limit(f"{name}_per_core", most - 1)
    assert f"needs {name} {most} of {most - 1}" in saved.found()


def test_one_synapse_more_than_memory_has(tmp_path):
    """A header of 10 bits and 12 bits a synapse: two words have room for 9 of them."""
    weights = np.zeros((10, 1), np.int8)
    weights[1:] = 1
    sparse = Sparse(np.ones(9, np.int8), np.zeros(9, np.int64), np.arange(-1, 10).clip(0), 1)
    np.testing.assert_array_equal(sparse.matrix(), weights)
    saved = Saved(
        program_of([Population("x", (1,), Input()), population("a", 10)], [connection("x", "a", sparse)]),
        tmp_path,
    )
    saved.content["passes"] = [
        {"name": "partition", "notes": [{"subject": "x -> a.current", "text": "stored sparse: so"}]}
    ]
    saved.cores[0] |= {
        "loads": {
            "compartments": 10,
            "synaptic_memory_bits": 128,
            "input_axons": 1,
            "output_axons": 0,
            "memory_bits": 128 + 10 * 49,
        }
    }
    saved.cores[0]["limits"] = {k: saved.limits[f"{k}_per_core"]["value"] for k in saved.cores[0]["loads"]}
    saved.cores[0]["limits"]["synaptic_memory_bits"] = 128
    saved.limit("synaptic_memory_bits_per_core", 128)
    assert saved.found() == ""
    saved.tensors["connection.0.values"] = np.ones(10, np.int8)
    saved.tensors["connection.0.columns"] = np.zeros(10, np.int64)
    saved.tensors["connection.0.starts"] = np.arange(11)
    found = saved.found()
    assert "core 0 needs synaptic_memory_bits 192 of 128" in found
    assert "core 0 says synaptic_memory_bits 128, counted are 192" in found
    assert "x -> a has 1 synapses more often than the float network" in found


def test_an_encoding_that_is_not_the_one_that_was_counted(saved):
    (note,) = [n for p in saved.content["passes"] for n in p["notes"] if n["text"].startswith("stored conv")]
    note["text"] = note["text"].replace("convolution:", "sparse:")
    assert "synaptic_memory_bits" in saved.found()


def test_an_encoding_that_the_chip_has_not(saved):
    saved.content["board"]["chip"]["synapses"]["convolution_axon_bits"] = None
    assert saved.found() == "x -> conv.current is stored convolution, which toy has not for it"


@pytest.mark.parametrize(
    ("name", "most"),
    [("threshold_values", 12), ("decay_pairs", 1), ("synapse_formats", 2), ("program_instructions", 29)],
)
def test_too_many_configurations(saved, name, most):
    saved.limit(f"{name}_per_core", 0)
    needed = [line.split()[4] for line in saved.found().splitlines() if f"needs {name}" in line]
    assert max(map(int, needed)) == most
    saved.limit(f"{name}_per_core", most)
    assert saved.found() == ""


def test_an_axon_of_too_many_words(saved):
    synapses = saved.content["board"]["chip"]["synapses"]
    synapses["words_per_axon"] = {"value": 6, "source": "made up", "quality": "assumed"}
    # a filter of 4 x 9 weights: an entry of 14 + 288 bits, 5 words
    assert "words_per_axon" not in saved.found()
    synapses["words_per_axon"]["value"] = 4
    assert "needs words_per_axon 5 of 4" in saved.found()


# ---- the network -------------------------------------------------------------------------------------


def test_synapses_that_are_lost(saved):
    values = saved.tensors["connection.1.values"].copy()
    assert (np.abs(values[3]) > 4).sum() > 20
    lost = np.flatnonzero(np.abs(values[3]) > 4)[:2]
    values[3, lost] = 0
    saved.tensors["connection.1.values"] = values
    assert "conv -> dense lacks 2 synapses of the float network" in saved.found()


def test_synapses_that_are_new(saved):
    meant = saved.tensors["reference.connection.1.values"].copy()
    meant[2, :5] = 0
    saved.tensors["reference.connection.1.values"] = meant
    assert "conv -> dense has 5 synapses more often than the float network" in saved.found()


def test_a_connection_that_is_there_twice(saved):
    saved.network["connections"].append(dict(saved.network["connections"][1]))
    saved.tensors["connection.4.values"] = saved.tensors["connection.1.values"]
    found = saved.found()
    assert "conv -> dense has" in found and "more often than the float network" in found


def test_a_connection_that_is_missing(saved):
    del saved.network["connections"][3]
    assert "sparse -> sparse is missing on the chip" in saved.found()


def test_populations_that_are_missing(saved):
    saved.network["populations"].pop()
    del saved.network["connections"][2:]
    core, sparse = box(saved, "sparse")
    core["slices"].remove(sparse)
    assert "sparse of the float network are missing on the chip" in saved.found()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("delay", 0, "has a delay of 0 steps"),
        ("delay", 5, "has a delay of 5 steps"),
        ("exponent", 12, "conv.current takes"),
    ],
)
def test_settings_of_a_connection(saved, key, value, told):
    saved.network["connections"][0][key] = value
    assert told in saved.found()


@pytest.mark.parametrize(
    ("width", "value", "told"),
    [
        ("weight_bits", 7, "int8 weights -127..107, the chip's have 7 bits"),
        ("weight_exponent_bits", 2, "the chip's have 2 bits"),
        ("threshold_mantissa_bits", 4, "conv.threshold is"),
        ("decay_bits", 8, "conv.du is 4096..4096, the chip holds 0..256"),
        ("accumulator_bits", 12, "the accumulator has 12 bits"),
    ],
)
def test_widths(saved, width, value, told):
    saved.content["board"]["chip"]["widths"][width] = {"value": value}
    assert told in saved.found()


def test_a_bias_that_is_no_mantissa_and_exponent(saved):
    widths = saved.content["board"]["chip"]["widths"]
    widths |= {"bias_mantissa_bits": {"value": 4}, "maximal_bias_exponent": {"value": 3}}
    saved.tensors["population.1.parameter.bias"] = np.full(64, 7 << 3)
    assert saved.found() == ""
    saved.tensors["population.1.parameter.bias"] = np.full(64, 9 << 3)
    assert "conv.bias is 72, which is no mantissa of 4 bits and a shift" in saved.found()


def test_an_operation_that_the_chip_has_not(saved):
    del saved.content["board"]["chip"]["execution"]["operations"]["saturate"]
    assert "conv needs the operations saturate" in saved.found()


def test_too_much_state(saved):
    saved.limit("state_bytes_per_neuron", 6)
    assert "conv keeps 7 bytes of state a neuron of 6" in saved.found()


def test_messages_that_are_too_wide(tmp_path):
    value = Input(-300, 1000, 1.0)
    network = graph(4, [Population("a", (3,), lif())], [edge("x", "a", np.ones((3, 4)))])
    network = network.with_population(Population("x", (4,), value))
    saved = Saved(ad.compile(network, "toy"), tmp_path)
    assert saved.found() == ""
    saved.content["board"]["chip"]["widths"]["message_bits"]["value"] = 10
    assert saved.found() == "x sends -300..1000, a message has 10 bits"


# ---- memory, by hand ---------------------------------------------------------------------------------


def test_lists_by_hand():
    memory = Memory(load_chip("loihi1").model_dump(mode="json"))
    # 1024 weights: NxTF 18 entries of 10 + 10 bits, nengo-loihi 16 of 10: 8192 + 360 bits, in words of 64
    assert memory.dense(1024, False) == 134 * 64
    assert memory.dense(1024, True) == -(-(1024 * 14 + 360) // 64) * 64
    # 61 synapses of 8 + 10 bits: two entries of 10
    assert memory.sparse(61, False) == -(-(61 * 18 + 20) // 64) * 64
    assert memory.sparse(0, False) == 0
    # 61 in a row: entries of 60 and 1
    assert memory.run_lengths([61], 2, False) == -(-(61 * 10 + 2 * 20) // 64) * 64
    assert memory.skips == [2, 3, 4, 5]


def test_runs_end_at_wide_gaps_and_at_lines():
    assert runs([0, 1, 2, 6, 7], 100, 2) == [5]  # three neurons between 2 and 6
    assert runs([0, 1, 2, 7, 8], 100, 2) == [3, 2]
    assert runs([0, 1, 2, 3], 2, 2) == [2, 2]
    assert runs([5], 100, 2) == [1]


def test_of_several_accounts_the_dearest_counts():
    chip = load_chip("loihi1").model_dump(mode="json")
    chip["synapses"]["formulas"] = {
        "small head": {"entry_header_bits": {"value": 1}, "dense_index_bits": {"value": 0}, "synapses_per_entry": {"value": 4}},
        "large head": {"entry_header_bits": {"value": 60}, "dense_index_bits": {"value": 0}, "synapses_per_entry": {"value": 100}},
    }  # fmt: skip
    for each in chip["synapses"]["formulas"].values():
        each |= {"least_skip_bits": None, "most_skip_bits": None}
    memory = Memory(chip)
    assert memory.dense(1, False) == 2 * 64  # 9 or 68 bits
    assert memory.dense(300, False) == -(-max(300 * 8 + 75, 300 * 8 + 180) // 64) * 64
    assert memory.skips == []
