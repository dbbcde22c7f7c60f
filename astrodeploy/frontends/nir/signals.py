"""What arrives at a neuron of a NIR network: weighted messages of populations, and a constant.

A signal is the sum over (population, lag) of wiring z(t - lag), plus a constant vector. Linear nodes turn
signals into signals; where several paths meet, they add up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from astrodeploy.frontends.limits import MOST_SYNAPSES, stored
from astrodeploy.frontends.nir.maps import AffineMap, Misfit
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.ir.wiring import Conv, Dense, OneToOne, Sparse, Wiring, after, conv_after_pool, together

Term = tuple[str, int]  # population, lag in steps


@dataclass(frozen=True, eq=False)
class Signal:
    """`size` numbers; a term without a wiring is the population's message itself."""

    size: int
    terms: Mapping[Term, Wiring | None] = field(default_factory=dict)
    constant: FloatArray | None = None

    @property
    def messages(self) -> str | None:
        """The population whose messages of the same step this signal is, and nothing else; or None."""
        if len(self.terms) != 1 or self.constant is not None:
            return None
        ((name, lag), wiring) = next(iter(self.terms.items()))
        return name if lag == 0 and wiring is None else None


def added(size: int, signals: Iterable[Signal]) -> Signal:
    """The sum of signals of one size. Raises Misfit."""
    terms: dict[Term, Wiring | None] = {}
    constant: FloatArray | None = None
    for each in signals:
        for term, wiring in each.terms.items():
            terms[term] = wiring if term not in terms else _sum(terms[term], wiring, size)
        if each.constant is not None:
            constant = each.constant if constant is None else constant + each.constant
    return Signal(size, terms, constant)


def mapped(signal: Signal, through: AffineMap) -> Signal:
    """The signal after a linear node. Raises Misfit where that takes too many synapses."""
    wiring = through.wiring
    if wiring is None:
        return signal
    terms = {term: wiring if first is None else _chain(wiring, first) for term, first in signal.terms.items()}
    constant = None if signal.constant is None else wiring.deliver(signal.constant)
    if through.constant is not None:
        constant = through.constant if constant is None else constant + through.constant
    return Signal(wiring.shape[0], terms, constant)


def delayed(signal: Signal, steps: IntArray) -> Signal:
    """The signal so many steps later, (size,) steps; its constant part stays. Raises Misfit."""
    parts = []
    for lag in np.unique(steps):
        mask = (
            None if steps.size == 0 or np.all(steps == lag) else OneToOne((steps == lag).astype(np.float64))
        )
        terms = {
            (name, before + int(lag)): _masked(mask, wiring)
            for (name, before), wiring in signal.terms.items()
        }
        parts.append(Signal(signal.size, terms))
    return added(signal.size, [*parts, Signal(signal.size, {}, signal.constant)])


def _masked(mask: OneToOne | None, wiring: Wiring | None) -> Wiring | None:
    if mask is None or wiring is None:
        return mask or wiring
    _check(stored(wiring))
    return Sparse.of(after(mask, wiring).sparse)


def _chain(second: Wiring, first: Wiring) -> Wiring:
    """`first`, then `second`."""
    if isinstance(first, Dense) and isinstance(second, Dense):
        return Dense(second.values @ first.values)
    if isinstance(first, Conv) and isinstance(second, Conv) and (joined := conv_after_pool(second, first)):
        return joined
    largest = prod((second.shape[0], first.shape[1]))
    _check(stored(first) + stored(second) + min(largest, _product(second, first)))
    return after(second, first)


def _product(second: Wiring, first: Wiring) -> int:
    """No fewer than the synapses of the two maps in a row."""
    if isinstance(first, OneToOne):
        fan_in = 1
    elif isinstance(first, Conv):
        fan_in = prod(first.values.shape[1:])
    elif isinstance(first, Sparse):
        fan_in = int(np.diff(first.starts).max(initial=0))
    else:
        fan_in = first.shape[1]
    return stored(second) * fan_in


def _sum(a: Wiring | None, b: Wiring | None, size: int) -> Wiring:
    a, b = (OneToOne(np.ones(size)) if each is None else each for each in (a, b))
    if (
        isinstance(a, Conv)
        and isinstance(b, Conv)
        and a.settings() == b.settings()
        and a.values.shape == b.values.shape
    ):
        return a.with_values(a.values + b.values)
    if isinstance(a, Dense) or isinstance(b, Dense):
        _check(prod(a.shape))
    _check(stored(a) + stored(b))
    return together(a, b)


def _check(synapses: int) -> None:
    if synapses > MOST_SYNAPSES:
        raise Misfit(
            f"joins linear maps that take up to {synapses} synapses when they are written out, more than "
            f"{MOST_SYNAPSES}: put neurons between them, or use fewer"
        )
