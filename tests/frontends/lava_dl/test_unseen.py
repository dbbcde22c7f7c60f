"""Whatever changes in a .net file changes the network, is told by name, or is refused: nothing passes unseen."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from net_files import CUBA, SDNN, net

import astrodeploy as ad
from astrodeploy.errors import InputError
from astrodeploy.frontends.lava_dl.file import read_net
from astrodeploy.frontends.lava_dl.vocabulary import AGAIN, HARMLESS, NEURON, READ, USUAL
from astrodeploy.ir.plain import fingerprint

DATA = Path(__file__).parents[3].parent / "shared" / "data"
PUBLISHED = [DATA / "lava_dl_mnist" / "trained_mnist_network.net", DATA / "ndns" / "sdnn_delays_network.net"]
WINDOW = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]}
VOCABULARY = sorted(
    {*(each for table in (READ, AGAIN) for names in table.values() for each in names)}
    | {f"neuron/{each}" for each in (*USUAL, *HARMLESS, *(n for names in NEURON.values() for n in names))}
    | {f"neuron/{each}" for each in ("threshold", "tau", "sinDecay", "delay_shift", "vReset", "norm")}
    | {"delay_shift", "mask", "weight_rec", "weight/real", "paddding", "bias_rec", "quantize", "neurons/type"}
)
VALUES = (0, 1, 2, -3, 64, 0.5, True, b"relu", b"sigmoid", b"CUBA", [1, 2], [0.0, 1.0, 2.0], [[1.0]])


def written(path, kind):
    """A small network of each kind of layer, each of whose numbers matters."""
    rng = np.random.default_rng(1)
    weights = lambda *shape: 2.0 * rng.integers(1, 30, shape) * rng.choice([-1, 1], shape)
    plain = CUBA | {"iDecay": 4096, "tauRho": 1.0, "theta": 40 * 64}
    sizes = {"inFeatures": 8, "outFeatures": 6}
    dense = {"type": "dense", "shape": [6], "weight": weights(6, 8)} | sizes
    if kind == "sigma-delta":
        layers = [
            {"type": "input", "shape": [8], "neuron": SDNN | {"activation": "relu"}},
            dense | {"neuron": SDNN | {"activation": "relu"}, "bias": weights(6), "delay": np.arange(6)},
            {"type": "dense", "shape": [2], "weight": weights(2, 6), "neuron": SDNN | {"sigma_output": True}},
        ]
    elif kind == "recurrent":
        layers = [
            dense | {"type": "dense_rec", "weight_rec": weights(6, 6), "neuron": CUBA, "delay": np.arange(6)}
        ]
        layers += [{"type": "dense", "shape": [6], "weight": weights(6, 6), "neuron": CUBA}]
        layers += [{"type": "average", "shape": [3]}]
    else:
        sizes = {"inChannels": 2, "outChannels": 4, "kernelSize": [3, 3], "groups": 2}
        filters = {"type": "conv", "shape": [4, 3, 4], "weight": weights(4, 1, 3, 3), "bias": weights(4)}
        layers = [
            {"type": "input", "shape": [2, 5, 6], "neuron": plain, "weight": 40.0},
            filters | sizes | WINDOW | {"neuron": plain},
            {"type": "pool", "shape": [4, 1, 2], "kernelSize": [2, 2], "weight": 64.0, "neuron": plain}
            | WINDOW
            | {"stride": [2, 2]},
            {"type": "flatten", "shape": [8]},
            dense | {"neuron": plain},
        ]
    return net(path, layers)


def outcome(path):
    """The network's fingerprint and all that is told of the file; a refusal is told too."""
    try:
        found = read_net(path)
    except InputError as error:
        return "", (str(error),)
    return fingerprint(found.graph), tuple(str(each) for each in found.findings)


def named(path, told):
    """Whether something told names the field, or the group of its own that it lies in."""
    *groups, last = path.split("/")[2:]
    parts = [last, *(part for part in groups if part != "neuron")]
    return any(re.search(rf"\b{part}\b", text) for part in parts for text in told)


def paths(file):
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def other(old, rng):
    """Another value of the same kind."""
    if np.asarray(old).dtype.kind not in "biuf":
        return rng.choice(np.array([b"dense", b"conv", b"LOIHI", b"SDNN", b"ReLU", b"odd"]))
    values = np.array(old)
    if values.dtype.kind == "b":
        return ~values
    at = rng.integers(values.size)
    values.flat[at] += rng.choice([-3, -1, 1, 2, 5])
    return values


def put(file, path, value):
    """A field at a path; False where there is no place for it."""
    try:
        file[path] = value
    except (ValueError, OSError, TypeError, RuntimeError, AttributeError):
        return False
    return True


def changed(file, path, how, rng, value):
    """Change, remove or add one field; what was changed, None where nothing was."""
    if how == "add":
        layer = f"layer/{rng.integers(len(file['layer']))}"
        at = f"{layer}/{path}"
        return at if at not in file and put(file, at, value) else None
    found = paths(file)
    at = found[rng.integers(len(found))]
    old = file[at][()]
    del file[at]
    if how == "change":
        new = other(old, rng)
        return at if put(file, at, new) and not np.array_equal(new, old) else None
    return at


