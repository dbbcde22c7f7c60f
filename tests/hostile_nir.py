"""Damaged and hostile .nir files, seeded; as a script, reads a part of them and says what came of each.

python tests/hostile_nir.py FIRST LAST FOLDER
"""

import io
import json
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import nir
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from nir_documents import DT, every_node

from astrodeploy.errors import NirError, UnsupportedError
from astrodeploy.frontends.nir.file import read_nir
from astrodeploy.frontends.nir.rules import NirOptions

OPTIONS = NirOptions(dt=DT, reset="zero", if_r="per_second")
NAMES = (
    "",
    ".",
    "..",
    "a.b",
    "n0",
    "input",
    "ü",
    "a\nb",
    "\x1b[31m",
    "node",
    "x" * 300,
    b"\xff\xfe",
    "'; drop",
    "[red]",
)
TYPES = (
    "Input",
    "Output",
    "LIF",
    "Conv2d",
    "NIRGraph",
    "Flatten",
    "Delay",
    "Threshold",
    "Strange",
    "",
    "lif",
    "\n",
)


def good_files():
    """Small files of every node, compressed and plain."""
    files = []
    for document in every_node():
        for compression in ("gzip", None):
            stream = io.BytesIO()
            nir.write(stream, document, compression=compression)
            files.append(stream.getvalue())
    return files


def hostile(index, files):
    """The bytes of file number `index`; every second one is damaged byte by byte, the others in what they say."""
    rng = np.random.default_rng(index)
    content = files[rng.integers(len(files))]
    return damaged(content, rng) if index % 2 else rewritten(content, rng)


# ---- bytes ----------------------------------------------------------------------------------------------------------


def damaged(content, rng):
    changed = bytearray(content)
    place = lambda: int(rng.integers(len(changed)))
    match rng.integers(5):
        case 0:
            for _ in range(rng.integers(1, 4)):
                changed[place()] ^= 1 << int(rng.integers(8))
        case 1:
            changed = changed[: place()]
        case 2:
            at, size = place(), int(rng.integers(1, 9))
            changed[at : at + size] = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
        case 3:
            changed[int(rng.integers(min(len(changed), 4096)))] = int(rng.choice([0, 1, 127, 128, 255]))
        case 4:
            at, other, size = place(), place(), int(rng.integers(1, 200))
            changed[at : at + size] = changed[other : other + size]
    return bytes(changed)


# ---- what a file says --------------------------------------------------------------------------------------------------


def rewritten(content, rng):
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        for _ in range(rng.integers(1, 3)):
            try:
                EDITS[rng.integers(len(EDITS))](file, rng)
            except (ValueError, RuntimeError, KeyError, OSError, TypeError):
                continue  # what even HDF5 does not write
    return stream.getvalue()


def anywhere(file, rng, kind=h5py.Dataset):
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, kind) else None)
    return found[rng.integers(len(found))]


def new_values(file, rng):
    name = anywhere(file, rng)
    old = file[name]
    if old.dtype.kind not in "iuf" or not old.size:
        return
    values = np.array(old[()], np.float64)
    odd = rng.choice([np.nan, np.inf, -1.0, 0.0, 1e308, -1e308, 1e-320, 0.5, 2.0**31, 2.0**63])
    values.flat[rng.integers(values.size)] = odd
    put(file, name, values)


def new_shape(file, rng):
    name = anywhere(file, rng)
    shape = tuple(int(n) for n in rng.choice([0, 1, 2, 3, 5, 7], rng.integers(0, 6)))
    put(file, name, rng.random(shape))


def new_type(file, rng):
    name = anywhere(file, rng)
    makers = (
        lambda: {"data": "text"},
        lambda: {"data": b"\xff\xfe"},
        lambda: {"data": [b"a", b"b"]},
        lambda: {"data": True},
        lambda: {"data": 1 + 2j},
        lambda: {"data": np.zeros(3, [("a", "f4"), ("b", "i8")])},
        lambda: {"data": np.void(b"opaque")},
        lambda: {"data": h5py.Empty("f4")},
        lambda: {"shape": (2,), "dtype": h5py.vlen_dtype(np.uint8)},
        lambda: {"shape": (2,), "dtype": h5py.ref_dtype},
        lambda: {"data": np.zeros(4, np.float16)},
        lambda: {"data": np.zeros(4, np.longdouble)},
        lambda: {"data": np.zeros(4, ">u2")},
        lambda: {"data": np.zeros((2, 2), "S3")},
        lambda: {"shape": (4,), "dtype": h5py.enum_dtype({"a": 0, "b": 1}, basetype="i1")},
        lambda: {"shape": (4,), "dtype": np.dtype(("f4", (3,)))},
    )
    put(file, name, **makers[rng.integers(len(makers))]())


def huge(file, rng):
    name = anywhere(file, rng)
    shape = [(1 << 40,), (1 << 20, 1 << 20), (1 << 13, 1 << 13), (1 << 62, 2), (1 << 24,)][rng.integers(5)]
    chunks = [True, tuple(min(n, 1 << 14) for n in shape)][rng.integers(2)]
    put(file, name, shape=shape, dtype="f8", chunks=chunks, compression=[None, "gzip"][rng.integers(2)])


