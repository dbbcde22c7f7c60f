"""Torch modules to train with: the astrocytes and the encoder that Norse lacks, and `unroll`.

All have a one-step forward, (x, state) -> (y, state), as Norse's own cells have it.
"""

from astrodeploy.nn.astrocyte import AstrocyteLayer, AstrocyteState
from astrodeploy.nn.encoder import RateEncoder
from astrodeploy.nn.signal_astrocyte import Astrocyte, SignalState
from astrodeploy.nn.time import carry, unroll

__all__ = [
    "Astrocyte",
    "AstrocyteLayer",
    "AstrocyteState",
    "RateEncoder",
    "SignalState",
    "carry",
    "unroll",
]
