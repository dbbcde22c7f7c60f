"""What every pass takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from astrodeploy.chip import Board, Chip
from astrodeploy.ir import Graph
from astrodeploy.ir.arrays import Array
from astrodeploy.mapping.cutting import Network
from astrodeploy.program import Core, Note
from astrodeploy.quantisation.scales import Scale
from astrodeploy.quantisation.seen import Calibration

Notes = tuple[Note, ...]
Pack = Literal["fastest", "fewest"]


@dataclass(frozen=True, eq=False)
class Draft:
    """A Program in the making: the network so far, its chip, and the cores once they are assigned.

    reference    the float network that the Program will mean: set by the pass `lower`
    stimulus     calibration data by input, as `engines.run` takes them: (samples, steps, *shape) or, with
                 an encoder, (samples, *shape); none without calibration
    calibration  what the float network did on them: set by the pass `calibrate`
    scales       of layers whose Scale is decided before `quantise`; after it, of all that have one
    pack         "fewest" cores, or the fewest with which a step is "fastest", or an inference where clearing counts
    reset_every  steps after which fast states are cleared within a run; 0: never
    unity        integers that make 1.0 of a membrane, where the source is a network of integers and says so
    wired        the network as loads: set by the pass `partition`
    allow_delay  loops that the chip can't close in time take longer instead of being refused
    """

    graph: Graph
    board: Board
    reference: Graph | None = None
    cores: tuple[Core, ...] = ()
    stimulus: Mapping[str, Array] = field(default_factory=dict)
    calibration: Calibration | None = None
    scales: Mapping[str, Scale] = field(default_factory=dict)
    pack: Pack = "fastest"
    reset_every: int = 0
    allow_delay: bool = False
    unity: float | None = None
    wired: Network | None = None

    @property
    def chip(self) -> Chip:
        """The chip that the board carries."""
        return self.board.chip


class Pass(Protocol):
    """One step of the compiler: a frozen dataclass with a name and one `apply`."""

    @property
    def name(self) -> str:
        """The pass's name in the flow, the report and error messages."""

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """A new draft, and a note for everything that was changed, rounded, clipped or chosen."""
