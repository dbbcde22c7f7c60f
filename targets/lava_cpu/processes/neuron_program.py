"""One Lava process that executes any compartment kind.

It has a folder of its own, because Lava executes every Python file beside a process's own.
"""

import arithmetic
import numpy as np
from job import Population
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class NeuronProgram(AbstractProcess):
    """Neurons of any kind: the kind's inputs are in_0, in_1, ... by order, its output is out."""

    def __init__(self, *, population: Population) -> None:
        super().__init__(population=population)
        shape = (population.size,)
        self.in_0, self.in_1, self.in_2, self.in_3 = (InPort(shape=shape) for _ in range(4))
        self.out = OutPort(shape=shape)


@implements(proc=NeuronProgram, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class NeuronProgramModel(PyLoihiProcessModel):
    """Runs the kind's operation lists on int64 arrays, all neurons at once."""

    in_0: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    in_1: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    in_2: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    in_3: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params) -> None:
        super().__init__(proc_params)
        self.population: Population = proc_params["population"]
        self.kind = self.population.kind
        self.tables = {name: np.array(table, np.int64) for name, table in self.kind["tables"].items()}
        self.states = {name: rest.copy() for name, rest in self.population.initial.items()}
        self.messages, self.recorded = self.population.records()

    def run_spk(self) -> None:
        """One step: clear what is due, receive, run the lists, send, record."""
        for name in self.population.cleared(self.time_step):
            self.states[name] = self.population.initial[name].copy()
        ports = (self.in_0, self.in_1, self.in_2, self.in_3)
        inputs = dict(zip(self.kind["inputs"], (port.recv() for port in ports), strict=False))
        sent = self._run(self.kind["step"], inputs)
        if self.population.ticks(self.time_step):
            sent = sent + self._run(self.kind["window"], inputs)
        self.out.send(sent)
        self.messages.write(self.time_step, sent)
        for name, record in self.recorded.items():
            record.write(self.time_step, self.states[name])

    def _run(self, each: dict, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Run one list and return the message of every neuron (0 where the list sends none)."""
        registers = arithmetic.execute(
            each["operations"], self.states, self.population.parameters, inputs, self.tables
        )
        for name, register in each["stores"].items():
            self.states[name] = self._by_neuron(registers[register])
        for register in each["sends"].values():
            return self._by_neuron(registers[register])
        return np.zeros(self.population.size, np.int64)

    def _by_neuron(self, value) -> np.ndarray:
        return np.full(self.population.size, value, np.int64)
