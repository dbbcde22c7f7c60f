"""The tripartite synapse in Brian2, with units: presynaptic spikes, a neuron, the astrocyte around both.

    Poisson spikes -> release with probability PR -> LIF -> 2-AG -> IP3 -> Ca -> glutamate, SIC
                                          ^                  |               |
                                          +------ DSE -------+---- eSP ------+

Equations: Appendix D of arXiv 2312.10925, which gives no numbers. Numbers, as marked below:
[A] the MATLAB code of that paper's group (NeuroCompLab-psu, Astromorphic_Self_Repair), after Wade et al.;
[L] Li & Rinzel 1994, whose numbers [A] has too; [N] NEST's astrocyte_lr_1994, after Nadkarni & Jung 2003.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrodeploy.engines.brian2.runtime import runtime

SYNAPSES = 10  # of a neuron, each with a presynaptic train of its own [A]
STEP = 1.0  # ms; presynaptic spikes, the neuron and 2-AG
ASTROCYTE_STEP = 10.0  # ms
PULSE_EVERY = 300.0  # ms; glutamate [A]
WINDOW = 256  # steps; calcium and presynaptic spikes are recorded once a window


@dataclass(frozen=True)
class Feedback:
    """What acts back on the synapse: 1 or 0 each.

    dse      2-AG suppresses release
    pulsed   eSP as [A] computes it: glutamate in pulses once calcium has reached the threshold, low pass
    written  eSP as Appendix D writes it: glutamate while calcium is above the threshold, no low pass
    sic      the slow inward current into the neuron
    """

    dse: int = 1
    pulsed: int = 0
    written: int = 0
    sic: int = 0


VARIANTS = {
    "no feedback": Feedback(dse=0),
    "DSE": Feedback(),
    "DSE and eSP": Feedback(pulsed=1),
    "DSE, eSP and SIC": Feedback(pulsed=1, sic=1),
    "DSE and eSP as written": Feedback(written=1),
}

NEURON = """
dv/dt = (R_m * SIC - v) / tau_m : volt (unless refractory)
dAG/dt = -AG / tau_AG : mmolar
DSE = K_AG * AG : 1
PR = clip(PR_0 * (1 + (dse * DSE + eSP) / 100), 0, 1) : 1
eSP : 1 (linked)
SIC : amp (linked)
dse : 1 (constant)
began : second (shared)
"""

# Of the spikes that come in a step the luckiest: its draw from 0..1; 2 where none comes. One release fires the neuron.
ARRIVALS = """
released = int(luckiest(t - began, i) < PR)
v += released * R_m * I_injected * pulse / tau_m * int(not_refractory)
"""

ASTROCYTE = """
dIP3/dt = (IP3_rest - IP3) / tau_IP3 + r_IP3 * AG : mmolar
dCa/dt = J_channel + J_leak - J_pump : mmolar
dh/dt = a_2 * (Q * (1 - h) - Ca * h) : 1
dpulses/dt = -pulses / tau_Glu : mmolar
dtonic/dt = r_Glu * int(Ca >= Ca_threshold) - tonic / tau_Glu : mmolar
dslow/dt = (m_eSP * pulses - slow) / tau_eSP : 1
Q = d_2 * (IP3 + d_1) / (IP3 + d_3) : mmolar
J_channel = r_C * (IP3 / (IP3 + d_1) * Ca / (Ca + d_5) * h)**3 * (c_0 - (1 + c_1) * Ca) : mmolar/second
J_leak = r_L * (c_0 - (1 + c_1) * Ca) : mmolar/second
J_pump = v_ER * Ca**2 / (k_ER**2 + Ca**2) : mmolar/second
eSP = pulsed * slow + written * m_eSP * tonic : 1 (constant over dt)
SIC = sic * SIC_scale * log(clip((Ca - SIC_threshold) / nmolar, 1, inf)) : amp (constant over dt)
AG : mmolar (linked)
reached : 1
pulsed : 1 (constant)
written : 1 (constant)
sic : 1 (constant)
"""

PULSE = """
reached = clip(reached + int(Ca >= Ca_threshold), 0, 1)
pulses += reached * r_Glu * pulse
"""


def constants(b: Any) -> dict[str, Any]:
    """Every number of the model, with its unit and where it is from."""
    uM, s = b.umolar, b.second
    return {
        # the neuron and its synapses [A]; a spike's current and what it releases last one step of 1 ms there
        "pulse": 1 * b.ms,
        "tau_m": 60 * b.ms,
        "R_m": 1.2 * b.Gohm,
        "v_threshold": 9 * b.mvolt,
        "I_injected": 6650 * b.pamp,
        "refractory_period": 2 * b.ms,
        "PR_0": 0.3,
        # 2-AG, DSE and eSP [A]
        "r_AG": 0.8 * uM / s,
        "tau_AG": 10 * s,
        "K_AG": -1000 / uM,
        "Ca_threshold": 0.3 * uM,
        "r_Glu": 10 * uM / s,
        "tau_Glu": 0.1 * s,
        "m_eSP": 55e3 / uM,
        "tau_eSP": 40 * s,
        # IP3 [A]
        "IP3_rest": 0.16 * uM,
        "tau_IP3": 7 * s,
        "r_IP3": 0.5 / s,
        # calcium [L], [A]; the pump's 0.8 uM/s is [A]'s, where [N] has 0.9
        "r_C": 6 / s,
        "r_L": 0.11 / s,
        "v_ER": 0.8 * uM / s,
        "k_ER": 0.1 * uM,
        "c_0": 2 * uM,
        "c_1": 0.185,
        "d_1": 0.13 * uM,
        "d_2": 1.049 * uM,
        "d_3": 0.9434 * uM,
        "d_5": 0.08234 * uM,
        "a_2": 0.2 / uM / s,
        # SIC [N]; the scale is NEST's default of 1, read as pA
        "SIC_threshold": 0.19669 * uM,
        "SIC_scale": 1 * b.pamp,
    }


@dataclass(frozen=True)
class Recording:
    """Calcium of (windows, models) at the end of each window, uM; presynaptic spikes that came in it."""

    calcium: np.ndarray
    arrived: np.ndarray

    def mean(self, seconds: float) -> np.ndarray:
        """Mean calcium of each model over the last seconds."""
        return np.asarray(self.calcium[-round(seconds / window_seconds()) :].mean(0))

    def models(self, first: int, number: int) -> "Recording":
        """Some of the models."""
        chosen = slice(first, first + number)
        return Recording(self.calcium[:, chosen], self.arrived[:, chosen])


def window_seconds() -> float:
    """How long a window lasts."""
    return WINDOW * STEP / 1000


def simulate(
    rates: np.ndarray,
    variants: Sequence[str],
    seed: int,
    windows: int = 100,
    astrocyte_step: float = ASTROCYTE_STEP,
) -> Recording:
    """Many synapses at once, all in one Brian2 run.

    rates            (holds, models): each presynaptic train's rate, Hz, held for so many windows each
    variants         of each model, names of VARIANTS
    astrocyte_step   ms; the trains and which spikes release are the same whatever it is
    """
    arrived = []
    drawn_by_brian2 = np.random.get_state()
    generator = np.random.default_rng(seed)
    with runtime() as b:
        try:
            network = _network(b, [VARIANTS[each] for each in variants], astrocyte_step)
            neuron, monitor = network["neuron"], network["calcium"]
            for row in rates:
                spikes, luck = presynaptic(row, windows * WINDOW, generator)
                arrived.append(spikes.reshape(windows, WINDOW, -1).sum(1))
                neuron.began = network.t
                luckiest = b.TimedArray(luck, dt=STEP * b.ms)
                network.run(windows * WINDOW * STEP * b.ms, namespace={"luckiest": luckiest})
            monitor.record_single_timestep()
            calcium = np.asarray(monitor.Ca / b.umolar).T
        finally:
            np.random.set_state(drawn_by_brian2)
    return Recording(calcium[1:], np.concatenate(arrived))


def presynaptic(
    rates: np.ndarray, steps: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of all trains of a neuron together, (steps, models), and the luckiest one's draw.

    The least of n draws from 0..1 is 1 - (1 - U)**(1/n), from one draw U.
    """
    expected = np.broadcast_to(SYNAPSES * rates * STEP / 1000, (steps, len(rates)))
    spikes = generator.poisson(expected)
    least = 1 - (1 - generator.random(spikes.shape)) ** (1 / np.maximum(spikes, 1))
    return spikes, np.where(spikes > 0, least, 2.0)


