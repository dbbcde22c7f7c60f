"""Lava equals the oracle bit for bit, and whatever happens, nothing of a run stays behind."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import (
    connection,
    differences,
    job,
    network,
    population,
    random_job,
    random_kind,
    random_network,
    random_wires,
)

from astrodeploy.arithmetic import STATE_MAX
from astrodeploy.compartments import KINDS, Range
from astrodeploy.compartments.kind import Kind, Port, State
from astrodeploy.compartments.language import compartment, saturate, table
from astrodeploy.engines.lava import lava, lava_python, process
from astrodeploy.engines.lava.stock import stock_lif
from astrodeploy.engines.oracle import oracle
from astrodeploy.errors import EngineError
from astrodeploy.resources import data_folder

SHARED_MEMORY = Path("/dev/shm")
LIF = {"du": 1500, "dv": 300, "threshold": 2000}


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where the engine's folders come to lie, so that a run's processes are known by their arguments."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def processes(folder):
    """Ids of the runner in `folder` and its children, in the order in which they were started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes()
        except OSError:
            continue
        if b"runner.py" in arguments and str(folder).encode() in arguments:
            found.append(int(path.parent.name))
    return sorted(found)


def remains(folder, owner):
    """What is still there of a run five seconds after it should have gone."""
    for _ in range(50):
        left = [*processes(folder), *SHARED_MEMORY.glob(f"adlava{owner}_*"), *folder.glob("adlava*")]
        if not left:
            break
        time.sleep(0.1)
    return left


def started(folder):
    """Wait until Lava runs in `folder`; then the ids of its processes."""
    for _ in range(200):
        if len(found := processes(folder)) > 4:
            time.sleep(0.5)
            return processes(folder)
        time.sleep(0.1)
    raise AssertionError(f"Lava did not start: {found}")


def closed_loop():
    """Input, hidden layer with a gain, two read-outs (one for Lava's stock LIF), astrocytes of 7 steps."""
    rng = np.random.default_rng(5)
    weights = lambda target, source, low, high: rng.integers(low, high, (target, source), endpoint=True)
    domains = np.arange(12)[:, None] % 2 == np.arange(2)
    rates = {"drive": 800, "drive_shift": 2, "rate": 4000, "rate_shift": 10, "trace_decay": 1000}
    limits = {"log_gain_low": -100_000, "log_gain_high": 100_000}
    return network(
        9,
        [
            population("hidden", "modulated_lif", 12, depth=1, bias=640, **LIF),
            population(
                "uneven", "lif", 4, depth=2, du=4096, dv=200, threshold=[500, 600, 700, 800], bias=-128
            ),
            population("astrocytes", "astrocyte", 2, depth=2, period=7, set_point=3, **rates, **limits),
            population("readout", "lif", 4, depth=2, du=4096, dv=200, threshold=600, bias=[-128, 0, 8190, 5]),
        ],
        [
            connection("x", "hidden", weights(12, 9, -40, 90), lag=0),
            connection("hidden", "hidden", weights(12, 12, -10, 8), exponent=1, lag=1),
            connection("x", "readout", weights(4, 9, -128, 127), delay=3, lag=2),
            connection("hidden", "readout", weights(4, 12, -128, 127), exponent=-3),
            connection("hidden", "uneven", weights(4, 12, -60, 127), exponent=2),
            connection("hidden", "astrocytes", -domains.T.astype(int), port="activity"),
            connection("astrocytes", "hidden", domains.astype(int), port="modulation", lag=1),
        ],
    )


def endless():
    """A job that takes minutes."""
    graph = network(2, [population("readout", "lif", 3, du=1, dv=1, threshold=5)], [])
    graph = replace(graph, connections=(connection("x", "readout", np.ones((3, 2))),))
    return job(graph, np.ones((1, 300_000, 2)), record_all=False)


def broken_kind() -> Kind:
    """A kind whose table is shorter than was proven."""

    @compartment(
        states={"s": State(Range(0, 9))},
        inputs={"a": Port(Range(0, 9))},
        outputs={"out": Port(Range(0, 9))},
        tables={"t": (1, 2, 3, 4)},
    )
    def broken(n):
        n.out = table("t", saturate(n.a, 0, 3))

    return replace(broken, tables={"t": (1,)})


