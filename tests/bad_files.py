"""Files that are no checkpoint and no stimulus, and what is said about each; for Python and the command line."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import torch
from norse.torch import LIFBoxCell, SequentialState
from torch_networks import Chain, spikes

import astrodeploy as ad


class Touch:
    """Creates a file when it is unpickled by a careless reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def checkpoint(folder: Path) -> Path:
    """A good one."""
    path = folder / "good.pt"
    ad.save(Chain(), path, dt=1e-3, input_shape=(6,))
    return path


def _rewritten(folder: Path, change) -> Path:
    data = torch.load(checkpoint(folder), weights_only=True)
    change(data)
    path = folder / "changed.pt"
    torch.save(data, path)
    return path


def _full_pickle(folder):
    torch.save(torch.nn.Linear(2, 2), folder / "module.pt")
    return folder / "module.pt"


def _malicious_zip(folder):
    torch.save({"format": Touch(folder / "owned")}, folder / "evil.pt")
    return folder / "evil.pt"


def _malicious_pickle(folder):
    (folder / "evil.pt").write_bytes(pickle.dumps(Touch(folder / "owned")))
    return folder / "evil.pt"


def _malicious_legacy(folder):
    torch.save(Touch(folder / "owned"), folder / "evil.pt", _use_new_zipfile_serialization=False)
    return folder / "evil.pt"


def _torchscript(folder):
    """As torch.jit.save lays it out; torch.jit itself warns that it is deprecated."""
    with zipfile.ZipFile(folder / "script.pt", "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl", "version"):
            archive.writestr(f"script/{name}", b"3\n")
    return folder / "script.pt"


def _exported(folder):
    with zipfile.ZipFile(folder / "program.pt2.pt", "w") as archive:
        archive.writestr("program/archive_format", b"pt2")
        archive.writestr("program/models/model.json", b"{}")
    return folder / "program.pt2.pt"


def _other_zip(folder):
    with zipfile.ZipFile(folder / "other.pt", "w") as archive:
        archive.writestr("hello.txt", b"hello")
    return folder / "other.pt"


def _truncated(folder):
    good = checkpoint(folder)
    (folder / "short.pt").write_bytes(good.read_bytes()[:-200])
    return folder / "short.pt"


def _directory_damaged(folder):
    """The zip's end is whole, the entries before it are not."""
    content = bytearray(checkpoint(folder).read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place : place + 4] = b"XXXX"
    (folder / "directory.pt").write_bytes(content)
    return folder / "directory.pt"


