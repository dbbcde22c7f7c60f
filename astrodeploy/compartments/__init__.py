"""Compartment kinds: what one neuron of the chip keeps and computes, each defined once.

To add one, write it with the words of `language.py` in a file here and name it in KINDS; every
engine, the operation counts and the chips' rules are derived from the definition.
"""

from astrodeploy.compartments.astrocyte import astrocyte
from astrodeploy.compartments.kind import Kind, Range
from astrodeploy.compartments.lif import lif, modulated_lif
from astrodeploy.compartments.sic import sic

KINDS: dict[str, Kind] = {kind.name: kind for kind in (lif, modulated_lif, astrocyte, sic)}

__all__ = ["KINDS", "Kind", "Range"]
