"""`report`: gather, draw, render, write."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrodeploy import arguments, storage
from astrodeploy.answers import UNDECIDED
from astrodeploy.engines.stimulus import axes
from astrodeploy.errors import InputError, ProgramError
from astrodeploy.frontends.stimulus import part, read_stimulus
from astrodeploy.ir import Compartments, Graph
from astrodeploy.ir.arrays import Array
from astrodeploy.program import Program
from astrodeploy.reading import in_file_order
from astrodeploy.recipe import content_hash
from astrodeploy.reporting import quantisation, tables
from astrodeploy.reporting.drawing import draw
from astrodeploy.reporting.evidence import Evidence, Order, Rates, gather
from astrodeploy.reporting.figures import gain_lines, gains, raster, raster_window
from astrodeploy.reporting.recipe import again, described
from astrodeploy.reporting.scales import decades, linear
from astrodeploy.reporting.text import FILTERS
from astrodeploy.trace import Trace
from astrodeploy.verification import Verification

if TYPE_CHECKING:
    import numpy.typing as npt

TEMPLATE = "report.html.j2"
DOCTYPE = b"<!DOCTYPE HTML"
DRAWN_CORES = 24  # more are listed without bars


def report(
    program: Program,
    x: Any = None,
    *,
    labels: "npt.ArrayLike | None" = None,
    path: str | PathLike[str] = "report.html",
    carry: tuple[str, ...] = (),
    rates: Rates | None = None,
    steps: int | None = None,
    verification: Verification | None = None,
    traces: Sequence[Trace] = (),
    samples: int | None = None,
    first: int | None = None,
    engines: Sequence[str] = (),
) -> Path:
    """Write one self-contained HTML file about a Program, and return its path.

    x             a batch as `Program.run` takes it, or the path of an .npz file that holds one: it is run on
                  the fast engine and on the float reference, figures and costs come from that run
    first         only so many of its samples, the first ones
    labels        (batch,) integers: the accuracy of every run is shown; of a file, its y
    carry, steps  how x is run, as in `Program.run`; without x, `steps` are those of an inference
    rates         without a run: messages per neuron and step that the costs assume, 0.1 unless given
    verification  what `verify` found; without it the oracle and fast run the first few samples
    traces        runs that are there already: they are shown, and not run again
    samples       of the verification that is made for the report; 0 leaves it out
    engines       that it is made on, the first 10 samples unless `samples` says it: see `verify`

    The same arguments give the same bytes; the page says how to make it again.
    Raises InputError and its kinds: arguments that do not go
    together, a Trace of another Program, a stimulus or labels that do not fit, a path that can't be
    written.
    """
    path = Path(path)
    _check_place(path)
    x, known, file = _read(x, labels)
    order = Order(
        program=in_file_order(program),
        x=x if first is None or x is None else part(x, slice(first)),
        labels=known if first is None or known is None else known[:first],
        carry=arguments.names("carry", carry),
        rates=_one_rate(program, rates),
        steps=steps,
        verification=verification,
        traces=tuple(traces),
        samples=samples,
        engines=tuple(engines),
        file=file,
        file_sha256="" if x is None else content_hash(x),
    )
    text = render(gather(order), path.name)
    with storage.atomic_file(path) as fresh:
        fresh.write_bytes(text.encode("utf-8", "replace"))
    return path


def _check_place(path: Path) -> None:
    """Raise ProgramError where a page can't be written, or something that is no page would be lost."""
    storage.check_file(path)
    if path.exists():
        with path.open("rb") as file:
            if file.read(len(DOCTYPE)).upper() != DOCTYPE:
                raise ProgramError(f"{path} exists and is no page (HTML): choose another output")


def _read(x: Any, labels: Any) -> tuple[Any, Array | None, str]:
    """x and labels as arrays, and what their file is called. Raises InputError."""
    if isinstance(x, str | PathLike):
        if labels is not None:
            raise InputError(f"the labels of {x} are its y: leave labels= out")
        samples, known = read_stimulus(Path(x))
        return samples, known, Path(x).name
    arrays = x if x is None or isinstance(x, Mapping) else arguments.array(x)
    return arrays, None if labels is None else arguments.array(labels, "labels"), Order.file


def _one_rate(program: Program, rates: Rates | None) -> Rates | None:
    """Rates as they are shortest: one number where all layers that were compiled have it."""
    if not isinstance(rates, Mapping):
        return rates
    asked = {p.name for p in program.reference.populations if not p.is_astrocyte}
    return next(iter(rates.values())) if set(rates) == asked and len(set(rates.values())) == 1 else rates


def render(evidence: Evidence, file_name: str) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= FILTERS
    source = files("astrodeploy.reporting").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(_content(evidence, file_name))


