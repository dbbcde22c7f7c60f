"""What commands write: places are looked at before the work, and what is replaced is told; shapes on the command line."""

import json
import os
import sys
from pathlib import Path

import nir
import numpy as np
import pytest
from torch_networks import Chain, Hybrid, spikes

import astrodeploy as ad
from astrodeploy.cli import main
from astrodeploy.cli.options import shape_of
from astrodeploy.errors import InputError, ProgramError

FACTORY = """
import torch
from torch_networks import box


class Image(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.filters, self.cells = torch.nn.Conv2d(1, 2, 3, bias=False), box()

    def forward(self, x, state=None):
        return self.cells(self.filters(x), state)
"""


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run a command in a folder of its own: exit code, stdout, stderr."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["astrodeploy", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        return leaving.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("given")
    for seed in (0, 1):
        ad.save(Chain(seed=seed), made / f"{seed}.pt", dt=1e-3, input_shape=(6,))
    ad.compile(Chain()).save(made / "chain.astro")
    np.savez(made / "spikes.npz", x=spikes(samples=5), y=np.arange(5) % 4)
    return made


# ---- what is replaced ------------------------------------------------------------------------------------


def test_a_program_of_another_network_is_replaced_and_that_is_said(cli, folder):
    assert cli("compile", folder / "0.pt", "-o", "net.astro")[1].endswith("wrote net.astro\n")
    assert cli("compile", folder / "0.pt", "-o", "net.astro")[1].endswith("wrote net.astro\n")
    first = ad.Program.load("net.astro").fingerprint
    code, out, _ = cli("compile", folder / "1.pt", "-o", "net.astro")
    assert code == 0
    assert out.endswith(f"wrote net.astro; it replaced another Program, {first[:16]}\n")
    code, out, _ = cli("compile", folder / "0.pt", "-o", "net.astro", "--json")
    facts = json.loads(out)
    assert facts["replaced"] == ad.compile(Chain(seed=1)).fingerprint
    assert json.loads(cli("compile", folder / "0.pt", "-o", "net.astro", "--json")[1])["replaced"] is None


def test_a_program_that_can_not_be_read_is_replaced_and_that_is_said(cli, folder):
    cli("compile", folder / "0.pt", "-o", "net.astro")
    Path("net.astro/program.json").write_text("{}")
    out = cli("compile", folder / "0.pt", "-o", "net.astro")[1]
    assert out.endswith("it replaced another Program, unreadable\n")
    assert ad.Program.load("net.astro").fingerprint == ad.compile(Chain()).fingerprint


# ---- places that can't be written --------------------------------------------------------------------------

COMMANDS = {
    "compile": ("compile", "0.pt"),
    "run": ("run", "chain.astro", "--input", "spikes.npz"),
    "report": ("report", "chain.astro", "--input", "spikes.npz"),
    "export": ("export", "0.pt"),
    "train": ("train", "digits"),
    "fine-tune": ("fine-tune", "0.pt", "--data", "spikes.npz"),
}
SUFFIX = {"export": ".nir", "report": ".html", "fine-tune": ".pt"}
WORK = (
    "astrodeploy.pipeline.read",
    "astrodeploy.program.Program.run",
    "astrodeploy.engines.run",
    "astrodeploy.reporting.page.gather",
    "astrodeploy.finetune.training.tune",
    "subprocess.run",
)


@pytest.fixture
def idle(monkeypatch):
    """No work may be done."""

    def worked(*_, **__):
        raise AssertionError("the work was done before the place was looked at")

    import astrodeploy.finetune.training
    import astrodeploy.reporting.page  # noqa: F401

    for name in WORK:
        monkeypatch.setattr(name, worked)


