"""place: cores to positions, so that messages have short ways (`astrodeploy/mapping/placing.py`).

Deterministic: the same network on the same board always lies the same way.
"""

from dataclasses import dataclass, replace

import numpy as np

from astrodeploy.mapping.cutting import Network
from astrodeploy.mapping.placing import placed, talk, way_cost
from astrodeploy.mapping.traffic import traffic
from astrodeploy.passes.base import Draft, Notes
from astrodeploy.program import Note


@dataclass(frozen=True)
class Place:
    """Exchange the cores' positions until messages have short ways."""

    name = "place"
    seed: int = 0

    def apply(self, draft: Draft) -> tuple[Draft, Notes]:
        """The draft with its cores where they lie best, in the order of their numbers."""
        board = draft.board
        network = draft.wired or Network(draft.graph, board.chip, traffic(draft.graph, draft.calibration))
        said = talk(network, draft.cores)
        before = np.array([core.index for core in draft.cores], np.int64)
        after = placed(said, board, self.seed)
        costs = [way_cost(said, board, each) for each in (before, after)]
        moved = (replace(core, index=int(i)) for core, i in zip(draft.cores, after, strict=True))
        cores = tuple(sorted(moved, key=lambda core: core.index))
        chips = len(np.unique(board.chip_of(after)))
        text = (
            f"ways of {costs[1]:.4g} pJ a step on {chips} chip{'s' * (chips != 1)}, "
            f"{costs[0]:.4g} pJ in the order of the layers ({network.work.traffic.text})"
        )
        note = Note("network", text, {"ways_pJ": costs[1], "ways_in_order_pJ": costs[0], "chips": chips})
        return replace(draft, cores=cores), (note,)
