"""Make it again: whatever a Program and its page were made with stands in the page, and can be followed as printed."""

import html
import inspect
import re
import shlex
import shutil
import sys
from dataclasses import fields

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_networks import Chain, Hybrid, spikes, values

import astrodeploy as ad
from astrodeploy.chip import load_chip
from astrodeploy.cli import main
from astrodeploy.errors import InputError
from astrodeploy.pipeline import compile
from astrodeploy.recipe import Recipe
from astrodeploy.reporting import report
from astrodeploy.resources import data_folder

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


def image():
    return Image()
"""


def integrators():
    """Neurons that leak nothing, as another tool writes them: it says neither a time step nor a reset."""
    ones = np.ones(3)
    nodes = {
        "input": nir.Input(input_type={"input": np.array([4])}),
        "weights": nir.Linear(np.random.default_rng(0).normal(1, 1, (3, 4))),
        "cells": nir.IF(r=ones, v_threshold=ones, v_reset=0 * ones),
        "output": nir.Output(output_type={"output": np.array([3])}),
    }
    return nir.NIRGraph(nodes, [("input", "weights"), ("weights", "cells"), ("cells", "output")])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What recipes name, in one folder."""
    folder = tmp_path_factory.mktemp("files")
    ad.save(Hybrid(), folder / "hybrid.pt", dt=1e-3, input_shape=(6,))
    ad.save(Chain(), folder / "-a chain's.pt", dt=1e-3, input_shape=(6,))
    nir.write(folder / "if.nir", integrators())
    (folder / "nets_of_mine.py").write_text(FACTORY)
    np.savez(folder / "values.npz", x=values(samples=5), y=np.array([0, 1, 2, 3, 0]))
    np.savez(folder / "spikes.npz", x=spikes(samples=3))
    shutil.copy(data_folder("targets") / "loihi2" / "chip.toml", folder / "my chip.toml")
    return folder


@pytest.fixture
def followed(files, tmp_path, monkeypatch):
    """Make a Program and its page, then follow what the page says, in fresh folders: they must be the same."""

    def follow(source, given, asked=()):
        made = fresh(tmp_path / "made", files, monkeypatch)
        program = compile(source, **given)
        program.save("net.astro")
        report(program, path="page.html", **dict(asked))
        python, shell = blocks((made / "page.html").read_text())
        for name, run in (("python", lambda: by_python(python)), ("shell", lambda: by_shell(shell))):
            folder = fresh(tmp_path / name, files, monkeypatch)
            run()
            assert contents(folder / "net.astro") == contents(made / "net.astro"), (name, python, shell)
            assert (folder / "page.html").read_bytes() == (made / "page.html").read_bytes(), (
                name,
                python,
                shell,
            )
        return python, shell

    return follow


def fresh(folder, files, monkeypatch):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    sys.modules.pop("nets_of_mine", None)
    return folder


def blocks(page):
    again = page[page.index('<section id="again">') :]
    return [
        html.unescape(re.sub("<[^>]+>", "", each)) for each in re.findall(r"<pre>(.*?)</pre>", again, re.S)
    ]


def by_python(text):
    names = {}
    exec(text, names)
    names["program"].save("net.astro")


def by_shell(text):
    for line in text.splitlines():
        command(*shlex.split(line)[1:])


def command(*words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["astrodeploy", *words])
        with pytest.raises(SystemExit) as leaving:
            main()
    assert leaving.value.code == 0


def contents(folder):
    return {each.name: each.read_bytes() for each in folder.iterdir()}


# ---- every option of compile -----------------------------------------------------------------------------

NIR = {"dt": 1e-3, "reset": "zero", "if_r": "per_second"}
OPTIONS = {
    "source": ("-a chain's.pt", {}),
    "target": ("hybrid.pt", {"target": "my chip.toml"}),
    "calibrate": ("hybrid.pt", {"calibrate": "values.npz"}),
    "dt": ("if.nir", NIR | {"dt": 0.1}),
    "input_shape": ("nets_of_mine:image", {"input_shape": (1, 5, 4), "dt": 1e-3}),
    "reset": ("if.nir", NIR | {"reset": "subtract"}),
    "threshold": ("if.nir", NIR | {"threshold": ">="}),
    "if_r": ("if.nir", NIR | {"if_r": "per_step"}),
    "freeze_astrocytes": ("hybrid.pt", {"freeze_astrocytes": True}),
    "allow_delay": ("hybrid.pt", {"allow_delay": True}),
    "reset_every": ("hybrid.pt", {"reset_every": 5}),
    "pack": ("hybrid.pt", {"pack": "fewest"}),
    "model": ("hybrid.pt", {"model": list(load_chip("loihi2").costs)[-1]}),
}


