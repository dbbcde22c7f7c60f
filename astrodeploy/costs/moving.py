"""The same mapping on another board."""

from dataclasses import replace

import numpy as np

from astrodeploy.chip import Board
from astrodeploy.errors import DoesNotFit, InputError
from astrodeploy.program import Program


class OtherChip(InputError):
    """A board whose chip is not that of the Program."""


def on_board(program: Program, board: Board) -> Program:
    """A Program with its cores on another board of the same chip.

    They keep their places where that board has them all, else they lie in the same order on its first cores.
    Raises InputError for another chip, DoesNotFit where there are too few cores.
    """
    if board.chip.name != program.chip.name:
        raise OtherChip(
            f"the Program was compiled for {program.chip.name}, {board.name} carries {board.chip.name}: compile "
            f"the network for {board.name}"
        )
    board = board.model_copy(update={"chip": program.chip})  # as it was described then
    if len(program.cores) > board.cores:
        raise DoesNotFit(
            f"the mapping uses {len(program.cores)} cores, {board.name} has {board.cores}{board.doubt}"
        )
    places = np.array([core.index for core in program.cores], np.int64)
    if not np.all(board.is_usable(places)):
        chip, place = np.divmod(np.arange(places.size), board.cores_per_chip)
        order = np.argsort(np.argsort(places))
        places = np.array([board.core(int(c), int(p)) for c, p in zip(chip, place, strict=True)])[order]
    cores = tuple(replace(core, index=int(i)) for core, i in zip(program.cores, places, strict=True))
    return replace(program, board=board, cores=cores)
