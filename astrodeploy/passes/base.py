"""What every pass takes and gives."""

from dataclasses import dataclass
from typing import Protocol

from astrodeploy.chip import Chip
from astrodeploy.ir import Graph
from astrodeploy.program import Core, Note

Notes = tuple[Note, ...]


@dataclass(frozen=True, eq=False)
class Draft:
    """A Program in the making: the network so far, its chip, and the cores once they are assigned.

    `reference` is the float network that the Program will mean: set by the pass `lower`.
    """

    graph: Graph
    chip: Chip
    reference: Graph | None = None
    cores: tuple[Core, ...] = ()


class Pass(Protocol):
    """One step of the compiler: a frozen dataclass with a name and one `apply`."""

    @property
    def name(self) -> str:
        """The pass's name in the flow, the report and error messages."""

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """A new draft, and a note for everything that was changed, rounded, clipped or chosen."""
