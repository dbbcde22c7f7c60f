"""Lava's own connections, with a clock: the sums are Lava's, here stand delays, resets and widths.

What a reset of the target has made void is taken from their buffers. What they receive and send is 64
bits wide, because messages and sums may be wider than Lava's 32. Chosen through the run configuration
in place of the models that they derive from.
"""

from collections import deque

import numpy as np
from job import Connection
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.conv.process import Conv
from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

GRADED_BITS = 24  # any number but 0 lets a message count as what it is
CHANNELS_LAST, CHANNELS_FIRST = (1, 2, 0), (2, 0, 1)


class _Clocked:
    """A connection that sends what has arrived from a buffer of one step."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int64)

    def run_spk(self) -> None:
        """Drop what is void, then let Lava send, receive and accumulate."""
        connection: Connection = self.proc_params["connection"]
        if connection.starts(self.time_step) or connection.dropped(self.time_step):
            self.a_buff[:] = 0
        super().run_spk()


class _ClockedDelay:
    """One whose buffer has a column a step; column 0 is what arrives next."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
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


class ClockedDense(_Clocked, PyDenseModelBitAcc):
    """Lava's bit-accurate Dense."""


class ClockedDelayDense(_ClockedDelay, PyDelayDenseModelBitAcc):
    """Lava's bit-accurate DelayDense."""


class ClockedSparse(_Clocked, PySparseModelBitAcc):
    """Lava's bit-accurate Sparse."""


class ClockedDelaySparse(_ClockedDelay, PyDelaySparseModelBitAcc):
    """Lava's bit-accurate DelaySparse, which keeps the matrix that Lava makes anew in every step."""

    unrolled: csr_matrix | None = None

    def get_delay_wgts_mat(self, weights, delays, max_delay) -> csr_matrix:
        """Lava's own: a row for every target and delay. Neither weights nor delays change."""
        if self.unrolled is None:
            self.unrolled = super().get_delay_wgts_mat(weights, delays, max_delay).tocsr()
        return self.unrolled


class ClockedConv(PyConvModelFixed):
    """Lava's Conv; the weights' exponent, which Lava leaves out, and the delay, which it has none of, are added.

    Its settings are wider than Lava's 8 bits: 128 groups are not many.
    """

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    a_buf: np.ndarray = LavaPyType(np.ndarray, np.int64)
    kernel_size: np.ndarray = LavaPyType(np.ndarray, np.int64)
    stride: np.ndarray = LavaPyType(np.ndarray, np.int64)
    padding: np.ndarray = LavaPyType(np.ndarray, np.int64)
    dilation: np.ndarray = LavaPyType(np.ndarray, np.int64)
    groups: np.ndarray = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params) -> None:
        super().__init__(proc_params)
        self.connection: Connection = proc_params["connection"]
        self.under_way: deque[np.ndarray] = deque()

    def run_spk(self) -> None:
        """Send what arrives now; let Lava receive and correlate, and put that behind all under way."""
        nothing = np.zeros_like(self.a_buf)
        if self.connection.starts(self.time_step):
            self.under_way = deque([nothing] * self.connection.delay)
        self.a_buf = self.under_way.popleft()
        if self.connection.dropped(self.time_step):
            self.a_buf = nothing
        super().run_spk()
        exponent = self.connection.exponent
        total = self.a_buf.astype(np.int64)
        self.under_way.append(total << exponent if exponent > 0 else total >> -exponent)


MODELS = {
    Dense: ClockedDense,
    DelayDense: ClockedDelayDense,
    Sparse: ClockedSparse,
    DelaySparse: ClockedDelaySparse,
    Conv: ClockedConv,
}


def connect(connection: Connection, out: OutPort, into: InPort) -> None:
    """Make the connection's process and put it between two ports of neurons."""
    makers = {"dense": _dense, "sparse": _sparse, "conv": _conv}
    made = makers[connection.process](connection)
    if connection.process == "conv":
        image = out.reshape(tuple(connection.settings["input_shape"]))
        image.transpose(CHANNELS_LAST).connect(made.s_in)
        made.a_out.transpose(CHANNELS_FIRST).flatten().connect(into)
    else:
        out.connect(made.s_in)
        made.a_out.connect(into)


def _doubled(connection: Connection) -> dict:
    """Settings of Dense and Sparse, given twice the weights.

    Lava clears the lowest bit of a weight of mixed sign: 2 w with the exponent less one says w exactly.
    """
    return {
        "weight_exp": connection.exponent - 1,
        "sign_mode": SignMode.MIXED,
        "num_message_bits": GRADED_BITS if connection.graded else 0,
        "connection": connection,
    }


def _dense(connection: Connection) -> Dense:
    """A stock Dense, or DelayDense for delays above 1 (a delay of d - 1 there arrives d steps later)."""
    weights = 2 * connection.arrays["weight"].astype("int32")
    if connection.delay == 1:
        return Dense(weights=weights, **_doubled(connection))
    return DelayDense(weights=weights, delays=connection.delay - 1, **_doubled(connection))


def _sparse(connection: Connection) -> Sparse:
    """A stock Sparse, or DelaySparse likewise."""
    values, columns, starts = (connection.arrays[name] for name in ("weight", "columns", "starts"))
    shape = (starts.size - 1, connection.settings["sources"])
    weights = csr_matrix((2 * values.astype("int32"), columns, starts), shape=shape)
    if connection.delay == 1:
        return Sparse(weights=weights, **_doubled(connection))
    delays = csr_matrix((np.full(values.size, connection.delay - 1), columns, starts), shape=shape)
    return DelaySparse(weights=weights, delays=delays, max_delay=connection.delay - 1, **_doubled(connection))


def _conv(connection: Connection) -> Conv:
    """A stock Conv, whose x is our height and whose y is our width; it turns its filters round, ours are not."""
    settings = connection.settings
    channels, height, width = settings["input_shape"]
    made = Conv(
        weight=connection.arrays["weight"][:, :, ::-1, ::-1].transpose(0, 2, 3, 1).astype("int32"),
        input_shape=(height, width, channels),
        stride=tuple(settings["stride"]),
        padding=tuple(settings["padding"]),
        dilation=tuple(settings["dilation"]),
        groups=settings["groups"],
        num_message_bits=GRADED_BITS if connection.graded else 0,
    )
    made.proc_params["connection"] = connection
    return made
