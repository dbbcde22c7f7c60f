"""What every engine takes and gives: the narrow waist between `run` and the engines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from astrodeploy.ir.arrays import Array
from astrodeploy.program import Program

StateName = tuple[str, str]  # population, state


@dataclass(frozen=True)
class Job:
    """Work for an engine, all on the chip's clock.

    spikes       what every input population sends, by its name: (rows, steps, size) integers; every
                 row starts from rest
    reset_every  0: never; else every population of depth k starts anew in step k, and clears its
                 fast states every so many steps from there (`arithmetic.resets`)
    record       the states to record
    """

    program: Program
    spikes: Mapping[str, Array]
    reset_every: int = 0
    record: frozenset[StateName] = field(default_factory=frozenset)

    @property
    def rows(self) -> int:
        """Independent runs."""
        return len(self.stimulus)

    @property
    def steps(self) -> int:
        """Steps of every run."""
        return int(self.stimulus.shape[1])

    @property
    def stimulus(self) -> Array:
        """What the first input population sends."""
        return next(iter(self.spikes.values()))


@dataclass(frozen=True)
class Recording:
    """What an engine saw: messages per population and states after each step, (rows, steps, size)."""

    spikes: Mapping[str, Array]
    states: Mapping[StateName, Array]
    versions: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """An engine runs a Job."""

    def __call__(self, job: Job) -> Recording:
        """Run all rows. Raises EngineError."""
