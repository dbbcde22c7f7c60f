"""Clearing the chips between two samples, so that each starts from rest.

The processors embedded in a chip clear it: core after core, whole cores, of those in use. Chips do so at the same
time, so the fullest one sets how long it takes. Nothing overlaps it: the chips take no step while they are
cleared, and the next sample is not begun. A stream that carries its astrocytes on clears all other states, which
takes as long: the cores are gone through all the same.
"""

from dataclasses import dataclass

import numpy as np

from astrodeploy.chip import Reset
from astrodeploy.costs.placed import Placed
from astrodeploy.costs.spans import MICROJOULE, MICROSECOND, NOTHING, Span
from astrodeploy.engines.stimulus import is_memoryless
from astrodeploy.ir import Graph

PART = "clearing between samples"


@dataclass(frozen=True)
class Clearing:
    """What it adds to an inference; `known` where that is part of the estimate, `text` says how or why not."""

    known: bool
    joules: Span
    seconds: Span
    text: str


def clearings(reference: Graph, reset_every: int, shown: int) -> int:
    """How often the chips are cleared for a sample of so many steps: within it too where it resets itself."""
    if is_memoryless(reference):
        return 0
    return -(-shown // reset_every) if reset_every else 1


def clearing(placed: Placed, times: int) -> Clearing:
    """Of the chips in use, so many times an inference."""
    chip = placed.board.chip
    if not times:
        return _none("nothing is cleared between two samples: the network keeps no state from step to step")
    if chip.reset is None:
        return _none(
            f"what clearing the chip between two samples costs is not in the estimate: {chip.name} has no table [reset]"
        )
    return _known(chip.reset, placed, times)


def _none(text: str) -> Clearing:
    return Clearing(False, NOTHING, NOTHING, text)


def _known(reset: Reset, placed: Placed, times: int) -> Clearing:
    most, chips = int(np.bincount(placed.chips).max(initial=0)), placed.chips_used
    what = "the chip is" if chips == 1 else f"the {chips} chips are"
    cores = (
        f"1 core{' each' * (chips > 1)}"
        if most == 1
        else f"{'up to ' * (chips > 1)}{most} cores one after another"
    )
    often = "" if times == 1 else f"; that is done {times} times an inference"
    return Clearing(
        True,
        Span.of(reset.energy_per_chip_uJ) * (MICROJOULE * times * chips),
        Span.of(reset.time_per_core_us) * (MICROSECOND * times * most),
        f"between two samples {what} cleared, {cores}, while no step runs{often}",
    )
