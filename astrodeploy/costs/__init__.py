"""What an inference costs: events -> energy, latency."""

from astrodeploy.costs.answer import Estimate
from astrodeploy.costs.cases import SETTINGS, Case, WhatIf, what_if
from astrodeploy.costs.estimating import estimate
from astrodeploy.costs.prices import Constant
from astrodeploy.costs.spans import Span
from astrodeploy.costs.timing import TIMINGS

__all__ = [
    "SETTINGS",
    "TIMINGS",
    "Case",
    "Constant",
    "Estimate",
    "Span",
    "WhatIf",
    "estimate",
    "what_if",
]
