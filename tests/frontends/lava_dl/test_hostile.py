"""Damaged and hostile .net files: a good read or one clear error, soon, whatever the bytes and numbers."""

import os
import time

import h5py
import numpy as np
import pytest
from net_files import CUBA, SDNN, net

import astrodeploy as ad
from astrodeploy.errors import InputError
from astrodeploy.frontends.lava_dl.file import read_net

SOON = 20.0  # seconds; the reading process itself may use 1 to 2 for a small file
WINDOW = {"stride": [1, 1], "padding": [1, 0], "dilation": [1, 1]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a network of every kind of layer."""
    rng = np.random.default_rng(1)
    values = lambda *shape: 2.0 * rng.integers(-9, 9, shape)
    plain = CUBA | {"iDecay": 4096}
    layers = [
        {"type": "input", "shape": [2, 5, 6], "neuron": SDNN},
        {
            "type": "conv",
            "shape": [4, 5, 4],
            "weight": values(4, 1, 3, 3),
            "groups": 2,
            "neuron": plain,
            **WINDOW,
        },
        {"type": "pool", "shape": [4, 3, 2], "kernelSize": [2, 2], "neuron": plain}
        | WINDOW
        | {"stride": [2, 2], "padding": [0, 0]},
        {"type": "flatten", "shape": [16]},
        {
            "type": "dense",
            "shape": [6],
            "weight": values(6, 16),
            "neuron": CUBA,
            "delay": rng.integers(0, 5, 6),
        },
        {"type": "dense", "shape": [6], "weight": values(6, 6), "neuron": plain, "bias": values(6)}
        | {"weight_rec": values(6, 6), "delay": rng.integers(0, 5, (6, 6))},
        {"type": "average", "shape": [3]},
    ]
    return net(tmp_path_factory.mktemp("net") / "a.net", layers).read_bytes()


def outcome(path):
    """The graph, or None where the file is refused as it should be."""
    start = time.monotonic()
    try:
        return read_net(path).graph
    except InputError as error:
        text = str(error)
        assert text.startswith(str(path))
        assert text.isprintable()
        assert "is no valid network" not in text, text  # what nobody thought of
        return None
    finally:
        assert time.monotonic() - start < SOON


def refused(path, message):
    with pytest.raises(InputError, match=rf"{path} can't be read as a network of lava-dl: .*{message}"):
        ad.load(path)


def test_the_whole_file_is_read(whole, tmp_path):
    path = tmp_path / "a.net"
    path.write_bytes(whole)
    assert read_net(path).graph.layers == ("input", "delta", "conv-0", "pool-0", "fc-0", "fc-1")


@pytest.mark.parametrize("part", range(3))
def test_damaged_bytes_are_read_or_refused(part, whole, tmp_path):
    path, read = tmp_path / "a.net", 0
    for seed in range(100 * part, 100 * (part + 1)):
        rng = np.random.default_rng(seed)
        content = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(content)
        read += outcome(path) is not None
    assert 10 < read < 90


ODD = (-1, 0, 1, 2, 3, 7, 100, 4097, 1 << 20, 1 << 31, 1 << 62, -(1 << 40), 0.5, 1e308, np.nan, np.inf)
KINDS = (
    b"input",
    b"conv",
    b"pool",
    b"dense",
    b"flatten",
    b"average",
    b"SDNN",
    b"CUBA",
    b"\xff",
    b"a\nb",
    b"",
)


def changed(file, rng):
    """Exchange one field for another number, shape or text; or delete it."""
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    name = found[rng.integers(len(found))]
    old = file[name][()]
    del file[name]
    match rng.integers(6):
        case 0:
            file[name] = ODD[rng.integers(len(ODD))]
        case 1:
            file[name] = rng.choice(ODD, tuple(rng.integers(0, 4, rng.integers(0, 6))))
        case 2:
            file[name] = np.bytes_(KINDS[rng.integers(len(KINDS))] or b"x")
        case 3:
            file.create_group(name)
        case 4 if np.size(old) > 0 and np.asarray(old).dtype.kind in "if":
            values = np.array(old, np.float64)
            values.flat[rng.integers(values.size)] = ODD[rng.integers(len(ODD))]
            file[name] = values


def test_odd_numbers_are_read_or_refused(whole, tmp_path):
    path, read = tmp_path / "a.net", 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            for _ in range(rng.integers(1, 3)):
                changed(file, rng)
        read += outcome(path) is not None
    assert 15 < read < 185


def test_files_in_part_and_files_that_are_none(whole, tmp_path):
    path = tmp_path / "b.net"
    for size in (0, 7, 100, len(whole) // 2):
        path.write_bytes(whole[:size])
        refused(path, "it is damaged or no HDF5 file")
    with h5py.File(path, "w") as file:
        file["network"] = 1
    refused(path, "it has no group /layer")
    os.mkfifo(tmp_path / "c.net")
    refused(tmp_path / "c.net", "it is no ordinary file")


def test_nothing_is_read_from_other_places(whole, tmp_path):
    path = tmp_path / "b.net"
    for link in (h5py.ExternalLink("/etc/passwd", "/x"), h5py.SoftLink("/layer/4")):
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            file["layer/7"] = link
        refused(path, "/layer/7 is a link to another place")
    with h5py.File(path, "w") as file:
        file.create_dataset("layer/0/weight", (4,), "f8", external=[("/etc/hostname", 0, 32)])
    refused(path, "keeps its data in other files")


def test_declared_sizes_are_checked_before_anything_is_made(whole, tmp_path):
    path = tmp_path / "b.net"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "layer/0/weight", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024), compression="gzip"
        )
    refused(path, "declares 1048576x1048576 numbers")
    for name, value, message in (
        ("1/padding", [1 << 20, 1 << 20], "layer 1 has the shape .* more than 16777216 neurons"),
        ("2/kernelSize", [1 << 30, 1 << 30], "layer 2 pools .* neurons at a time"),
        ("6/shape", [1 << 20, 1 << 20], "layer 6 averages 6 neurons into"),
        ("0/shape", [1 << 20, 1 << 20], "layer 0 has the shape"),
    ):
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            del file["layer"][name]
            file["layer"][name] = value
        with pytest.raises(InputError, match=f"{path}: {message}"):
            ad.load(path)
