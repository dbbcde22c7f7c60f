"""model.pt: round trip, and everything that is none. Nothing in a file is ever executed."""

import copy
import re

import bad_files
import numpy as np
import pytest
import torch
from torch_networks import Chain, Hybrid, Nested, sequential, spikes

import astrodeploy as ad
from astrodeploy.errors import CheckpointError, ProgramError, StimulusError
from astrodeploy.frontends.torch import checkpoint
from astrodeploy.ir.plain import fingerprint
from astrodeploy.pipeline import load

NETWORKS = {
    "chain": lambda: Chain(bias=True),
    "hybrid": Hybrid,
    "nested": Nested,
    "sequential": sequential,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_saved_is_read_back_whole(name, tmp_path):
    path = tmp_path / "model.pt"
    saved = ad.save(NETWORKS[name](), path, dt=1e-3, input_shape=(6,))
    assert fingerprint(load(path)) == fingerprint(saved)
    assert fingerprint(load(NETWORKS[name]())) == fingerprint(saved)
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_saving_twice_gives_the_same_network_and_replaces_the_file(tmp_path):
    path = tmp_path / "model.pt"
    first = ad.save(Chain(seed=1), path, dt=1e-3, input_shape=(6,))
    second = ad.save(Chain(seed=2), path, dt=1e-3, input_shape=(6,))
    assert fingerprint(first) != fingerprint(second)
    assert fingerprint(load(path)) == fingerprint(second)


def test_an_input_of_several_dimensions(tmp_path):
    class Image(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.chain = torch.nn.Flatten(), Chain()

        def forward(self, x, state=None):
            return self.chain(self.flat(x), state)

    ad.save(Image(), tmp_path / "model.pt", dt=1e-3, input_shape=(2, 3))
    program = ad.compile(tmp_path / "model.pt")
    assert program.input_shape == (2, 3)
    x = spikes()
    plain = ad.compile(Chain()).run(x, engine="oracle").outputs
    assert np.array_equal(program.run(x.reshape(3, 20, 2, 3), engine="oracle").outputs, plain)


@pytest.mark.parametrize("name", bad_files.BAD_CHECKPOINTS)
def test_bad_files_are_refused_in_one_sentence(name, tmp_path):
    write, message = bad_files.BAD_CHECKPOINTS[name]
    path = write(tmp_path)
    with pytest.raises(CheckpointError, match=message) as refusal:
        ad.compile(path)
    assert str(refusal.value).startswith(str(path))
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "owned").exists()


def test_the_payload_of_these_tests_works(tmp_path):
    """It would create the folder, were it unpickled."""
    (tmp_path / "evil.pt").write_bytes(b"")
    torch.save(bad_files.Touch(tmp_path / "owned"), tmp_path / "evil.pt")
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert (tmp_path / "owned").exists()


def test_a_file_without_permission(tmp_path, monkeypatch):
    path = bad_files.checkpoint(tmp_path)

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(CheckpointError, match="good.pt can't be read: Permission denied"):
        checkpoint.read_checkpoint(path)


def test_any_cut_and_many_flips_are_refused_or_change_nothing(tmp_path):
    """torch's archive holds a checksum of every entry; what it does not cover does not matter."""
    good = bad_files.checkpoint(tmp_path)
    content, whole = good.read_bytes(), fingerprint(load(good))
    bad, rng = tmp_path / "bad.pt", np.random.default_rng(0)
    for size in rng.integers(0, len(content), 25):
        bad.write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            load(bad)
    refused = 0
    for place in rng.integers(0, len(content), 100):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        bad.write_bytes(flipped)
        try:
            assert fingerprint(load(bad)) == whole
        except CheckpointError:
            refused += 1
    assert refused > 20


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(ProgramError, match=re.escape(f"the folder {tmp_path / 'no'} does not exist")):
        ad.save(Chain(), tmp_path / "no" / "model.pt", dt=1e-3, input_shape=(6,))


def test_a_folder_is_not_overwritten_by_a_checkpoint(tmp_path):
    (tmp_path / "model.pt").mkdir()
    with pytest.raises(ProgramError, match="model.pt exists and is no ordinary file"):
        ad.save(Chain(), tmp_path / "model.pt", dt=1e-3, input_shape=(6,))
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_the_sample_that_the_export_is_checked_with(tmp_path):
    path = tmp_path / "model.pt"
    ad.save(Chain(), path, dt=1e-3, input_shape=(6,), sample=spikes())
    ad.save(Hybrid(), path, dt=1e-3, input_shape=(6,), sample=np.zeros((2, 6)))
    path.unlink()
    for sample in (np.zeros((3, 6)), np.zeros((2, 4, 7)), np.zeros((0, 4, 6)), np.full((2, 4, 6), "a")):
        with pytest.raises(StimulusError, match=r"the sample is .*, needed are numbers \(batch, steps, 6\)"):
            ad.save(Chain(), path, dt=1e-3, input_shape=(6,), sample=sample)
    with pytest.raises(StimulusError, match=r"needed are numbers \(batch, 6\)"):
        ad.save(Hybrid(), path, dt=1e-3, input_shape=(6,), sample=spikes())
    assert not path.exists()


# ---- nothing passes unseen -------------------------------------------------------------------------------


def places(plain, path=()):
    """Every path to a value of nested data."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def at(data, path):
    for key in path:
        data = data[key]
    return data


def outcome(path):
    """The network's fingerprint and what is told, a refusal too."""
    try:
        found = checkpoint.read_checkpoint(path)
    except CheckpointError as error:
        return "", (str(error),)
    return fingerprint(found.graph), tuple(str(each) for each in found.findings)


OTHER = {int: lambda v: v + 1, float: lambda v: v * 1.5 + 0.25, bool: lambda v: not v, str: lambda v: v + "x"}


def test_any_single_part_of_a_checkpoint_is_seen(tmp_path):
    """One thing added, removed or changed: another network, a finding that names it, or a refusal."""
    good = bad_files.checkpoint(tmp_path)
    whole, unseen = fingerprint(load(good)), []
    content = torch.load(good, weights_only=True)
    paths = list(places(content))
    for how in ("add", "remove", "change"):
        for path in paths:
            data = copy.deepcopy(content)
            holder, key = at(data, path[:-1]), path[-1]
            if how == "add" and isinstance(at(data, path), dict):
                name = "odd"
                at(data, path)[name] = torch.ones(3) if path == ("tensors",) else 1
            elif how == "add" and isinstance(at(data, path), list):
                name = str(path[-1])
                at(data, path).append(copy.deepcopy((at(data, path) or [1])[0]))
            elif how == "remove":
                name = str(key)
                del holder[key]
            elif how == "change" and isinstance(old := holder[key], torch.Tensor) and old.numel():
                name, changed = str(key), old.clone()
                changed.view(-1)[0] += 1
                holder[key] = changed
            elif how == "change" and type(holder[key]) in OTHER:
                name = str(key)
                holder[key] = OTHER[type(holder[key])](holder[key])
            else:
                continue
            torch.save(data, tmp_path / "b.pt")
            found, told = outcome(tmp_path / "b.pt")
            if found == whole and not any(name in text for text in told):
                unseen.append((how, path))
    torch.save(content | {"accuracy": 0.93}, tmp_path / "b.pt")
    assert outcome(tmp_path / "b.pt") == (whole, ("the file has 'accuracy' beside the network: not read",))
    assert not unseen


ODD = {
    "tensor": torch.ones(2),
    "scalar": torch.tensor(3),
    "nothing": None,
    "list": [1],
    "nested": [[{"a": [None]}]],
    "table": {"a": 1},
    "tensor inside": {"a": torch.ones(2)},
    "numbered": {1: 2, "b": 3},
    "huge": 10**5000,
    "large": 2**70,
    "infinite": float("inf"),
    "complex": 1j,
    "bytes": b"ab",
    "bits": torch.ones(2, dtype=torch.bool),
    "imaginary": torch.ones(2, dtype=torch.complex64),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "sparse": torch.eye(2).to_sparse(),
    "empty": torch.ones(0),
}


def endless():
    """A list that holds itself."""
    found = []
    found.append(found)
    return found


def deep():
    """Lists in lists in lists."""
    found = []
    for _ in range(200):
        found = [found]
    return found


@pytest.mark.parametrize("odd", [*ODD, "endless", "deep"])
def test_an_odd_thing_anywhere_in_a_checkpoint_is_told_or_refused(odd, tmp_path):
    """Whatever its type: never a traceback, never a warning of torch's, never the same network unseen."""
    good = bad_files.checkpoint(tmp_path)
    content = torch.load(good, weights_only=True)
    whole = fingerprint(load(good))
    value = ODD[odd] if odd in ODD else {"endless": endless, "deep": deep}[odd]()
    for path in [*places(content), ("network", "kinds", "odd")]:
        data = copy.deepcopy(content)
        at(data, path[:-1])[path[-1]] = value
        torch.save(data, tmp_path / "b.pt")
        found, told = outcome(tmp_path / "b.pt")
        assert found or len(told[0]) < 2000, path
        same = path[-1] in at(content, path[:-1]) if isinstance(path[-1], str) else True
        assert found != whole or told or (same and at(content, path) is value), path
