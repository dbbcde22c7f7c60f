"""NIR on the command line: everything found in a file is shown, also where it is refused; options answer."""

import json
import os
import subprocess
import sys

import nir
import numpy as np
import pytest
from nir_documents import DT, chained, neurons

import astrodeploy as ad


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run a command; its exit code, stdout and stderr."""
    from astrodeploy.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["astrodeploy", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


@pytest.fixture
def path(tmp_path):
    """A file that leaves everything open: no dt, no reset, an IF with r = 1."""
    document = chained(
        nir.Linear(np.ones((4, 6))),
        neurons("IF", (4,), r=np.ones(4), v_threshold=np.full(4, 2.5)),
        shape=(6,),
    )
    nir.write(tmp_path / "net.nir", document)
    import h5py

    with h5py.File(tmp_path / "net.nir", "r+") as file:
        del file["node/nodes/n1/v_reset"]
    return tmp_path / "net.nir"


OPTIONS = ("--dt", DT, "--reset", "subtract", "--if-r", "per_step", "--threshold", ">=")


def test_inspect_shows_the_graph_and_all_findings(cli, path):
    code, out, err = cli("inspect", path, *OPTIONS)
    assert (code, err) == (0, "")
    assert "n1: LIF[4]" in out
    assert "reset=subtract comparison=>=" in out
    assert "does not say how it is stepped: taken is forward Euler" in out
    code, out, _ = cli("inspect", path, *OPTIONS, "--json")
    facts = json.loads(out)
    assert code == 0
    assert [layer["name"] for layer in facts["layers"]] == ["input", "n1"]
    assert {f["severity"] for f in facts["findings"]} == {"note"}


def test_inspect_shows_everything_of_a_file_that_is_refused(cli, path):
    code, out, err = cli("inspect", path)
    assert code == 2
    for text in (
        "n1",
        "IF",
        "v_threshold 2.5[4]",
        "Linear",
        "weight 1[4x6]",
        "does not say how it is stepped",
    ):
        assert text in out
    for option in ("--dt", "--reset zero or --reset subtract", "--if-r per_second or --if-r per_step"):
        assert option in err
    code, out, err = cli("inspect", path, "--json")
    facts = json.loads(out)
    assert code == 2
    assert [f["severity"] for f in facts["findings"]].count("error") == 3
    assert {"name": "n0", "type": "Linear", "fields": {"weight": "1[4x6]"}} in facts["nodes"]
    assert facts["error"] in err


def test_inspect_of_a_file_that_is_no_hdf5(cli, tmp_path):
    (tmp_path / "bad.nir").write_bytes(b"no HDF5")
    code, out, err = cli("inspect", "bad.nir", "--json")
    assert code == 2
    assert json.loads(out)["nodes"] == []
    assert "can't be read as NIR" in err


@pytest.mark.parametrize("command", ["compile", "export"])
def test_the_options_are_taken_wherever_a_source_is(command, cli, path):
    code, _, err = cli(command, path, "-o", "out.nir" if command == "export" else "out.astro")
    assert code == 2
    assert "--if-r" in err
    output = "out.nir" if command == "export" else "out.astro"
    assert cli(command, path, *OPTIONS, "-o", output)[0] == 0
    graph = ad.load("out.nir") if command == "export" else ad.Program.load("out.astro").reference
    node = graph["n1"].node
    assert (node.reset, node.comparison) == ("subtract", ">=")
    assert np.allclose(node.drive(DT), 1)


def test_findings_stand_in_the_report_of_the_passes(cli, path):
    code, out, _ = cli("compile", path, *OPTIONS, "-o", "out.astro")
    assert code == 0
    assert "load" in out
    assert "does not say how it is stepped" in out


def test_allow_delay(cli, tmp_path):
    rng = np.random.default_rng(0)
    nodes = {
        "input": nir.Input(np.array([3])),
        "w": nir.Linear(rng.random((3, 3))),
        "a": neurons("LIF", (3,)),
        "there": nir.Linear(rng.random((3, 3))),
        "b": neurons("LIF", (3,)),
        "back": nir.Linear(-rng.random((3, 3))),
        "output": nir.Output(np.array([3])),
    }
    edges = [
        ("input", "w"),
        ("w", "a"),
        ("a", "there"),
        ("there", "b"),
        ("b", "back"),
        ("back", "a"),
        ("b", "output"),
    ]
    nir.write(tmp_path / "loop.nir", nir.NIRGraph(nodes, edges))
    code, _, err = cli("compile", "loop.nir", "--dt", DT, "-o", "loop.astro")
    assert code == 2
    assert "allow the longer one with --allow-delay" in err
    code, out, _ = cli("compile", "loop.nir", "--dt", DT, "--allow-delay", "-o", "loop.astro")
    assert code == 0
    assert "it takes 2 steps instead of 1" in out


def test_no_traceback_and_no_leftover_process(path):
    """As a process of its own, which must end although it started another one to read the file."""
    command = [sys.executable, "-m", "astrodeploy", "inspect", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONWARNINGS": "error"}
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
