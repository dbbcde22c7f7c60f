"""Chips as data: the files that travel with the package, and a user's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrodeploy.arithmetic import OPERATIONS
from astrodeploy.chip import (
    Barrier,
    Board,
    Cost,
    Instructions,
    Number,
    chip_names,
    load_chip,
    operation_count,
)
from astrodeploy.compartments import KINDS
from astrodeploy.errors import ChipError
from astrodeploy.resources import data_folder

TOY = data_folder("targets") / "toy" / "chip.toml"
PUBLISHED_INSTRUCTIONS = {
    *("RMW", "RDC", "MOV", "SEL", "AND", "OR", "SHL", "ADD", "NEG", "MIN", "MUL_SHR"),
    *("LT", "GE", "EQ", "SKP_C", "JMP_C", "SPIKE", "PROBE"),
}


def edited(folder: Path, old: str, new: str) -> Path:
    text = TOY.read_text()
    assert text.count(old) == 1
    path = folder / "mine.toml"
    path.write_text(text.replace(old, new))
    return path


def line_of(path: Path, start: str) -> int:
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if line.startswith(start))


def test_the_packaged_chips_are_listed():
    assert {"loihi1", "loihi2", "toy"} <= set(chip_names())


@pytest.mark.parametrize("name", chip_names())
def test_every_packaged_chip_loads_under_its_name_and_every_number_has_a_source(name):
    chip = load_chip(name)
    assert chip.name == name
    numbers = dict(chip.numbers())
    assert len(numbers) > 30
    assert all(len(each.source) > 5 and each.quality for each in numbers.values())
    assert {type(each) for each in numbers.values()} <= {Number, Cost, Instructions, Barrier}


def test_published_limits():
    loihi1, loihi2 = load_chip("loihi1"), load_chip("loihi2")
    assert loihi1.core_limits == {
        "compartments": 1024,
        "synaptic_memory_bits": 128 * 1024 * 8,
        "input_axons": 4096,
        "output_axons": 4096,
    }
    assert loihi2.core_limits["compartments"] == 8192
    assert loihi2.core_limits["memory_bits"] == 192 * 1024 * 8
    assert loihi2.limits.output_axons_per_core.quality == "assumed"
    assert loihi1.synapses.words_per_axon.value == 256
    assert loihi1.configuration_limits == {"threshold_values": 16, "decay_pairs": 32, "synapse_formats": 15}
    assert loihi2.configuration_limits == {}
    assert loihi2.limits.program_instructions_per_core.quality == "assumed"


def test_published_costs_and_their_models():
    loihi1, loihi2 = load_chip("loihi1"), load_chip("loihi2")
    davies, sana = loihi1.cost(), loihi1.cost("sana-fe")
    assert davies is loihi1.costs["davies-2018"] is not sana
    assert davies.energy_per_synaptic_operation_dense_pJ.typical == 23.6
    assert davies.energy_per_synaptic_operation_dense_pJ.quality == "published"
    assert [sana.energy_per_synaptic_operation_dense_pJ.typical, sana.time_per_spike_ns.typical] == [
        35.5,
        30.0,
    ]
    assert loihi2.cost().energy_per_synaptic_operation_dense_pJ.quality == "calibrated"
    with pytest.raises(
        ChipError, match="loihi1 has no cost model 'mine': choose one of davies-2018, sana-fe"
    ):
        loihi1.cost("mine")


def test_clearing_loihi1_as_published_and_as_calibrated():
    reset = load_chip("loihi1").reset
    assert reset.energy_per_chip_uJ.typical == 5.94 and reset.energy_per_chip_uJ.quality == "published"
    assert reset.time_per_core_us.quality == "calibrated" and "t_max 32" in reset.time_per_core_us.source
    assert "reset.time_per_core_us" in dict(load_chip("loihi1").numbers())
    assert load_chip("loihi2").reset is None  # none is published


def test_two_published_accounts_of_synaptic_memory():
    formulas = load_chip("loihi1").synapses.formulas
    assert set(formulas) == {"nxtf", "nengo-loihi"}
    assert formulas["nengo-loihi"].least_skip_bits is None
    assert formulas["nxtf"].least_skip_bits.value == 2


def test_loihi2_maps_every_operation_to_published_instructions():
    operations = load_chip("loihi2").execution.operations
    assert set(operations) == {*OPERATIONS, "table"}
    assert {i for each in operations.values() for i in each.instructions} <= PUBLISHED_INSTRUCTIONS
    assert operations["table"].quality == operations["count_leading_zeros"].quality == "assumed"


def test_loihi1_executes_the_plain_compartment_only():
    loihi1, loihi2 = load_chip("loihi1"), load_chip("loihi2")
    assert loihi1.missing_operations(KINDS["lif"]) == ()
    assert "multiply" in loihi1.missing_operations(KINDS["astrocyte"])
    assert all(loihi2.missing_operations(kind) == () for kind in KINDS.values())


def test_a_kind_that_only_borrows_the_name_is_a_program():
    impostor = replace(KINDS["astrocyte"], name="lif")
    assert load_chip("loihi1").missing_operations(impostor)


def test_operation_count_leaves_loads_and_constants_out():
    lif = KINDS["lif"].step
    free = [op for op in lif.operations if op[0] in ("state", "parameter", "input", "constant")]
    assert operation_count(lif) == len(lif.operations) - len(free) > 10
    assert operation_count(None) == 0


def test_a_file_of_ones_own_is_a_target(tmp_path):
    path = edited(tmp_path, 'name = "toy"', 'name = "mine"')
    assert load_chip(path).name == load_chip(str(path)).name == "mine"


def test_an_unknown_target_lists_the_known_ones():
    with pytest.raises(ChipError, match=r"no chip 'loihi3': choose one of .*loihi1, loihi2.*toy.*\.toml"):
        load_chip("loihi3")


def test_a_path_is_no_name():
    with pytest.raises(ChipError, match="no chip"):
        load_chip("../targets/toy")


def test_a_missing_file(tmp_path):
    with pytest.raises(ChipError, match=r"gone\.toml can't be read: No such file"):
        load_chip(tmp_path / "gone.toml")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ChipError, match=r"odd\.toml is not UTF-8"):
        load_chip(path)


def test_a_file_that_is_no_toml(tmp_path):
    path = edited(tmp_path, "[widths]", "[widths")
    with pytest.raises(ChipError, match=r"mine\.toml is not valid TOML: .*line \d+"):
        load_chip(path)


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        (
            "cores = { value = 16,",
            "cores = { value = 16.5,",
            "limits.cores.value",
            "must be a whole number, not 16.5",
        ),
        (
            "cores = { value = 16,",
            "cores = { value = -1,",
            "limits.cores.value",
            "must be at least 0, not -1",
        ),
        ("cores = { value = 16,", "cores = {", "limits.cores.value", "is missing"),
        ("cores = { value = 16,", 'cores = { unit = "1", value = 16,', "limits.cores.unit", "is not a key"),
        (
            "energy_per_message_received_pJ = { low = 1.0,",
            "energy_per_message_received_pJ = { low = 9.0,",
            "costs.toy.energy_per_message_received_pJ",
            "low <= typical <= high is needed, not 9.0, 2.0, 4.0",
        ),
        (
            "energy_per_message_received_pJ = { low = 1.0,",
            "energy_per_message_received_pJ = { low = nan,",
            "costs.toy.energy_per_message_received_pJ.low",
            "must be a finite number",
        ),
        (
            "energy_per_message_received_pJ",
            "energy_per_message_received_nJ",
            "costs.toy.energy_per_message_received_pJ",
            "is missing",
        ),
        (
            "synapses_per_entry = { value = 60,",
            "synapses_per_entry = { value = 0,",
            "synapses.formulas.toy",
            "synapses_per_entry must be at least 1",
        ),
        (
            "least_skip_bits = { value = 1,",
            "least_skip_bits = { value = 3,",
            "synapses.formulas.toy",
            "1 <= least <= most",
        ),
        ("tiles = [1],", "tiles = [1, 2],", "costs.toy.time_per_barrier_ns", "need as many numbers each"),
        ("tiles = [1],", "tiles = [0],", "costs.toy.time_per_barrier_ns", "tiles must grow from at least 1"),
        ("tiles = [1],", "tiles = 1,", "costs.toy.time_per_barrier_ns.tiles", "must be a list, not 1"),
        ("tiles = [1],", "tiles = [],", "costs.toy.time_per_barrier_ns.tiles", "must not be empty"),
        (
            "energy_per_spike_pJ = { low = 0.0, typical = 0.0, high = 0.0,",
            "energy_per_spike_pJ = { low = 0.0, typical = 0.0, high = 1e308,",
            "costs.toy.energy_per_spike_pJ.high",
            "must be at most 1000000000000000.0, not 1e.308",
        ),
        ("low = [50.0],", "low = [150.0],", "costs.toy.time_per_barrier_ns", "0 <= low <= typical <= high"),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(tmp_path, old, new, key, message):
    path = edited(tmp_path, old, new)
    with pytest.raises(ChipError, match=rf"mine\.toml is wrong.*{key} \(line \d+\):? .*({message})"):
        load_chip(path)


def test_the_line_is_that_of_the_entry(tmp_path):
    path = edited(tmp_path, "input_axons_per_core = { value = 96,", "input_axons_per_core = { value = true,")
    line = line_of(path, "input_axons_per_core")
    with pytest.raises(ChipError, match=rf"limits\.input_axons_per_core\.value \(line {line}\)"):
        load_chip(path)


def test_more_cores_than_the_mesh_holds(tmp_path):
    path = edited(tmp_path, "cores = { value = 16,", "cores = { value = 17,")
    with pytest.raises(
        ChipError,
        match=rf"limits \(line {line_of(path, 'cores = ')}\): cores must be 1..16, the places in the mesh, not 17",
    ):
        load_chip(path)


def test_bias_widths_need_each_other(tmp_path):
    extra = (
        'message_bits = { value = 12, source = "x", quality = "assumed" }\nbias_mantissa_bits = { value = 13,'
    )
    path = edited(tmp_path, "message_bits = { value = 12,", extra)
    with pytest.raises(ChipError, match="need each other"):
        load_chip(path)


def test_empty_words(tmp_path):
    path = edited(tmp_path, "word_bits = { value = 64,", "word_bits = { value = 0,")
    with pytest.raises(ChipError, match="at least 1"):
        load_chip(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight_bits = { value = 8,", "weight_bits = { value = 1,", "weight_bits must be at least 2"),
        (
            "\nindex_bits = { value = 4,",
            "\nindex_bits = { value = 3,",
            r"line \d+\): synapses.index_bits = 3 reaches 8 neurons, and .* is 16",
        ),
        (
            "\nadd = ",
            "\nplus = ",
            r"execution \(line \d+\): operations.plus: there is no operation plus; there are add, and",
        ),
        ('cost_model = "toy"', 'cost_model = "your"', r"line \d+\): cost_model = 'your' is none of .*: toy"),
        ("[execution.operations]", '[execution]\nkinds = ["liff"]\n[execution.operations]', "no kind liff"),
    ],
)
def test_what_contradicts_itself_or_names_nothing(tmp_path, old, new, message):
    path = edited(tmp_path, old, new)
    with pytest.raises(ChipError, match=message):
        load_chip(path)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("\ufeff" + TOY.read_text(), encoding="utf-8")
    assert load_chip(path).name == "toy"


def test_an_empty_file_lists_what_it_lacks(tmp_path):
    path = tmp_path / "empty.toml"
    path.write_text("")
    with pytest.raises(ChipError, match=r"name is missing; .*costs is missing"):
        load_chip(path)


def test_a_table_in_quotes_and_a_dotted_key_have_their_line(tmp_path):
    path = edited(tmp_path, "[costs.toy]", '[costs."my model"]')
    path.write_text(path.read_text().replace('cost_model = "toy"', 'cost_model = "my model"'))
    assert load_chip(path).cost().description == "made up"
    path.write_text(
        path.read_text().replace("_crossing", "").replace("time_per_spike_ns = {", "time_per_spike_s = {")
    )
    line = line_of(path, "time_per_spike_s")
    with pytest.raises(ChipError, match=rf"costs\.my model\.time_per_spike_s \(line {line}\) is not a key"):
        load_chip(path)
    header = line_of(path, '[costs."my')
    with pytest.raises(ChipError, match=rf"costs\.my model\.time_per_spike_ns \(line {header}\) is missing"):
        load_chip(path)


# ---- barriers ----------------------------------------------------------------------------------------


def test_a_barrier_lies_on_straight_lines_and_ends_at_its_ends():
    barrier = Barrier(
        tiles=(2, 4, 14),
        low=(1, 2, 3),
        typical=(1, 3, 13),
        high=(5, 5, 50),
        source="made up",
        quality="assumed",
    )
    assert [barrier.at(tiles)[1] for tiles in (1, 2, 3, 4, 9, 14, 99)] == [1, 1, 2, 3, 8, 13, 13]
    assert barrier.at(9) == (2.5, 8, 27.5)
    assert load_chip("loihi1").cost().time_per_barrier_ns.at(32) == (465, 465, 1800)


@given(st.integers(1, 40))
def test_a_barrier_never_leaves_its_range(tiles):
    for chip in map(load_chip, chip_names()):
        for model in chip.costs.values():
            low, typical, high = model.time_per_barrier_ns.at(tiles)
            assert 0 < low <= typical <= high


def test_a_chip_alone_is_a_board_of_one():
    chip = load_chip("toy")  # 2 x 2 tiles of 4 cores
    board = Board.of(chip)
    assert (board.name, board.chips, board.cores, board.neurons) == ("toy", 1, 16, 256)
    assert board.tiles(np.array([0, 3, 4, 8, 15])).tolist() == [[0, 0, 1, 0, 1], [0, 0, 0, 1, 1]]
    assert board.power_per_chip() == chip.power
    assert board.barrier(chip.cost(), 1) == board.barrier(chip.cost(), 5) == chip.cost().time_per_barrier_ns
