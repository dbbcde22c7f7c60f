"""The slow, obvious engine: interprets the operation lists on Python integers, one neuron at a time.

It is the specification that the others are held against. Every value is checked against the interval
that the tracer proved.
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from astrodeploy import arithmetic
from astrodeploy.compartments.kind import OperationList, Range
from astrodeploy.compartments.proof import intervals
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.verify import shifted

Neurons = list[dict[str, int]]
Messages = dict[str, list[dict[int, int]]]  # population -> step -> neuron -> message


def oracle(job: Job) -> Recording:
    """Run a Job on plain integers."""
    network = job.program.network
    populations = [_Neurons(p, network, job) for p in network.populations if not p.is_input]
    for row in range(job.rows):
        sent: Messages = {
            name: [_events(step) for step in spikes[row].tolist()] for name, spikes in job.spikes.items()
        }
        for p in populations:
            p.start()
            sent[p.name] = []
        for step in range(job.steps):
            for p in populations:
                sent[p.name].append(p.advance(row, step, sent))
    spikes = {p.name: p.messages for p in populations}
    return Recording(
        spikes=dict(job.spikes) | spikes,
        states={key: array for p in populations for key, array in p.recorded.items()},
    )


def _events(values: list[int]) -> dict[int, int]:
    return {i: v for i, v in enumerate(values) if v}


class _Neurons:
    """One population: its neurons' states as dictionaries of Python integers."""

    def __init__(self, population: Population, network: Graph, job: Job) -> None:
        node = population.node
        assert isinstance(node, Compartments)
        self.name, self.depth, self.node, self.kind = population.name, population.depth, node, node.kind
        self.reset_every = job.reset_every
        self.size = population.size
        self.inputs = [_Arrivals(c) for c in network.into(population.name)]
        self.parameters = _by_neuron(node.parameters, self.size)
        self.initial = _by_neuron(node.initial, self.size)
        self.tables = {k: list(t) for k, t in self.kind.tables.items()}
        self.known = [intervals(self.kind, each) for each in self.kind.lists]
        shape = (job.rows, job.steps, self.size)
        self.messages = np.zeros(shape, np.int32)
        self.recorded = {
            (self.name, s): np.zeros(shape, np.int32)
            for s in self.kind.states
            if (self.name, s) in job.record
        }

    def start(self) -> None:
        self.states: Neurons = [dict(each) for each in self.initial]

    def advance(self, row: int, step: int, sent: Messages) -> dict[int, int]:
        """One step: reset, read what arrives, run the lists, return what is sent."""
        self._reset(arithmetic.resets(step, self.depth, self.reset_every))
        arrived: Neurons = [dict.fromkeys(self.kind.inputs, 0) for _ in range(self.size)]
        for each in self.inputs:
            slow = self.kind.inputs[each.port].slow
            if not arithmetic.dropped(step, self.depth, each.lag, self.reset_every, slow):
                each.add(step, sent, arrived)
        lists = [self.kind.step]
        if self.kind.window and arithmetic.ticks(step, self.depth, self.node.period):
            lists.append(self.kind.window)
        out: dict[int, int] = {}
        for i in range(self.size):
            for each_list, known in zip(lists, self.known, strict=False):
                message = self._run(each_list, known, i, arrived[i])
                if message:
                    out[i] = message
                    self.messages[row, step, i] = message
        for (_, state), array in self.recorded.items():
            array[row, step] = [neuron[state] for neuron in self.states]
        return out

    def _reset(self, what: str) -> None:
        for neuron, rest in zip(self.states, self.initial, strict=True):
            for name, state in self.kind.states.items():
                if what == "all" or (what == "fast" and not state.slow):
                    neuron[name] = rest[name]

    def _run(self, each: OperationList, known: list[Range], i: int, arrived: dict[str, int]) -> int:
        registers = arithmetic.execute(
            each.operations, self.states[i], self.parameters[i], arrived, self.tables
        )
        for value, allowed in zip(registers, known, strict=True):
            assert allowed.low <= value <= allowed.high, (self.name, value, allowed)
        for name, register in each.stores.items():
            self.states[i][name] = registers[register]
        return next((registers[r] for r in each.sends.values()), 0)


class _Arrivals:
    """One connection: adds what was sent `delay` steps ago."""

    def __init__(self, connection: Connection) -> None:
        self.source, self.port = connection.source, connection.port
        self.delay, self.lag, self.exponent = connection.delay, connection.lag, connection.exponent
        columns = connection.wiring.sparse.tocsc()
        starts, targets, weights = (a.tolist() for a in (columns.indptr, columns.indices, columns.data))
        self.columns = [list(zip(targets[a:b], weights[a:b], strict=True)) for a, b in pairwise(starts)]

    def add(self, step: int, sent: Messages, arrived: Neurons) -> None:
        if step < self.delay or not (events := sent[self.source][step - self.delay]):
            return
        totals: dict[int, int] = defaultdict(int)
        for neuron, message in events.items():
            for i, weight in self.columns[neuron]:
                totals[i] += weight * message
        for i, total in totals.items():
            arrived[i][self.port] += shifted(total, self.exponent)


def _by_neuron(arrays: Mapping[str, np.ndarray], size: int) -> Neurons:
    columns = {name: array.tolist() for name, array in arrays.items()}
    return [{name: values[i] for name, values in columns.items()} for i in range(size)]
