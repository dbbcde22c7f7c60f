"""What flows through a torch module while it is read: weighted sums of messages, and states.

No numbers flow: a Signal says which populations' messages, with which weights and how many steps ago,
make up a tensor (batch, *shape).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from astrodeploy.errors import InputError
from astrodeploy.ir.arrays import Array, IntArray
from astrodeploy.ir.wiring import OneToOne, Sparse, Wiring, after, together

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Past:
    """A value that the forward returned as part of its state one step ago; `path` says which part."""

    path: tuple[int | str, ...]

    def at(self, key: int | str) -> "Past":
        """A part of it."""
        return Past((*self.path, key))


@dataclass(frozen=True)
class CellState:
    """A state that a layer of neurons keeps, or a part of it, like a membrane."""

    population: str


@dataclass(frozen=True, eq=False)
class Term:
    """Messages of a population (or a state, until it is known what it is), `lag` steps ago.

    wiring  the weights; None: neuron i to value i
    reader  path of the module that read them, for messages to the user
    """

    source: str | Past
    wiring: Wiring | None = None
    lag: int = 0
    reader: str = ""


@dataclass(frozen=True, eq=False)
class Signal:
    """A tensor (batch, *shape): the sum of terms and a constant, both in C order.

    shape  None: as many values as whoever reads it first takes
    bias   (values,), or None
    """

    terms: tuple[Term, ...]
    shape: Shape | None
    bias: Array | None = None

    @property
    def size(self) -> int:
        """Number of values. The shape must be known."""
        assert self.shape is not None
        return prod(self.shape)

    @property
    def population(self) -> str | None:
        """The population whose messages these are as they were sent, if they are that."""
        if len(self.terms) != 1 or self.bias is not None:
            return None
        (term,) = self.terms
        return term.source if term.wiring is None and not term.lag and isinstance(term.source, str) else None

    def through(self, wiring: Wiring, shape: Shape, bias: Array | None = None, reader: str = "") -> "Signal":
        """What a linear map makes of it."""
        terms = tuple(
            replace(
                t,
                wiring=wiring if t.wiring is None else after(wiring, t.wiring),
                reader=t.reader or reader,
            )
            for t in self.terms
        )
        passed = None if self.bias is None else wiring.deliver(self.bias)
        return Signal(terms, shape, _sum(passed, bias))

    def scaled(self, factor: Array) -> "Signal":
        """Every value times a factor, an array that broadcasts against (batch, *shape)."""
        return self.through(OneToOne(spread(factor, self.shape)), self._known())

    def raised(self, constant: Array) -> "Signal":
        """A constant, which broadcasts against (batch, *shape), added."""
        return replace(self, bias=_sum(self.bias, spread(constant, self.shape)))

    def selected(self, positions: IntArray) -> "Signal":
        """Values by their flat positions, an array of the new shape."""
        shape, flat = positions.shape, positions.ravel()
        if flat.size == self.size and np.array_equal(flat, np.arange(flat.size)):
            return replace(self, shape=shape)
        ones = np.ones(flat.size)
        picked = Sparse(ones, flat.astype(np.int64), np.arange(flat.size + 1), self.size)
        return self.through(picked, shape)

    def plus(self, other: "Signal") -> "Signal":
        """The sum of two, widths of 1 repeated as torch does. Raises InputError where they don't fit."""
        one, two = self.known_as(other.shape), other.known_as(self.shape)
        if one.shape != two.shape:
            shape = _common(one._known(), two._known())
            one, two = one.repeated(shape), two.repeated(shape)
        return Signal(one.terms + two.terms, one.shape, _sum(one.bias, two.bias))

    def repeated(self, shape: Shape) -> "Signal":
        """Widths of 1 repeated to those of a shape of as many dimensions."""
        places = np.arange(self.size).reshape(self._known())
        return self.selected(np.broadcast_to(places, shape))

    def known_as(self, shape: Shape | None) -> "Signal":
        """With that shape, where it has none yet."""
        return self if self.shape is not None else replace(self, shape=shape)

    def _known(self) -> Shape:
        assert self.shape is not None
        return self.shape


def concatenated(signals: Iterable[Signal], axis: int) -> Signal:
    """Signals side by side along an axis of (batch, *shape)."""
    parts = tuple(signals)
    numbers = np.cumsum([0, *(p.size for p in parts)])
    held = [
        np.arange(start, start + p.size).reshape(1, *p._known())
        for start, p in zip(numbers, parts, strict=False)
    ]
    try:
        order = np.concatenate(held, axis)[0]
    except ValueError as error:
        shapes = ", ".join(_text(p.shape) for p in parts)
        raise InputError(f"what is concatenated does not fit together: {shapes} values") from error
    placed = []
    for start, part in zip(numbers, parts, strict=False):
        rows = np.arange(start, start + part.size)
        starts = np.searchsorted(rows, np.arange(numbers[-1] + 1)).astype(np.int64)
        block = Sparse(np.ones(part.size), np.arange(part.size), starts, part.size)
        placed.append(part.through(block, (int(numbers[-1]),)))
    total = placed[0]
    for each in placed[1:]:
        total = total.plus(each)
    return total.selected(order)


def spread(value: Any, shape: Shape | None) -> Array:
    """A number or array that broadcasts against (batch, *shape), as (values,). Raises InputError."""
    array = np.asarray(value, np.float64)
    if shape is None:
        raise InputError(
            "the shape of a value is not known here: give input_shape (--input-shape), and write a "
            "forward that runs with None for "
            "its first state"
        )
    try:
        return np.broadcast_to(array, (1, *shape)).reshape(-1)
    except ValueError as error:
        raise InputError(f"a constant of shape {array.shape} does not fit {_text(shape)} values") from error


def merged(terms: Iterable[Term], size: int) -> list[tuple[str | Past, int, Wiring]]:
    """Source, lag and wiring of terms of `size` values; those of one source and lag are added up."""
    found: dict[tuple[str | Past, int], Wiring] = {}
    for term in terms:
        wiring = OneToOne(np.ones(size)) if term.wiring is None else term.wiring
        before = found.get((term.source, term.lag))
        found[term.source, term.lag] = wiring if before is None else together(before, wiring)
    return [(source, lag, wiring) for (source, lag), wiring in found.items()]


def _common(one: Shape, two: Shape) -> Shape:
    """The shape of a sum; of equally many dimensions, so that a sample is not added to another."""
    if len(one) != len(two) or any(a != b and 1 not in (a, b) for a, b in zip(one, two, strict=True)):
        raise InputError(f"a sum adds {_text(one)} and {_text(two)} values")
    return np.broadcast_shapes(one, two)


def _sum(a: Array | None, b: Array | None) -> Array | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _text(shape: Shape | None) -> str:
    return "unknown" if shape is None else "x".join(str(n) for n in shape)
