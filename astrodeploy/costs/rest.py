"""When a neuron is at rest: its update is then an inactive one.

A neuron is active where a message reaches it, and as long as its current and its membrane (of joined compartments
all of them) have not decayed to 0 since; one with a bias always. Quartz's measurement says so: per step its network
takes what 5,400 active updates take, though next to nothing arrives (arXiv:2309.16795); SANA-FE counts in the same
way. How long they last is reckoned from a membrane at the threshold; that a reset leaves 0 is not. Astrocytes, whose
states are slow, and kinds of other states are active where a message reaches them.
"""

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT, DECAY_UNITY
from astrodeploy.ir import Compartments, Population
from astrodeploy.ir.arrays import Array, FloatArray, IntArray

FOREVER = 1 << 30


def awake_after(population: Population) -> IntArray:
    """For how many steps every neuron stays active after a step in which a message reached it."""
    node = population.node
    assert isinstance(node, Compartments), population.name
    held = node.kind.registers
    factors = [node.parameters[name] for pair in held.decays for name in pair]
    if node.kind.window is not None or not factors:
        return np.zeros(population.size, np.int64)
    least = np.ones(population.size, np.int64)
    start = np.maximum.reduce([least, *(node.parameters[name] for name in held.thresholds)]) << ALIGNMENT
    lasts = np.sum([_steps_to_zero(start, each) for each in factors], axis=0)
    return np.asarray(np.minimum(lasts, FOREVER), np.int64)


def always_awake(population: Population) -> Array:
    """Which neurons have a bias."""
    node = population.node
    assert isinstance(node, Compartments), population.name
    given = [node.parameters[name] != 0 for name in node.kind.registers.biases]
    return np.any(given, axis=0) if given else np.zeros(population.size, np.bool_)


def _steps_to_zero(start: IntArray, factor: IntArray) -> FloatArray:
    """Decays by factor / 4096 of whole numbers, toward zero, until nothing is left: at most a quarter too many.

    A number above 4096 / factor shrinks in proportion, one below it by 1 a step; what is gone at once does not last.
    """
    part = factor / DECAY_UNITY
    with np.errstate(divide="ignore", invalid="ignore"):
        proportional = np.log(np.maximum(start * part, 1)) / -np.log1p(-part)
        steps = np.where(part > 0, np.ceil(proportional) + np.minimum(np.floor(1 / part), start), FOREVER)
    return np.where(part < 1, steps, 0.0)