def bomb(file, rng):
    """Much that compresses to little."""
    put(file, anywhere(file, rng), data=np.zeros(1 << 21), compression="gzip", compression_opts=9)


def elsewhere(file, rng):
    """Links and data in other places."""
    name = anywhere(file, rng, (h5py.Dataset, h5py.Group))
    del file[name]
    match rng.integers(6):
        case 0:
            file[name] = h5py.ExternalLink("/etc/hostname", "/")
        case 1:
            file[name] = h5py.ExternalLink("other.nir", "/node")
        case 2:
            file[name] = h5py.SoftLink("/node")
        case 3:
            file[name] = h5py.SoftLink(f"/{name}")
        case 4:
            file.create_dataset(name, (4,), "f8", external=[("/etc/hostname", 0, 32)])
        case 5:
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource("other.nir", "x", (4,))
            file.create_virtual_dataset(name, layout)


def circle(file, rng):
    """A group that lies in itself, or a whole graph in two places."""
    group = file[anywhere(file, rng, h5py.Group)]
    group[f"loop{rng.integers(9)}"] = file[anywhere(file, rng, h5py.Group)]


def gone(file, rng):
    del file[anywhere(file, rng, (h5py.Dataset, h5py.Group))]


def renamed(file, rng):
    name = anywhere(file, rng, (h5py.Dataset, h5py.Group))
    new = NAMES[rng.integers(len(NAMES))]
    parent = name.rpartition("/")[0]
    file.move(name, parent.encode() + b"/" + new if isinstance(new, bytes) else f"{parent}/{new}")


def other_kind(file, rng):
    nodes = [f"node/nodes/{n}/type" for n in file["node/nodes"]]
    put(file, nodes[rng.integers(len(nodes))], data=TYPES[rng.integers(len(TYPES))])


def other_edges(file, rng):
    names = [*file["node/nodes"], "nobody", "", "n0.input", "input"]
    count = int(rng.choice([0, 1, 2, 5, 300]))
    pairs = rng.choice(names, (count, int(rng.choice([1, 2, 2, 2, 2, 3]))))
    old = [] if rng.random() < 0.5 or pairs.shape[1] != 2 else file["node/edges"][()].tolist()
    every = np.array([*old, *pairs.tolist()], dtype=object)
    put(file, "node/edges", data=every, dtype=h5py.string_dtype())


def more_nodes(file, rng):
    """A node more, of any kind, with any fields."""
    group = file["node/nodes"].create_group(f"more{rng.integers(99)}")
    group["type"] = TYPES[rng.integers(len(TYPES))]
    for key in rng.choice(
        ["tau", "r", "v_leak", "v_threshold", "weight", "shape", "nodes", "edges", "delay"], 4
    ):
        if key not in group:
            group[key] = rng.random(tuple(rng.integers(0, 4, rng.integers(0, 3)))) * 10
    name, other = group.name.rpartition("/")[2], next(iter(file["node/nodes"]))
    every = [*file["node/edges"][()].tolist(), [other, name], [name, other]]
    put(file, "node/edges", data=np.array(every, dtype=object), dtype=h5py.string_dtype())


def metadata(file, rng):
    text = [
        '{"schema": "astrodeploy.nir"}',
        "[" * 100_000,
        "null",
        '{"schema": "astrodeploy.nir", "version": 1e999}',
    ]
    group = file.require_group("node/metadata")
    put(file, f"{group.name}/astrodeploy", data=text[rng.integers(len(text))])


def put(file, name, data=None, **settings):
    if name in file:
        del file[name]
    file.create_dataset(name, data=data, **settings)


EDITS = (
    new_values,
    new_values,
    new_shape,
    new_shape,
    new_type,
    new_type,
    huge,
    bomb,
    elsewhere,
    circle,
    gone,
)
EDITS += (renamed, other_kind, other_edges, more_nodes, metadata)


# ---- as a script ---------------------------------------------------------------------------------------------------------


def outcome(path):
    try:
        graph = read_nir(path, OPTIONS).graph
    except (NirError, UnsupportedError) as error:
        text = str(error)
        assert path.name in text
        assert "is no valid NIR graph" not in text, text  # what nobody thought of
        assert all(letter.isprintable() or letter == "\n" for letter in text), ascii(text)
        return "refused"
    return "read" if graph.populations else "empty"


def main(first, last, folder):
    files, counts, slowest = good_files(), Counter(), 0.0
    for index in range(int(first), int(last)):
        path = Path(folder) / f"{index}.nir"
        path.write_bytes(hostile(index, files))
        start = time.monotonic()
        try:
            counts[outcome(path)] += 1
        except Exception as error:  # what must not happen is told, and the rest goes on
            counts[f"{index}: {type(error).__name__}: {error}"[:300]] += 1
        slowest = max(slowest, time.monotonic() - start)
        path.unlink()
    print(json.dumps({"counts": counts, "slowest_seconds": slowest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
