"""How often every neuron sends: measured on calibration data, or stated."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from astrodeploy.ir import Compartments, Graph, Population
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.wiring import OneToOne
from astrodeploy.quantisation.seen import Calibration

STATED_RATE = 0.1  # messages per neuron and step, where nothing was measured


@dataclass(frozen=True, eq=False)
class Traffic:
    """Messages per neuron and step, 0..1, by population (its size).

    measured  whether they come from calibration data
    """

    rates: Mapping[str, FloatArray]
    measured: bool

    @property
    def text(self) -> str:
        """Where the rates come from, in a few words."""
        if self.measured:
            return "traffic as the float network has it on the calibration data"
        return f"traffic stated, not counted: {STATED_RATE:g} messages per neuron and step"


def traffic(graph: Graph, calibration: Calibration | None) -> Traffic:
    """The traffic of a network on the chip."""
    rates: dict[str, FloatArray] = {}
    for population in graph.populations:
        rates[population.name] = np.broadcast_to(
            _rate(graph, population, calibration, rates), population.size
        )
    return Traffic(rates, calibration is not None)


def _rate(
    graph: Graph, population: Population, calibration: Calibration | None, known: Mapping[str, FloatArray]
) -> FloatArray:
    """What a population sends: as measured, else what its place in the network says, else what is stated."""
    node, into = population.node, list(graph.into(population.name))
    if isinstance(node, Compartments) and node.kind.window is not None:
        return np.asarray(1 / node.period)
    if (sent := _sent(population.name, calibration)) is not None:
        return sent
    if not into and not population.is_input:
        return np.asarray(1.0)  # it fires always
    if len(into) == 1 and isinstance(into[0].wiring, OneToOne) and into[0].source in known:
        return known[into[0].source]  # a relay
    return np.asarray(STATED_RATE)


def _sent(name: str, calibration: Calibration | None) -> FloatArray | None:
    """What was measured of a population, if it was there."""
    if calibration is None:
        return None
    spikes = calibration.stimulus.get(name, calibration.recording.spikes.get(name))
    if spikes is None:
        return None
    return np.asarray((spikes != 0).reshape(-1, spikes.shape[-1]).mean(0))
