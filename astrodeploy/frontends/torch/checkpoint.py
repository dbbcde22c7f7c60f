"""model.pt: our checkpoint, data only, written by `save` and read with weights_only=True.

It holds a format name and version, the network as plain data, and every tensor, all neuron parameters
among them (a Norse state_dict holds none of these).
"""

import pickle
import struct
import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import torch

from astrodeploy import arguments, storage
from astrodeploy.errors import CheckpointError, InputError
from astrodeploy.frontends.findings import Findings, Reading
from astrodeploy.frontends.torch.export_check import check_export
from astrodeploy.frontends.torch.module import graph_of
from astrodeploy.ir import Graph, verify
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.plain import from_plain, to_plain

FORMAT = "astrodeploy checkpoint"
VERSION = 3
KEYS = {"format", "version", "network", "tensors"}
DAMAGED = (  # what torch's reader raises for bytes that are no checkpoint
    pickle.UnpicklingError,
    BadZipFile,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    struct.error,
)
RESAVE = "re-save it from Python with astrodeploy.save(model, path, dt=..., input_shape=...)"


def save(
    module: torch.nn.Module,
    path: str | PathLike[str],
    *,
    dt: float,
    input_shape: tuple[int, ...],
    sample: Any = None,
) -> Graph:
    """Write a trained module with a one-step forward as model.pt, and return its Graph.

    dt           seconds per step, the dt of the module's cells
    input_shape  of one sample in one step (of its values, with an encoder)
    sample       (batch, *input shape) or (batch, steps, *input shape) to check the export with, in
                 place of random input

    The Graph is run against the module first: every layer must send the same spikes.
    Raises UnsupportedError, InputError.
    """
    storage.check_file(Path(path))
    arguments.time_step(dt)
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"what is saved is a torch module (torch.nn.Module), not a {type(module).__name__}")
    graph = canonical(graph_of(module, dt, arguments.shape(input_shape)))
    verify(graph)
    check_export(module, graph, sample)
    write_checkpoint(graph, Path(path))
    return graph


def write_checkpoint(graph: Graph, path: Path) -> None:
    """Write a float Graph as model.pt, whole or not at all."""
    plain, tensors = to_plain(graph)
    data = {
        "format": FORMAT,
        "version": VERSION,
        "network": plain,
        "tensors": {k: torch.from_numpy(np.array(v)) for k, v in tensors.items()},
    }
    stream = BytesIO()
    torch.save(data, stream)
    with storage.atomic_file(path) as fresh:
        fresh.write_bytes(stream.getbuffer())


def read_checkpoint(path: Path) -> Reading:
    """The float Graph of a model.pt, and what others added to it. Nothing in the file is executed.

    Raises CheckpointError, where a part of the network's own description is unknown too.
    """
    data = _load(path)
    if not isinstance(data, dict) or "format" not in data:
        raise CheckpointError(_foreign(path, data))
    storage.check_version(data, FORMAT, VERSION, path, CheckpointError, since=VERSION)
    try:
        tensors = {str(k): np.array(v.detach().numpy()) for k, v in data["tensors"].items()}
        told = from_plain(data["network"], tensors)
        graph = canonical(told)
        verify(graph)
        if unknown := _unknown(data["network"], tensors, *to_plain(told)):
            raise InputError(f"it has {', '.join(unknown)[:200]}, which no network has")
    except (InputError, RuntimeError, *storage.MALFORMED) as error:
        raise CheckpointError(f"{path} lacks a part of the network or holds a wrong one: {error}") from error
    findings = Findings()
    for key in sorted(str(key) for key in data.keys() - KEYS):
        findings.note("", f"has {key[:80]!r} beside the network: not read")
    return Reading(graph, findings.all)


def _unknown(plain: Any, tensors: Mapping[str, Any], said: Any, named: Mapping[str, Any]) -> list[str]:
    """What stands in a description and is not in that of the network that was read from it."""
    return [
        *_more(plain, said, "network"),
        *(f"the tensor {name!r}" for name in sorted(tensors.keys() - named.keys())),
    ]


def _more(given: Any, said: Any, where: str) -> Iterator[str]:
    if isinstance(given, Mapping) and isinstance(said, Mapping):
        for key in given:
            if key in said:
                yield from _more(given[key], said[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif isinstance(given, list | tuple) and isinstance(said, list | tuple):
        for i, (one, other) in enumerate(zip(given, said, strict=False)):
            yield from _more(one, other, f"{where}.{i}")
        if len(given) > len(said):
            yield f"{where}.{len(said)}"
    elif given != said:
        yield f"{where} = {given!r}"


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            pickled = stream.read(1) == pickle.PROTO
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror or error}") from error
    try:
        _refuse_containers(path)
        with warnings.catch_warnings(action="ignore"):  # torch's advice for files that it did not write
            return torch.load(path, weights_only=True, map_location="cpu")
    except DAMAGED as error:
        names = _globals(path)
        if names or (pickled and isinstance(error, pickle.UnpicklingError)):
            raise CheckpointError(
                f"{path} holds pickled Python objects{names}, which could run code when loaded, "
                f"so it was not: {RESAVE}"
            ) from error
        raise CheckpointError(f"{path} is truncated or damaged, or no checkpoint at all: {RESAVE}") from error


def _refuse_containers(path: Path) -> None:
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        names = archive.namelist()
        damaged = archive.testzip()  # torch reads tensors without their checksums
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise CheckpointError(f"{path} is TorchScript, which holds a program and not a network: {RESAVE}")
    if any(name.split("/")[-1] == "archive_format" for name in names):
        raise CheckpointError(f"{path} is a torch.export archive, not a checkpoint: {RESAVE}")
    if damaged is not None:
        raise CheckpointError(f"{path} was changed or damaged after it was written ({damaged}): {RESAVE}")


def _globals(path: Path) -> str:
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except DAMAGED:
        return ""
    return f" ({', '.join(sorted(names)[:3])})" if names else ""


def _foreign(path: Path, data: Any) -> str:
    if isinstance(data, dict) and data and all(isinstance(v, torch.Tensor) for v in data.values()):
        return (
            f"{path} is a bare state_dict: it holds no time constants, thresholds or connections "
            f"(a Norse state_dict never does): {RESAVE}"
        )
    return f"{path} holds a {type(data).__name__} that astrodeploy did not write: {RESAVE}"
