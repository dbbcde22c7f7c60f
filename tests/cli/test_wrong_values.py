"""Every option of every command with wrong values: one sentence that names the option and the value, exit code 2."""

import sys

import numpy as np
import pytest
from torch_networks import Chain, Hybrid

import astrodeploy as ad
from astrodeploy import cli

NUMBERS = ("-1", "0", "nan", "inf", "-inf", "1e999", "", "one")
WHOLE = ("-1", "0", "1.5", "nan", "inf", "", "one")
NAMES = ("", "nosuch", "ZERO", "-", "nosuch,again", "nan")
FILES = ("nosuch.npz", "folder", "text.npz", "half.npz", "empty.npz")
SOURCES = (
    "nosuch.pt",
    "folder",
    "text.npz",
    "nosuch:function",
    "os:nosuch",
    "os:sep",
    ":",
    "a:b:c",
    "os:",
)
PROGRAMS = ("nosuch.astro", "folder", "text.npz", "chain.pt")
RATES = (
    "-0.1",
    "1.1",
    "nan",
    "inf",
    "",
    "layre=0.1",
    "=0.1",
    "hidden=",
    "hidden=much",
    "hidden=nan",
    "0.1,0.2",
)
WHAT_IF = (
    "",
    "nosuch=1",
    "steps",
    "steps=",
    "steps=0",
    "steps=-1",
    "steps=nan",
    "steps=1.5",
    "rate=2",
    "rate=nan",
    "rate=-1",
    "board=nosuch",
    "model=nosuch",
    "timing=nosuch",
)
FED = ("--input", "x.npz")
TUNED = ("fine-tune", "chain.pt", "--data", "x.npz")
COMMANDS = {  # by what stands before the option: its options, and values that they don't take
    ("compile", "chain.pt"): {
        "--target": NAMES,
        "--calibrate": FILES,
        "--dt": (*NUMBERS, "0.5"),
        "--reset": NAMES,
        "--threshold": NAMES,
        "--if-r": NAMES,
        "--reset-every": WHOLE,
        "--pack": NAMES,
        "--model": NAMES,
    },
    ("compile", "net.nir"): {"--dt": NUMBERS, "--reset": NAMES, "--threshold": NAMES, "--if-r": NAMES},
    ("run", "net.astro"): {"--input": FILES},
    ("run", "net.astro", *FED): {
        "--engine": (*NAMES, "fast:", "fast:0", "fast:-1", "fast:many", ":3"),
        "--carry": NAMES,
        "--samples": WHOLE,
        "--steps": (*WHOLE, "3"),
    },
    ("run", "encoded.astro", "--input", "values.npz"): {"--steps": (*WHOLE, str(10**12), str(10**30))},
    ("verify", "net.astro"): {"--input": FILES},
    ("verify", "net.astro", *FED): {
        "--engines": NAMES,
        "--carry": NAMES,
        "--samples": WHOLE,
        "--steps": (*WHOLE, "3"),
    },
    ("estimate", "net.astro"): {"--input": FILES, "--rate": RATES},
    ("estimate", "net.astro", *FED): {
        "--carry": NAMES,
        "--samples": WHOLE,
        "--steps": (*WHOLE, "3"),
        "--model": NAMES,
        "--timing": NAMES,
        "--what-if": WHAT_IF,
    },
    ("estimate", "net.astro", "--rate", "0.1"): {
        "--steps": WHOLE,
        "--model": NAMES,
        "--timing": NAMES,
        "--what-if": WHAT_IF,
    },
    ("report", "net.astro", "-o", "new.html"): {"--input": FILES},
    ("report", "net.astro", "-o", "new.html", *FED): {
        "--carry": NAMES,
        "--samples": WHOLE,
        "--engines": NAMES,
    },
    ("inspect", "chain.pt"): {"--dt": NUMBERS, "--reset": NAMES, "--threshold": NAMES, "--if-r": NAMES},
    ("inspect", "net.nir"): {"--dt": NUMBERS, "--reset": NAMES, "--threshold": NAMES, "--if-r": NAMES},
    ("export", "chain.pt", "-o", "new.nir"): {
        "--dt": NUMBERS,
        "--reset": NAMES,
        "--threshold": NAMES,
        "--if-r": NAMES,
    },
    TUNED: {
        "--target": NAMES,
        "--epochs": WHOLE,
        "--learning-rate": NUMBERS,
        "--batch": WHOLE,
        "--held-back": ("-0.1", "1", "nan", "inf", "", "some"),
        "--seed": ("-1", "1.5", "nan", "", "one"),
        "--calibrate": FILES,
        "--dt": NUMBERS,
    },
    ("fine-tune", "chain.pt"): {"--data": FILES},
    ("train", "hybrid"): {"--seed": ("-1", "1.5", "nan", "", "one")},
    ("compile",): {"": SOURCES},
    ("inspect",): {"": SOURCES},
    ("export", "-o", "new.nir"): {"": SOURCES},
    ("fine-tune", "--data", "x.npz"): {"": SOURCES},
    ("run", *FED): {"": PROGRAMS},
    ("verify", *FED): {"": PROGRAMS},
    ("estimate", *FED): {"": PROGRAMS},
    ("report", *FED): {"": PROGRAMS},
    ("train",): {"": ("nosuch", "", "-")},
    ("targets",): {"": ("nosuch", "", "folder", "text.npz")},
}
CASES = [
    (words, option, value)
    for words, options in COMMANDS.items()
    for option, values in options.items()
    for value in values
]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with something of each kind that a command takes, and of some that none does."""
    folder = tmp_path_factory.mktemp("given")
    rng = np.random.default_rng(0)
    chain, hybrid = Chain(), Hybrid()
    ad.save(chain, folder / "chain.pt", dt=1e-3, input_shape=(6,))
    ad.export(chain, folder / "net.nir", dt=1e-3)
    ad.compile(chain).save(folder / "net.astro")
    ad.compile(hybrid).save(folder / "encoded.astro")
    x = (rng.random((4, 5, 6)) < 0.3).astype(np.float32)
    np.savez(folder / "x.npz", x=x, y=np.arange(4) % 2)
    np.savez(folder / "values.npz", x=rng.random((2, 6), np.float32))
    np.savez(folder / "empty.npz")
    (folder / "text.npz").write_text("no archive")
    (folder / "half.npz").write_bytes((folder / "x.npz").read_bytes()[:200])
    (folder / "folder").mkdir()
    return folder


def answered(folder, monkeypatch, capsys, *words):
    """Exit code and what was said on stderr; whatever else is raised is a traceback for the user."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["astrodeploy", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    told = capsys.readouterr()
    return end.value.code, " ".join((told.err).split()), told.out


