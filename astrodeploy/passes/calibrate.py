"""calibrate: run the float network on the user's data, and see how large everything becomes.

Inputs of data that are no spikes become graded: integers keep their values; real numbers get the unit
at which they all are whole, or the largest that 8 bits have room for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.chip import Chip
from astrodeploy.encoders import encode_rate
from astrodeploy.errors import StimulusError, UnsupportedError
from astrodeploy.ir import Graph, Input, Population, RateEncoder
from astrodeploy.ir.arrays import Array
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note
from astrodeploy.quantisation.scales import is_whole
from astrodeploy.quantisation.seen import affordable, evenly, look

BITS = 8  # of a graded input that has to be rounded
LEAST_INTEGER_UNIT = 16  # a smaller unit is a power of two, which says more numbers exactly
LARGEST_WHOLE = 1 << 15  # integers beyond are rounded like other numbers


@dataclass(frozen=True)
class Calibrate:
    """Make inputs graded where the data are, and measure the float network; nothing without data."""

    name = "calibrate"

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with its calibration. Raises StimulusError for data that do not fit the inputs."""
        if not draft.stimulus:
            return draft, ()
        given = {p.name: _given(p, draft.stimulus) for p in draft.graph.inputs}
        notes: list[Note] = []
        for population in draft.graph.inputs:
            draft, note = _graded(draft, population, given[population.name])
            notes += note
        graph = draft.graph
        steps = _steps(graph, given)
        offered = len(next(iter(given.values())))
        rows = evenly(offered, affordable(graph, steps, offered))
        sent = {p.name: _sent(p, given[p.name][rows]) for p in graph.inputs}
        calibration = look(graph, sent, offered)
        return replace(draft, calibration=calibration), (*notes, _note(graph, calibration.samples, offered))


def _note(graph: Graph, samples: int, offered: int) -> Note:
    which = "all" if samples == offered else f"{samples}, evenly spaced, of {offered}"
    return Note(
        graph.input.name,
        f"the float network ran on {which} calibration samples",
        {"samples": samples, "offered": offered},
    )


def _given(population: Population, stimulus: Mapping[str, Array]) -> Array:
    """Calibration data of an input, (samples, steps, size) or (samples, size) with an encoder."""
    encoded = isinstance(population.node, RateEncoder)
    wanted = f"({'batch' if encoded else 'batch, steps'}, {', '.join(map(str, population.shape))})"
    x = np.asarray(stimulus[population.name])
    leading = 1 if encoded else 2
    if (
        x.dtype.kind not in "biuf"
        or x.shape[leading:] != population.shape
        or x.ndim < leading
        or 0 in x.shape
    ):
        raise StimulusError(
            f"the calibration data for {population.name} are {x.dtype} {x.shape}, needed are numbers {wanted}"
        )
    if not np.all(np.isfinite(x)):
        raise StimulusError(f"the calibration data for {population.name} hold NaN or infinite values")
    return x.reshape(*x.shape[:leading], -1)


def _steps(graph: Graph, given: Mapping[str, Array]) -> int:
    shapes = {array.shape[:2] if array.ndim == 3 else (len(array), 0) for array in given.values()}
    if len(shapes) > 1:
        raise StimulusError(
            f"the calibration data of the inputs differ in samples or steps: {sorted(shapes)}"
        )
    return graph.encoder.steps if graph.encoder else shapes.pop()[1]


def _sent(population: Population, x: Array) -> Array:
    node = population.node
    if isinstance(node, RateEncoder):
        return encode_rate(x, node.steps, node.seed)
    assert isinstance(node, Input)
    sent = np.clip(np.rint(np.asarray(x, np.float64) * node.unit), node.low, node.high)
    return sent.astype(np.uint8 if (node.low, node.high) == (0, 1) else np.int32)


# ---- graded input ----------------------------------------------------------------------------------


def _graded(draft: Draft, population: Population, x: Array) -> tuple[Draft, Notes]:
    """The draft with an input that can send the data, and what rounding them costs."""
    node = population.node
    spikes = not isinstance(node, Input) or bool(np.all((x == 0) | (x == 1)))
    if spikes or (isinstance(node, Input) and (node.low, node.high, node.unit) != (0, 1, 1.0)):
        return draft, ()
    _require_payload(draft.chip, population)
    made = input_of(x)
    error = float(np.abs(np.rint(x * made.unit) / made.unit - x).max())
    note = Note(
        population.name,
        f"sends {made.low}..{made.high}, of which {made.unit:g} make 1.0: the calibration data reach "
        f"{x.min():g}..{x.max():g}, and are rounded by at most {error:.3g}",
        {"unit": made.unit, "largest error": error},
    )
    graded = replace(population, node=made)
    reference = draft.reference
    if reference is not None and population.name in reference.layers:
        there = reference[population.name]
        reference = reference.with_population(replace(there, node=made))
    return replace(draft, graph=draft.graph.with_population(graded), reference=reference), (note,)


def _require_payload(chip: Chip, population: Population) -> None:
    if chip.widths.message_bits.value == 0:
        raise UnsupportedError(
            f"the calibration data for {population.name} hold more than 0 and 1, and a spike of {chip.name} carries "
            "no value: give the network an encoder (astrodeploy.nn.RateEncoder), or choose a chip with graded spikes"
        )


def input_of(x: Array) -> Input:
    """The graded input for data: its unit, and the whole range of its bits."""
    largest = float(np.abs(x).max())
    signed = bool(x.min() < 0)
    unit = _unit(np.asarray(x, np.float64), largest, (1 << (BITS - signed)) - 1)
    bits = max(1, int(np.ceil(largest * unit - 1e-9)).bit_length())
    high = (1 << bits) - 1
    return Input(-high - 1 if signed else 0, high, unit)


def _unit(x: Array, largest: float, high: int) -> float:
    """Integers that make 1.0."""
    few = x.ravel()[:: max(1, x.size // 64)]
    if largest <= LARGEST_WHOLE and is_whole(x):
        return 1.0
    most = high / largest
    for unit in range(2, int(most) + 1):
        if is_whole(few * unit) and is_whole(x * unit):
            return float(unit)
    return float(np.floor(most)) if most >= LEAST_INTEGER_UNIT else float(2.0 ** np.floor(np.log2(most)))
