"""From a source to a Program: the front doors, the flow, and export."""

from importlib import import_module
from math import isclose
from os import PathLike
from pathlib import Path
from typing import Any

from astrodeploy.chip import load_chip
from astrodeploy.errors import InputError, NirError, UnsupportedError
from astrodeploy.ir import Compartments, Graph, verify
from astrodeploy.ir.canonical import canonical
from astrodeploy.passes.base import Draft
from astrodeploy.passes.flow import FLOW, FROZEN_FLOW, run_flow
from astrodeploy.program import Program


def load(source: Any, dt: float | None = None, input_shape: tuple[int, ...] | None = None) -> Graph:
    """The float Graph of a source.

    source       path of a .pt or .nir file; "package.module:function", a function that returns a torch
                 module; a torch module with a one-step forward; a nir.NIRGraph; a Graph
    dt           seconds per step, where the source does not say it
    input_shape  for a torch module, where its first Linear does not say it

    Only the factory that you name is executed. Raises InputError and its kinds.
    """
    source = _resolved(source)
    if isinstance(source, str | PathLike):
        graph = _read(Path(source), dt)
    elif isinstance(source, Graph):
        verify(source)
        graph = canonical(source)
    else:
        graph = _converted(source, dt, input_shape)
    if dt is not None and not isclose(graph.dt, dt, rel_tol=1e-9):
        raise InputError(
            f"the network was trained with dt = {graph.dt:g} s, asked for is {dt:g} s: leave dt out"
        )
    if input_shape is not None and tuple(input_shape) != graph.input.shape:
        raise InputError(f"the network's input has shape {graph.input.shape}, asked for is {input_shape}")
    return graph


def _resolved(source: Any) -> Any:
    """What a factory returns; any other source as it is."""
    if isinstance(source, str) and ":" in source and not _exists(Path(source)):
        return _made(source)
    return source


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _read(path: Path, dt: float | None) -> Graph:
    if not _exists(path):
        raise InputError(f"{path} does not exist")
    if path.suffix == ".nir":
        from astrodeploy.frontends.nir_file import read_nir

        return read_nir(path, dt)
    if path.suffix == ".pt":
        from astrodeploy.frontends.checkpoint import read_checkpoint

        return read_checkpoint(path)
    raise InputError(f"{path} is neither a .pt nor a .nir file, which are what can be compiled")


def _converted(source: Any, dt: float | None, input_shape: tuple[int, ...] | None) -> Graph:
    import nir
    import torch

    if isinstance(source, nir.NIRGraph):
        from astrodeploy.frontends.nir_file import from_nir

        graph = from_nir(source, dt)
    elif isinstance(source, torch.nn.Module):
        from astrodeploy.frontends.export_check import check_export
        from astrodeploy.frontends.torch_module import graph_of

        graph = canonical(graph_of(source, dt, input_shape))
        verify(graph)
        check_export(source, graph)
    else:
        raise InputError(
            f"a {type(source).__name__} can't be compiled: give a path, a torch module or a NIR graph"
        )
    verify(graph)
    return graph


def _made(factory: str) -> Any:
    module, _, function = factory.partition(":")
    try:
        make = getattr(import_module(module), function)
    except Exception as error:  # whatever the user's own file raises
        raise InputError(f"{factory} can't be imported: {error}") from error
    if not callable(make):
        raise InputError(f"{factory} is a {type(make).__name__}, needed is a function that returns a module")
    try:
        return make()
    except Exception as error:
        raise InputError(f"{factory} raised {type(error).__name__}: {error}") from error


def compile(
    source: Any,
    target: str | PathLike[str] = "loihi2",
    *,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    freeze_astrocytes: bool = False,
    reset_every: int | None = None,
) -> Program:
    """Compile a source (see `load`) for a chip, by name or the path of a chip's .toml file.

    freeze_astrocytes  fold the gains at rest into the weights and leave the astrocytes out
    reset_every        steps; clear fast states every so many steps of a run, one step later per depth

    Raises InputError where the source can't be compiled, DoesNotFit where the chip can't hold it.
    """
    if reset_every is not None and reset_every < 1:
        raise InputError(f"reset_every must be at least 1 step, not {reset_every}")
    chip = load_chip(target)
    graph = load(source, dt, input_shape)
    if integer := [p.name for p in graph.populations if isinstance(p.node, Compartments)]:
        raise InputError(
            f"the Graph is one of integers already ({', '.join(integer)}): compile takes a float network"
        )
    draft = Draft(graph, chip)
    draft, reports = run_flow(draft, FROZEN_FLOW if freeze_astrocytes else FLOW)
    assert draft.reference is not None
    return Program(
        network=draft.graph,
        reference=draft.reference,
        chip=chip,
        cores=draft.cores,
        passes=reports,
        reset_every=reset_every or 0,
    )


def export(
    source: Any,
    path: str | PathLike[str],
    *,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    sample: Any = None,
) -> Path:
    """Write a source (see `load`) as a .nir file, checked before it is written.

    A torch module is run against its Graph, on `sample` or random input; the document is read back and
    must give the same Graph. Raises InputError and its kinds.
    """
    import torch

    from astrodeploy.frontends.nir_file import from_nir, to_nir, write_nir
    from astrodeploy.ir.canonical import canonical
    from astrodeploy.ir.plain import fingerprint

    if Path(path).suffix != ".nir":
        raise InputError(f"{path} was not written: the name of a NIR file ends in .nir")
    source = _resolved(source)
    graph = load(source, dt, input_shape)
    if isinstance(source, torch.nn.Module) and sample is not None:
        from astrodeploy.frontends.export_check import check_export

        check_export(source, graph, sample)
    try:
        whole = fingerprint(from_nir(to_nir(graph))) == fingerprint(canonical(graph))
    except (NirError, UnsupportedError) as error:
        raise InputError(
            f"{path} was not written: NIR can't say the whole of this network: {error}"
        ) from error
    if not whole:
        raise InputError(f"{path} was not written: NIR can't say the whole of this network")
    write_nir(graph, Path(path))
    return Path(path)