def held(folder):
    return sorted(
        (str(each), each.stat().st_mtime_ns) for each in folder.rglob("*") if "__pycache__" not in each.parts
    )


@pytest.mark.parametrize(("words", "option", "value"), CASES, ids=lambda each: str(each)[:60])
def test_one_sentence_names_the_option_and_the_value(given, monkeypatch, capsys, words, option, value):
    before = held(given)
    code, said, out = answered(given, monkeypatch, capsys, *words, *filter(None, [option]), value)
    assert code == 2, said
    assert "Traceback" not in said
    assert said.count("rror: ") == 1, said
    assert out.strip() == ""
    assert named(said, option, value), said
    assert held(given) == before


def named(said, option, value):
    """Whether a sentence says which option is wrong, or which value."""
    what = option.strip("-").replace("-", " ")
    words = said.lower().replace("-", " ").replace("_", " ")
    parts = [each for each in value.rpartition("=")[2].split(",") if each]
    told = bool(parts) and all(part in said for part in parts)
    return told or (bool(what) and (what in words or what.rstrip("s") in words)) or not (what or parts)


def test_a_time_step_that_is_none_is_said_before_anything_else(given, monkeypatch, capsys):
    for words in (("compile", "nosuch.pt"), ("compile", "chain.pt", "--target", "nosuch")):
        _, said, _ = answered(given, monkeypatch, capsys, *words, "--dt", "-1")
        assert said.endswith("dt must be a positive number of seconds, not -1.0")


def test_a_layer_that_is_none_is_named(given, monkeypatch, capsys):
    _, said, _ = answered(given, monkeypatch, capsys, "estimate", "net.astro", "--rate", "hiden=0.1")
    assert "there is no layer 'hiden'" in said


def test_the_most_steps_are_told(given, monkeypatch, capsys):
    words = ("run", "encoded.astro", "--input", "values.npz", "--steps", str(10**12))
    _, said, _ = answered(given, monkeypatch, capsys, *words)
    assert "steps = 1000000000000 is more than this machine's memory holds: 2 samples" in said
    assert "steps are the most" in said
