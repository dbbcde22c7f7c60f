"""What Lava's own processes say exactly: which neurons run on its LIF, which connections on its Conv.

What they can't say runs on the generic process (neurons), or as a list of synapses on Lava's Sparse.
"""

from math import prod

import numpy as np
import numpy.typing as npt

from astrodeploy.arithmetic import ALIGNMENT, DECAY_UNITY, STATE_MAX
from astrodeploy.compartments import KINDS, Range
from astrodeploy.compartments.lif import Variant, neuron
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import Array, IntArray
from astrodeploy.ir.numbers import BIAS
from astrodeploy.ir.verify import arrival_range, message_range
from astrodeploy.ir.wiring import Conv, Dense

DECAY = Range.unsigned(12)  # Lava's du and dv; the effective factor of u is du + 1
CONV_TOTAL = Range.signed(24)  # Lava's Conv wraps what leaves it
UNIFORM = ("du", "dv", "threshold")  # one number for all neurons


def stock_lif(population: Population, network: Graph, steps: int) -> dict[str, Array] | None:
    """Parameters of Lava's stock LIF where it says exactly what the population does, else None.

    It takes one du, dv and threshold for all neurons, du of 1..4096 and dv of 0..4095 effective, and
    biases of 13 bits with an exponent of 0..7. It fires above its threshold: one that fires at it can
    be said where v only takes whole multiples of 64, over all `steps` of a row.
    """
    node = population.node
    if not isinstance(node, Compartments):
        return None
    at_least = node.kind == neuron(Variant(comparison=">="))
    if node.kind != KINDS["lif"] and not (at_least and _in_whole_mantissas(population, network, steps)):
        return None
    parameters: dict[str, Array] = {name: node.parameters[name] for name in UNIFORM}
    du, dv = (int(parameters[name][0]) for name in ("du", "dv"))
    uniform = all(np.all(array == array[0]) for array in parameters.values())
    bias = _split_bias(node.parameters["bias"])
    if bias is None or not uniform or not DECAY.contains(Range(min(du - 1, dv), max(du - 1, dv))):
        return None
    if at_least:
        parameters["threshold"] = parameters["threshold"] - 1
    return parameters | {"bias_mantissa": bias[0], "bias_exponent": bias[1]}


def _in_whole_mantissas(population: Population, network: Graph, steps: int) -> bool:
    """Whether v >= threshold << 6 is the same as v > (threshold - 1) << 6, in every step of a row.

    It is where nothing decays in v, u is the step's input, bias and rest are multiples of 64, and v
    can't fall to its lower limit, which is none. At its upper limit it fires either way.
    """
    node = population.node
    assert isinstance(node, Compartments)
    values = node.parameters
    whole = np.concatenate([values["bias"], node.initial["v"]]) & ((1 << ALIGNMENT) - 1)
    if np.any(values["du"] != DECAY_UNITY) or np.any(values["dv"]) or np.any(whole):
        return False
    ranges = [arrival_range(network, c) for c in network.into(population.name)]
    low, high = (sum(getattr(r, end) for r in ranges) << ALIGNMENT for end in ("low", "high"))
    if low < -STATE_MAX or high > STATE_MAX:  # u could wrap
        return False
    lowest = min(0, int(node.initial["v"].min())) + steps * min(0, low + int(values["bias"].min()))
    return bool(lowest >= -STATE_MAX and values["threshold"].min() > 0)


def _split_bias(bias: IntArray) -> tuple[IntArray, IntArray] | None:
    """Mantissa and exponent of every neuron, with the smallest exponents; None where one has none."""
    exponents = np.zeros_like(bias)
    for exponent in range(BIAS.shifts):
        wide = ~_within(bias >> exponent, BIAS.mantissa)
        exponents[wide] = exponent + 1
    mantissas = bias >> exponents
    exact = np.all(_within(mantissas, BIAS.mantissa)) and np.array_equal(mantissas << exponents, bias)
    return (mantissas, exponents) if exact else None


def _within(values: IntArray, allowed: Range) -> npt.NDArray[np.bool_]:
    return (values >= allowed.low) & (values <= allowed.high)


def stock_synapses(connection: Connection, source: Population) -> str:
    """The Lava process that carries a connection: "dense", "sparse" or "conv"."""
    wiring = connection.wiring
    if isinstance(wiring, Dense):
        return "dense"
    if isinstance(wiring, Conv) and CONV_TOTAL.contains(_totals(wiring, message_range(source))):
        return "conv"
    return "sparse"


def _totals(wiring: Conv, message: Range) -> Range:
    """What a filter can make of messages, before the exponent; padding can only make it less."""
    filters = wiring.values.reshape(wiring.values.shape[0], -1).astype(np.int64)
    positive, negative = np.maximum(filters, 0).sum(1), np.maximum(-filters, 0).sum(1)
    low, high = (
        message.low * positive - message.high * negative,
        message.high * positive - message.low * negative,
    )
    return Range(min(0, int(low.min())), max(0, int(high.max())))


def conv_work(wiring: Conv) -> tuple[int, int]:
    """How Lava computes a convolution: as so many of one plane each, of so many products each.

    It strides over the full correlation, so that a stride saves nothing.
    """
    outputs, inputs, *kernel = wiring.values.shape
    full = prod(n + 2 * p for n, p in zip(wiring.input_shape[1:], wiring.padding, strict=True))
    reach = prod(d * (k - 1) + 1 for d, k in zip(wiring.dilation, kernel, strict=True))
    return outputs * inputs, full * reach
