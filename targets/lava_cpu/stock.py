"""Lava's own processes, with a clock: the arithmetic is Lava's, here stand only resets and records.

Chosen through the run configuration in place of the models that they derive from. They set their
states themselves at a reset. From outside that would cost a pause (0.2 ms) and 35 microseconds a number,
because Lava sends a variable number by number: tens of milliseconds a reset, where a step takes two.
"""

import numpy as np
from job import Connection, Population
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF
from lava.utils.weightutils import SignMode


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


class ClockedDense(PyDenseModelBitAcc):
    """Lava's bit-accurate Dense, whose buffer is emptied of what a reset has made void.

    What it sends is 64 bits wide, because a port may declare more than Lava's 32.
    """

    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int64)

    def run_spk(self) -> None:
        """Drop what is void, then let Lava send, receive and accumulate."""
        connection: Connection = self.proc_params["connection"]
        if connection.starts(self.time_step) or connection.dropped(self.time_step):
            self.a_buff[:] = 0
        super().run_spk()


class ClockedDelayDense(PyDelayDenseModelBitAcc):
    """Lava's bit-accurate DelayDense, likewise; column 0 of its buffer is what arrives next."""

    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int64)

    def run_spk(self) -> None:
        """Drop what is void, then let Lava send, receive and accumulate."""
        connection: Connection = self.proc_params["connection"]
        if connection.starts(self.time_step):
            self.a_buff[:] = 0
        if connection.dropped(self.time_step):
            self.a_buff[:, 0] = 0
        super().run_spk()


MODELS = {LIF: ClockedLif, Dense: ClockedDense, DelayDense: ClockedDelayDense}


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


def dense(connection: Connection) -> Dense:
    """A stock Dense, or DelayDense for delays above 1 (a delay of d - 1 there arrives d steps later).

    Lava clears the lowest bit of a weight of mixed sign: 2 w with the exponent less one says w exactly.
    """
    arguments = {
        "weights": 2 * connection.weight.astype("int32"),
        "weight_exp": connection.exponent - 1,
        "sign_mode": SignMode.MIXED,
        "num_message_bits": 24 if connection.graded else 0,
        "connection": connection,
    }
    if connection.delay == 1:
        return Dense(**arguments)
    return DelayDense(delays=connection.delay - 1, **arguments)
