"""Boards as data: those that travel with the package, and a user's own."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrodeploy.chip import board_names, boards_of, chip_names, load_chip, load_target
from astrodeploy.errors import ChipError
from astrodeploy.resources import data_folder

BOARDS = {  # chip, chips, usable cores of each
    "kapoho-bay": ("loihi1", 2, 128),
    "nahuku-8": ("loihi1", 8, 128),
    "nahuku-32": ("loihi1", 32, 128),
    "oheo-gulch": ("loihi2", 1, 120),
    "kapoho-point": ("loihi2", 8, 120),
    "hala-point": ("loihi2", 1152, 122),
}
NUMBER = 'source = "made up", quality = "assumed" }'
MINE = f"""\
name = "mine"
description = "six toys"
chip = "toy"

[arrangement]
chips = {{ value = 5, {NUMBER}
columns = {{ value = 3, {NUMBER}
rows = {{ value = 2, {NUMBER}
usable_cores_per_chip = {{ value = 10, {NUMBER}

[crossing]
energy_per_crossing_pJ = {{ low = 1.0, typical = 2.0, high = 3.0, {NUMBER}
time_per_crossing_ns = {{ low = 1.0, typical = 2.0, high = 3.0, {NUMBER}
time_per_message_on_link_ns = {{ low = 1.0, typical = 2.0, high = 3.0, {NUMBER}
"""


def written(folder: Path, old: str = "", new: str = "") -> Path:
    assert not old or MINE.count(old) == 1
    path = folder / "mine.toml"
    path.write_text(MINE.replace(old, new) if old else MINE)
    return path


def line_of(path: Path, start: str) -> int:
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if line.startswith(start))


def test_all_boards_are_listed():
    assert set(board_names()) == set(BOARDS)
    assert not set(board_names()) & set(chip_names())


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_loads_and_every_number_has_a_source(name):
    board = load_target(name)
    chip, chips, usable = BOARDS[name]
    assert (board.name, board.chip.name, board.chips, board.cores_per_chip) == (name, chip, chips, usable)
    numbers = dict(board.numbers())
    assert {"arrangement.chips", "limits.cores", "power.static_power_per_chip_mW"} <= set(numbers)
    assert ("crossing.energy_per_crossing_pJ" in numbers) == (chips > 1)
    assert all(len(each.source) > 5 and each.quality for each in numbers.values())
    assert len(numbers) == len(list(board.numbers()))


def test_published_sizes():
    hala = load_target("hala-point")
    assert hala.cores == 140_544
    assert round(hala.neurons / 1e9, 2) == 1.15
    # the whole system takes at most 2600 W
    assert hala.chips * hala.power_per_chip().static_power_per_chip_mW.high <= 2600e3 * 1.001
    assert load_target("nahuku-32").cores == 4096


def test_several_chips_take_longer_to_agree():
    board = load_target("nahuku-32")
    model = board.chip.cost("sana-fe")
    assert board.barrier(model) == model.time_per_barrier_ns
    one, many = (board.barrier(model, n).at(32 * n) for n in (1, 32))
    assert all(a <= b for a, b in zip(one, many, strict=True))
    assert many[2] == 14300  # 256 chips


def test_the_chips_of_a_board_and_the_boards_of_a_chip():
    names = [board.name for board in boards_of(load_chip("loihi2"))]
    assert names == ["oheo-gulch", "loihi2", "kapoho-point", "hala-point"]
    assert [board.name for board in boards_of(load_chip("loihi1"))] == [
        "loihi1",
        "kapoho-bay",
        "nahuku-8",
        "nahuku-32",
    ]


def test_a_measured_board_has_its_own_power():
    gulch, point = load_target("oheo-gulch"), load_target("kapoho-point")
    assert gulch.power_per_chip().static_power_per_chip_mW.high == 282
    assert point.power_per_chip() == point.chip.power


def test_a_board_of_ones_own(tmp_path):
    board = load_target(written(tmp_path))
    assert (board.chips, board.cores, board.chip.name) == (5, 50, "toy")  # toy: 2 x 2 tiles of 4 cores
    assert board.core(3, 9) == 57
    assert board.chip_of(np.array([0, 15, 16, 57])).tolist() == [0, 0, 1, 3]
    assert board.chip_places(np.arange(5)).tolist() == [[0, 1, 2, 0, 1], [0, 0, 0, 1, 1]]
    # chip 3 lies below chip 0; its core 9 on its tile 2, in the second row
    assert board.tiles(np.array([0, 16, 57, 4 * 16 + 5])).tolist() == [[0, 2, 0, 3], [0, 0, 3, 2]]
    assert board.is_usable(np.array([0, 9, 10, 16, 26, 73, 74, 80, -1])).tolist() == [
        *(True, True, False, True, False, True, False, False, False)
    ]


def test_a_board_of_ones_own_chip(tmp_path):
    toy = (data_folder("targets") / "toy" / "chip.toml").read_text()
    (tmp_path / "small.toml").write_text(toy.replace('name = "toy"', 'name = "small"'))
    assert load_target(written(tmp_path, '"toy"', '"small.toml"')).chip.name == "small"
    with pytest.raises(ChipError, match=r"mine\.toml is wrong: chip \(line 3\): .*other\.toml can't be read"):
        load_target(written(tmp_path, '"toy"', '"other.toml"'))


@given(st.sampled_from([*BOARDS]), st.data())
def test_every_usable_core_has_a_place_of_its_own(name, data):
    board = load_target(name)
    chips = data.draw(st.lists(st.integers(0, board.chips - 1), min_size=1, max_size=9, unique=True))
    cores = np.array([board.core(chip, place) for chip in chips for place in range(board.cores_per_chip)])
    assert np.all(board.is_usable(cores))
    assert set(board.chip_of(cores)) == set(chips)
    tiles = board.tiles(cores)
    per_tile = board.chip.limits.cores_per_tile.value
    assert np.unique(tiles, axis=1, return_counts=True)[1].max() <= per_tile
    size = board.chip.limits.tiles_x.value, board.chip.limits.tiles_y.value
    places = board.chip_places(board.chip_of(cores))
    assert np.array_equal(tiles // np.array(size)[:, None], places)
    assert np.all(tiles[0] < size[0] * board.arrangement.columns.value)
    assert np.all(tiles[1] < size[1] * board.arrangement.rows.value)


@pytest.mark.parametrize(
    ("old", "new", "key", "start", "message"),
    [
        ('"toy"', '"toy3"', "chip", "chip =", r": there is no chip 'toy3': choose one of"),
        ('chip = "toy"', "chip = 7", "chip", "chip =", "must be a chip's name, or a .toml file"),
        ('chip = "toy"\n', "", "chip", "", "is missing: it must be a chip's name"),
        ("chips = { value = 5,", "chips = { value = 7,", "arrangement", "chips", "chips must be 1..6, .* not 7"),
        ("chips = { value = 5,", "chips = { value = 0,", "arrangement", "chips", "chips must be 1..6, .* not 0"),
        ("rows = {", "row = {", "arrangement.rows", "[arrangement]", "is missing"),
        ("columns = { value = 3,", 'columns = { value = "3",', "arrangement.columns.value", "columns", "whole number"),
        ("{ value = 10,", "{ value = 17,", "the file", "usable", "must be 1..16, the cores of toy, not 17"),
        ("{ value = 10,", "{ value = 0,", "the file", "usable", "must be 1..16, the cores of toy, not 0"),
        ("time_per_crossing_ns = { low = 1.0,", "time_per_crossing_ns = { low = 9.0,", "crossing.time_per_crossing_ns", "time_per_crossing", "low <= typical"),
        ("[crossing]", "[kreuzung]", "kreuzung", "[kreuzung]", "is not a key of this file"),
        (MINE[MINE.index("[crossing]") :], "", "the file", "chips", r"several: that needs the table \[crossing\]"),
    ],
)  # fmt: skip
def test_a_wrong_board_is_told_with_key_and_line(tmp_path, old, new, key, start, message):
    path = written(tmp_path, old, new)
    where = rf" \(line {line_of(path, start)}\)" if start else ""
    with pytest.raises(ChipError, match=rf"mine\.toml is wrong: (.*; )?{key}{where}.*{message}"):
        load_target(path)


def test_a_board_without_its_arrangement(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ndescription = "x"\nchip = "toy"\n')
    with pytest.raises(ChipError, match=r"mine\.toml is wrong: arrangement is missing"):
        load_target(path)


def test_a_board_is_no_chip(tmp_path):
    with pytest.raises(ChipError, match=r"mine\.toml describes a board, where a chip is needed"):
        load_chip(written(tmp_path))
    text = MINE.replace('"mine"', '"other"').replace('"toy"', '"mine.toml"')
    (tmp_path / "other.toml").write_text(text)
    with pytest.raises(
        ChipError, match=r"other\.toml is wrong: chip \(line 3\): .*mine\.toml describes a board"
    ):
        load_target(tmp_path / "other.toml")


def test_an_unknown_target_lists_chips_and_boards():
    with pytest.raises(
        ChipError, match=r"no target 'loihi3': choose a chip \(.*loihi1.*\), a board \(.*hala-point"
    ):
        load_target("loihi3")
