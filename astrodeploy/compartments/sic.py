"""Two of Loihi's compartments, joined on one core: a current that falls slowly, and what it makes fire.

combra_loihi (arXiv 1907.01620) builds the slow inward current of an astrocyte so: its SIC generator
never fires and passes its membrane on (NO_SPIKE_AND_PASS_V_LG_VTH_TO_PARENT, PUSH), its spike generator
adds it to its own input (ADD, POP_A). A core works through its compartments in order: the second one adds
what the first one's membrane became in the same step.
"""

from astrodeploy.arithmetic import ALIGNMENT, STATE_BITS, STATE_MAX
from astrodeploy.compartments.kind import Registers
from astrodeploy.compartments.language import Neuron, compartment, maximum, saturate, select, wrap
from astrodeploy.compartments.lif import CURRENT, PARAMETERS, SPIKE, U, V, decay


@compartment(
    states={"u1": U, "v1": V, "u2": U, "v2": V},
    parameters={
        "du1": PARAMETERS["du"],
        "dv1": PARAMETERS["dv"],
        "du2": PARAMETERS["du"],
        "dv2": PARAMETERS["dv"],
        "threshold": PARAMETERS["threshold"],
    },
    inputs={"current": CURRENT, "parent_current": CURRENT},
    outputs={"spike": SPIKE},
    registers=Registers(decays=(("du1", "dv1"), ("du2", "dv2")), thresholds=("threshold",)),
)
def sic(n: Neuron) -> None:
    """A compartment that never fires, and its parent, which adds its membrane where that is positive."""
    n.u1 = wrap(decay(n.u1, n.du1) + (n.current << ALIGNMENT), STATE_BITS)
    n.v1 = saturate(decay(n.v1, n.dv1) + n.u1, -STATE_MAX, STATE_MAX)
    n.u2 = wrap(decay(n.u2, n.du2) + (n.parent_current << ALIGNMENT), STATE_BITS)
    v = saturate(decay(n.v2, n.dv2) + n.u2 + maximum(n.v1, 0), -STATE_MAX, STATE_MAX)
    spike = v > n.threshold << ALIGNMENT
    n.v2 = select(spike, 0, v)
    n.spike = spike