def _network(b: Any, variants: Sequence[Feedback], astrocyte_step: float) -> Any:
    """A neuron with its presynaptic trains and an astrocyte for each model, and monitors, by name."""
    values, models = constants(b), len(variants)
    step, slow = STEP * b.ms, astrocyte_step * b.ms
    neuron = b.NeuronGroup(
        models,
        NEURON,
        threshold="v >= v_threshold",
        reset="v = 0 * volt; AG += r_AG * pulse",
        refractory="refractory_period",
        method="exact",
        namespace=values,
        dt=step,
        name="neuron",
    )
    neuron.run_regularly(ARRIVALS, dt=step, name="arrivals")
    astrocyte = b.NeuronGroup(models, ASTROCYTE, method="euler", namespace=values, dt=slow, name="astrocyte")
    astrocyte.run_regularly(PULSE, dt=PULSE_EVERY * b.ms, name="pulse")
    neuron.eSP, neuron.SIC = b.linked_var(astrocyte, "eSP"), b.linked_var(astrocyte, "SIC")
    astrocyte.AG = b.linked_var(neuron, "AG")
    astrocyte.Ca, astrocyte.h, astrocyte.IP3 = 0.071006 * b.umolar, 0.7791, values["IP3_rest"]  # [A]
    neuron.dse = [each.dse for each in variants]
    for name in ("pulsed", "written", "sic"):
        setattr(astrocyte, name, [getattr(each, name) for each in variants])
    calcium = b.StateMonitor(astrocyte, "Ca", record=True, dt=WINDOW * STEP * b.ms, name="calcium")
    return b.Network(neuron, astrocyte, calcium)
