"""The fast engine: numba kernels generated from the neuron programs; every bit as the oracle.

source.py   one kernel's text: numbered registers and literals; helpers.py is a part of it
cache.py    where the texts and the compiled code are kept
plan.py     groups of populations (loops are fused, all else is one by one), weights by source neuron
engine.py   the arrays of a Job, and one call a group
"""

from astrodeploy.engines.fast.engine import fast

__all__ = ["fast"]