def refused(cli, folder, name, output):
    words = [folder / each if (folder / each).exists() else each for each in COMMANDS[name]]
    code, out, err = cli(*words, "-o", output)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and "Traceback" not in err
    return " ".join(err.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_can_not_be_written_is_refused_before_the_work(name, cli, folder, idle):
    suffix = SUFFIX.get(name, "")
    Path("file").write_text("mine")
    assert "file" in refused(cli, folder, name, f"file/net{suffix}")
    (Path("mine") / f"net{suffix}").mkdir(parents=True)
    (Path("mine") / f"net{suffix}" / "thesis.tex").write_text("precious")
    if name != "train":
        assert "does not exist" in refused(cli, folder, name, f"none/net{suffix}")
        told = refused(cli, folder, name, f"mine/net{suffix}")
        assert "is not ours to replace" in told or "is no ordinary file" in told
    assert sorted(p.name for p in Path.cwd().rglob("*")) == sorted(
        ["file", "mine", f"net{suffix}", "thesis.tex"]
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_without_permission_is_refused_before_the_work(name, cli, folder, idle, monkeypatch):
    Path("closed").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode, **_: not mode & os.W_OK)  # as for who is not root
    told = refused(cli, folder, name, f"closed/net{SUFFIX.get(name, '')}")
    assert "ermission" in told


def test_from_python_too(folder, tmp_path, idle):
    program = ad.Program.load(folder / "chain.astro")
    for write in (
        lambda: ad.report(program, path=tmp_path / "no" / "page.html"),
        lambda: ad.export(folder / "0.pt", tmp_path / "no" / "net.nir"),
        lambda: ad.save(None, tmp_path / "no" / "net.pt", dt=1e-3, input_shape=(6,)),
    ):
        with pytest.raises(ProgramError, match="can't be written: the folder .* does not exist"):
            write()


# ---- shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1,5,4", "1x5x4"])
def test_a_convolution_first_is_compiled_with_its_shape(text, cli, folder):
    Path("nets_by_shape.py").write_text(FACTORY)
    source, given = "nets_by_shape:Image", ("--dt", "1e-3", "--input-shape", text)
    assert cli("compile", source, *given, "-o", "net.astro")[0] == 0
    assert ad.Program.load("net.astro").input_shape == (1, 5, 4)
    assert cli("inspect", source, *given)[0] == 0
    assert cli("export", source, *given, "-o", "net.nir")[0] == 0
    assert nir.read("net.nir")
    sys.modules.pop("nets_by_shape")


def test_without_a_shape_the_advice_can_be_followed_on_the_command_line(cli):
    Path("nets_by_shape.py").write_text(FACTORY)
    code, _, err = cli("compile", "nets_by_shape:Image", "--dt", "1e-3")
    assert code == 2 and "give input_shape" in err and "--input-shape 1,8,8" in err
    sys.modules.pop("nets_by_shape")


def test_a_shape_that_is_not_the_files_is_refused(cli, folder):
    code, _, err = cli("compile", folder / "0.pt", "--input-shape", "7")
    assert code == 2 and "the network's input has shape (6,), asked for is (7,)" in err


@pytest.mark.parametrize("text", ["", "0", "1,,2", "-1", "1.5", "1 8", "axb", "²"])
def test_what_is_no_shape(text):
    with pytest.raises(
        InputError, match="--input-shape takes positive whole numbers, such as 1,8,8 or 1x8x8"
    ):
        shape_of(text)
    assert shape_of("1x8,8") == (1, 8, 8) and shape_of(None) is None


# ---- what inspect tells --------------------------------------------------------------------------------------


def test_inspect_shows_the_recipe_and_why_there_is_no_nir_file(cli, folder, monkeypatch):
    out = " ".join(cli("inspect", folder / "chain.astro")[1].split())
    assert "recipe: other options of compile are their defaults" in out and "Chain" in out
    monkeypatch.setattr("astrodeploy.program._as_nir", lambda graph: "NIR can't say this")
    assert "no graph.nir for other tools: NIR can't say this" in cli("inspect", folder / "chain.astro")[1]
    facts = json.loads(cli("inspect", folder / "chain.astro", "--json")[1])
    assert facts["nir_refusal"] == "NIR can't say this"
    assert facts["recipe"]["pack"] == "fastest" and facts["board"] == {"chips": 1, "cores": 128}


def test_a_program_without_a_nir_file_says_why_where_it_is_made(cli, folder, monkeypatch):
    monkeypatch.setattr("astrodeploy.program._as_nir", lambda graph: "NIR can't say this")
    assert "no graph.nir for other tools: NIR can't say this" in cli("compile", folder / "0.pt", "-o", "a")[1]
    assert not Path("a/graph.nir").exists()
    program = ad.compile(Hybrid())
    assert program.nir_refusal == "NIR can't say this"
    assert "holds no graph.nir for other tools: NIR can" in ad.report(program).read_text()
