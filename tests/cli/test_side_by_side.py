"""run with several engines: what one refuses costs no other's result."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch_networks import Chain

import astrodeploy as ad
from astrodeploy import cli
from astrodeploy.errors import is_ours
from astrodeploy.nn import Astrocyte
from astrodeploy.program import Slice


class Signals(torch.nn.Module):
    """An astrocyte that carries a signal, which the torch engine does not run."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weigh, self.slow = torch.nn.Linear(6, 4, bias=False), Astrocyte(4, decay=0.5)

    def forward(self, x, state=None):
        return self.slow(self.weigh(x), state)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("given")
    x = (np.random.default_rng(0).random((3, 8, 6)) < 0.4).astype(np.float32)
    np.savez(made / "x.npz", x=x)
    ad.compile(Signals(), input_shape=(6,), dt=1e-3, calibrate=x).save(made / "signals.astro")
    ad.compile(Chain()).save(made / "chain.astro")
    return made


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """`astrodeploy run` in that folder: exit code, stdout and stderr."""

    def answer(*words):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["astrodeploy", "run", *words, "--input", "x.npz"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, *capsys.readouterr()

    return answer


ENGINES = ("--engine", "torch", "--engine", "fast", "--engine", "reference")
REFUSAL = "not run: torch: the torch engine can't run slow, an astrocyte that carries a signal"


def test_the_others_are_shown_and_the_refusal_is_told(run):
    code, out, err = run("signals.astro", *ENGINES)
    assert code == 2
    assert "fast (quantised)" in out and "reference (float)" in out and "torch" not in out
    assert REFUSAL in " ".join(err.split())


def test_so_it_is_in_json(run):
    code, out, _ = run("signals.astro", *ENGINES, "--json")
    assert code == 2
    fast, reference, torchs = json.loads(out)
    assert (fast["engine"], reference["engine"]) == ("fast", "reference")
    assert torchs["engine"] == "torch"
    assert torchs["not_run"].startswith(REFUSAL.removeprefix("not run: torch: "))


def test_an_engine_alone_is_refused_in_one_sentence(run):
    code, out, err = run("signals.astro", "--engine", "torch")
    assert (code, out) == (2, "")
    assert err.startswith("error: the torch engine can't run slow")


def test_where_all_run_nothing_is_told(run):
    code, out, err = run("chain.astro", *ENGINES)
    assert code == 0
    assert "torch (float)" in out and "not run" not in out + err


def test_bad_samples_are_said_once(run):
    code, out, err = run("chain.astro", *ENGINES, "--steps", "3")
    assert (code, out) == (2, "")
    assert err.count("error: ") == 1 and "not run" not in err


@pytest.mark.parametrize("words", [("targets", "loihi2"), ("targets", "loihi2", "--json")])
def test_a_closed_output_is_no_traceback(words):
    line = f"{sys.executable} -m astrodeploy {' '.join(words)} >&-"
    done = subprocess.run(line, shell=True, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_libraries_raise_is_due_to_whoever_called_them():
    def raised(act):
        with pytest.raises(ValueError) as caught:
            act()
        return caught.value

    assert not is_ours(raised(lambda: np.zeros(0).min()))  # called by a user, as this file is one
    assert is_ours(raised(lambda: Slice("a", ((0, 9),)).neurons((3,))))
