"""The report's drawings of a run: rasters and gains, as SVG that stands inside the page.

Text stays text, colours are the page's own (its light and dark palette), nothing refers outside, and
the same numbers give the same bytes. Names from the network never pass through matplotlib: a token
stands in their place until the drawing is done.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import StringIO
from itertools import pairwise
from math import ceil, floor, log2
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from astrodeploy.compartments.astrocyte import LOG_BITS
from astrodeploy.errors import InputError
from astrodeploy.ir import Compartments, Graph, Population
from astrodeploy.ir.nodes import Array, FloatArray
from astrodeploy.reporting.evidence import keeps_log_gain
from astrodeploy.reporting.scales import round_step
from astrodeploy.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The light palette (Okabe and Ito 2008), and the page's variables that take its place.
INK, MUTED, LINE = "#1c2430", "#5b6673", "#d9dee3"
ROLES = {"input": "#7a8694", "neurons": "#0072b2", "output": "#d55e00"}
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#6b7a3a")
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ROLES["input"]: "input"} | {
    colour: f"line-{i}" for i, colour in enumerate(LINES)
}
WIDTH = 9.6  # inches; the page scales it
SHOWN_STEPS = 160  # of a stream's first samples
SHOWN_LAYERS = 6
VECTOR_SPIKES = 8000  # more are drawn as an image
LEAST_STROKE = 0.008  # of a panel's height
SHOWN_DOMAINS = 32
LABELLED_DOMAINS = 10
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "astrodeploy",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "path.simplify": False,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@contextmanager
def _styled() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own style is
        matplotlib.rcParams.update(STYLE)
        yield


def _figure(heights: Sequence[float], **spacing: float) -> "tuple[Figure, list[Axes]]":
    """Axes one below the other, of these heights in inches, with a common x axis."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    top, bottom, gap = spacing.get("top", 0.3), spacing.get("bottom", 0.45), 0.3
    whole = top + bottom + sum(heights) + gap * (len(heights) - 1)
    figure = Figure(figsize=(WIDTH, whole))
    figure.patch.set_alpha(0.0)
    axes: list[Axes] = []
    upper = whole - top
    left, right = 0.68, spacing.get("right", 0.15)
    for height in heights:
        box = (
            left / WIDTH,
            (upper - height) / whole,
            (WIDTH - left - right) / WIDTH,
            height / whole,
        )
        each = figure.add_axes(box, sharex=axes[0] if axes else None)
        each.patch.set_alpha(0.0)
        axes.append(each)
        upper -= height + gap
    axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
    for each in axes[:-1]:
        each.tick_params(labelbottom=False, bottom=False)
    return figure, axes


def _label_y(axis: "Axes", text: str) -> None:
    axis.set_ylabel(text)
    axis.yaxis.set_label_coords(-0.048, 0.5)


def _svg(figure: "Figure", prefix: str, title: str, names: Mapping[str, str]) -> Markup:
    """The figure as an element of the page; `names` are put in place of their tokens."""
    stream = StringIO()
    figure.savefig(stream, format="svg", metadata=NO_METADATA)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', text)
    assert box is not None
    body = text[text.index(">") + 1 :]
    body = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    body = re.sub(r'\b(id|href)="(#?)', rf'\1="\g<2>{prefix}-', body).replace("url(#", f"url(#{prefix}-")
    body = body.replace(f'href="{prefix}-data:', 'href="data:')
    body = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    for token, name in names.items():
        body = body.replace(token, escape(name))
    return Markup(f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(title)}">{body}')


# ---- raster ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Window:
    """The part of a run that a raster shows: the first `samples` of them, (steps, neurons) by layer."""

    samples: int
    steps: int
    sent: Mapping[str, Array]
    stream: bool

    @property
    def layers(self) -> tuple[str, ...]:
        """What is drawn, from top to bottom."""
        return tuple(self.sent)


