"""How sigma-delta neurons become integers: their scales are fixed, as in Lava."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from astrodeploy.chip.formats import Formats
from astrodeploy.compartments.sigma_delta import ACTIVATION_BITS, MESSAGE_BITS, sigma_delta
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.nodes import SigmaDelta
from astrodeploy.ir.numbers import Fixed, bias_format
from astrodeploy.passes.base import Notes
from astrodeploy.program import Note
from astrodeploy.quantisation.conservation import sum_notes

MESSAGE = 2.0**-MESSAGE_BITS  # what a message of 1 means
ACTIVATION = 2.0**ACTIVATION_BITS  # integers that make an activation of 1.0


def quantised_sigma_delta(
    graph: Graph, population: Population, node: SigmaDelta, unit_of: Callable[[str], float], limits: Formats
) -> tuple[Population, tuple[Connection, ...], Notes]:
    """The integer population, the connections that end in it, and what was rounded.

    `unit_of` tells what a message of 1 of a source means. Raises UnsupportedError.
    """
    name = population.name
    kind = sigma_delta(node.activation == "relu", node.receives == "changes")
    received = ACTIVATION if node.receives == "changes" else 1.0
    connections, notes = [], []
    for each in graph.into(name):
        exact = each.wiring.values * unit_of(each.source) * received
        exponent = _exponent(each.name, exact, limits)
        rounded = Fixed(limits.weight, 2.0**-exponent).round(exact, each.name)
        values = rounded.integers.astype(np.int8)
        connections.append(replace(each, wiring=each.wiring.with_values(values), exponent=exponent))
        notes.append(
            Note(each.name, f"weights are integers times 2^{exponent}", {"largest error": rounded.worst})
        )
        kept = values * (2.0**exponent / (unit_of(each.source) * received))
        notes += sum_notes(each.name, each.wiring, each.wiring.with_values(kept))
    threshold = Fixed(kind.parameters["threshold"], ACTIVATION).round(
        node.threshold.ravel(), f"{name}.threshold"
    )
    bias = Fixed(kind.parameters["bias"], ACTIVATION).round(node.bias.ravel(), f"{name}.bias")
    if limits.sets_biases:
        largest = float(np.abs(bias.exact).max(initial=0.0))
        if largest > limits.bias.high:
            raise UnsupportedError(
                f"{name} has biases of up to {largest:.0f} on the chip, which holds a mantissa of "
                f"{limits.bias.mantissa} << 0..{limits.bias.shifts}: make them smaller"
            )
        bias = bias_format(bias, limits.bias)
    size = population.size
    compartments = Compartments(
        kind=kind,
        parameters={
            "threshold": np.broadcast_to(threshold.integers, (size,)),
            "bias": np.broadcast_to(bias.integers, (size,)),
        },
        initial={state: np.zeros(size, np.int64) for state in kind.states},
        units=dict.fromkeys(kind.states, ACTIVATION),
    )
    errors = {"threshold": threshold.worst, "bias": bias.worst}
    notes.append(Note(name, f"an activation of 1.0 is {ACTIVATION:.0f}, a message {1 / MESSAGE:.0f}", errors))
    return replace(population, node=compartments), tuple(connections), tuple(notes)


def _exponent(name: str, exact: FloatArray, limits: Formats) -> int:
    """The exponent at which whole numbers stay whole, else the least that holds the largest weight."""
    whole = np.rint(exact).astype(np.int64)
    largest, held = np.abs(exact).max(initial=0.0), limits.exponent
    fine = next(e for e in range(held.low, 1 << 10) if largest <= limits.weight.high * 2.0**e)
    if np.allclose(whole, exact, rtol=1e-9, atol=1e-9):
        fine = max(fine, 0)
    if fine > held.high:
        raise UnsupportedError(
            f"{name}: its weights reach {largest:.0f} on the chip, which holds {limits.weight} times at most "
            f"2^{held.high}: scale them"
        )
    return fine
