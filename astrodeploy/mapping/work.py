"""The time that a box of neurons takes of its core in a step: what `--pack fastest` balances.

    sending    updates, active as `costs/rest.py` has it, in proportion to the operations of their
               kind; spikes; messages, one for every box of targets
    receiving  messages, one from every source neuron; synaptic operations, one for every stored synapse

A core takes their sum, or the longer of the two where the cost model lets them overlap. Times are the
model's typical ones, in whole picoseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from math import prod

import numpy as np

from astrodeploy.chip import Chip, Cost, operation_count
from astrodeploy.compartments import KINDS
from astrodeploy.compartments.kind import OperationList
from astrodeploy.costs.rest import always_awake, awake_after
from astrodeploy.ir import Compartments, Graph, Population
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.mapping.sums import Sums
from astrodeploy.mapping.traffic import Traffic
from astrodeploy.program import Slice
from astrodeploy.synapses import ConvolutionStored, DenseStored, Load, Stored

PICOSECONDS = 1000.0  # a nanosecond
OPERATION = {"runlength": "sparse"}  # what a synaptic operation is charged as


@dataclass(frozen=True, eq=False)
class Neurons:
    """What a population's neurons do in a step, whatever arrives.

    update  picoseconds of one neuron's update
    sent    messages of every neuron, in the population's shape
    """

    update: float
    sent: Sums


class Work:
    """Times of boxes by one cost model."""

    def __init__(
        self, graph: Graph, chip: Chip, stored: Mapping[str, list[Stored]], traffic: Traffic
    ) -> None:
        self.traffic, self.model = traffic, chip.cost()
        self._sent, self._spike = (
            _time(self.model.time_per_message_sent_ns),
            _time(self.model.time_per_spike_ns),
        )
        self._into = stored
        self._known_filters: dict[str, _FilterSynapses] = {}
        self.neurons = {p.name: self._neurons(p) for p in graph.populations if not p.is_input}

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What a core's time is held against: both pipelines, or their sum."""
        return ("sending_ps", "receiving_ps") if self.model.sending_overlaps_receiving else ("busy_ps",)

    def limits(self, step_ps: int) -> dict[str, int]:
        """What a core may take if a step is to take so long."""
        return dict.fromkeys(self.keys, step_ps)

    def of(self, cut: Slice, messages: float, loads: Sequence[Load]) -> dict[str, int]:
        """What a box takes, whose neurons send so many messages in a step; `loads` are those of what ends there."""
        sending, receiving = self.sending(cut, messages), self.receiving(cut, loads)
        times = (sending, receiving) if self.model.sending_overlaps_receiving else (sending + receiving,)
        return {key: int(np.ceil(time)) for key, time in zip(self.keys, times, strict=True)}

    def sending(self, cut: Slice, messages: float) -> float:
        """Picoseconds of a box's updates, spikes and messages."""
        neurons = self.neurons[cut.population]
        spikes = neurons.sent.within(cut) * self._spike
        return cut.size * neurons.update + spikes + messages * self._sent

    def receiving(self, cut: Slice, loads: Sequence[Load]) -> float:
        """Picoseconds of what arrives at a box."""
        return sum(map(self._arriving, self._into[cut.population], repeat(cut), loads))

    def _arriving(self, stored: Stored, cut: Slice, load: Load) -> float:
        messages, operations = self.arrivals(stored, cut, load)
        return messages * self.message_time + operations * self.operation_time(stored)

    @cached_property
    def message_time(self) -> float:
        """Picoseconds of a message that is received."""
        return _time(self.model.time_per_message_received_ns)

    def operation_time(self, stored: Stored) -> float:
        """Picoseconds of a synaptic operation in an encoding."""
        kind = OPERATION.get(stored.encoding, stored.encoding)
        return _time(getattr(self.model, f"time_per_synaptic_operation_{kind}_ns"))

    def _neurons(self, population: Population) -> Neurons:
        node, rates = population.node, self.traffic.rates[population.name]
        assert isinstance(node, Compartments), population.name
        arriving = sum(self._mean_arrivals(each, population) for each in self._into[population.name])
        active, inactive = (
            _time(self.model.time_per_active_update_ns),
            _time(self.model.time_per_inactive_update_ns),
        )
        awake = _awake(population, arriving)
        update = (awake * active + (1 - awake) * inactive) * _weight(node.kind.step)
        if node.kind.window is not None:
            update += active * _weight(node.kind.window) / node.period
        shaped = (
            np.broadcast_to(rates.flat[0], population.shape)
            if _uniform(rates)
            else rates.reshape(population.shape)
        )
        return Neurons(update, Sums(shaped))

    def _mean_arrivals(self, stored: Stored, population: Population) -> float:
        """Synaptic operations of a neuron in a step, in the mean."""
        whole = Slice(population.name, tuple((0, n) for n in population.shape))
        return self.arrivals(stored, whole)[1] / max(1, population.size)

    def arrivals(self, stored: Stored, cut: Slice, load: Load | None = None) -> tuple[float, float]:
        """Messages that reach a box in a step, and the synaptic operations that they cause there.

        Where filters are shared, all sources are taken to send with their mean rate.
        """
        source = stored.connection.source
        if isinstance(stored, DenseStored):
            total = self._totals[source]
            return total, total * cut.size
        rates = self.traffic.rates[source]
        if isinstance(stored, ConvolutionStored):
            mean = self._totals[source] / rates.size
            return mean * (load or stored.load(cut)).sources, mean * self._filters(stored).within(cut)
        sources, counts = stored.synapses(cut)
        sent = rates[sources]
        return float(sent.sum()), float(sent @ counts)

    @cached_property
    def _totals(self) -> dict[str, float]:
        """Messages of a whole population in a step."""
        return {
            name: float(rates.flat[0]) * rates.size if _uniform(rates) else float(rates.sum())
            for name, rates in self.traffic.rates.items()
        }

    def _filters(self, stored: ConvolutionStored) -> "_FilterSynapses":
        name = stored.connection.name
        if name not in self._known_filters:
            self._known_filters[name] = _FilterSynapses(stored)
        return self._known_filters[name]


class _FilterSynapses:
    """Stored synapses of any box of a convolution, zeros too, in constant time."""

    def __init__(self, stored: ConvolutionStored) -> None:
        self._each = stored.fields.conv.values.shape[1]  # input channels of an output channel
        taps = [(axis.reads >= 0).sum(1) for axis in stored.fields.axes]
        self._upto = [np.concatenate([[0], np.cumsum(each)]).tolist() for each in taps]

    def within(self, cut: Slice) -> int:
        """Synapses that end in a box."""
        (first, last), *ranges = cut.ranges
        spatial = (upto[stop] - upto[start] for upto, (start, stop) in zip(self._upto, ranges, strict=True))
        return int((last - first) * self._each * prod(spatial))


def _awake(population: Population, arriving: float) -> float:
    """The part of its steps, 0..1, in which a neuron is active, by what arrives in the mean."""
    lasts = 1 + awake_after(population).astype(np.float64)
    return float(np.where(always_awake(population), 1.0, -np.expm1(-arriving * lasts)).mean())


def _uniform(rates: FloatArray) -> bool:
    return rates.strides == (0,) * rates.ndim


def _time(cost: Cost) -> float:
    return cost.typical * PICOSECONDS


def _weight(operations: OperationList | None) -> float:
    """Cost of an update beside one of the plain LIF, by its operations."""
    return operation_count(operations) / operation_count(KINDS["lif"].step)
