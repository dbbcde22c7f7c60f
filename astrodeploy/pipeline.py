"""From a source to a Program: the front doors, the flow, and export."""

from importlib import import_module
from math import isclose
from os import PathLike
from pathlib import Path
from typing import Any, cast, get_args

from astrodeploy import arguments, storage
from astrodeploy.chip import load_target
from astrodeploy.errors import InputError, NirError, UnsupportedError
from astrodeploy.frontends.findings import Finding, Findings, Reading
from astrodeploy.ir import Compartments, Graph, verify
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.canonical import canonical
from astrodeploy.optional import missing
from astrodeploy.passes.base import Draft, Pack
from astrodeploy.passes.flow import FLOW, FROZEN_FLOW, INTEGER_FLOW, run_flow
from astrodeploy.program import LONGEST_RUN, Note, PassReport, Program
from astrodeploy.recipe import Recipe, samples_given, source_given, target_given


def load(
    source: Any,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    reset: str | None = None,
    threshold: str | None = None,
    if_r: str | None = None,
) -> Graph:
    """The float Graph of a source.

    source       path of a .pt or .nir file; "package.module:function", a function that returns a torch
                 module or a Graph; a torch module with a one-step forward; a nir.NIRGraph; a Graph
    dt           seconds per step, where the source does not say it
    input_shape  for a torch module, where its first Linear does not say it
    reset        for NIR that does not say it: "zero" | "subtract"; or "value", the file's v_reset
    threshold    for NIR: a spike where v ">" (the default) or ">=" v_threshold
    if_r         for NIR whose integrators have r = 1: "per_second" | "per_step"

    Only the factory that you name is executed. Raises InputError and its kinds.
    """
    return read(source, dt, input_shape, reset, threshold, if_r).graph


def read(
    source: Any,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    reset: str | None = None,
    threshold: str | None = None,
    if_r: str | None = None,
) -> Reading:
    """The float Graph of a source as `load` gives it, and what was found in it."""
    arguments.time_step(dt)
    input_shape = arguments.shape(input_shape)
    source = _resolved(source)
    rules = {
        name: v for name, v in (("reset", reset), ("threshold", threshold), ("if_r", if_r)) if v is not None
    }
    found: tuple[Finding, ...] = ()
    unity: float | None = None
    if (reading := _read_nir(source, dt, input_shape, rules)) is not None:
        graph, found = reading.graph, reading.findings
    elif rules:
        raise InputError(f"{', '.join(rules)} can be given for NIR only, which does not say it: leave it out")
    elif isinstance(source, str | PathLike):
        reading = _read(Path(source), dt, input_shape)
        graph, found, unity = reading.graph, reading.findings, reading.unity
    elif isinstance(source, Graph):
        verify(source)
        graph = canonical(source)
    else:
        reading = _converted(source, dt, input_shape)
        graph, found = reading.graph, reading.findings
    if dt is not None and not isclose(graph.dt, dt, rel_tol=1e-9):
        raise InputError(
            f"the network was trained with dt = {graph.dt:g} s, asked for is {dt:g} s: leave dt out"
        )
    shape = graph.input.shape if graph.before is None else graph.before.inputs
    if input_shape is not None and tuple(input_shape) != shape:
        raise InputError(f"the network's input has shape {shape}, asked for is {input_shape}")
    return Reading(graph, found, unity)


def _read_nir(
    source: Any, dt: float | None, input_shape: tuple[int, ...] | None, rules: dict[str, str]
) -> Reading | None:
    """A .nir file or a NIR document; None for any other source."""
    is_file = isinstance(source, str | PathLike) and Path(source).suffix == ".nir" and _exists(Path(source))
    if not is_file and type(source).__name__ != "NIRGraph":
        return None
    from astrodeploy.frontends.nir.file import from_nir, read_nir
    from astrodeploy.frontends.nir.rules import NirOptions

    options = NirOptions(dt=dt, input_shape=input_shape, **rules)
    return read_nir(Path(source), options) if is_file else from_nir(source, options)


def _resolved(source: Any) -> Any:
    """What a factory returns; any other source as it is."""
    if isinstance(source, str) and ":" in source and not _exists(Path(source)):
        return _made(source)
    return source


