"""Ctrl-C while a network is mapped, and a disk that is full when it is to be saved: nothing half-written is left."""

import os
import subprocess
import sys
import textwrap

import pytest
from torch_networks import Chain

import astrodeploy as ad

DRIVER = """
    import os, pkgutil, resource, signal, sys
    from astrodeploy.cli import main
    import astrodeploy.pipeline, astrodeploy.frontends.torch.checkpoint  # compiled before no file may grow

    def interrupting(function):
        def interrupted(*arguments, **options):
            sys.stderr.write(f"reached {name}\\n")
            os.kill(os.getpid(), signal.SIGINT)
            return function(*arguments, **options)
        return interrupted

    name = sys.argv.pop(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
    if name == "full disk":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))
    else:
        owner, _, attribute = name.rpartition(".")
        owner = pkgutil.resolve_name(owner)
        setattr(owner, attribute, interrupting(getattr(owner, attribute)))
    main()
"""
PLACES = {
    "partition": "astrodeploy.mapping.cutting.Cutter.loads",
    "place": "astrodeploy.passes.place.placed",
    "check": "astrodeploy.legality.cores.recount",
    "save": "pathlib.Path.write_bytes",
}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A checkpoint, and a Program of the same network that is there already."""
    folder = tmp_path_factory.mktemp("given")
    ad.save(Chain(), folder / "chain.pt", dt=1e-3, input_shape=(6,))
    return folder / "chain.pt"


@pytest.fixture
def compiled(given, tmp_path):
    """Run `compile --target loihi2` until it is cut short; what it said, its exit code, and all that it left."""

    def run(name):
        work, scratch = tmp_path / "work", tmp_path / "temporary"
        for each in (work, scratch):
            each.mkdir(exist_ok=True)
        command = ["compile", str(given), "--target", "loihi2", "-o", "net.astro"]
        done = subprocess.run(
            [sys.executable, "-B", "-c", textwrap.dedent(DRIVER), name, *command],
            capture_output=True,
            text=True,
            cwd=work,
            env=os.environ | {"TMPDIR": str(scratch)},
        )
        return done, [*work.iterdir(), *scratch.iterdir()]

    return run


@pytest.mark.parametrize("during", PLACES)
def test_an_interrupt_leaves_nothing(compiled, during):
    done, left = compiled(PLACES[during])
    assert done.returncode == 130
    assert done.stderr == (
        f"reached {PLACES[during]}\nerror: interrupted; nothing half-written was left behind\n"
    )
    assert done.stdout == ""
    assert left == []


def test_an_interrupt_leaves_the_program_that_was_there(compiled, tmp_path):
    old = ad.compile(Chain())
    (tmp_path / "work").mkdir()
    old.save(tmp_path / "work" / "net.astro")
    done, left = compiled(PLACES["save"])
    assert done.returncode == 130
    assert [each.name for each in left] == ["net.astro"]
    assert ad.Program.load(left[0]).fingerprint == old.fingerprint


def test_a_full_disk_leaves_nothing(compiled):
    done, left = compiled("full disk")
    assert done.returncode == 2
    assert done.stderr == "error: net.astro can't be written: File too large\n"
    assert left == []
