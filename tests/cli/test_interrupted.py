"""Ctrl-C at many moments of a command's start and course: exit code 130, one sentence, nothing half-written."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from torch_networks import Chain

import astrodeploy as ad

SAID = "error: interrupted; nothing half-written was left behind"
START = "astrodeploy.cli"  # when this is imported the guard stands
SCRIPT = "import re, sys; from astrodeploy.cli import main; sys.argv[0] = 'astrodeploy'; sys.exit(main())"
WAYS = {"module": ["-m", "astrodeploy"], "console script": ["-c", SCRIPT]}


def interrupted(way, words, after, folder):
    """Send SIGINT when so many modules were imported after the start; what was said, the exit code, the imports."""
    command = [sys.executable, "-X", "importtime", *WAYS[way], *words]
    started, imports, said = False, 0, []
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        preexec_fn=_interruptible,
    ) as process:
        for line in process.stderr:
            if not line.startswith("import time:"):
                said.append(line)
                continue
            imports += started
            started = started or line.rsplit("|", 1)[-1].strip() == START
            if imports == after and imports:
                process.send_signal(signal.SIGINT)
                after = -1
    return "".join(said), process.wait(), imports


def _interruptible():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    ad.save(Chain(), folder / "chain.pt", dt=1e-3, input_shape=(6,))
    ad.compile(Chain()).save(folder / "net.astro")
    np.savez(folder / "x.npz", x=(np.random.default_rng(0).random((2, 5, 6)) < 0.3).astype(np.float32))
    return folder


COMMANDS = {
    "help": ["--help"],
    "compile": ["compile", "chain.pt", "-o", "new.astro"],
    "run": ["run", "net.astro", "--input", "x.npz", "-o", "new.trace"],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [1, 2, 5, 20, 60])
def test_the_first_moments_are_guarded(given, way, after):
    said, code, _ = interrupted(way, COMMANDS["help"], after, given)
    assert (said.strip(), code) == (SAID, 130)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["compile", "run"])
@pytest.mark.parametrize("part", range(12))
def test_so_is_the_course_of_a_command(given, command, part):
    """At moments spread over its imports, which are most of a short command's time."""
    before = sorted(given.iterdir())
    _, code, imports = interrupted("module", COMMANDS[command], 0, given)
    assert code == 0
    for new in set(given.iterdir()) - set(before):
        _removed(new)
    said, code, _ = interrupted("module", COMMANDS[command], 1 + part * imports // 12, given)
    assert (said.strip(), code) == (SAID, 130)
    assert sorted(given.iterdir()) == before


def _removed(folder):
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()


@pytest.mark.slow
def test_training_is_interrupted_quietly(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "astrodeploy", "train", "hybrid", "-o", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_interruptible,
    )
    import time

    time.sleep(8)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said and SAID in said
    assert not (tmp_path / "out").exists()


def test_an_interrupt_that_a_library_makes_another_error_of_is_one(tmp_path):
    driver = textwrap.dedent(
        """
        import os, signal
        from astrodeploy import cli

        def work():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(10**6): pass
            except KeyboardInterrupt:
                raise ImportError("half of it was imported")

        signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.guarded(lambda: work)
        """
    )
    done = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True)
    assert (done.stderr.strip(), done.returncode) == (SAID, 130)


def test_an_interrupt_where_nothing_can_be_raised_is_not_lost():
    driver = textwrap.dedent(
        """
        import os, signal, time
        from astrodeploy import cli

        class Freed:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(10**6): pass

        def work():
            Freed()
            end = time.monotonic() + 30
            while time.monotonic() < end: pass
            print("it went on")

        signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.guarded(lambda: work)
        """
    )
    done = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True)
    assert (done.stdout, done.stderr.strip(), done.returncode) == ("", SAID, 130)


def test_a_package_of_an_extra_is_named(tmp_path):
    """In a Python that has all but one package."""
    hook = """
        import sys

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("sklearn", "snntorch", "markdown_it"):
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Missing())
    """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(hook))
    root = Path(ad.__file__).parents[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    for system, package in (("hybrid", "scikit-learn"), ("amsnet", "snntorch")):
        command = [sys.executable, "-m", "astrodeploy", "train", system, "-o", str(tmp_path / system)]
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        assert done.returncode == 2
        assert done.stderr.strip() == (
            f"error: {package} is not installed, which this needs: it comes with the extra 'models', pip install "
            "'astrodeploy[models]'"
        )
        assert not (tmp_path / system).exists()
