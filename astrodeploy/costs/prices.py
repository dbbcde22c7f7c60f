"""What an event costs: its energy and its time, under the names of the chip's file."""

from collections.abc import Iterator
from dataclasses import dataclass

from astrodeploy.chip import Barrier, Board, Cost, CostModel
from astrodeploy.costs.spans import NOTHING, Span

ENERGY = {
    "synaptic_operations_dense": "energy_per_synaptic_operation_dense_pJ",
    "synaptic_operations_sparse": "energy_per_synaptic_operation_sparse_pJ",
    "synaptic_operations_convolution": "energy_per_synaptic_operation_convolution_pJ",
    "active_updates": "energy_per_active_update_pJ",
    "inactive_updates": "energy_per_inactive_update_pJ",
    "window_updates": "energy_per_active_update_pJ",
    "spikes": "energy_per_spike_pJ",
    "messages_sent": "energy_per_message_sent_pJ",
    "input_messages": "energy_per_message_sent_pJ",
    "messages_received": "energy_per_message_received_pJ",
    "hops_east_west": "energy_per_hop_east_west_pJ",
    "hops_north_south": "energy_per_hop_north_south_pJ",
}
SENDING = {
    "active_updates": "time_per_active_update_ns",
    "inactive_updates": "time_per_inactive_update_ns",
    "window_updates": "time_per_active_update_ns",
    "spikes": "time_per_spike_ns",
    "messages_sent": "time_per_message_sent_ns",
}
RECEIVING = {
    "synaptic_operations_dense": "time_per_synaptic_operation_dense_ns",
    "synaptic_operations_sparse": "time_per_synaptic_operation_sparse_ns",
    "synaptic_operations_convolution": "time_per_synaptic_operation_convolution_ns",
    "messages_received": "time_per_message_received_ns",
}


@dataclass(frozen=True)
class Constant:
    """A number of the target that the estimate rests on; the unit stands at the end of the name."""

    name: str
    low: float
    typical: float
    high: float
    source: str
    quality: str


@dataclass(frozen=True, eq=False)
class Prices:
    """One cost model on a board, of which so many tiles and chips are in use."""

    model: CostModel
    board: Board
    tiles: int
    chips: int

    def energy(self, event: str) -> Span:
        """Picojoules of an event; nothing for leaving a chip that stands alone."""
        if event == "chip_crossings":
            crossing = self.board.crossing
            return NOTHING if crossing is None else Span.of(crossing.energy_per_crossing_pJ)
        return Span.of(getattr(self.model, ENERGY[event]))

    def time(self, event: str) -> Span:
        """Nanoseconds of an event on its core."""
        return Span.of(getattr(self.model, (SENDING | RECEIVING)[event]))

    @property
    def overhead(self) -> Span:
        """Picojoules of a core and step, whatever happens."""
        return Span.of(self.model.energy_per_core_step_pJ)

    @property
    def barrier(self) -> Span:
        """Nanoseconds in which all cores agree that a step is over."""
        return Span(*self._barrier.at(self.tiles))

    @property
    def _barrier(self) -> Barrier:
        return self.board.barrier(self.model, self.chips)

    @property
    def static(self) -> Span:
        """Milliwatts of a chip."""
        return Span.of(self.board.power_per_chip().static_power_per_chip_mW)

    @property
    def host(self) -> Span:
        """Milliwatts of a chip's processors."""
        return Span.of(self.board.power_per_chip().host_power_per_chip_mW)

    def constants(self) -> Iterator[Constant]:
        """Every number, with its source; the barrier as it is for the tiles in use."""
        numbers = [*self.model, *self.board.power_per_chip()]
        if self.board.crossing is not None:
            numbers += [(f"crossing.{name}", cost) for name, cost in self.board.crossing]
        if self.board.chip.reset is not None:
            numbers += [(f"reset.{name}", cost) for name, cost in self.board.chip.reset]
        for name, cost in numbers:
            if isinstance(cost, Cost):
                yield Constant(name, cost.low, cost.typical, cost.high, cost.source, cost.quality)
        least, told = self.barrier, self._barrier
        yield Constant("time_per_barrier_ns", least.low, least.typical, least.high, told.source, told.quality)
