"""What an inference costs: the answer."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from astrodeploy.brief import plural, short
from astrodeploy.costs.prices import Constant
from astrodeploy.costs.spans import Span


@dataclass(frozen=True)
class Estimate:
    """What one inference costs.

    target           the board or the chip
    model, timing    the cost model of the chip, and how a step's time is put together (`timing.py`)
    energy_joules    all parts together
    latency_seconds  of a sample, clearing the chips for it included; in a stream, per sample
    steps_seconds    of it those of its steps, from the first one to the last answer, and
    clearing_seconds those of clearing the chips, in which no step runs: 0 where nothing is known of that
    clearing_text    how they are cleared, or why that is not in the estimate
    parts            joules: "operations", "step overhead", "clearing between samples" where it is known, "static" of
                     the chips in use, and "host processors", which are those in the chips
    operations       joules of the operations by event (`events.py`)
    by_layer         joules of the operations, of a layer's neurons and of what arrives at them
    by_core          the same by core index
    astrocyte_joules joules of the operations that astrocytes cause: of populations whose role that is, as in
                     `by_layer`; of the gains that they send to neurons, and what a neuron computes beyond a
                     plain LIF for the sake of one. A signal that they send is a cost of the layer that it reaches
    astrocyte_share  their part of the operations' typical joules, 0..1
    host_seconds     that ordinary layers before and after the network take for one inference, measured on this
                     machine; 0 without any. The latency is the chip's alone
    host_joules      their energy: None where there are some, as it is not known. `energy_joules` is the chip's alone
    host_text        the same in a sentence; "" without any
    events           events of one inference
    steps            steps of one inference
    cores, chips     in use
    idle_chips       chips of the board that are not in use, and
    idle_chips_joules  their static energy in that time if they stay powered; not in `energy_joules`
    bounds           what sets the steps' pace ("busiest core", "busiest link", "barrier") -> its part of the
                     steps' typical time, 0..1
    slowest_core     index of the core that is busiest
    basis            how the events were found: "counted" in a run, or "assumed" from a rate
    basis_text       the same in a sentence
    constants        every number of the target that went in
    """

    target: str
    model: str
    timing: str
    energy_joules: Span
    latency_seconds: Span
    steps_seconds: Span
    clearing_seconds: Span
    clearing_text: str
    parts: Mapping[str, Span]
    operations: Mapping[str, Span]
    by_layer: Mapping[str, Span]
    by_core: Mapping[int, Span]
    astrocyte_joules: Span
    astrocyte_share: float
    host_seconds: float
    host_joules: Span | None
    host_text: str
    events: Mapping[str, float]
    steps: int
    cores: int
    chips: int
    idle_chips: int
    idle_chips_joules: Span
    bounds: Mapping[str, float]
    slowest_core: int
    basis: str
    basis_text: str
    constants: tuple[Constant, ...]

    def __repr__(self) -> str:
        energy, latency = self.energy_joules, self.latency_seconds
        return (
            f"<Estimate for {short(self.target)} by {short(self.model)}, an inference of "
            f"{plural(self.steps, 'step')} on {plural(self.cores, 'core')}\n "
            f"energy {energy.typical:.3g} J ({energy.low:.3g} to {energy.high:.3g}), "
            f"latency {latency.typical:.3g} s ({latency.low:.3g} to {latency.high:.3g})\n "
            f"{short(self.basis_text, 160)}>"
        )

    @property
    def inferences_per_second(self) -> Span:
        """One after the other."""
        return self.latency_seconds.inverse

    @property
    def power_watts(self) -> Span:
        """Of the chip while one inference follows the other there: the energy over the latency.

        The range is that of the three cases; the one of low costs is not always the one of low power.
        """
        energy, time = self.energy_joules, self.latency_seconds
        typical = energy.typical / time.typical
        cases = (energy.low / time.low, typical, energy.high / time.high)
        return Span(min(cases), typical, max(cases))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self) | {
            "by_core": {str(k): asdict(v) for k, v in self.by_core.items()},
            "inferences_per_second": asdict(self.inferences_per_second),
            "power_watts": asdict(self.power_watts),
        }