KINDS = ("convolutions", "recurrent", "sigma-delta")
# removed, they say no less: what they say stands elsewhere, or is the usual value
NO_LOSS = {*(each for names in AGAIN.values() for each in names), *USUAL, *HARMLESS, "theta", "activation"}
# added with these values they say what holds without them
AS_USUAL = {name: usual for name, (usual, _) in USUAL.items()} | {"activation": b"relu"}
AS_USUAL |= dict.fromkeys(("sigma_output", "bias", "delay", "padding", "weight_rec"), 0)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(("add", "change", "remove")),
    st.one_of(st.sampled_from(VOCABULARY), st.from_regex(r"\A[a-z]{3,9}\Z").map(lambda name: f"odd_{name}")),
    st.sampled_from(VALUES),
    st.integers(0, 1 << 32),
)
def test_any_single_field_is_seen(tmp_path_factory, kind, how, path, value, seed):
    folder = tmp_path_factory.mktemp("net")
    before = outcome(written(folder / "a.net", kind))
    with h5py.File(folder / "a.net", "r+") as file:
        at = changed(file, path, how, np.random.default_rng(seed), value)
    if at is None:
        return
    after = outcome(folder / "a.net")
    field = at.split("/", 2)[-1]
    if (
        after[0] != before[0]
    ):  # another network, or none; `test_file.py` holds what is read against the equations
        return
    name = field.removeprefix("neuron/")
    if how == "remove":
        assert name in NO_LOSS or set(before[1]) - set(after[1]), (at, after)
    elif how != "add" or not np.array_equal(np.unique(value), [AS_USUAL.get(name)]):
        assert named(at, after[1]), (at, value, after)


@pytest.mark.parametrize("kind", KINDS)
def test_the_networks_of_these_tests_say_nothing_unseen(kind, tmp_path):
    """What is told of them is what stays outside, and no more."""
    told = outcome(written(tmp_path / "a.net", kind))[1]
    assert not [text for text in told if "not read: what it asks" in text or "declares" in text]


def test_what_stands_beside_the_layers_and_attributes_are_told(tmp_path):
    path = written(tmp_path / "a.net", "recurrent")
    with h5py.File(path, "r+") as file:
        file["simulation/tSample"] = 16
        file.attrs["made by"] = "someone"
        file["layer/0/weight"].attrs["scale"] = 2.0
    (told,) = [text for text in outcome(path)[1] if "beside its layers" in text]
    assert told == "the file holds /simulation, /layer/0/weight@scale, @made by beside its layers: not read"


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_networks_say_nothing_unseen(path):
    if not path.exists():
        pytest.skip("the published networks are not beside the repository")
    told = outcome(path)[1]
    assert not [text for text in told if "is not read" in text or "declares" in text]


def test_recurrent_layers_by_both_names_are_one(tmp_path):
    path = written(tmp_path / "a.net", "recurrent")
    whole = outcome(path)[0]
    with h5py.File(path, "r+") as file:
        file["layer/0/type"][...] = b"dense"
    assert outcome(path)[0] == whole
    with h5py.File(path, "r+") as file:
        file["layer/0/type"][...] = b"dense_rec"
        del file["layer/0/weight_rec"]
    with pytest.raises(InputError, match="layer 0 is of type dense_rec and lacks weight_rec"):
        read_net(path)


def test_an_output_block_sums_up(tmp_path):
    layers = [
        {"type": "input", "shape": [2], "neuron": SDNN},
        {"type": "dense", "shape": [2], "weight": 64.0 * np.eye(2), "neuron": SDNN},
        {
            "type": "dense",
            "shape": [2],
            "weight": 64.0 * np.diag([-1, 1]),
            "neuron": SDNN | {"sigma_output": True},
        },
    ]
    program = ad.compile(net(tmp_path / "a.net", layers))
    ramp = np.minimum(np.cumsum(np.full((1, 24, 2), 0.75), 1).round(), 9)
    for engine in ("fast", "oracle"):
        np.testing.assert_allclose(program.run(ramp, engine=engine).output[0], [-9, 9], atol=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradedSpike": True}, r"gradedSpike = 1, supported is 0 \(spikes that carry their membrane\)"),
        ({"weight_exp": 2}, "weight_exp = 2, supported is 0"),
        ({"wgtExp": 1}, "wgtExp = 1, supported is 0"),
        ({"messageBits": 16}, "messageBits = 16, supported is 0"),
        ({"type": "SDNN", "activation": "sigmoid"}, "the activation sigmoid; supported is relu"),
        ({"type": "SDNN", "sigma_output": True}, "a sigma_output with a bias"),
    ],
)
def test_settings_that_change_what_a_neuron_does_are_refused(settings, message, tmp_path):
    layer = {"type": "dense", "shape": [2], "inFeatures": 2, "weight": np.eye(2) * 8, "bias": np.ones(2)}
    path = net(tmp_path / "a.net", [layer | {"neuron": CUBA | {"iDecay": 4096} | settings}])
    with pytest.raises(InputError, match=message):
        read_net(path)