def _written(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


def _state_dict(folder):
    torch.save(SequentialState(torch.nn.Linear(6, 4), LIFBoxCell()).state_dict(), folder / "state.pt")
    return folder / "state.pt"


def _saved(data):
    def write(folder):
        torch.save(data, folder / "data.pt")
        return folder / "data.pt"

    return write


def _folder(folder):
    (folder / "folder.pt").mkdir()
    return folder / "folder.pt"


def _changed(change):
    return lambda folder: _rewritten(folder, change)


def _without_tensor(data):
    del data["tensors"]["population.1.tau"]


def _float16_tensor(data):
    data["tensors"]["population.1.tau"] = data["tensors"]["population.1.tau"].bfloat16()


def _short_tensor(data):
    data["tensors"]["population.1.tau"] = data["tensors"]["population.1.tau"][:3]


def _wrong_weights(data):
    data["tensors"]["connection.1.values"] = data["tensors"]["connection.1.values"].T.contiguous()


def _huge_shape(data):
    data["network"]["populations"][1]["shape"] = [1 << 62, 1 << 62]
    data["tensors"]["population.1.tau"] = torch.tensor(0.01)


def _unknown_node(data):
    data["network"]["populations"][1]["node"] = "Izhikevich"


def _nan(data):
    data["tensors"]["connection.0.values"][0, 0] = float("nan")


RESAVE = r"re-save it from Python with astrodeploy\.save\(model, path, dt=\.\.\., input_shape=\.\.\.\)"

BAD_CHECKPOINTS = {
    "a full pickle": (
        _full_pickle,
        rf"holds pickled Python objects \(torch.nn.modules.linear.Linear\).*{RESAVE}",
    ),
    "a malicious zip": (
        _malicious_zip,
        rf"holds pickled Python objects \(posix.mkdir\).*so it was not: {RESAVE}",
    ),
    "a malicious pickle": (
        _malicious_pickle,
        rf"holds pickled Python objects, which could run code.*{RESAVE}",
    ),
    "a malicious legacy file": (
        _malicious_legacy,
        rf"holds pickled Python objects, which could run.*{RESAVE}",
    ),
    "TorchScript": (_torchscript, rf"is TorchScript, which holds a program and not a network: {RESAVE}"),
    "torch.export": (_exported, rf"is a torch.export archive, not a checkpoint: {RESAVE}"),
    "another zip": (_other_zip, rf"is truncated or damaged, or no checkpoint at all: {RESAVE}"),
    "truncated": (_truncated, rf"is truncated or damaged, or no checkpoint at all: {RESAVE}"),
    "directory damaged": (_directory_damaged, "is truncated or damaged, or no checkpoint at all"),
    "empty": (_written("empty.pt", b""), "is truncated or damaged, or no checkpoint at all"),
    "text": (
        _written("text.pt", b"these are my weights\n"),
        "is truncated or damaged, or no checkpoint at all",
    ),
    "noise": (
        _written("noise.pt", bytes(range(256)) * 9),
        "is truncated or damaged, or no checkpoint at all",
    ),
    "a bare state_dict": (_state_dict, rf"is a bare state_dict: it holds no time constants.*{RESAVE}"),
    "a list": (_saved([1, 2]), rf"holds a list that astrodeploy did not write: {RESAVE}"),
    "a dictionary": (_saved({"epoch": 3}), "holds a dict that astrodeploy did not write"),
    "another format": (_saved({"format": "other"}), "is no astrodeploy checkpoint: its format is 'other'"),
    "a later version": (
        _changed(lambda data: data.update(version=4)),
        "is a astrodeploy checkpoint of version 4; this astrodeploy reads up to 3: update astrodeploy",
    ),
    "an earlier version": (
        _changed(lambda data: data.update(version=1)),
        "of version 1; this astrodeploy reads versions from 3 on: make it anew from its source",
    ),
    "without a network": (
        _changed(lambda data: data.pop("network")),
        "lacks a part of the network.*'network'",
    ),
    "lacking a tensor": (_changed(_without_tensor), "lacks a part of the network.*population.1.tau"),
    "lacking all tensors": (
        _changed(lambda data: data.pop("tensors")),
        "lacks a part of the network.*'tensors'",
    ),
    "a tensor of bfloat16": (_changed(_float16_tensor), "holds a wrong one: .*BFloat16"),
    "a short tensor": (_changed(_short_tensor), r"hidden.tau has shape \(3,\), the population \(10,\)"),
    "transposed weights": (_changed(_wrong_weights), r"weights are \(10, 4\), needed is .* = \(4, 10\)"),
    "an impossible shape": (_changed(_huge_shape), "lacks a part of the network or holds a wrong one"),
    "an unknown node": (_changed(_unknown_node), "the node 'Izhikevich' is unknown; known are Input"),
    "a weight that is NaN": (_changed(_nan), "input -> hidden.current holds 1 NaN or infinite value"),
    "a folder": (_folder, "can't be read: Is a directory"),
}


def _npz(**arrays):
    def write(folder):
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    return write


def _npy(folder):
    np.save(folder / "x.npy", np.zeros((2, 3)))
    return folder / "x.npy"


def _object_array(name):
    def write(folder):
        arrays = {"x": spikes(), name: np.array([Touch(folder / "owned")] * 3, object)}
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    return write


def _damaged_npz(folder):
    np.savez(folder / "x.npz", x=spikes())
    content = bytearray((folder / "x.npz").read_bytes())
    content[200] ^= 255
    (folder / "x.npz").write_bytes(content)
    return folder / "x.npz"


def _encrypted_npz(folder):
    np.savez(folder / "x.npz", x=spikes())
    content = bytearray((folder / "x.npz").read_bytes())
    content[6] |= 1  # the local and the central header's flag for "encrypted"
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (folder / "x.npz").write_bytes(content)
    return folder / "x.npz"


def _absent(name):
    return lambda folder: folder / name


BAD_STIMULI = {
    "missing": (_absent("none.npz"), "none.npz does not exist"),
    "a folder": (_folder, "can't be read as an .npz of plain arrays: .*Is a directory"),
    "text": (_written("x.npz", b"0,1,0\n"), "is no .npz file: write one with numpy.savez"),
    "empty file": (_written("x.npz", b""), "is no .npz file"),
    "a pickle": (_malicious_pickle, "is no .npz file"),
    "a single array": (_npy, "is no .npz file"),
    "a damaged archive": (_damaged_npz, "can't be read as an .npz of plain arrays: .*CRC"),
    "an encrypted archive": (_encrypted_npz, "can't be read as an .npz of plain arrays: .*encrypted"),
    "x of objects": (
        _object_array("x"),
        "can't be read as an .npz of plain arrays: Object arrays cannot be loaded",
    ),
    "y of objects": (
        _object_array("y"),
        "can't be read as an .npz of plain arrays: Object arrays cannot be loaded",
    ),
    "without x": (_npz(data=np.zeros(3), labels=np.zeros(3)), "holds data, labels; needed is x"),
    "nothing": (_npz(), "holds nothing; needed is x"),
    "a number": (_npz(x=np.float64(3)), "x is a single number, needed is a batch"),
    "y too short": (
        _npz(x=spikes(), y=np.zeros(2)),
        r"y is float64 \(2,\), needed is one label .* a sample, \(3,\)",
    ),
    "y of two dimensions": (_npz(x=spikes(), y=np.zeros((3, 1))), r"y is float64 \(3, 1\), needed"),
    "y of names": (
        _npz(x=spikes(), y=np.array(["a", "b", "c"])),
        r"y is <U1 \(3,\), needed is one label \(a number",
    ),
}

BAD_ARRAYS = {  # of what a Program without encoder and 6 inputs takes
    "too few dimensions": (np.zeros((3, 6)), r"has shape \(3, 6\), needed is \(batch, steps, 6\)"),
    "too many inputs": (np.zeros((3, 20, 7)), r"has shape \(3, 20, 7\), needed is \(batch, steps, 6\)"),
    "too many dimensions": (np.zeros((3, 20, 6, 1)), r"has shape \(3, 20, 6, 1\), needed is"),
    "no sample": (np.zeros((0, 20, 6)), r"is empty: its shape is \(0, 20, 6\)"),
    "no step": (np.zeros((3, 0, 6)), r"is empty: its shape is \(3, 0, 6\)"),
    "strings": (
        np.full((3, 20, 6), "1"),
        r"must hold numbers, not <U1; its shape is to be \(batch, steps, 6\)",
    ),
    "complex": (np.zeros((3, 20, 6), np.complex64), "must hold numbers, not complex64"),
    "values": (np.full((3, 20, 6), 0.5), "must hold spikes, 0 or 1: this Program has no encoder"),
    "negative": (np.full((3, 20, 6), -1), "must hold spikes, 0 or 1"),
    "two spikes": (np.full((3, 20, 6), 2), "must hold spikes, 0 or 1"),
    "NaN": (np.full((3, 20, 6), np.nan), "must hold spikes, 0 or 1"),
}
