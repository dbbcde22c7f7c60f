"""How much a file may ask this machine to write out, whatever tool it comes from."""

from math import prod

from astrodeploy.ir.wiring import Conv, Wiring

MOST_NEURONS = 1 << 24  # of a node; more would not fit a machine
MOST_SYNAPSES = 1 << 26  # of a map that is written out


def stored(wiring: Wiring) -> int:
    """No fewer than the synapses of a map, without writing it out."""
    if isinstance(wiring, Conv):
        return prod(wiring.output_shape) * prod(wiring.values.shape[1:])
    return wiring.values.size
