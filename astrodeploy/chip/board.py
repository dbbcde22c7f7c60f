"""A board: an arrangement of equal chips. A chip alone is the board of one.

A core's number on a board is chip * (cores of a chip) + its number on the chip; chips lie in rows.
"""

from collections.abc import Iterator
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from astrodeploy.brief import plural, short
from astrodeploy.chip.costs import Barrier, CostModel, Crossing, Power, Step
from astrodeploy.chip.description import NAME, Chip, Entry, entries
from astrodeploy.chip.numbers import Data, Number
from astrodeploy.ir.arrays import IntArray


class Arrangement(Data):
    """How many chips there are, in how many columns and rows, and how many cores of each can be used."""

    chips: Number
    columns: Number
    rows: Number
    usable_cores_per_chip: Number | None = None

    @model_validator(mode="after")
    def _there_is_room(self) -> Self:
        places = self.columns.value * self.rows.value
        if not 1 <= self.chips.value <= places:
            raise ValueError(
                f"chips must be 1..{places}, the places in columns and rows, not {self.chips.value}"
            )
        return self


class Board(Data):
    """Chips of one kind, side by side.

    step   the barrier where more than one chip is in use; the cost model's own without it
    power  replaces the chip's own where the board's was measured
    """

    name: Annotated[str, Field(pattern=NAME)]
    description: str
    chip: Chip
    arrangement: Arrangement
    crossing: Crossing | None = None
    step: Step | None = None
    power: Power | None = None

    def __repr__(self) -> str:
        return f"<Board {short(self.name)}: {self.chips} x {short(self.chip.name)}, {plural(self.cores, 'core')}>"

    __str__ = __repr__

    @model_validator(mode="after")
    def _chips_are_connected_and_large_enough(self) -> Self:
        if self.chips > 1 and self.crossing is None:
            raise ValueError(
                "arrangement.chips are several: that needs the table [crossing], what a message that leaves one costs"
            )
        most = self.chip.limits.cores.value
        if not 1 <= self.cores_per_chip <= most:
            raise ValueError(
                f"arrangement.usable_cores_per_chip must be 1..{most}, the cores of {self.chip.name}, not "
                f"{self.cores_per_chip}"
            )
        return self

    @classmethod
    def of(cls, chip: Chip) -> "Board":
        """The board of one chip, of the chip's name."""
        one = Number(value=1, source="a chip alone", quality="derived")
        return cls(
            name=chip.name,
            description=chip.description,
            chip=chip,
            arrangement=Arrangement(chips=one, columns=one, rows=one),
        )

    def with_cost_model(self, name: str) -> "Board":
        """The same board, whose chip's own choice is another of its cost models. Raises ChipError."""
        self.chip.cost(name)
        return self.model_copy(update={"chip": self.chip.model_copy(update={"cost_model": name})})

    @property
    def chips(self) -> int:
        """Number of chips."""
        return self.arrangement.chips.value

    @property
    def cores_per_chip(self) -> int:
        """Cores of a chip that can be used: the first ones."""
        usable = self.arrangement.usable_cores_per_chip
        return self.chip.limits.cores.value if usable is None else usable.value

    @property
    def cores(self) -> int:
        """Cores that can be used, on all chips."""
        return self.chips * self.cores_per_chip

    @property
    def doubt(self) -> str:
        """Where the number of cores stands, if not all of it is published."""
        cores = self.arrangement.usable_cores_per_chip or self.chip.limits.cores
        return cores.doubt or (self.arrangement.chips.doubt if self.chips > 1 else "")

    @property
    def neurons(self) -> int:
        """Neurons that the cores hold at most."""
        return self.cores * self.chip.limits.compartments_per_core.value

    def core(self, chip: int, place: int) -> int:
        """A core's number on the board."""
        return chip * self.chip.limits.cores.value + place

    def chip_of(self, cores: IntArray) -> IntArray:
        """The chip of every core."""
        return cores // self.chip.limits.cores.value

    def is_usable(self, cores: IntArray) -> IntArray:
        """Whether there are such cores."""
        chip, place = np.divmod(cores, self.chip.limits.cores.value)
        return np.asarray((chip >= 0) & (chip < self.chips) & (place < self.cores_per_chip))

    def chip_places(self, chips: IntArray) -> IntArray:
        """Column and row of every chip on the board, (2, n)."""
        row, column = np.divmod(chips, self.arrangement.columns.value)
        return np.stack([column, row])

    def tiles(self, cores: IntArray) -> IntArray:
        """Column and row of every core's tile on the whole board, (2, n): chips' meshes side by side."""
        limits = self.chip.limits
        chip, place = np.divmod(cores, limits.cores.value)
        row, column = np.divmod(place // limits.cores_per_tile.value, limits.tiles_x.value)
        size = np.array([[limits.tiles_x.value], [limits.tiles_y.value]])
        return np.asarray(self.chip_places(chip) * size + np.stack([column, row]))

    def power_per_chip(self) -> Power:
        """What a chip of this board takes whatever it does."""
        return self.power or self.chip.power

    def barrier(self, model: CostModel, chips: int = 1) -> Barrier:
        """The least time of a step where so many chips are in use."""
        return model.time_per_barrier_ns if chips < 2 or self.step is None else self.step.time_per_barrier_ns

    def numbers(self) -> Iterator[tuple[str, Entry]]:
        """Every number of the board's file and of its chip's, with its full key, such as `arrangement.chips`."""
        for section in ("arrangement", "crossing", "step", "power"):
            yield from entries(section, getattr(self, section))
        replaced = "power." if self.power is not None else " "
        yield from (each for each in self.chip.numbers() if not each[0].startswith(replaced))
