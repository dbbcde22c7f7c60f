"""Partial sums: neurons that add up what arrives in a step and send it on in the next."""

from functools import cache

from astrodeploy.compartments.kind import Kind, Port, Range
from astrodeploy.compartments.language import Neuron, compartment, saturate


@cache
def partial_sum(allowed: Range) -> Kind:
    """The kind whose sums lie in a range, so that nothing is ever cut off."""

    def step(n: Neuron) -> None:
        n.total = saturate(n.current, allowed.low, allowed.high)

    step.__name__ = f"partial_sum_{allowed.low}_to_{allowed.high}".replace("-", "minus_")
    step.__doc__ = "Sends the sum of what arrived in this step."
    made = compartment(
        states={}, parameters={}, inputs={"current": Port(allowed)}, outputs={"total": Port(allowed)}
    )
    return made(step)
