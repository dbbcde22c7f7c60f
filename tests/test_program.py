"""A Program's folder: round trip, every byte checked, written whole or not at all."""

import resource
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from float_networks import random_closed_loop, settings_job, several_inputs
from torch_networks import Hybrid, Nested, values

import astrodeploy as ad
from astrodeploy import storage
from astrodeploy.errors import InputError, ProgramError
from astrodeploy.frontends.torch.checkpoint import write_checkpoint
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.plain import fingerprint
from astrodeploy.passes.flow import FLOW
from astrodeploy.program import is_program

NAMES = ("program.json", "tensors.safetensors", "graph.nir")


@pytest.fixture(scope="module")
def program():
    return ad.compile(Hybrid())


@pytest.fixture(scope="module")
def saved(program, tmp_path_factory):
    return program.save(tmp_path_factory.mktemp("programs") / "net.astro")


@pytest.fixture
def copied(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "net.astro"))


SOURCES = {
    "hybrid": lambda: ad.compile(Hybrid()),
    "frozen, for loihi1": lambda: ad.compile(Hybrid(), "loihi1", freeze_astrocytes=True),
    "nested, with resets": lambda: ad.compile(Nested(), reset_every=5),
    "recurrent": lambda: ad.compile(random_closed_loop(np.random.default_rng(0))),
}
WIDE = {
    "every pattern": lambda rng: several_inputs(rng).program.reference,
    "every setting": lambda rng: settings_job(rng, EVERY).program.reference,
}
EVERY = {"integrator": "exponential", "reset": "subtract", "comparison": ">=", "refractory": 3}


@pytest.mark.parametrize("name", WIDE)
def test_every_pattern_and_setting_survives_files(name, tmp_path):
    """The same Program from a network and from its checkpoint; read back, it is the same."""
    net = canonical(WIDE[name](np.random.default_rng(0)))
    write_checkpoint(net, tmp_path / "net.pt")
    again = ad.load(tmp_path / "net.pt")
    assert fingerprint(again) == fingerprint(net)
    made, other = ad.compile(net), ad.compile(again)
    assert made.fingerprint == other.fingerprint
    read = ad.Program.load(made.save(tmp_path / "net.astro"))
    assert read.fingerprint == made.fingerprint
    assert fingerprint(read.reference) == fingerprint(made.reference) == fingerprint(net)
    kinds = {type(c.wiring).__name__ for c in read.network.connections}
    assert kinds == ({"Dense", "Conv", "Sparse", "OneToOne"} if name == "every pattern" else {"Dense"})


@pytest.mark.parametrize("name", SOURCES)
def test_a_program_is_read_back_whole(name, tmp_path):
    made = SOURCES[name]()
    assert made.save(tmp_path / "net.astro") == tmp_path / "net.astro"
    again = ad.Program.load(str(tmp_path / "net.astro"))
    assert sorted(p.name for p in (tmp_path / "net.astro").iterdir()) == sorted(NAMES)
    assert again.fingerprint == made.fingerprint
    assert fingerprint(again.network) == fingerprint(made.network)
    assert fingerprint(again.reference) == fingerprint(made.reference)
    assert again.passes == made.passes
    assert again.cores == made.cores
    assert again.chip == made.chip
    assert (again.target, again.reset_every, again.depth) == (made.target, made.reset_every, made.depth)
    again.save(tmp_path / "again.astro")
    for each in NAMES:
        assert (tmp_path / "again.astro" / each).read_bytes() == (tmp_path / "net.astro" / each).read_bytes()


def test_what_a_program_says_of_itself(program):
    assert program.layers == ("input", "hidden", "hidden_astrocytes", "readout")
    assert program.input_shape == (6,)
    assert (program.target, program.depth, program.reset_every) == ("loihi2", 2, 0)
    (core,) = program.cores
    assert core.loads["compartments"] == 12 + 3 + 4 <= core.limits["compartments"]
    assert [report.name for report in program.passes] == list(FLOW)
    assert FLOW.index("lower") < FLOW.index("retime") < FLOW.index("quantise") < FLOW.index("partition")


def test_a_saved_program_runs_as_before(program, saved):
    again, x = ad.Program.load(saved), values()
    for engine in ("oracle", "reference"):
        one, two = program.run(x, engine=engine), again.run(x, engine=engine)
        assert all(np.array_equal(one.spikes[k], two.spikes[k]) for k in program.layers)


def test_a_fingerprint_tells_what_decides(program):
    assert program.fingerprint == ad.compile(Hybrid()).fingerprint
    others = [
        ad.compile(Hybrid(seed=1)),
        ad.compile(Hybrid(), reset_every=4),
        ad.compile(Hybrid(), freeze_astrocytes=True),
        replace(program, cores=()),
    ]
    assert len({each.fingerprint for each in [program, *others]}) == 5


# ---- damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_single_flipped_bit_anywhere_is_noticed(name, copied):
    path = copied / name
    content, rng = path.read_bytes(), np.random.default_rng(len(name))
    places = [0, 1, len(content) - 1, *rng.integers(0, len(content), 67)]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(ProgramError, match="was changed|holds .*, its program.json lists"):
            ad.Program.load(copied)
    path.write_bytes(content)
    ad.Program.load(copied)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing_cut_or_a_folder(name, copied):
    path = copied / name
    content = path.read_bytes()
    for cut in (content[:-1], content + b"\n", b""):
        path.write_bytes(cut)
        with pytest.raises(ProgramError, match=f"{name} was changed"):
            ad.Program.load(copied)
    path.unlink()
    with pytest.raises(
        ProgramError, match=f"holds .*, its program.json lists .*{name}|it has no program.json"
    ):
        ad.Program.load(copied)
    path.mkdir()
    with pytest.raises(ProgramError, match="can't be read|it has no program.json"):
        ad.Program.load(copied)


