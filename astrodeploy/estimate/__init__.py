"""What an inference costs: events -> energy, latency."""

from astrodeploy.estimate.energy import Constant, Estimate, Span, estimate

__all__ = ["Constant", "Estimate", "Span", "estimate"]
