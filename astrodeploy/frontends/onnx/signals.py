"""What an ONNX network's values are, on the way to a Graph: linear maps of what populations send.

Every layer that only adds and multiplies by constants joins the map of the signal that it takes; a
Relu, or an output, makes a population of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from astrodeploy.ir import LIF, Connection, Input, Population
from astrodeploy.ir.arrays import Array, FloatArray
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Wiring, after, together

NEURONS = 1 << 22  # of one layer, and of one sample's input
SYNAPSES = 1 << 26  # of one connection
COMPOSED = 4  # two maps become one where that has at most so many times the synapses of both

Shape = tuple[int, ...]


class Refusal(Exception):
    """Why a node is not compiled: the end of a sentence that starts with the node."""


@dataclass(frozen=True, eq=False)
class Signal:
    """A value of one sample: the sum of maps of what populations send, plus a bias (size,)."""

    shape: Shape
    terms: Mapping[str, Wiring]
    bias: FloatArray
    name: str

    @property
    def size(self) -> int:
        """Numbers in one sample."""
        return prod(self.shape)

    @property
    def population(self) -> str | None:
        """The one population that this is what it sends, nothing else; or None."""
        if len(self.terms) == 1 and not np.any(self.bias):
            ((name, wiring),) = self.terms.items()
            if isinstance(wiring, OneToOne) and np.all(wiring.values == 1):
                return name
        return None

    def reshaped(self, shape: Shape) -> "Signal":
        """The same numbers in the same order in another shape."""
        return replace(self, shape=shape)

    def shifted(self, bias: FloatArray) -> "Signal":
        """With a constant (size,) added."""
        return replace(self, bias=self.bias + bias)

    def scaled(self, factor: FloatArray) -> "Signal":
        """Every number multiplied by its factor (size,)."""
        terms = {name: wiring.scaled(factor) for name, wiring in self.terms.items()}
        return replace(self, terms=terms, bias=self.bias * factor)

    def plus(self, other: "Signal") -> "Signal":
        """The sum of two signals of the same shape."""
        terms = dict(self.terms)
        for name, wiring in other.terms.items():
            terms[name] = together(terms[name], wiring) if name in terms else wiring
        return replace(self, terms=terms, bias=self.bias + other.bias)


@dataclass(frozen=True)
class HostValue:
    """A value that the host computes after the network."""

    shape: Shape
    operator: str


def sized(shape: Shape) -> Shape:
    """The shape, unless it is empty or has more numbers than a layer may have."""
    if min(shape, default=1) < 1 or prod(shape) > NEURONS:
        raise Refusal(f"gives {'x'.join(map(str, shape))} numbers a sample; allowed are 1 to {NEURONS}")
    return shape


def conv(values: Array, shape: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> Conv:
    """A convolution of a size that can be handled."""
    wiring = Conv(values, shape, stride, padding, dilation, groups)
    sized(wiring.output_shape)
    if prod(values.shape) * prod(wiring.output_shape[1:]) > SYNAPSES:
        raise Refusal(f"has more than {SYNAPSES} synapses, which is more than is compiled")
    return wiring


@dataclass
class Builder:
    """The populations and connections so far."""

    dt: float
    populations: list[Population] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)

    def input(self, name: str, shape: Shape, node: Input) -> Signal:
        """A graded input."""
        name = self._free(name)
        self.populations.append(Population(name, shape or (1,), node))
        return self._sent_by(name, shape)

    def mapped(self, signal: Signal, wiring: Wiring, shape: Shape, name: str) -> Signal:
        """The signal through one more map, joined with its own maps where that is no larger."""
        composed = {source: _composed(wiring, first) for source, first in signal.terms.items()}
        if any(each is None for each in composed.values()):
            return self.mapped(self.neurons(signal, "membrane"), wiring, shape, name)
        terms = {source: each for source, each in composed.items() if each is not None}
        return Signal(shape, terms, wiring.deliver(signal.bias), name)

    def neurons(self, signal: Signal, sends: str, name: str = "") -> Signal:
        """Memoryless neurons that send the signal as it is ("membrane"), or "rectified"."""
        if not signal.terms:
            raise Refusal("gives a constant, which does not depend on the network's input")
        name = self._free(name or signal.name)
        shape = signal.shape or (1,)
        ones = np.ones(())
        node = LIF(
            tau=self.dt * ones,
            r=ones,
            v_leak=0 * ones,
            v_threshold=ones,
            v_reset=0 * ones,
            bias=signal.bias.reshape(shape),
            sends=sends,
        )
        self.populations.append(Population(name, shape, node))
        self.connections += [Connection(s, name, "current", w) for s, w in signal.terms.items()]
        return self._sent_by(name, signal.shape)

    def _sent_by(self, name: str, shape: Shape) -> Signal:
        size = prod(shape)
        return Signal(shape, {name: OneToOne(np.ones(size))}, np.zeros(size), name)

    def _free(self, name: str) -> str:
        """A name that no population has, of letters that every format takes."""
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:60] or "layer"
        taken = {p.name for p in self.populations}
        names = (plain if n == 1 else f"{plain}_{n}" for n in range(1, len(taken) + 2))
        return next(each for each in names if each not in taken)


# ---- two maps as one -------------------------------------------------------------------------------


def _composed(second: Wiring, first: Wiring) -> Wiring | None:
    """The map that does `first`, then `second`; None where it would be much larger than the two."""
    if isinstance(first, OneToOne) and isinstance(second, Conv):
        return _scaled_inputs(second, first.values)
    if isinstance(first, OneToOne) or isinstance(second, OneToOne):
        return after(second, first)
    if isinstance(first, Conv) and isinstance(second, Conv) and (joined := _pool_after_conv(second, first)):
        return joined
    fan_in = np.diff(first.sparse.indptr)
    synapses = int(fan_in[second.sparse.indices].sum())
    if isinstance(second, Dense):
        synapses = second.shape[0] * first.shape[1]
    return after(second, first) if synapses <= COMPOSED * (first.synapses + second.synapses) else None


def _scaled_inputs(second: Conv, factors: FloatArray) -> Wiring:
    """A convolution of inputs that are multiplied by factors: of other filters, where a channel has one."""
    by_channel = factors.reshape(second.input_shape[0], -1)
    if np.any(by_channel != by_channel[:, :1]):
        return after(second, OneToOne(factors))
    outputs, inputs = second.values.shape[:2]
    group = np.arange(outputs) // (outputs // second.groups)
    factor = by_channel[group[:, None] * inputs + np.arange(inputs)[None], 0]
    return second.with_values(
        second.values * factor.reshape(outputs, inputs, *[1] * (second.values.ndim - 2))
    )


def _pool_after_conv(second: Conv, first: Conv) -> Conv | None:
    """A pool of the outputs of a convolution: one of larger filters and strides."""
    cells = second.values.shape[2:]
    depthwise = second.groups == second.values.shape[0] == second.input_shape[0]
    plain = not any(second.padding) and {*second.dilation, *first.dilation} == {1}
    if not (depthwise and plain) or prod(cells) > 64:
        return None
    kernel = first.values.shape[2:]
    larger = tuple(k + (c - 1) * s for k, c, s in zip(kernel, cells, first.stride, strict=True))
    values = np.zeros((*first.values.shape[:2], *larger))
    for cell in np.ndindex(*cells):
        start = [i * s for i, s in zip(cell, first.stride, strict=True)]
        part = tuple(slice(a, a + k) for a, k in zip(start, kernel, strict=True))
        weight = second.values[(slice(None), slice(None), *cell)].reshape(-1, 1, *[1] * len(cells))
        values[(slice(None), slice(None), *part)] += first.values * weight
    stride = tuple(a * b for a, b in zip(first.stride, second.stride, strict=True))
    return Conv(values, first.input_shape, stride, first.padding, first.dilation, first.groups)
