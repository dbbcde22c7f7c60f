"""Graded messages: a value from every neuron in every step, added to what its targets receive.

Brian2's synapses read a value when it arrives, whatever their delay; here it is the value that was sent.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import scipy.sparse

from astrodeploy.ir.nodes import FloatArray

Weights: TypeAlias = "scipy.sparse.csr_array"


@dataclass(frozen=True)
class Path:
    """Where messages go: weights (targets, sources), and after how many steps of the chip."""

    weights: Weights
    target: Any
    variable: str
    delay: int


class Sender:
    """What a population sends in every step, (rows, size), on its ways to its targets."""

    def __init__(self, message: Callable[[int], FloatArray]) -> None:
        self.message = message
        self.paths: list[Path] = []
        self.step = 0

    def operation(self, library: Any, clock: Any) -> Any:
        """Brian2's hook that runs after every step's thresholds, as its synapses do."""
        self.sent: deque[FloatArray] = deque(maxlen=max((path.delay for path in self.paths), default=1))
        return library.NetworkOperation(self._deliver, when="synapses", clock=clock)

    def _deliver(self) -> None:
        self.sent.append(self.message(self.step))
        self.step += 1
        for path in self.paths:
            if len(self.sent) >= path.delay:
                totals = (path.weights @ self.sent[-path.delay].T).T
                arrived = getattr(path.target, path.variable)
                arrived[:] = arrived[:] + totals.ravel()