def require_source(source: str, dt: float | None = None) -> None:
    """Raise InputError where what is named is neither a factory nor a file that is there, or dt no time step."""
    arguments.time_step(dt)
    if ":" not in source and not _exists(Path(source)):
        raise InputError(f"{source} does not exist")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _read(path: Path, dt: float | None, input_shape: tuple[int, ...] | None) -> Reading:
    if not _exists(path):
        raise InputError(f"{path} does not exist")
    if path.suffix == ".pt":
        from astrodeploy.frontends.torch.checkpoint import read_checkpoint

        return read_checkpoint(path)
    if path.suffix == ".net":
        from astrodeploy.frontends.lava_dl.file import read_net

        return read_net(path, dt)
    if path.suffix == ".onnx":
        from astrodeploy.frontends.onnx.file import read_onnx

        return read_onnx(path, dt, input_shape)
    raise InputError(f"{path} is none of the files that can be compiled: .pt, .nir, .net, .onnx")


def _converted(source: Any, dt: float | None, input_shape: tuple[int, ...] | None) -> Reading:
    import torch

    findings = Findings()
    if isinstance(source, torch.nn.Module):
        from astrodeploy.frontends.torch.export_check import check_export
        from astrodeploy.frontends.torch.module import graph_of
        from astrodeploy.frontends.torch.unread import tell_unread

        graph = canonical(graph_of(source, dt, input_shape))
        verify(graph)
        check_export(source, graph)
        tell_unread(source, findings)
    else:
        raise InputError(
            f"a {type(source).__name__} can't be compiled: give a path, a torch module or a NIR graph"
        )
    verify(graph)
    return Reading(graph, findings.all)


def _made(factory: str) -> Any:
    module, _, function = factory.partition(":")
    try:
        make = getattr(import_module(module), function)
    except Exception as error:  # whatever the user's own file raises
        wanted = missing(error) if isinstance(error, ImportError) else None
        raise InputError(f"{factory} can't be imported: {wanted or error}") from error
    if not callable(make):
        raise InputError(f"{factory} is a {type(make).__name__}, needed is a function that returns a module")
    try:
        made = make()
    except Exception as error:
        raise InputError(f"{factory} raised {type(error).__name__}: {error}") from error
    if isinstance(made, str) and not Path(made).is_file():
        raise InputError(
            f"{factory} returned a str that names no file, {made!r}: needed is a module, or a file's path"
        )
    return made


def compile(
    source: Any,
    target: str | PathLike[str] = "loihi2",
    *,
    calibrate: Any = None,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    reset: str | None = None,
    threshold: str | None = None,
    if_r: str | None = None,
    freeze_astrocytes: bool = False,
    allow_delay: bool = False,
    reset_every: int | None = None,
    pack: str = "fastest",
    model: str | None = None,
) -> Program:
    """Compile a source (see `load`) for a chip or a board, by name or the path of its .toml file.

    A Graph of integers (neurons that are `Compartments`, weights in int8) is not quantised any more: it is
    timed by its lags, or as its delays say where one is longer than a step, cut, placed and checked, and is
    what the Program means.

    calibrate          samples as `engines.run` takes them, by input where there are several, or the path of an
                       .npz file that holds them: the float network runs on some of them, and scales are chosen
                       from what it does; data that are no spikes make the input graded. Without them scales
                       come from the worst case
    freeze_astrocytes  fold the gains at rest into the weights and leave the astrocytes out
    allow_delay        a loop with fewer steps in the model than edges gets the longer delay that the chip takes
    reset_every        steps; clear fast states every so many steps of a run, one step later per depth
    pack               the fewest cores with which a step is "fastest" (an inference, where the chip's file says
                       what clearing between samples takes), or the "fewest" that hold the network
    model              the cost model, by name, that "fastest" goes by and estimates take; the chip's own choice
                       without one

    All of it stands in the Program's `recipe`. Raises InputError where the source can't be compiled, DoesNotFit
    where the chip can't hold it.
    """
    arguments.time_step(dt)
    input_shape = arguments.shape(input_shape)
    arguments.one_of("pack", pack, get_args(Pack))
    if reset_every is not None:
        arguments.whole("reset_every", reset_every, unit="step")
        if reset_every > LONGEST_RUN:
            raise InputError(f"reset_every must be at most {LONGEST_RUN} steps, not {reset_every}")
    board = load_target(target)
    if model is not None:
        board = board.with_cost_model(model)
    samples, file = _samples(calibrate)
    reading = read(source, dt, input_shape, reset, threshold, if_r)
    graph = reading.graph
    if graph.is_integer:
        _require_integers(graph, samples, freeze_astrocytes)
    stimulus = _calibration(source, graph, samples)
    draft = Draft(
        graph,
        board,
        stimulus=stimulus,
        allow_delay=allow_delay,
        pack=cast(Pack, pack),
        unity=reading.unity,
        reset_every=reset_every or 0,
    )
    recipe = Recipe(
        source=source_given(source, graph),
        target=target_given(target),
        calibrate=None if samples is None else samples_given(samples, file),
        dt=dt,
        input_shape=input_shape,
        reset=reset,
        threshold=threshold,
        if_r=if_r,
        freeze_astrocytes=freeze_astrocytes,
        allow_delay=allow_delay,
        reset_every=reset_every,
        pack=pack,
        model=model,
    )
    flow = INTEGER_FLOW if graph.is_integer else FROZEN_FLOW if freeze_astrocytes else FLOW
    draft, reports = run_flow(draft, flow)
    assert draft.reference is not None
    return Program(
        network=draft.graph,
        reference=draft.reference,
        board=board,
        cores=draft.cores,
        passes=(*_load_report(reading), *reports),
        reset_every=recipe.reset_every or 0,
        recipe=recipe,
    )