def test_the_recipe_has_every_option_of_compile_and_the_command_line_too():
    import typer

    from astrodeploy.cli.commands import app

    options = set(inspect.signature(compile).parameters)
    assert {each.name for each in fields(Recipe)} == options == set(OPTIONS)
    (made,) = (c for n, c in typer.main.get_command(app).commands.items() if n == "compile")
    assert options <= {parameter.name for parameter in made.params}
    written = {option for parameter in made.params for option in parameter.opts}
    assert {f"--{name.replace('_', '-')}" for name in options - {"source"}} <= written
    for name, each in inspect.signature(compile).parameters.items():
        default = next(f.default for f in fields(Recipe) if f.name == name)
        assert name in ("source", "target") or default == each.default


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_followed_to_the_same_bytes(name, followed):
    source, given = OPTIONS[name]
    python, shell = followed(source, given)
    if name != "source":
        assert f"{name}=" in python and f"--{name.replace('_', '-')} " in shell


ASKED = {
    "nothing": {},
    "x": {"x": "values.npz"},
    "x in memory": {"x": values(samples=5), "labels": np.array([0, 1, 2, 3, 0])},
    "first": {"x": "values.npz", "first": 2},
    "carry": {"x": "values.npz", "carry": ("astrocytes",)},
    "steps": {"x": "values.npz", "steps": 5},
    "engines": {"x": "values.npz", "engines": ("oracle", "fast", "brian2")},
    "samples": {"x": "values.npz", "samples": 1},
    "none verified": {"x": "values.npz", "samples": 0},
    "rates": {"rates": 0.3, "steps": 4},
    "rates by layer": {"rates": {"input": 0.3, "hidden": 0.1, "readout": 0.25}},
}


@pytest.mark.parametrize("name", ASKED)
def test_every_option_of_a_report_is_followed_to_the_same_page(name, followed, files, tmp_path):
    if name == "x in memory":  # kept as the page says, in a file of the name that it gives
        np.savez(files / "samples.npz", x=ASKED[name]["x"], y=ASKED[name]["labels"])
    followed("hybrid.pt", {}, ASKED[name])


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_options_together(data, followed):
    drawn = {
        "freeze_astrocytes": data.draw(st.booleans()),
        "allow_delay": data.draw(st.booleans()),
        "reset_every": data.draw(st.none() | st.integers(1, 9)),
        "pack": data.draw(st.sampled_from(["fastest", "fewest"])),
        "model": data.draw(st.sampled_from([None, *load_chip("loihi2").costs])),
        "calibrate": data.draw(st.sampled_from([None, "values.npz"])),
        "dt": data.draw(st.sampled_from([None, 1e-3])),
        "input_shape": data.draw(st.sampled_from([None, (6,), [6]])),
        "target": data.draw(st.sampled_from(["loihi2", "my chip.toml", "nahuku-8"])),
    }
    if drawn["target"] == "nahuku-8":
        drawn |= {"model": None, "freeze_astrocytes": True}  # its chips run neither programs nor these models
    asked = {"rates": data.draw(st.floats(0, 1)), "steps": data.draw(st.integers(1, 20))}
    followed("hybrid.pt", drawn, asked)


# ---- the same bytes ----------------------------------------------------------------------------------------