class TestEquality:
    @pytest.mark.parametrize("reset_every", [0, 13])
    def test_closed_loop(self, scratch, reset_every):
        graph = closed_loop()
        spikes = np.random.default_rng(0).random((2, 45, 9)) < 0.4
        each = job(graph, spikes, reset_every=reset_every)
        expected, recorded = oracle(each), lava(each)
        different, compared = differences(expected, recorded)
        assert different == 0
        assert compared > 4000
        assert all(expected.spikes[name].any() for name in graph.layers)
        assert len(np.unique(expected.states["hidden", "gain"])) > 3
        assert recorded.versions["lava-nc"] == "0.10.0"
        assert set(recorded.versions) == {"lava-nc", "numpy", "python", "arithmetic"}
        assert remains(scratch, os.getpid()) == []

    def test_edges_of_the_widths_and_parts_that_are_not_connected(self, scratch):
        weights = np.full((4, 8), 127) * np.array([[1], [-1], [1], [-1]])
        edge = {"dv": 0, "threshold": (1 << 17) - 1, "bias": [0, -524_288, 524_160, 0]}
        graph = network(
            8,
            [
                population("generic", "lif", 4, du=0, **edge),
                population("stock", "lif", 4, du=1, **edge),
                population("alone", "lif", 2, du=1, dv=5, threshold=100, bias=4000),
            ],
            [
                connection("x", "generic", weights, exponent=7),
                connection("x", "stock", weights, exponent=7),
            ],
        )
        each = job(graph, np.random.default_rng(0).random((2, 40, 8)) < 0.9)
        expected = oracle(each)
        assert expected.states["stock", "v"].min() == -STATE_MAX
        assert np.abs(np.diff(expected.states["stock", "u"].astype(int), axis=1)).max() > STATE_MAX  # wrapped
        assert all(expected.spikes[name].any() for name in graph.layers)
        assert differences(expected, lava(each))[0] == 0

    def test_random_programs(self, scratch):
        rng = np.random.default_rng(3)
        kinds = [random_kind(30), random_kind(31), *KINDS.values()]
        each = random_job(rng, random_network(rng, kinds, random_wires(rng, kinds)))
        assert differences(oracle(each), lava(each))[0] == 0


def said(each, **exchanged):
    """What Lava's stock LIF says a population does, in a network of it alone."""
    graph = network(1, [each], [connection("x", each.name, np.ones((each.size, 1)), **exchanged)])
    return stock_lif(each, graph, steps=1000)


class TestStockLif:
    def test_takes_uniform_parameters_and_splits_the_bias(self):
        stock = said(population("p", "lif", 3, bias=[-4096, 8190, 524_160], **LIF))
        assert stock is not None
        assert stock["bias_mantissa"].tolist() == [-4096, 4095, 4095]
        assert stock["bias_exponent"].tolist() == [0, 1, 7]
        assert {name: stock[name].tolist() for name in LIF} == {name: [v] * 3 for name, v in LIF.items()}

    @pytest.mark.parametrize(
        "parameters",
        [{"du": 0}, {"dv": 4096}, {"bias": 4097}, {"threshold": [1, 2]}, {"du": [1, 2]}, {"dv": [1, 2]}],
    )
    def test_leaves_what_it_cannot_say(self, parameters):
        assert said(population("p", "lif", 2, **(LIF | parameters))) is None

    def test_leaves_other_kinds_even_of_the_same_name(self):
        assert said(population("p", "modulated_lif", 2, **LIF)) is None
        namesake = replace(KINDS["lif"], step=broken_kind().step)
        assert said(population("p", namesake, 2, **LIF)) is None

    def test_knows_the_kind_that_was_stored(self):
        stored = Kind.from_dict(json.loads(json.dumps(KINDS["lif"].to_dict())))
        assert said(population("p", stored, 2, **LIF)) is not None


class TestNothingStaysBehind:
    def test_after_the_time_limit(self, scratch, monkeypatch):
        monkeypatch.setenv("ASTRODEPLOY_LAVA_SECONDS", "5")
        stale = SHARED_MEMORY / f"adlava{2**30}_stale"
        stale.touch()
        with pytest.raises(
            EngineError, match=r"did not finish in 5 s .* longer with ASTRODEPLOY_LAVA_SECONDS"
        ):
            lava(endless())
        assert remains(scratch, os.getpid()) == []
        assert not stale.exists()

    @pytest.mark.parametrize(
        ("victim", "reason"), [(0, "died: exit code -9"), (-1, "a Lava process died with code -9")]
    )
    def test_after_a_death_in_the_run(self, scratch, victim, reason):
        killer = threading.Thread(target=lambda: os.kill(started(scratch)[victim], signal.SIGKILL))
        killer.start()
        with pytest.raises(EngineError, match=reason):
            lava(endless())
        killer.join()
        assert remains(scratch, os.getpid()) == []

    def test_after_an_exception_in_a_lava_process(self, scratch):
        graph = network(1, [population("p", broken_kind(), 2)], [])
        graph = replace(graph, connections=(connection("x", "p", [[2], [2]], port="a"),))
        with pytest.raises(EngineError, match="IndexError: index 2 is out of bounds"):
            lava(job(graph, np.ones((1, 9, 1))))
        assert remains(scratch, os.getpid()) == []

    def test_after_an_interrupt(self, scratch):
        def interrupt():
            started(scratch)
            os.kill(os.getpid(), signal.SIGINT)

        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
        try:
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                lava(endless())
            thread.join()
        finally:
            signal.signal(signal.SIGINT, before)
        assert remains(scratch, os.getpid()) == []

    def test_after_the_death_of_the_engine(self, scratch):
        (scratch / "job").write_bytes(pickle.dumps(endless()))
        program = (
            "import pathlib, pickle, sys, tempfile; from astrodeploy.engines.lava import lava; "
            "tempfile.tempdir = sys.argv[1]; "
            "lava(pickle.loads((pathlib.Path(sys.argv[1]) / 'job').read_bytes()))"
        )
        root = Path(process.__file__).parents[3]
        with subprocess.Popen([sys.executable, "-c", program, str(scratch)], cwd=root) as parent:
            try:
                started(scratch)
            finally:
                parent.kill()
        assert remains(scratch, parent.pid) == []


