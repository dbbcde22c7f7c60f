"""The intermediate representation: nodes, Graph, number formats, laws."""

from astrodeploy.ir.graph import Connection, Graph, Population
from astrodeploy.ir.nodes import LIF, Astrocyte, Compartments, CubaLIF, Input, RateEncoder
from astrodeploy.ir.verify import verify

__all__ = [
    "LIF",
    "Astrocyte",
    "Compartments",
    "Connection",
    "CubaLIF",
    "Graph",
    "Input",
    "Population",
    "RateEncoder",
    "verify",
]