def test_a_path_a_folder_and_the_command_line_give_the_same_bytes(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [compile(files / "hybrid.pt", calibrate=files / "values.npz").save("one.astro")]
    command("compile", str(files / "hybrid.pt"), "--calibrate", str(files / "values.npz"), "-o", "two.astro")
    monkeypatch.chdir(files)
    made.append(compile("hybrid.pt", calibrate="values.npz").save(tmp_path / "three.astro"))
    whole = contents(tmp_path / "one.astro")
    assert whole == contents(tmp_path / "two.astro") == contents(tmp_path / "three.astro")
    assert str(files).encode() not in b"".join(whole.values())


def test_numbers_of_any_type_are_the_same_option(files, tmp_path):
    one = compile(
        files / "if.nir", dt=1, input_shape=[4], reset="zero", if_r="per_step", reset_every=np.int64(3)
    )
    two = compile(files / "if.nir", dt=1.0, input_shape=(4,), reset="zero", if_r="per_step", reset_every=3)
    assert one.recipe == two.recipe
    assert contents(one.save(tmp_path / "one")) == contents(two.save(tmp_path / "two"))


def test_a_changed_input_is_another_recipe(files, tmp_path):
    np.savez(tmp_path / "values.npz", x=values(samples=4))
    one, two = (compile(files / "hybrid.pt", calibrate=f / "values.npz").recipe for f in (files, tmp_path))
    assert one.source == two.source and one.calibrate.name == two.calibrate.name
    assert one.calibrate.sha256 != two.calibrate.sha256


def test_samples_are_the_same_however_they_are_packed(files, tmp_path):
    x = values(samples=5)
    np.savez_compressed(tmp_path / "calibrate.npz", x=np.asfortranarray(x))
    given = compile(files / "hybrid.pt", calibrate=x).recipe
    assert given == compile(files / "hybrid.pt", calibrate=tmp_path / "calibrate.npz").recipe


# ---- what has no name --------------------------------------------------------------------------------------


def again(program, folder, *x, **asked):
    page = report(program, *x, path=folder / "page.html", **asked).read_text()
    return blocks(page), re.sub(
        r"\s+", " ", re.sub("<[^>]+>", "", page[page.index('<section id="again">') :])
    )


def test_a_module_in_memory_is_what_the_function_takes(tmp_path):
    program = compile(Chain(), reset_every=4)
    (python, *shell), told = again(program, tmp_path)
    assert shell == []
    assert "A Chain that lay in memory was compiled" in told
    assert "astrodeploy compile model.pt --target loihi2 --reset-every 4 -o net.astro" in told
    names = {}
    exec(python, names)
    text = (tmp_path / "page.html").read_text()
    with pytest.MonkeyPatch.context() as patch:
        (tmp_path / "other").mkdir()
        patch.chdir(tmp_path / "other")
        names["again"](Chain())
    assert (tmp_path / "other" / "page.html").read_text() == text


def test_runs_and_a_verification_are_what_the_function_takes(files, tmp_path, monkeypatch):
    monkeypatch.chdir(files)
    program, x = compile("hybrid.pt"), values(samples=5)
    trace, found = program.run(x), ad.verify(program, x[:1], ("oracle", "fast"))
    (python, shell), told = again(program, tmp_path, traces=[trace], verification=found)
    assert shell == "astrodeploy compile hybrid.pt --target loihi2 -o net.astro"
    assert "hand your own in as verification" in told and "Runs were handed in from Python, of fast" in told
    names = {}
    exec(python, names)
    monkeypatch.chdir(fresh(tmp_path / "other", files, monkeypatch))
    names["again"](found, [trace])
    assert (tmp_path / "other" / "page.html").read_bytes() == (tmp_path / "page.html").read_bytes()


def test_a_program_without_a_recipe_says_so(tmp_path):
    from dataclasses import replace

    (python, shell), told = again(replace(compile(Chain()), recipe=None), tmp_path)
    assert "This Program does not say how it was compiled" in told
    assert "ad.Program.load('net.astro')" in python.replace('"', "'") and "ad.compile" not in python
    assert shell == "astrodeploy report net.astro -o page.html"


def test_two_files_of_one_name_get_two(files, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "values.npz", x=values(samples=2))
    monkeypatch.chdir(files)
    program = compile("hybrid.pt", calibrate="values.npz")
    (python, shell), told = again(program, tmp_path, tmp_path / "other" / "values.npz")
    assert "--input report-values.npz" in shell and "'report-values.npz'" in python
    assert "report-values.npz is an .npz file with the samples as x" in told
    (python, shell), _ = again(program, tmp_path, "values.npz")
    assert "--input values.npz" in shell


def test_options_that_do_not_go_together(files, tmp_path):
    program, path = compile(Chain()), tmp_path / "page.html"
    with pytest.raises(InputError, match="engines= names what x is verified on"):
        report(program, path=path, engines=("fast",))
    with pytest.raises(InputError, match="the labels of .*spikes.npz are its y: leave labels= out"):
        report(program, files / "spikes.npz", labels=[0, 1, 2], path=path)


# ---- the board ---------------------------------------------------------------------------------------------


def test_cores_are_counted_against_those_of_the_board(tmp_path):
    program = compile(Chain(), "nahuku-8", pack="fewest")
    page = report(program, path=tmp_path / "page.html").read_text()
    plain = re.sub(r"<[^>]+>", "", page).replace("\N{NARROW NO-BREAK SPACE}", "")
    assert f"of {program.board.cores} that nahuku-8 has" in plain
    assert program.board.cores == 8 * load_chip("loihi1").limits.cores.value
