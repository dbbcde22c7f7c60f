"""Who is connected to whom, and with which weights: the pattern of a Connection.

    Dense     every source to every target
    OneToOne  neuron i to neuron i
    Conv      a convolution over one or two spatial dimensions, its filters shared; pooling is one too
    Sparse    a list of synapses
    Random    a list that is drawn, target by target, and never written out whole

A pattern is a linear map from messages (..., sources) to totals (..., targets). `values` holds its
numbers, each once: float64 before `quantise` and int8 after. Populations of several dimensions are
flattened in C order.
"""

from astrodeploy.ir.wiring.algebra import after, conv_after_pool, together
from astrodeploy.ir.wiring.base import Rows, Wiring
from astrodeploy.ir.wiring.convolution import Conv, pool
from astrodeploy.ir.wiring.lists import Dense, OneToOne, Sparse
from astrodeploy.ir.wiring.parts import WIRINGS, from_parts
from astrodeploy.ir.wiring.random import Random

__all__ = [
    "WIRINGS",
    "Conv",
    "Dense",
    "OneToOne",
    "Random",
    "Rows",
    "Sparse",
    "Wiring",
    "after",
    "conv_after_pool",
    "from_parts",
    "pool",
    "together",
]