def raster_window(trace: Trace, network: Graph) -> Window:
    """The first samples of a stream, each layer shifted by its depth; else the first sample as it ran."""
    chosen = _shown_layers(network)
    samples = min(trace.samples, max(1, SHOWN_STEPS // trace.steps)) if trace.stream else 1
    sent = {}
    for population in chosen:
        array = trace.spikes[population.name][:samples]
        if trace.stream:
            array = array[:, population.depth : population.depth + trace.steps]
        sent[population.name] = array.reshape(-1, population.size)
    return Window(samples, trace.steps, sent, trace.stream)


def _shown_layers(network: Graph) -> list[Population]:
    """The first and the last layers; astrocytes are shown by their gains."""
    layers = [p for p in network.populations if not p.is_astrocyte]
    output = network[network.output]
    layers = [p for p in layers if p is not output] + [output]
    first = SHOWN_LAYERS // 2
    return layers if len(layers) <= SHOWN_LAYERS else layers[:first] + layers[-first:]


def raster(window: Window, network: Graph, captions: Sequence[str]) -> Markup:
    """Spikes of every shown layer over time; `captions` stand over the samples of a stream."""
    sizes = {name: array.shape[1] for name, array in window.sent.items()}
    tallest = max(sizes.values()) ** 0.5
    heights = [0.45 + 1.75 * size**0.5 / tallest for size in sizes.values()]
    tokens = {f"layer-{i}-": name for i, name in enumerate(sizes)}
    crowded = sum(int(np.count_nonzero(a)) for a in window.sent.values()) > VECTOR_SPIKES
    with _styled():
        figure, axes = _figure(heights, top=0.42 if window.stream else 0.3)
        for axis, token, name in zip(axes, tokens, sizes, strict=True):
            part = "output" if name == network.output else "input" if network[name].is_input else "neurons"
            _spikes(axis, window.sent[name], ROLES[part], crowded)
            _label_y(axis, "neuron")
            axis.text(0.0, 1.0, f" {token}", transform=axis.transAxes, va="bottom", weight="bold")
        _mark_samples(axes, window, captions)
        axes[-1].set_xlabel(
            "step of the stream, every layer shifted by its depth" if window.stream else "step of the chip"
        )
        return _svg(figure, "raster", "Spikes of the layers over time", tokens)


def _spikes(axis: "Axes", sent: Array, colour: str, as_image: bool) -> None:
    """One stroke a spike, all of them one path."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    steps, size = sent.shape
    when, who = np.nonzero(sent)
    half = max(0.42, size * LEAST_STROKE / 2)
    ends = np.stack([np.stack([when + 0.5, who - half], 1), np.stack([when + 0.5, who + half], 1)], 1)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(when))
    if len(when):
        path = Path(ends.reshape(-1, 2), codes)
        width = min(6.0, max(0.8, 0.45 * 72 * WIDTH / steps))
        axis.add_patch(PathPatch(path, fill=False, edgecolor=colour, lw=width, rasterized=as_image))
    else:
        axis.text(0.5, 0.5, "no spikes", transform=axis.transAxes, ha="center", va="center", color=MUTED)
    axis.set_xlim(0, steps)
    axis.set_ylim(size - 0.5, -0.5)
    axis.set_yticks([0, size - 1] if size > 1 else [0])


def _mark_samples(axes: "Sequence[Axes]", window: Window, captions: Sequence[str]) -> None:
    if not window.stream:
        return
    for axis in axes:
        for i in range(1, window.samples):
            axis.axvline(i * window.steps, color=LINE, lw=0.8, zorder=0)
    for i, caption in enumerate(captions[: window.samples]):
        axes[0].annotate(
            caption,
            ((i + 0.5) * window.steps, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 16),
            textcoords="offset points",
            ha="center",
            color=MUTED,
            fontsize=8,
        )


# ---- gains -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gains:
    """Gains of one population of astrocytes, (steps, domains), and those of the float network or None."""

    name: str
    values: FloatArray
    reference: FloatArray | None
    domains: int

    @property
    def apart(self) -> float:
        """The largest difference between the two, in gain."""
        return 0.0 if self.reference is None else float(np.abs(self.values - self.reference).max())


def gains(trace: Trace, reference: Trace | None, network: Graph) -> list[Gains]:
    """2**log_gain over the whole stream, or over the first sample; at most 32 domains of a population.

    Raises InputError where the Trace holds no log gains.
    """
    found = []
    for population in filter(keeps_log_gain, network.populations):
        values = _gain(trace, population)
        if values is None:
            raise InputError(
                f"the Trace of {trace.engine} holds no {population.name}.log_gain: run it with that probe"
            )
        float_values = None if reference is None else _gain(reference, population)
        found.append(Gains(population.name, values, float_values, population.size))
    return found


def _gain(trace: Trace, population: Population) -> FloatArray | None:
    states = trace.states.get((population.name, "log_gain"))
    if states is None:
        return None
    if trace.stream:
        states = states[:, population.depth : population.depth + trace.steps]
    else:
        states = states[:1]
    assert isinstance(population.node, Compartments)
    whole = np.issubdtype(states.dtype, np.integer)
    flat = states.reshape(-1, population.size)[:, :SHOWN_DOMAINS].astype(np.float64)
    return np.asarray(2.0 ** (flat / 2**LOG_BITS if whole else flat))


def gain_lines(found: Sequence[Gains], sample_steps: int, stream: bool) -> Markup:
    """One line a domain; dashed, the float network's."""
    tokens = {f"astrocytes-{i}-": each.name for i, each in enumerate(found)}
    with _styled():
        figure, axes = _figure([2.7] * len(found), right=0.85)
        for axis, token, each in zip(axes, tokens, found, strict=True):
            _lines(axis, each)
            axis.text(0.0, 1.0, f" {token}", transform=axis.transAxes, va="bottom", weight="bold")
            _label_y(axis, "gain")
        step = f"step of the stream ({sample_steps} a sample)" if stream else "step of the chip"
        axes[-1].set_xlabel(step)
        return _svg(figure, "gains", "Gains of the astrocytes over time", tokens)


def _lines(axis: "Axes", each: Gains) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_yscale("log", base=2)
    axis.axhline(1.0, color=LINE, lw=0.8, zorder=0)
    for domain in range(each.values.shape[1]):
        colour = LINES[domain % len(LINES)]
        x, y = _stairs(each.values[:, domain])
        if each.reference is None:
            axis.plot(x, y, color=colour, lw=1.6)
        else:
            axis.plot(x, y, color=colour, lw=3.0, alpha=0.45, zorder=2)
            axis.plot(*_stairs(each.reference[:, domain]), color=colour, lw=1.0, dashes=(4, 2), zorder=3)
    steps = len(each.values)
    shown = [each.values] + ([] if each.reference is None else [each.reference])
    low, high = min(a.min() for a in shown), max(a.max() for a in shown)
    axis.set_xlim(0, steps)
    axis.set_ylim(low / 1.08, high * 1.08)
    axis.yaxis.set_major_locator(FixedLocator(_gain_ticks(low / 1.08, high * 1.08)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    if each.values.shape[1] <= LABELLED_DOMAINS:
        _name_domains(axis, each.values[-1], np.log2([low / 1.08, high * 1.08]))


def _stairs(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Corners of a line that keeps its value until it changes: few points for a slow state."""
    changes = np.flatnonzero(np.diff(values)) + 1
    x = np.concatenate([[0], np.repeat(changes, 2), [len(values)]]).astype(np.float64)
    y = np.concatenate([np.repeat(values[np.concatenate([[0], changes]).astype(int)], 2)])
    return x, y


def _gain_ticks(low: float, high: float) -> list[float]:
    """Powers of two over octaves, round numbers within fewer than two."""
    if high >= 4 * low:
        return [2.0**i for i in range(ceil(log2(low)), floor(log2(high)) + 1)]
    step = round_step((high - low) / 5)
    return [step * i for i in range(ceil(low / step), floor(high / step) + 1)]


def _name_domains(axis: "Axes", last: FloatArray, edges: Any) -> None:
    """Each line's domain at its right end, pushed apart where they would overlap."""
    places = (np.log2(last) - edges[0]) / (edges[1] - edges[0])
    order = np.argsort(places, kind="stable")
    apart = 0.062
    spread = places.copy()
    for lower, upper in pairwise(order):
        spread[upper] = max(spread[upper], spread[lower] + apart)
    spread -= max(0.0, float(spread.max()) - 1.0)
    for domain, y in enumerate(spread):
        axis.text(
            1.008,
            y,
            f"domain {domain}",
            transform=axis.transAxes,
            va="center",
            color=LINES[domain % len(LINES)],
            fontsize=8,
        )