class TestRefusals:
    def small(self, **exchanged):
        graph = network(1, [population("p", "lif", 1, **LIF)], [connection("x", "p", [[1]], **exchanged)])
        return job(graph, np.ones((1, 3, 1)))

    @pytest.mark.parametrize("variable", [None, "ASTRODEPLOY_LAVA_PYTHON"])
    def test_a_missing_environment_says_how_to_make_it(self, monkeypatch, tmp_path, variable):
        monkeypatch.delenv("ASTRODEPLOY_LAVA_PYTHON", raising=False)
        monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
        if variable:
            monkeypatch.setenv(variable, str(tmp_path / "python"))
        with pytest.raises(
            EngineError, match=r"python .*lava_cpu/make_environment.py .*\.venv-lava$"
        ) as raised:
            lava_python()
        assert "\n" not in str(raised.value)
        assert Path(str(raised.value).split()[-2]).is_file()

    def test_an_environment_without_lava_says_how_to_make_it(self, monkeypatch):
        monkeypatch.setenv("ASTRODEPLOY_LAVA_PYTHON", sys.executable)
        with pytest.raises(
            EngineError, match=r"can't import Lava \(.*\): make it with: python .*\.venv-lava$"
        ):
            lava(self.small())

    def test_what_is_no_interpreter_says_so(self, monkeypatch):
        monkeypatch.setenv("ASTRODEPLOY_LAVA_PYTHON", __file__)
        with pytest.raises(
            EngineError, match=r"can't be started \(.*\): make it with: python .*\.venv-lava$"
        ):
            lava(self.small())

    def test_a_time_limit_that_is_no_number(self, monkeypatch):
        monkeypatch.setenv("ASTRODEPLOY_LAVA_SECONDS", "soon")
        with pytest.raises(
            EngineError, match="ASTRODEPLOY_LAVA_SECONDS must be a number of seconds, not 'soon'"
        ):
            lava(self.small())

    def test_a_delay_beyond_lavas(self):
        with pytest.raises(
            EngineError, match=r"x -> p.current has delay 65, the limit is 64; use the engine fast"
        ):
            lava(self.small(delay=65))

    def test_no_steps(self):
        with pytest.raises(EngineError, match="there are no steps to run"):
            lava(replace(self.small(), spikes={"x": np.zeros((0, 3, 1), np.uint8)}))

    def test_too_many_inputs(self):
        ports = {f"i{k}": Port(Range.signed(9)) for k in range(5)}

        @compartment(states={"s": State(Range(0, 9))}, inputs=ports, outputs={"out": Port(Range(0, 9))})
        def large(n):
            n.out = n.s

        graph = network(1, [population("p", large, 1)], [])
        with pytest.raises(EngineError, match="p has 5 inputs, the limit is 4; use the engine fast"):
            lava(job(graph, np.ones((1, 3, 1))))

    def test_another_arithmetic(self, monkeypatch):
        def run(python, folder, prefix, limit):
            (folder / "result.json").write_text(json.dumps({"arithmetic": "0" * 64, "versions": {}}))

        monkeypatch.setattr(process, "run", run)
        with pytest.raises(EngineError, match="executed the arithmetic 000000000000, ours is"):
            lava(self.small())


# ---- an untouched Lava -------------------------------------------------------------------------------


def python_3_10():
    """An interpreter on the PATH or under pyenv, or None."""
    found = shutil.which("python3.10")
    candidates = [*([found] if found else []), *Path.home().glob(".pyenv/versions/3.10.*/bin/python3.10")]
    for candidate in candidates:
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    return None


@pytest.mark.slow
def test_the_hook_changes_nothing(tmp_path, monkeypatch):
    python = python_3_10()
    if python is None:
        pytest.skip("no Python 3.10 on the PATH or under pyenv")
    script = data_folder("targets") / "lava_cpu" / "make_environment.py"
    subprocess.run([python, str(script), str(tmp_path / "lava")], check=True, timeout=600)
    each = job(closed_loop(), np.random.default_rng(0).random((2, 45, 9)) < 0.4, reset_every=13)
    hooked = lava(each)
    monkeypatch.setenv(process.PYTHON, str(tmp_path / "lava" / "bin" / "python"))
    untouched = lava(each)
    assert untouched.versions["python"].startswith("3.10.")
    assert not hooked.versions["python"].startswith("3.10.")
    assert sum(int(np.count_nonzero(a)) for a in untouched.spikes.values()) > 0
    different, compared = differences(hooked, untouched)
    assert different == 0
    assert compared > 4000