def _samples(given: Any) -> tuple[Any, Path | None]:
    """Calibration data, and the file that they come from where a path was given."""
    if not isinstance(given, str | PathLike):
        return given, None
    from astrodeploy.frontends.stimulus import read_stimulus

    return read_stimulus(Path(given))[0], Path(given)


def _require_integers(graph: Graph, calibrate: Any, freeze_astrocytes: bool) -> None:
    """Raise InputError where a Graph of integers is not one throughout, or is to be quantised."""
    floats = [p.name for p in graph.populations if not (p.is_input or isinstance(p.node, Compartments))]
    if floats:
        raise InputError(
            f"the Graph is one of integers, but for {', '.join(floats)}: give all of its neurons as Compartments, or "
            "none"
        )
    if calibrate is not None or freeze_astrocytes:
        raise InputError(
            "the Graph is one of integers already: there is nothing to calibrate and no gain to freeze, leave "
            "calibrate and freeze_astrocytes out"
        )


def _load_report(reading: Reading) -> tuple[PassReport, ...]:
    """What was mended and assumed when the source was read, as the first of the passes' reports."""
    notes = tuple(Note(each.node or "the file", each.text) for each in reading.findings)
    return (PassReport("load", notes),) if notes else ()


def _calibration(source: Any, graph: Graph, data: Any) -> dict[str, Array]:
    """Calibration data by input, as the network itself takes them."""
    if data is not None:
        from astrodeploy.engines.stimulus import calibration_stimulus

        return calibration_stimulus(graph, data)
    if isinstance(source, str | PathLike) and Path(source).suffix == ".onnx":
        raise InputError(
            f"{source} takes numbers, whose range the chip has to know: give samples with --calibrate data.npz "
            "(calibrate=x)"
        )
    return {}


def export(
    source: Any,
    path: str | PathLike[str],
    *,
    dt: float | None = None,
    input_shape: tuple[int, ...] | None = None,
    reset: str | None = None,
    threshold: str | None = None,
    if_r: str | None = None,
    sample: Any = None,
) -> Path:
    """Write a source (see `load`) as a .nir file, checked before it is written.

    A torch module is run against its Graph, on `sample` or random input; the document is read back and
    must give the same Graph. Raises InputError and its kinds.
    """
    import torch

    from astrodeploy.frontends.nir.file import from_nir, to_nir, write_nir
    from astrodeploy.ir.canonical import canonical
    from astrodeploy.ir.plain import fingerprint

    arguments.time_step(dt)
    if Path(path).suffix != ".nir":
        raise InputError(f"{path} was not written: the name of a NIR file ends in .nir")
    storage.check_file(Path(path))
    source = _resolved(source)
    graph = load(source, dt, input_shape, reset, threshold, if_r)
    if isinstance(source, torch.nn.Module) and sample is not None:
        from astrodeploy.frontends.torch.export_check import check_export

        check_export(source, graph, sample)
    try:
        whole = fingerprint(from_nir(to_nir(graph)).graph) == fingerprint(canonical(graph))
    except (NirError, UnsupportedError) as error:
        raise InputError(
            f"{path} was not written: NIR can't say the whole of this network: {error}"
        ) from error
    if not whole:
        raise InputError(f"{path} was not written: NIR can't say the whole of this network")
    write_nir(graph, Path(path))
    return Path(path)
