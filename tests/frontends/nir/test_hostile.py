"""Damaged and hostile files: a good read or one clear error, whatever the bytes; no crash, no hang, no memory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from nir_documents import DT, every_node

from astrodeploy.errors import InputError, NirError
from astrodeploy.frontends.hdf5 import file as hdf5_file
from astrodeploy.frontends.nir.file import read_nir
from astrodeploy.frontends.nir.rules import NirOptions

CORPUS = (0, 400)
MORE = (400, 2800)
OPTIONS = NirOptions(dt=DT, reset="zero", if_r="per_second")
SCRIPT = Path(__file__).parents[2] / "hostile_nir.py"


@pytest.mark.parametrize(("first", "last"), [CORPUS, pytest.param(*MORE, marks=pytest.mark.slow)])
def test_a_corpus_of_hostile_files_is_read_or_refused(first, last, tmp_path):
    """In a process of its own, so that a crash would be a failure and not the end of all tests."""
    command = [sys.executable, "-W", "error", str(SCRIPT), str(first), str(last), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    counts = found["counts"]
    assert set(counts) == {"read", "refused"}
    assert sum(counts.values()) == last - first
    assert min(counts.values()) > (last - first) / 5
    assert not list(tmp_path.iterdir())


@pytest.fixture
def good(tmp_path):
    nir.write(tmp_path / "a.nir", every_node()[0])
    return tmp_path / "a.nir"


def refused(path, message):
    with pytest.raises(NirError, match=re.escape(str(path)) + " can't be read as NIR: " + message):
        read_nir(path, OPTIONS)


def exchanged(path, name, **settings):
    with h5py.File(path, "r+") as file:
        del file[name]
        return file.create_dataset(name, **settings)


@pytest.mark.parametrize(
    ("link", "place"),
    [
        (h5py.ExternalLink("/etc/passwd", "/"), "/node/nodes/n0/weight"),
        (h5py.SoftLink("/node/nodes/n4/weight"), "/node/nodes/n0/weight"),
        (h5py.SoftLink("/node/nodes/n0"), "/node/nodes/n0"),
        (h5py.ExternalLink("other.nir", "/node"), "/node"),
    ],
)
def test_links_are_not_followed(link, place, good):
    with h5py.File(good, "r+") as file:
        del file[place]
        file[place] = link
    refused(good, f"{place} is a link to another place: put the data where the link is")


def test_data_in_other_files_are_not_read(good, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(240))
    name = "node/nodes/n0/weight"
    exchanged(good, name, shape=(5, 6), dtype="f8", external=[(str(tmp_path / "secret"), 0, 240)])
    refused(good, "/node/nodes/n0/weight keeps its data in other files: put them into this one")
    layout = h5py.VirtualLayout((5, 6), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret"), "x", (5, 6))
    with h5py.File(good, "r+") as file:
        del file[name]
        file.create_virtual_dataset(name, layout)
    refused(good, "/node/nodes/n0/weight keeps its data in other files")


def test_a_graph_in_itself_is_refused(good):
    with h5py.File(good, "r+") as file:
        file["node/nodes/again"] = file["node"]
    refused(good, "/node/nodes/again lies in itself, or deeper than 32 groups")


def test_many_graphs_that_share_their_parts_are_refused(good):
    """Thirty groups, each twice in the next: a thousand million when they are walked."""
    with h5py.File(good, "r+") as file:
        inner = file["node/nodes/n0"]
        for i in range(28):
            outer = file.create_group(f"layer{i}")
            outer["a"], outer["b"] = inner, inner
            inner = outer
        file["node/nodes/deep"] = inner
    refused(good, "(it holds more than 100000 groups and arrays|it is damaged so that HDF5 .* does not end)")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"shape": (1 << 20, 1 << 20), "chunks": (1024, 1024)},
            r"declares 1048576x1048576 numbers, with which the file takes",
        ),
        (
            {"shape": (1 << 13, 1 << 13), "chunks": (64, 64)},
            r"declares 8192x8192 numbers, more than a file of \d+ bytes can hold",
        ),
        ({"shape": (64, 64), "chunks": (64, 64)}, r"declares 64x64 numbers that the file does not hold"),
    ],
)
def test_declared_sizes_are_checked_before_anything_is_read(settings, message, good):
    exchanged(good, "node/nodes/n0/weight", dtype="f8", **settings)
    refused(good, f"/node/nodes/n0/weight {message}")


def test_the_memory_limit_is_a_setting(good, monkeypatch):
    monkeypatch.setenv("ASTRODEPLOY_MEMORY_GIB", "1e-6")
    refused(
        good,
        r"/node/\S+ declares \S+ numbers, with which the file takes more than .* raise ASTRODEPLOY_MEMORY_GIB",
    )
    monkeypatch.setenv("ASTRODEPLOY_MEMORY_GIB", "much")
    with pytest.raises(
        InputError, match="ASTRODEPLOY_MEMORY_GIB must be a positive number of GiB, not 'much'"
    ):
        read_nir(good, OPTIONS)


@pytest.mark.parametrize(
    "settings",
    [
        {"data": np.zeros(3, [("a", "f4")])},
        {"data": np.void(b"opaque")},
        {"data": np.zeros(4, complex)},
        {"shape": (2,), "dtype": h5py.vlen_dtype(np.uint8)},
        {"shape": (2,), "dtype": h5py.ref_dtype},
    ],
)
def test_types_that_are_neither_numbers_nor_text(settings, good):
    exchanged(good, "node/nodes/n0/weight", **settings)
    refused(good, "/node/nodes/n0/weight holds .*, neither numbers nor text")


def test_files_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "a.nir")
    refused(tmp_path / "a.nir", "it is no ordinary file")


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", b"\xff\xfe"])
def test_names_that_are_no_readable_text(name, good):
    with h5py.File(good, "r+") as file:
        file["node/nodes"].create_group(name)
    refused(good, r"/node/nodes holds the name b?'.*', which is no readable text")


# ---- the process that reads --------------------------------------------------------------------------------------------


def test_a_process_that_dies_is_an_error_and_the_next_file_is_read(good, tmp_path, monkeypatch):
    (tmp_path / "dies.py").write_text("import os, sys; sys.stdin.readline(); os.abort()")
    hdf5_file._READER.stop()
    monkeypatch.setattr(hdf5_file, "WORKER", tmp_path / "dies.py")
    refused(good, "it is damaged so that HDF5 crashes, or does not end, over it")
    monkeypatch.undo()
    assert read_nir(good, OPTIONS).graph.layers == ("input", "n1", "n5")


def test_a_process_that_never_ends_is_ended(good, tmp_path, monkeypatch):
    (tmp_path / "hangs.py").write_text("import time; time.sleep(100)")
    hdf5_file._READER.stop()
    monkeypatch.setattr(hdf5_file, "WORKER", tmp_path / "hangs.py")
    monkeypatch.setattr(hdf5_file, "PATIENCE", 0.5)
    refused(good, "it is damaged so that HDF5 crashes, or does not end, over it")


def test_a_process_that_ended_for_want_of_work_is_started_again(good):
    read_nir(good, OPTIONS)
    process = hdf5_file._READER.process
    process.stdin.close()
    process.wait()
    reading, writing = os.pipe()
    os.close(reading)
    process.stdin = os.fdopen(writing, "wb")
    assert read_nir(good, OPTIONS).graph.layers == ("input", "n1", "n5")
    assert hdf5_file._READER.process is not process