def test_a_file_more(copied):
    (copied / "notes.txt").write_text("mine")
    with pytest.raises(ProgramError, match=r"holds \[.*'notes.txt'.*\], its program.json lists"):
        ad.Program.load(copied)


def test_files_of_another_program(copied, tmp_path):
    other = ad.compile(Hybrid(seed=1)).save(tmp_path / "other.astro")
    for name in NAMES:
        before = (copied / name).read_bytes()
        (copied / name).write_bytes((other / name).read_bytes())
        with pytest.raises(ProgramError, match="was changed after it was written"):
            ad.Program.load(copied)
        (copied / name).write_bytes(before)


def test_folders_that_are_no_program(tmp_path):
    with pytest.raises(ProgramError, match=f"{tmp_path} is no Program: it has no program.json"):
        ad.Program.load(tmp_path)
    with pytest.raises(ProgramError, match=r"none is no Program: compile one first \(astrodeploy compile\)"):
        ad.Program.load(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ProgramError, match="file is no Program: compile one first"):
        ad.Program.load(tmp_path / "file")


def resealed(copied, change):
    """A Program whose content was changed, with hashes that fit again."""
    content = storage.read_manifest(copied, "program.json", "Program")
    change(content)
    (copied / "program.json").unlink()
    storage.write_manifest(copied, "program.json", content)
    return copied


def place(content, ranges):
    """Let the first box of the first core be another."""
    content["cores"][0]["slices"][0]["ranges"] = ranges


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(version=6),
            "is a astrodeploy program of version 6; this astrodeploy reads up to 5: update",
        ),
        (
            lambda c: c.update(version=1),
            "is a astrodeploy program of version 1; this astrodeploy reads versions from 4 on: make it anew",
        ),
        (lambda c: c.update(format="other"), "is no astrodeploy program: its format is 'other'"),
        (lambda c: c.pop("network"), "is malformed .*make the Program anew"),
        (lambda c: c.pop("board"), "is malformed"),
        (lambda c: c["board"]["chip"].pop("limits"), "is malformed"),
        (lambda c: c.update(cores=[{}]), "is malformed"),
        (lambda c: c.update(cores=3), "is malformed"),
        (lambda c: place(c, [[0, 99]]), r"malformed \(a core holds hidden\[0..98\], outside .* \(12,\)\)"),
        (lambda c: place(c, [[4, 4]]), "is malformed"),
        (lambda c: place(c, [[0, 12], [0, 1]]), "is malformed"),
        (lambda c: place(c, 3), "is malformed"),
        (lambda c: c.update(passes=[3]), "is malformed"),
        (lambda c: c.update(reset_every="often"), "is malformed"),
        (lambda c: c["network"]["populations"][1].update(shape=[5]), r"is malformed .*has shape"),
        (lambda c: c["network"].update(kinds={}), "is malformed"),
        (lambda c: c["network"]["kinds"]["modulated_lif"].update(step=[]), "is malformed"),
    ],
)
def test_content_that_makes_no_program(change, message, copied):
    with pytest.raises(ProgramError, match=message):
        ad.Program.load(resealed(copied, change))


# ---- writing -----------------------------------------------------------------------------------------


def test_an_existing_program_is_replaced(program, copied):
    other = ad.compile(Hybrid(seed=1))
    other.save(copied)
    assert ad.Program.load(copied).fingerprint == other.fingerprint
    assert [p.name for p in copied.parent.iterdir()] == ["net.astro"]


def test_a_foreign_folder_is_not(program, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    with pytest.raises(ProgramError, match="thesis exists and is not ours to replace: choose another output"):
        program.save(tmp_path / "thesis")
    assert [p.name for p in tmp_path.rglob("*")] == ["thesis", "chapter.tex"]
    assert not is_program(tmp_path / "thesis")


@pytest.mark.parametrize("nth", [1, 2])
def test_an_interrupted_write_leaves_nothing_or_the_old_program(nth, program, tmp_path, monkeypatch):
    written = []
    write = Path.write_bytes

    def interrupted(self, content):
        written.append(self)
        if len(written) == nth:
            raise KeyboardInterrupt
        return write(self, content)

    path = tmp_path / "net.astro"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            program.save(path)
    assert not list(tmp_path.iterdir())
    old = ad.compile(Hybrid(seed=1))
    old.save(path)
    written.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            program.save(path)
    assert ad.Program.load(path).fingerprint == old.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["net.astro"]


@contextmanager
def nearly_full():
    """No file may grow beyond 2 kB: the kernel then refuses a write as on a full disk.

    For a moment only: where pytest's own output goes into a file, it is such a file too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_while_writing(program, tmp_path):
    trace = program.run(values(), engine="oracle")
    for write in (
        lambda: program.save(tmp_path / "net.astro"),
        lambda: trace.save(tmp_path / "run.trace"),
        lambda: ad.export(Hybrid(), tmp_path / "net.nir"),
        lambda: ad.save(Hybrid(), tmp_path / "net.pt", dt=1e-3, input_shape=(6,)),
    ):
        with nearly_full(), pytest.raises(ProgramError, match="can't be written: File too large"):
            write()
        assert not list(tmp_path.iterdir())


def test_places_that_can_not_be_written(program, tmp_path):
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(ProgramError, match="can't be written: Not a directory"):
        program.save(tmp_path / "plain" / "net.astro")
    with pytest.raises(ProgramError, match="can't be written: the folder .* does not exist"):
        program.save(tmp_path / "no" / "net.astro")
    assert [p.name for p in tmp_path.iterdir()] == ["plain"]


def test_arrays_that_are_no_arrays(program):
    with pytest.raises(InputError, match=r"must hold numbers, not <U3"):
        program.run(["abc"])
