"""`report`: gather, draw, render, write."""

import shlex
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy import arguments, storage
from astrodeploy.compare import Verification
from astrodeploy.errors import InputError
from astrodeploy.frontends.stimulus import count
from astrodeploy.ir import Compartments, Graph
from astrodeploy.program import Program
from astrodeploy.reporting import quantisation, tables
from astrodeploy.reporting.drawing import draw
from astrodeploy.reporting.evidence import Evidence, Order, Rates, gather
from astrodeploy.reporting.figures import gain_lines, gains, raster, raster_window
from astrodeploy.reporting.scales import decades, linear
from astrodeploy.reporting.text import FILTERS
from astrodeploy.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

TEMPLATE = "report.html.j2"
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
) -> Path:
    """Write one self-contained HTML file about a Program, and return its path.

    x             a batch as `Program.run` takes it: it is run on the fast engine and on the float
                  reference, figures and costs come from that run
    labels        (batch,) integers: the accuracy of every run is shown
    carry, steps  how x is run, as in `Program.run`; without x, `steps` are those of an inference
    rates         without a run: messages per neuron and step that the costs assume, 0.1 unless given
    verification  what `verify` found; without it the oracle and fast run the first few samples
    traces        runs that are there already: they are shown, and not run again
    samples       of the verification that is made for the report; 0 leaves it out

    The same arguments give the same bytes. Raises InputError and its kinds: arguments that do not go
    together, a Trace of another Program, a stimulus or labels that do not fit, a path that can't be
    written.
    """
    order = Order(
        program=program,
        x=x if x is None or isinstance(x, Mapping) else arguments.array(x),
        labels=None if labels is None else arguments.array(labels, "labels"),
        carry=arguments.names("carry", carry),
        rates=rates,
        steps=steps,
        verification=verification,
        traces=tuple(traces),
        samples=samples,
    )
    path = Path(path)
    text = render(gather(order), path.name)
    with storage.atomic_file(path) as fresh:
        fresh.write_bytes(text.encode("utf-8", "replace"))
    return path


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
        "stimulus": _stimulus(evidence.order.x),
        "compiled": _compiled(program),
        "call": _call(evidence.order, file_name),
        "command": _command(evidence.order, file_name),
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
    said = [int(each) for each in main.predictions[:samples]]
    if evidence.order.labels is None:
        return [f"says {each}" for each in said]
    labels = [int(each) for each in evidence.order.labels[:samples]]
    return [f"label {label}, says {each}" for label, each in zip(labels, said, strict=True)]


def _gains(evidence: Evidence) -> Mapping[str, Any]:
    """The drawing of the astrocytes' gains, or why there is none."""
    main, network = evidence.main, evidence.order.program.network
    astrocytes = [p for p in network.populations if p.is_astrocyte]
    if not astrocytes:
        return {"svg": None, "why": "the network has no astrocytes"}
    if main is None:
        return {"svg": None, "why": evidence.missing["runs"]}
    fastest = min(p.node.period for p in astrocytes if isinstance(p.node, Compartments))
    recorded = next(iter(main.spikes.values())).shape[1]
    if not main.stream and recorded < fastest:
        return {
            "svg": None,
            "why": f"every sample started from rest and lasted {recorded} steps, while the astrocytes act every "
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


# ---- foot ----------------------------------------------------------------------------------------


def _stimulus(x: Any) -> str:
    """What x is, so that the same one can be recognised; of several inputs, each."""
    if x is None:
        return ""
    if isinstance(x, Mapping):
        return "; ".join(f"{name} {_stimulus(np.asarray(array))}" for name, array in x.items())
    digest = sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
    return f"{x.dtype} {x.shape}, SHA-256 {digest[:16]}…"


def _compiled(program: Program) -> tuple[str, str]:
    """The Python and the command line arguments that the Program was compiled with, as far as it says."""
    frozen = any(each.name == "freeze_astrocytes" for each in program.passes)
    python = f'target="{program.target}"' + ", freeze_astrocytes=True" * frozen
    line = f"--target {program.target}" + " --freeze-astrocytes" * frozen
    if program.reset_every:
        python += f", reset_every={program.reset_every}"
        line += f" --reset-every {program.reset_every}"
    return python, line


def _call(order: Order, file_name: str) -> str:
    """The Python call that makes the page."""
    given = {
        "x": order.x is not None,
        "labels=y": order.labels is not None,
        f"carry={order.carry!r}": bool(order.carry),
        f"rates={order.rates!r}": order.rates is not None,
        f"steps={order.steps}": order.steps is not None,
        "verification=verification": order.verification is not None,
        "traces=traces": bool(order.traces),
        f"samples={order.samples}": order.samples is not None,
    }
    arguments = ["program", *(text for text, used in given.items() if used), f"path={file_name!r}"]
    return f"ad.report({', '.join(arguments)})"


def _command(order: Order, file_name: str) -> str | None:
    """The command that makes the page; None where it takes what only Python can hand in."""
    only_python = (order.rates, order.steps, order.verification, order.samples)
    if order.traces or any(each is not None for each in only_python):
        return None
    command = "astrodeploy report net.astro"
    if order.x is not None:
        command += f" --input samples.npz --samples {count(order.x)}"
        command += "".join(f" --carry {each}" for each in order.carry)
    return f"{command} -o {shlex.quote(file_name)}"
