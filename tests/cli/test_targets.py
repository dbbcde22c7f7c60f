"""astrodeploy targets: chips and boards, and every number of one."""

import json

import pytest

from astrodeploy.chip import board_names, chip_names, load_chip, load_target
from astrodeploy.cli.targets import unit_of
from astrodeploy.resources import data_folder


@pytest.fixture
def command(monkeypatch, capsys):
    def command(*arguments):
        from astrodeploy.cli import main

        monkeypatch.setattr("sys.argv", ["astrodeploy", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return command


def words(out):
    """The cells of every line of a table."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]


def test_chips_and_boards_are_listed_with_what_they_hold(command):
    code, out, _ = command("targets")
    assert code == 0
    rows = {row[0]: row[1:4] for row in words(out)}
    assert set(rows) == {*chip_names(), *board_names()}
    assert rows["hala-point"] == ["1152", "140544", "1,151,336,448"]
    assert rows["loihi1"] == ["1", "128", "131,072"]


def test_the_list_as_json(command):
    code, out, err = command("targets", "--json")
    assert (code, err) == (0, "")
    listed = {each["name"]: each for each in json.loads(out)}
    assert set(listed) == {*chip_names(), *board_names()}
    assert listed["kapoho-point"]["chips"] == 8
    assert listed["kapoho-point"]["cores"] == 960
    assert listed["kapoho-point"]["chip"] == "loihi2"
    assert listed["loihi1"]["cost_models"] == ["davies-2018", "sana-fe", "nahuku"]


def test_every_number_of_a_target(command):
    code, out, _ = command("targets", "nahuku-32")
    assert code == 0
    rows = {row[0]: row[1:] for row in words(out) if row[0]}
    assert rows["chips"][:3] == ["32", "", "published"]
    assert rows["energy_per_crossing_pJ"][:3] == ["11 (3 to 320)", "pJ", "assumed"]
    assert rows["static_power_per_chip_mW"][:3] == ["28.9 (28.7 to 178)", "mW", "derived"]
    assert rows["synaptic_memory_bits_per_core"][:3] == ["1048576", "bits", "published"]
    assert "time_per_barrier_ns, 1024 tiles" in rows
    assert "cost model davies-2018 (taken unless told otherwise): Davies et al." in out
    for key, _ in load_target("nahuku-32").numbers():
        section, _, name = key.rpartition(".")
        assert f"{section}\n" in out.replace(" ", "")
        assert any(row and name.startswith(row.split(",")[0]) for row in rows), key  # long names are folded


def test_every_number_as_json(command):
    code, out, err = command("targets", "loihi2", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    numbers = {each["key"]: each for each in facts["numbers"]}
    assert set(numbers) >= {key for key, _ in load_chip("loihi2").numbers()}
    assert numbers["widths.weight_bits"] == {
        "key": "widths.weight_bits",
        "unit": "bits",
        "value": 8,
        "quality": "published",
        "source": "Intel Loihi 2 technology brief, 2021; Lava 0.10.0 Dense",
    }
    assert all(each["source"] and each["quality"] for each in numbers.values())


def test_a_file_of_ones_own_is_shown_or_told_what_is_wrong(command, tmp_path):
    text = (data_folder("targets") / "toy" / "chip.toml").read_text().replace('"toy"', '"mine"')
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("[costs.toy]", "[costs.mine]"))
    code, out, _ = command("targets", path)
    assert code == 0
    assert "mine: made up: 16 tiny cores; 1 x mine, 16 cores" in out
    path.write_text(text)
    code, _, err = command("targets", path)
    assert code == 2
    assert "cost_model = 'mine' is none of the tables" in err
    code, _, err = command("targets", "mine")
    assert code == 2
    assert "there is no target 'mine': choose a chip (" in err


def test_all_chips_or_one_target(command):
    code, _, err = command("targets", "loihi1", "--nir")
    assert code == 2
    assert "--nir tells of all chips" in err


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("costs.toy.energy_per_spike_pJ", "pJ"),
        ("limits.state_bytes_per_neuron", "bytes"),
        ("limits.maximal_delay_steps", "steps"),
        ("synapses.words_per_axon", "words"),
        ("limits.cores", ""),
        ("arrangement.chips", ""),
    ],
)
def test_the_unit_stands_in_the_key(key, unit):
    assert unit_of(key) == unit
