"""The command line: every command, its JSON, its exit codes, and one sentence for whatever goes wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import bad_files
import numpy as np
import pytest
from float_networks import several_inputs
from torch_networks import Chain, Hybrid, spikes, values

import astrodeploy as ad
from astrodeploy import engines, errors
from astrodeploy.cli import main
from astrodeploy.errors import EngineError
from astrodeploy.frontends.nir.file import to_nir
from astrodeploy.frontends.torch.checkpoint import write_checkpoint

HEAVY = ("torch", "numba", "matplotlib", "brian2", "norse", "nir", "scipy", "h5py")


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder: exit code, stdout, stderr."""
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


def refused(outcome, message, code=2):
    """Exit code, one message on stderr, nothing on stdout, no traceback, nothing left in the folder."""
    found, out, err = outcome
    assert found == code, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert re.search(message, err, re.DOTALL), err
    assert not list(Path.cwd().rglob("*"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Programs, checkpoints and stimuli that commands are given."""
    made = tmp_path_factory.mktemp("given")
    ad.save(Hybrid(), made / "hybrid.pt", dt=1e-3, input_shape=(6,))
    ad.save(Chain(), made / "chain.pt", dt=1e-3, input_shape=(6,))
    ad.compile(Hybrid()).save(made / "hybrid.astro")
    ad.compile(Chain()).save(made / "chain.astro")
    np.savez(made / "values.npz", x=values(samples=5), y=np.array([0, 1, 2, 3, 0]))
    np.savez(made / "spikes.npz", x=spikes(samples=5))
    return made


# ---- the commands --------------------------------------------------------------------------------------


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['astrodeploy', '--help']\n"
        "from astrodeploy.cli import main\n"
        "try: main()\n"
        f"finally: print('heavy:', [m for m in {HEAVY} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.endswith("heavy: []\n")
    for command in (
        "compile",
        "run",
        "verify",
        "estimate",
        "report",
        "inspect",
        "export",
        "targets",
        "doctor",
    ):
        assert f"  {command} " in done.stdout


def test_python_m_astrodeploy(tmp_path):
    done = subprocess.run([sys.executable, "-m", "astrodeploy"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "Usage: " in done.stdout + done.stderr


def test_compile_writes_a_program_and_tells_what_it_did(cli, folder):
    code, out, _ = cli("compile", folder / "hybrid.pt", "-o", "net.astro")
    assert code == 0
    assert "wrote net.astro" in out
    assert "its astrocytes" not in out
    assert "modulated_lif" in out
    assert ad.Program.load("net.astro").fingerprint == ad.compile(Hybrid()).fingerprint


def test_compile_with_json_prints_json_and_nothing_else(cli, folder):
    arguments = ("--target", "loihi1", "--freeze-astrocytes", "--reset-every", "7", "--json")
    code, out, err = cli("compile", folder / "hybrid.pt", *arguments)
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert (facts["target"], facts["reset_every"], facts["path"]) == ("loihi1", 7, "hybrid.astro")
    assert [each["name"] for each in facts["layers"]] == ["input", "hidden", "readout"]
    assert [each["name"] for each in facts["passes"]][1] == "freeze_astrocytes"
    assert facts["fingerprint"] == ad.Program.load("hybrid.astro").fingerprint


def test_compile_names_its_output_after_the_source(cli, folder):
    Path("my_nets.py").write_text("import torch_networks\n\ndef make():\n    return torch_networks.Chain()\n")
    cli("export", folder / "chain.pt", "-o", "chain.v2.nir")
    for source, name in (
        (folder / "chain.pt", "chain.astro"),
        ("chain.v2.nir", "chain.v2.astro"),
        ("my_nets:make", "my_nets.make.astro"),
    ):
        code, out, _ = cli("compile", source)
        assert code == 0
        assert f"wrote {name}\n" in out
        assert ad.Program.load(name).fingerprint == ad.compile(Chain()).fingerprint
    sys.modules.pop("my_nets")


def test_run_prints_a_table(cli, folder):
    code, out, _ = cli("run", folder / "hybrid.astro", "--input", folder / "values.npz", "--engine", "oracle")
    assert code == 0
    assert "oracle (quantised)" in out
    assert "12 steps a sample, every sample from rest" in out


def test_run_compares_engines_and_limits_samples(cli, folder):
    engines = ("--engine", "oracle", "--engine", "reference:2", "--json")
    code, out, err = cli("run", folder / "hybrid.astro", "--input", folder / "values.npz", *engines)
    assert (code, err) == (0, "")
    oracle, reference = json.loads(out)
    expected = ad.compile(Hybrid()).run(values(samples=5), engine="oracle")
    assert oracle["outputs"] == expected.outputs.tolist()
    assert oracle["accuracy"] == expected.accuracy(np.array([0, 1, 2, 3, 0]))
    assert (oracle["samples"], oracle["steps"], oracle["stream"]) == (5, 12, False)
    assert (reference["engine"], reference["samples"]) == ("reference", 2)
    assert reference["spikes"]["input"] == int(expected.spikes["input"][:2].sum())


def test_run_as_a_stream_and_writes_a_trace(cli, folder):
    given = (
        "--engine",
        "oracle",
        "--carry",
        "astrocytes",
        "--samples",
        "3",
        "--steps",
        "9",
        "-o",
        "run.trace",
    )
    code, out, _ = cli("run", folder / "hybrid.astro", "--input", folder / "values.npz", *given)
    assert code == 0
    assert "wrote run.trace" in out
    assert "one stream, astrocytes carried" in out
    trace = ad.Trace.load("run.trace")
    expected = ad.compile(Hybrid()).run(
        values(samples=5)[:3], engine="oracle", steps=9, carry=("astrocytes",)
    )
    assert (trace.stream, trace.steps) == (True, 9)
    assert np.array_equal(trace.outputs, expected.outputs)


def test_run_without_labels_has_no_accuracy(cli, folder):
    given = ("--input", folder / "spikes.npz", "--engine", "oracle")
    code, out, _ = cli("run", folder / "chain.astro", *given, "--json")
    assert code == 0
    assert json.loads(out)[0]["accuracy"] is None
    assert " - " in cli("run", folder / "chain.astro", *given)[1]


def test_verify_says_equal(cli, folder):
    given = ("--input", folder / "spikes.npz", "--engines", "oracle, fast", "--samples", "2")
    code, out, _ = cli("verify", folder / "chain.astro", *given)
    assert code == 0
    assert out.splitlines()[-1].startswith("equal; ")
    code, out, err = cli("verify", folder / "chain.astro", *given, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["equal"] is True


def test_verify_ends_with_1_where_engines_differ(cli, folder, monkeypatch):
    fast = engines.engine_named("fast")

    def wrong(job):
        recording = fast(job)
        recording.spikes["readout"][1, 7, 2] ^= 1
        return recording

    monkeypatch.setattr("astrodeploy.engines.fast.fast", wrong)
    given = ("--input", folder / "spikes.npz", "--engines", "oracle,fast")
    code, out, _ = cli("verify", folder / "chain.astro", *given)
    assert code == 1
    assert out.splitlines()[-1].startswith("NOT EQUAL; ")
    assert "readout.spikes, sample 1, step 7, neuron 2" in out
    code, out, _ = cli("verify", folder / "chain.astro", *given, "--json")
    assert code == 1
    assert json.loads(out)["first_divergence"]["step"] == 7


def test_verify_needs_something_to_compare(cli, folder):
    given = ("--input", folder / "spikes.npz", "--engines", "oracle")
    refused(cli("verify", folder / "chain.astro", *given), "name fast or lava too, not only oracle")


def test_verify_tells_which_engine_could_not_run(cli, folder, monkeypatch):
    def missing(_job):
        raise EngineError("no such chip here")

    monkeypatch.setattr("astrodeploy.engines.fast.fast", missing)
    code, out, _ = cli(
        "verify", folder / "chain.astro", "--input", folder / "spikes.npz", "--engines", "fast"
    )
    assert code == 1
    assert "not run: fast: no such chip here" in out


@pytest.mark.parametrize("given", [("--rate", "0.1"), ("--input", "spikes.npz")])
def test_estimate(given, cli, folder):
    given = [folder / each if each.endswith("npz") else each for each in given]
    code, out, _ = cli("estimate", folder / "chain.astro", *given)
    assert code == 0
    assert "one inference on loihi2" in out
    code, out, err = cli("estimate", folder / "chain.astro", *given, "--json")
    assert (code, err) == (0, "")
    energy = json.loads(out)["energy_joules"]
    assert 0 < energy["low"] <= energy["typical"] <= energy["high"]


def test_report(cli, folder):
    code, out, _ = cli("report", folder / "chain.astro", "-o", "page.html")
    assert code == 0
    assert "wrote page.html" in out
    assert Path("page.html").read_text().startswith("<!")


def test_report_tells_the_accuracy_of_every_cause_on_the_engines_that_are_named(cli, folder):
    np.savez("labelled.npz", x=spikes(samples=5), y=np.zeros(5, np.int64))
    code, *_ = cli(
        "report", folder / "chain.astro", "--input", "labelled.npz", "--engines", "fast", "-o", "page.html"
    )
    assert code == 0
    assert "The accuracy is that with the row's cause" in Path("page.html").read_text()


def test_inspect_a_program_a_checkpoint_and_a_nir_file(cli, folder):
    code, out, _ = cli("inspect", folder / "hybrid.astro")
    assert code == 0
    for text in (
        "graph dt=0.001s",
        "kind modulated_lif",
        "kind astrocyte",
        "at the end of every window",
        "tick table",
    ):
        assert text in out
    code, out, _ = cli("inspect", folder / "hybrid.pt")
    assert (code, out) == (0, ad.load(Hybrid()).text())
    cli("export", folder / "hybrid.pt", "-o", "a.nir")
    assert cli("inspect", "a.nir")[1] == out
    for source in (folder / "hybrid.astro", folder / "hybrid.pt", "a.nir"):
        code, out, err = cli("inspect", source, "--json")
        assert (code, err) == (0, "")
        assert [each["name"] for each in json.loads(out)["layers"]] == [
            "input",
            "hidden",
            "hidden_astrocytes",
            "readout",
        ]


def test_several_inputs_and_outputs(cli, tmp_path):
    """A stimulus has an array for each input; outputs come by name."""
    given = several_inputs(np.random.default_rng(0))
    write_checkpoint(given.program.reference, tmp_path / "net.pt")
    arrays = {
        "x.camera": given.spikes["camera"].reshape(2, 40, 2, 6, 5),
        "x.sensor": given.spikes["sensor"] / 16,
    }
    np.savez(tmp_path / "x.npz", y=np.zeros(2), **arrays)
    assert cli("compile", tmp_path / "net.pt", "-o", "net.astro")[0] == 0
    run = ("run", "net.astro", "--input", tmp_path / "x.npz", "--engine")
    code, out, _ = cli(*run, "fast", "--engine", "reference:1", "--json")
    (fast, meant) = json.loads(out)
    assert code == 0
    assert (fast["samples"], meant["samples"]) == (2, 1)
    assert {name: np.shape(array) for name, array in fast["outputs"].items()} == {
        "c": (2, 4, 3, 2),
        "b": (2, 4, 3, 2),
    }
    code, out, _ = cli(*run, "fast", "-o", "run.trace")
    assert code == 0
    assert list(ad.Trace.load("run.trace").outputs) == ["c", "b"]
    code, out, _ = cli(
        "verify", "net.astro", "--input", tmp_path / "x.npz", "--engines", "oracle,fast,brian2"
    )
    assert (code, out.splitlines()[-1].split("; ")[0]) == (0, "equal")
    assert cli("estimate", "net.astro", "--input", tmp_path / "x.npz", "--samples", 1)[0] == 0
    assert cli("report", "net.astro", "--input", tmp_path / "x.npz", "-o", "r.html")[0] == 0
    np.savez(tmp_path / "x.npz", x=arrays["x.camera"])
    code, _, err = cli(*run, "fast")
    assert code == 2
    assert "the inputs are camera, sensor: give one array for each by its name" in err


def test_the_tick_table_says_when_each_population_acts(cli, folder):
    ticks = {
        row["layer"]: row for row in json.loads(cli("inspect", folder / "hybrid.astro", "--json")[1])["ticks"]
    }
    assert ticks["hidden_astrocytes"]["period"] == 8
    assert ticks["hidden"]["delays in"] == {"input.current": 1, "hidden_astrocytes.modulation": 1}
    assert (ticks["readout"]["depth"], ticks["readout"]["window starts"], ticks["readout"]["period"]) == (
        2,
        2,
        1,
    )


def test_export(cli, folder):
    code, out, _ = cli("export", folder / "hybrid.pt", "-o", "net.nir")
    assert code == 0
    assert "wrote net.nir" in out
    assert ad.load("net.nir").text() == ad.load(folder / "hybrid.pt").text()


def test_targets(cli):
    code, out, _ = cli("targets")
    assert code == 0
    assert "loihi1" in out
    assert "loihi2" in out
    code, out, err = cli("targets", "--json")
    assert (code, err) == (0, "")
    assert {chip["name"] for chip in json.loads(out)} >= {"loihi1", "loihi2"}


def test_doctor(cli, monkeypatch):
    monkeypatch.setattr("astrodeploy.doctor.ENGINES", {"oracle": "", "fast": "", "reference": ""})
    code, out, _ = cli("doctor")
    assert code == 0
    assert out.count("works") == 3
    code, out, err = cli("doctor", "--json")
    assert (code, err) == (0, "")
    assert [finding["works"] for finding in json.loads(out)] == [True] * 3

    def missing(_job):
        raise EngineError("install it first")

    monkeypatch.setattr("astrodeploy.engines.fast.fast", missing)
    code, out, _ = cli("doctor")
    assert code == 1
    assert "DOES NOT WORK" in out
    assert "install it first" in out


# ---- what goes wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", bad_files.BAD_CHECKPOINTS)
def test_bad_checkpoints(name, cli, tmp_path):
    write, message = bad_files.BAD_CHECKPOINTS[name]
    refused(cli("compile", write(tmp_path), "-o", "net.astro"), message)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", bad_files.BAD_STIMULI)
def test_bad_stimuli(name, cli, folder, tmp_path):
    write, message = bad_files.BAD_STIMULI[name]
    path = write(tmp_path)
    for command in (("run", "--engine", "oracle"), ("verify", "--engines", "oracle"), ("estimate",)):
        refused(cli(command[0], folder / "chain.astro", *command[1:], "--input", path), message)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", bad_files.BAD_ARRAYS)
def test_bad_arrays(name, cli, folder, tmp_path):
    x, message = bad_files.BAD_ARRAYS[name]
    np.savez(tmp_path / "x.npz", x=x)
    refused(cli("run", folder / "chain.astro", "--input", tmp_path / "x.npz", "-o", "run.trace"), message)


NETWORKS = """
import norse.torch as norse
import torch
from torch_networks import Block, Chain, box, linear


class Net(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block, self.fc, self.cell = block, linear(6, 4, 0), box()


def recurrent():
    class Recurrent(Net):
        def forward(self, x, state=None):
            return self.cell(self.fc(self.block.rnn(x)), state)

    block = torch.nn.Module()
    block.rnn = torch.nn.GRU(6, 6)
    return Recurrent(block)


def over_time():
    class OverTime(Net):
        def forward(self, x, state=None):
            for t in range(x.shape[1]):
                z, state = self.cell(self.fc(x[:, t]), state)
            return z, state

    return OverTime(None)


def product():
    class Product(Net):
        def forward(self, x, state=None):
            first, second = (None, None) if state is None else state
            z, first = self.cell(self.fc(x), first)
            z, second = self.block.cell(z * z, second)
            return z, (first, second)

    block = torch.nn.Module()
    block.cell = box()
    return Product(block)


def twice():
    class Twice(Net):
        def forward(self, x, state=None):
            z, _ = self.cell(self.fc(x))
            return self.cell(self.block(z), state)

    return Twice(linear(4, 4, 1))


def mismatch():
    return Chain(sizes=(6, 5, 4), make=lambda: box(v_th=torch.ones(3)))


def nan():
    module = Chain()
    module.classify.weight.data[0, 0] = float("nan")
    return module


def soft():
    def make():
        cell = box()
        cell.p = cell.p._replace(reset_method=lambda z, v, v_th, v_reset: v * 0.5)
        return cell

    return Chain(make=make)


def hooked():
    module = Chain()
    module.expand.register_forward_hook(lambda m, i, out: 2 * out)
    return module


def chain():
    return Chain()


def sentence():
    return "a sentence"
"""


@pytest.fixture
def networks(monkeypatch, tmp_path):
    (tmp_path / "networks_of_mine.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    yield "networks_of_mine"
    sys.modules.pop("networks_of_mine", None)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("recurrent", (), r"block\.rnn is a torch GRU, which is not supported: use recurrent cells"),
        (
            "over_time",
            (),
            r"OverTime loops over time or branches on data \(networks_of_mine.py, line 26: for t in",
        ),
        ("product", (), r"the operation 'mul' \(networks_of_mine.py, line \d+\) multiplies two signals"),
        ("twice", (), "cell is used twice in one step"),
        ("mismatch", (), "hidden has parameters for 3 neurons, its input has 5"),
        ("nan", (), "classify.weight holds NaN or infinite values"),
        ("soft", (), "hidden resets by <lambda>: supported are Norse.s reset_value, reset_subtract"),
        ("hooked", (), "the export check failed: hidden differs from the torch module first in step 0"),
        ("chain", ("--dt", "2e-3"), r"hidden was trained with dt = 0\.001 s, asked for is dt = 0\.002 s"),
        (
            "chain",
            ("--target", "loihi3"),
            "there is no target 'loihi3': choose a chip .loihi1, loihi2, toy., a board",
        ),
        ("chain", ("--reset-every", "0"), "reset_every must be at least 1 step, not 0"),
        ("nobody", (), "networks_of_mine:nobody can't be imported"),
        ("sentence", (), "returned a str that names no file"),
    ],
)
def test_networks_that_can_not_be_compiled(name, given, message, cli, networks):
    refused(cli("compile", f"{networks}:{name}", *given, "-o", "net.astro"), message)
    if not given:
        refused(cli("export", f"{networks}:{name}", "-o", "net.nir"), message)


def test_a_network_that_does_not_fit_ends_with_1_and_offers_what_helps(cli, folder):
    outcome = cli("compile", folder / "hybrid.pt", "--target", "loihi1", "-o", "net.astro")
    refused(outcome, "the network can't run on loihi1.*--freeze-astrocytes", code=1)


def test_a_checkpoint_has_its_own_time_step(cli, folder):
    refused(
        cli("compile", folder / "chain.pt", "--dt", "2e-3"),
        r"trained with dt = 0.001 s, asked for is 0.002 s",
    )


def test_a_plain_nir_file_asks_for_dt(cli, tmp_path):
    import nir

    document = to_nir(ad.load(Chain()))
    document.metadata = {}
    nir.write(tmp_path / "plain.nir", document)
    refused(
        cli("compile", tmp_path / "plain.nir", "-o", "net.astro"),
        r"does not say its time step: give it with --dt",
    )
    assert cli("compile", tmp_path / "plain.nir", "--dt", "1e-3", "-o", "net.astro")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compile", "none.pt"), "none.pt does not exist"),
        (("compile", "a" * 300 + ".pt"), "does not exist"),
        (("inspect", "none.astro"), "none.astro does not exist"),
        (("inspect", "a" * 300), "can't be used: File name too long"),
        (("run", "none.astro", "--input", "x.npz"), "none.astro is no Program: compile one first"),
        (("run", ".", "--input", "x.npz"), "is no Program: it has no program.json"),
        (("estimate", "CHAIN"), r"counts events in a run \(--input x.npz\) or assumes a rate"),
        (("estimate", "CHAIN", "--rate", "0.1", "--input", "SPIKES"), "give one"),
        (("report", "none.astro"), "none.astro is no Program"),
        (("report", "CHAIN", "--engines", "fast"), "--engines verifies a run: give it samples with --input"),
        (
            ("run", "CHAIN", "--input", "SPIKES", "--engine", "gpu"),
            "there is no engine 'gpu'; there are fast",
        ),
        (
            ("run", "CHAIN", "--input", "SPIKES", "--engine", "oracle:0"),
            "after the colon stands how many samples",
        ),
        (
            ("run", "CHAIN", "--input", "SPIKES", "--engine", "oracle:x"),
            "--engine oracle:x: after the colon stands how many samples",
        ),
        (("run", "CHAIN", "--input", "SPIKES", "--carry", "dendrites"), "what can be carried is astrocytes"),
        (("run", "CHAIN", "--input", "SPIKES", "--steps", "3"), "the stimulus has 20 steps, asked for are 3"),
        (("run", "CHAIN", "--input", "VALUES"), r"has shape \(5, 6\), needed is \(batch, steps, 6\)"),
        (("run", "HYBRID", "--input", "SPIKES"), r"has shape \(5, 20, 6\), needed is \(batch, 6\)"),
        (
            ("run", "CHAIN", "--input", "SPIKES", "--engine", "fast", "--engine", "oracle", "-o", "t"),
            "one Trace can be",
        ),
        (
            ("verify", "CHAIN", "--input", "SPIKES", "--engines", "reference"),
            "verify compares oracle, fast, lava",
        ),
    ],
)
def test_wrong_use(arguments, message, cli, folder):
    places = {
        "CHAIN": folder / "chain.astro",
        "HYBRID": folder / "hybrid.astro",
        "SPIKES": folder / "spikes.npz",
        "VALUES": folder / "values.npz",
    }
    refused(cli(*[places.get(each, each) for each in arguments]), message)


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile",),
        ("run", "a.astro"),
        ("fly",),
        ("compile", "a.pt", "--speed", "9"),
        ("compile", "a.pt", "--dt", "fast"),
        ("run", "a.astro", "--input", "x.npz", "--samples", "0"),
        ("estimate", "a.astro", "--steps", "0"),
    ],
)
def test_options_that_do_not_exist_or_parse(arguments, cli):
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: " in err
    assert "Traceback" not in err


# ---- writing -------------------------------------------------------------------------------------------


def test_outputs_that_can_not_be_written(cli, folder, tmp_path):
    (tmp_path / "plain").write_text("a file")
    (tmp_path / "thesis.nir").mkdir()
    (tmp_path / "thesis.nir" / "chapter.tex").write_text("precious")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    commands = {
        "net.astro": ("compile", folder / "chain.pt"),
        "net.nir": ("export", folder / "chain.pt"),
        "run.trace": ("run", folder / "chain.astro", "--engine", "oracle", "--input", folder / "spikes.npz"),
    }
    for name, command in commands.items():
        refused(cli(*command, "-o", tmp_path / "plain" / name), "can't be written: Not a directory")
        refused(cli(*command, "-o", tmp_path / "no" / name), "can't be written: the folder .* does not exist")
        refused(cli(*command, "-o", tmp_path / "thesis.nir"), "thesis.nir exists and is no")
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_a_full_disk_in_a_process_of_its_own(folder, tmp_path):
    """No file may grow beyond 2 kB: the message, no traceback of HDF5 or torch, nothing left behind."""
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from astrodeploy.cli import main\n"
        "import astrodeploy.pipeline, astrodeploy.frontends.torch.checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))\n"
        "main()\n"
    )
    for command in (("compile", "-o", "net.astro"), ("export", "-o", "net.nir")):
        done = subprocess.run(
            [sys.executable, "-B", "-c", code, command[0], str(folder / "hybrid.pt"), *command[1:]],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 2
        assert done.stderr == f"error: {command[2]} can't be written: File too large\n"
    assert not list(tmp_path.iterdir())


def test_an_interrupt_ends_with_130_and_leaves_nothing(cli, folder, monkeypatch):
    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupt)
    for command in (("compile", "-o", "net.astro"), ("export", "-o", "net.nir")):
        code, out, err = cli(command[0], folder / "chain.pt", *command[1:])
        assert code == 130
        assert out == ""
        assert err == "error: interrupted; nothing half-written was left behind\n"
    assert not list(Path.cwd().iterdir())


def test_out_of_memory(cli, folder, monkeypatch):
    def exhaust(*_arguments, **_options):
        raise MemoryError

    monkeypatch.setattr(ad.Program, "run", exhaust)
    refused(
        cli("run", folder / "chain.astro", "--input", folder / "spikes.npz"),
        "out of memory: run fewer samples at once, for fewer steps, or a smaller network",
    )


def test_a_program_is_replaced_and_a_changed_one_refused(cli, folder):
    cli("compile", folder / "chain.pt", "-o", "net.astro")
    code, _, _ = cli("compile", folder / "hybrid.pt", "-o", "net.astro")
    assert code == 0
    assert [p.name for p in Path.cwd().iterdir()] == ["net.astro"]
    assert "hidden_astrocytes" in ad.Program.load("net.astro").layers
    with Path("net.astro/tensors.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x55")
    for command in ("run", "verify", "estimate", "report"):
        code, out, err = cli(command, "net.astro", "--input", folder / "values.npz")
        assert (code, out) == (2, "")
        assert re.search(
            r"tensors.safetensors was\s+changed after it was written: make the Program anew", err
        )
    assert cli("inspect", "net.astro")[0] == 2


def test_a_fault_of_ours_is_told_in_one_sentence(cli, folder, monkeypatch):
    def broken(graph):
        raise KeyError("lost")

    monkeypatch.setattr("astrodeploy.passes.canonicalise.canonical", broken)
    refused(
        cli("compile", folder / "chain.pt"),
        r"canonicalise .*KeyError.*fault of astrodeploy.*please report",
        3,
    )


def test_an_assertion_of_ours_is_told_too(cli, folder, monkeypatch):
    monkeypatch.setattr("astrodeploy.costs.energy.operation_count", lambda each: impossible())

    def impossible():
        namespace = {"__file__": errors.__file__}
        exec(compile("assert False, 'never'", errors.__file__, "exec"), namespace)

    outcome = cli("estimate", folder / "chain.astro", "--rate", "0.1")
    refused(
        outcome, r"the command line raised AssertionError at errors.py:1 \(never\).*fault of astrodeploy", 3
    )
