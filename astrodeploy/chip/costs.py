"""What happens on a chip costs energy and time: named cost models, the power of what stands idle, clearing."""

from itertools import pairwise
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from astrodeploy.chip.numbers import Cost, Data, Finite, Quality

LEVELS = ("low", "typical", "high")


class Barrier(Data):
    """The least time of a step, in which all cores agree that it is over, by the tiles in use.

    Between two numbers of tiles the time is interpolated on a straight line; beyond the ends it is that of
    the end.
    """

    tiles: Annotated[tuple[int, ...], Field(strict=False, min_length=1)]
    low: Annotated[tuple[Finite, ...], Field(strict=False)]
    typical: Annotated[tuple[Finite, ...], Field(strict=False)]
    high: Annotated[tuple[Finite, ...], Field(strict=False)]
    source: Annotated[str, Field(min_length=1)]
    quality: Quality

    @model_validator(mode="after")
    def _one_of_each_for_every_number_of_tiles(self) -> Self:
        if not all(len(getattr(self, level)) == len(self.tiles) for level in LEVELS):
            raise ValueError("tiles, low, typical and high need as many numbers each")
        if any(after <= before for before, after in pairwise(self.tiles)) or self.tiles[0] < 1:
            raise ValueError(f"tiles must grow from at least 1, not {list(self.tiles)}")
        for low, typical, high in zip(self.low, self.typical, self.high, strict=True):
            if not 0 <= low <= typical <= high:
                raise ValueError(f"0 <= low <= typical <= high is needed, not {low}, {typical}, {high}")
        return self

    def at(self, tiles: int) -> tuple[float, float, float]:
        """Low, typical and high for a number of tiles."""
        low, typical, high = (float(np.interp(tiles, self.tiles, getattr(self, each))) for each in LEVELS)
        return low, typical, high


class CostModel(Data):
    """Energy and time of every event, from one account of the chip.

    A synaptic operation costs by the encoding that its synapse is stored in (run-length as sparse), an
    update by whether anything arrived, a spike beside the update of the neuron that fires; a message on its
    way out of a core, into a core, and per tile that it crosses. `time_per_hop` is how long a message is
    under way, `time_per_message_on_link` how long it keeps a link between two tiles from the next one.

    sending_overlaps_receiving  a core updates its neurons and sends while it receives: it takes the longer
                                of the two, else their sum
    """

    description: str
    sending_overlaps_receiving: bool
    energy_per_synaptic_operation_dense_pJ: Cost
    energy_per_synaptic_operation_sparse_pJ: Cost
    energy_per_synaptic_operation_convolution_pJ: Cost
    energy_per_active_update_pJ: Cost
    energy_per_inactive_update_pJ: Cost
    energy_per_spike_pJ: Cost
    energy_per_message_sent_pJ: Cost
    energy_per_message_received_pJ: Cost
    energy_per_hop_east_west_pJ: Cost
    energy_per_hop_north_south_pJ: Cost
    energy_per_core_step_pJ: Cost
    time_per_synaptic_operation_dense_ns: Cost
    time_per_synaptic_operation_sparse_ns: Cost
    time_per_synaptic_operation_convolution_ns: Cost
    time_per_active_update_ns: Cost
    time_per_inactive_update_ns: Cost
    time_per_spike_ns: Cost
    time_per_message_sent_ns: Cost
    time_per_message_received_ns: Cost
    time_per_hop_east_west_ns: Cost
    time_per_hop_north_south_ns: Cost
    time_per_message_on_link_ns: Cost
    time_per_barrier_ns: Barrier


class Power(Data):
    """What a chip takes whatever it does: leakage and clocks, and the processors embedded in it."""

    static_power_per_chip_mW: Cost
    host_power_per_chip_mW: Cost


class Reset(Data):
    """What it costs to clear a chip's states between two samples, which its embedded processors do.

    energy_per_chip_uJ  of every chip in use
    time_per_core_us    of every core in use: those of a chip are cleared one after the other, chips side by side,
                        and no step runs meanwhile
    """

    energy_per_chip_uJ: Cost
    time_per_core_us: Cost


class Crossing(Data):
    """What a message costs that leaves a chip for a neighbour on the board, beside its hops."""

    energy_per_crossing_pJ: Cost
    time_per_crossing_ns: Cost
    time_per_message_on_link_ns: Cost


class Step(Data):
    """The least time of a step on several chips, by the tiles in use on all of them."""

    time_per_barrier_ns: Barrier