def _content(evidence: Evidence, file_name: str) -> dict[str, Any]:
    program = evidence.order.program
    network, cost = program.network, evidence.estimate
    chip = program.chip
    main = evidence.main
    return {
        "evidence": evidence,
        "order": evidence.order,
        "program": program,
        "network": network,
        "chip": chip,
        "main": main,
        "title": _title(network),
        "neurons": sum(p.size for p in network.populations if not (p.is_input or p.is_astrocyte)),
        "astrocytes": sum(p.size for p in network.populations if p.is_astrocyte),
        "synapses": sum(tables.synapses(c) for c in network.connections),
        "accuracies": [run for run in tables.runs(evidence) if run.accuracy is not None],
        "layers": tables.layers(network),
        "wires": tables.wires(network, chip),
        "ticks": tables.ticks(network, main.steps if main else _shown(evidence)),
        "sample_steps": main.steps if main else _shown(evidence),
        "drawing": draw(network),
        "neuron_programs": tables.neuron_programs(network),
        "fullest": tables.fullest(program),
        "core_loads": [(core, tables.loads(core)) for core in program.cores],
        "draw_cores": len(program.cores) <= DRAWN_CORES,
        "runs": tables.runs(evidence),
        "rounded_weights": quantisation.weights(program),
        "rounded_layers": quantisation.layers(
            program, evidence.verification.distance if evidence.verification else None
        ),
        "raster": _raster(evidence),
        "gains": _gains(evidence),
        "cost": cost,
        "parts_scale": decades([cost.energy_joules, *cost.parts.values()]),
        "layer_scale": linear([cost.parts["operations"], *cost.by_layer.values(), cost.astrocyte_joules]),
        "stimulus": "" if evidence.order.x is None else described(evidence.order.x),
        "axes": "" if evidence.order.x is None else axes(program, evidence.order.x, evidence.order.steps),
        "read_outs": program.reference.read_outs,
        "again": again(evidence.order, file_name),
    }


def _title(network: Graph) -> str:
    layers = [p for p in network.populations if not p.is_astrocyte]
    names = [p.name for p in sorted(layers, key=lambda p: (p.name == network.output, p.depth))]
    shown = names if len(names) <= 5 else [*names[:2], "…", *names[-2:]]
    return " → ".join(shown)


def _shown(evidence: Evidence) -> int:
    encoder = evidence.order.program.network.encoder
    return evidence.order.steps or (encoder.steps if encoder else 1)


# ---- figures -----------------------------------------------------------------------------------------


def _raster(evidence: Evidence) -> Mapping[str, Any]:
    """The drawing and what stands below it, or why there is none."""
    main, network = evidence.main, evidence.order.program.network
    if main is None:
        return {"svg": None, "why": evidence.missing["runs"]}
    window = raster_window(main, network)
    left_out = [p.name for p in network.populations if not p.is_astrocyte and p.name not in window.layers]
    captions = _captions(evidence, main, window.samples)
    return {
        "svg": raster(window, network, captions),
        "samples": window.samples,
        "caption": captions[0],
        "left_out": left_out,
    }


def _captions(evidence: Evidence, main: Trace, samples: int) -> list[str]:
    classes = main.predictions[:samples]
    said = ["undecided" if each == UNDECIDED else f"says {each}" for each in classes]
    if evidence.order.labels is None:
        return said
    labels = [int(each) for each in evidence.order.labels[:samples]]
    return [f"label {label}, {each}" for label, each in zip(labels, said, strict=True)]


def _gains(evidence: Evidence) -> Mapping[str, Any]:
    """The drawing of the astrocytes' gains, or why there is none."""
    main, network = evidence.main, evidence.order.program.network
    astrocytes = [p for p in network.populations if p.is_astrocyte]
    if not astrocytes:
        return {"svg": None, "why": "the network has no astrocytes"}
    if main is None:
        return {"svg": None, "why": evidence.missing["runs"]}
    fastest = min(p.node.period for p in astrocytes if isinstance(p.node, Compartments))
    if not main.stream and main.steps < fastest:
        return {
            "svg": None,
            "why": f"every sample started from rest and lasted {main.steps} steps, while the astrocytes act every "
            f"{fastest} steps: they stayed at their resting gains. Run the samples as one stream, "
            'carry=("astrocytes",), to see them adapt',
        }
    try:
        found = gains(main, evidence.reference, network)
    except InputError as error:
        return {"svg": None, "why": str(error)}
    if not found:
        return {"svg": None, "why": "no astrocyte of this network keeps a log gain"}
    return {
        "svg": gain_lines(found, main.steps, main.stream),
        "reference": any(each.reference is not None for each in found),
        "apart": max((each.apart for each in found), default=0.0),
        "cut": [(each.name, shown) for each in found if (shown := each.values.shape[1]) < each.domains],
    }
