"""Targets as data: chips and boards of chips, every number with its unit, range, source and quality.

A target is a folder under `targets/` with a `chip.toml` or a `board.toml`; a user's own is one such file, and
its path (ending in .toml) is accepted wherever a target's name is. The unit of a number stands in its key.
"""

from astrodeploy.chip.board import Arrangement, Board
from astrodeploy.chip.costs import LEVELS, Barrier, CostModel, Crossing, Power, Reset
from astrodeploy.chip.description import Chip, operation_count
from astrodeploy.chip.files import board_names, boards_of, chip_names, load_chip, load_target
from astrodeploy.chip.limits import Formula, Synapses
from astrodeploy.chip.numbers import Cost, Instructions, Number, Quality

__all__ = [
    "LEVELS",
    "Arrangement",
    "Barrier",
    "Board",
    "Chip",
    "Cost",
    "CostModel",
    "Crossing",
    "Formula",
    "Instructions",
    "Number",
    "Power",
    "Quality",
    "Reset",
    "Synapses",
    "board_names",
    "boards_of",
    "chip_names",
    "load_chip",
    "load_target",
    "operation_count",
]
