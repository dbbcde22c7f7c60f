"""Lava's own neurons and sources, with a clock: the arithmetic is Lava's, here stand resets and records.

Chosen through the run configuration in place of the models that they derive from. They set their
states themselves at a reset. From outside that would cost a pause (0.2 ms) and 35 microseconds a number,
because Lava sends a variable number by number: tens of milliseconds a reset, where a step takes two.
"""

import numpy as np
from job import Population
from lava.proc.io.source import PySendModelFixed, RingBuffer
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF


class ClockedSource(PySendModelFixed):
    """Lava's source, with a buffer of one step, filled from a file: a stimulus may exceed the memory."""

    def run_spk(self) -> None:
        """Read what is sent in this step, then let Lava send it."""
        population: Population = self.proc_params["population"]
        self.data[:, 0] = population.spikes[self.time_step - 1]
        super().run_spk()


class ClockedLif(PyLifModelBitAcc):
    """Lava's bit-accurate LIF, which keeps a record of its spikes and of the states asked for."""

    def __init__(self, proc_params) -> None:
        super().__init__(proc_params)
        self.population: Population = proc_params["population"]
        self.messages, self.states = self.population.records()

    def run_spk(self) -> None:
        """Clear what is due, let Lava compute the step, record it."""
        for name in self.population.cleared(self.time_step):
            getattr(self, name)[:] = self.population.initial[name]
        super().run_spk()
        self.messages.write(self.time_step, self.s_out_buff)
        for name, record in self.states.items():
            record.write(self.time_step, getattr(self, name))


MODELS = {RingBuffer: ClockedSource, LIF: ClockedLif}


def source(population: Population) -> RingBuffer:
    """A stock source of the population's spikes."""
    made = RingBuffer(data=np.zeros((population.size, 1), np.int32))
    made.proc_params["population"] = population
    return made


def lif(population: Population) -> LIF:
    """A stock LIF. Its du is the effective decay factor less one, its v decays by dv as it stands."""
    parameters = population.parameters
    uniform = {name: int(parameters[name][0]) for name in ("du", "dv", "threshold")}
    return LIF(
        shape=(population.size,),
        u=population.initial["u"],
        v=population.initial["v"],
        du=uniform["du"] - 1,
        dv=uniform["dv"],
        vth=uniform["threshold"],
        bias_mant=parameters["bias_mantissa"],
        bias_exp=parameters["bias_exponent"],
        population=population,
    )
