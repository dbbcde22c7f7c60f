"""Whatever changes in a .nir file changes the network, is told by name, or is refused: nothing passes unseen."""

import re
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_documents import DT, every_node
from torch_networks import Hybrid

import astrodeploy as ad
from astrodeploy.errors import InputError
from astrodeploy.frontends.nir.file import read_nir
from astrodeploy.frontends.nir.rules import NirOptions
from astrodeploy.ir.plain import fingerprint

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "nir"
OPTIONS = NirOptions(dt=DT, reset="zero", if_r="per_second")
NAMES = (
    "tau",
    "tau_mem",
    "tau_syn",
    "v_reset",
    "w_in",
    "bias",
    "stride",
    "delay",
    "groups",
    "reset_method",
    "dt",
)
NAMES += (
    "input_type",
    "output_type",
    "metadata",
    "metadata/reset",
    "refractory",
    "v_leak",
    "shape",
    "padding",
)
VALUES = (0, 1.0, -3, b"same", [1.0, 2.0], [[0.5]])
# where these are added with the value that holds without them, the network is the same
AS_USUAL = {"v_reset": 0, "w_in": 1, "bias": 0, "stride": 1, "groups": 1, "padding": 0}
# removed, they say no less: what they say is the usual value, or follows from the rest
NO_LOSS = {"bias", "stride", "padding", "dilation", "groups", "start_dim", "end_dim", "input_shape", "shape"}
NO_LOSS |= {"v_reset", "w_in", "version", "input_type"}


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Real files: every node of NIR, and one of ours with astrocytes."""
    folder = tmp_path_factory.mktemp("nir")
    for i, document in enumerate(every_node()):
        nir.write(folder / f"every-{i}.nir", document)
    ad.export(Hybrid(), folder / "ours.nir", dt=1e-3, input_shape=(6,))
    return {path.stem: path.read_bytes() for path in folder.iterdir()}


def outcome(path):
    """The network's fingerprint and what is told, a refusal too."""
    try:
        found = read_nir(path, NirOptions() if path.stem == "ours" else OPTIONS)
    except InputError as error:
        return "", (str(error),)
    return fingerprint(found.graph), tuple(str(each) for each in found.findings)


def put(file, path, value):
    try:
        file[path] = value
    except (ValueError, OSError, TypeError, RuntimeError, AttributeError):
        return False
    return True


def changed(file, how, name, value, rng):
    """Add, change or remove one thing; its path, None where nothing was done."""
    groups, arrays = [""], []
    file.visititems(lambda p, item: (arrays if isinstance(item, h5py.Dataset) else groups).append(p))
    if how == "add":
        at = f"{groups[rng.integers(len(groups))]}/{name}".removeprefix("/")
        return at if at not in file and put(file, at, value) else None
    if how == "attribute":
        at = [*groups, *arrays][rng.integers(len(groups) + len(arrays))]
        (file[at] if at else file).attrs[name.replace("/", "_")] = value
        return f"{at}@{name.replace('/', '_')}"
    at = arrays[rng.integers(len(arrays))]
    old = file[at][()]
    del file[at]
    if how == "remove":
        return at
    if np.asarray(old).dtype.kind in "biuf":
        new = np.array(old)
        new.flat[rng.integers(new.size)] += rng.choice([-2, 1, 3])
    else:
        new = b"odd" if np.ndim(old) == 0 else np.array(old)[::-1][: max(1, len(old) - 1)]
    return at if put(file, at, new) else None


def named(path, told):
    """Whether something told names it, or a group of its own that it lies in."""
    parts = [part for part in re.split("[/@]", path) if part and part not in ("node", "nodes")]
    return any(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) for part in parts for text in told)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(("every-0", "every-1", "every-2", "every-3", "ours")),
    st.sampled_from(("add", "attribute", "change", "remove")),
    st.one_of(st.sampled_from(NAMES), st.from_regex(r"\A[a-z]{3,9}\Z").map(lambda name: f"odd_{name}")),
    st.sampled_from(VALUES),
    st.integers(0, 1 << 32),
)
def test_any_single_field_is_seen(contents, tmp_path_factory, which, how, name, value, seed):
    path = tmp_path_factory.mktemp("nir") / f"{which}.nir"
    path.write_bytes(contents[which])
    before = outcome(path)
    with h5py.File(path, "r+") as file:
        at = changed(file, how, name, value, np.random.default_rng(seed))
    if at is None:
        return
    after = outcome(path)
    if after[0] != before[0] or at == "version":  # of the nir that wrote it: the nodes say what they are
        return
    field = at.split("/")[-1]
    if how == "remove":
        seen = field in NO_LOSS or set(after[1]) != set(before[1])
    elif how == "add" and np.array_equal(np.unique(value), [AS_USUAL.get(field)]):
        seen = True
    else:
        seen = set(after[1]) != set(before[1]) or named(at, after[1])
    assert seen, (at, value, after)


def test_what_stands_beside_the_graph_is_told(contents, tmp_path):
    path = tmp_path / "every-0.nir"
    path.write_bytes(contents["every-0"])
    with h5py.File(path, "r+") as file:
        file["extensions/astrocyte"] = 1.0
        file["node"].attrs["reset"] = "subtract"
    told = outcome(path)[1]
    assert "the file holds /extensions, /node@reset, of which NIR knows nothing: not read" in told


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.nir")), ids=lambda path: path.stem)
def test_published_files_have_nothing_unread(path):
    assert not [text for text in outcome(path)[1] if "not read" in text and "metadata" not in text]


@pytest.mark.parametrize("version", ["9.9", "1.1.0", "2.0", "abc", "", 3])
def test_a_version_that_is_not_known_is_told(version, contents, tmp_path):
    path = tmp_path / "a.nir"
    path.write_bytes(next(iter(contents.values())) if isinstance(contents, dict) else contents[0])
    assert not any("version" in str(each) for each in read_nir(path, OPTIONS).findings)
    with h5py.File(path, "r+") as file:
        del file["version"]
    assert not any("version" in str(each) for each in read_nir(path, OPTIONS).findings)
    with h5py.File(path, "r+") as file:
        file["version"] = version
    assert any(f"/version ({version})" in str(each) for each in read_nir(path, OPTIONS).findings)
