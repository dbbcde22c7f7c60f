"""What an inference costs: events -> energy, latency."""

from astrodeploy.costs.energy import Constant, Estimate, Span, estimate

__all__ = ["Constant", "Estimate", "Span", "estimate"]
