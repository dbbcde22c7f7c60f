"""What the runner is given and what it gives back: a folder.

    job.json      rows, steps, reset_every; arithmetic: path of the arithmetic to execute;
                  shared_memory: prefix of its names; populations: size, depth, graded (whether it sends
                  more than 0 and 1), process ("source" | "lif" | "program"), kind (compartment kind as
                  plain data, null for a source), period, record (names of states); connections: source,
                  target (positions of populations), port (position among the target's inputs), process
                  ("dense" | "sparse" | "conv"), settings (of that process), exponent, lag, delay, slow,
                  graded
    arrays.npz    i.parameter.NAME and i.initial.NAME of population i; of connection i, int8:
                  dense   i.weight (target size, source size)
                  sparse  i.weight, i.columns (synapses,), i.starts (target size + 1,): rows of a CSR
                          matrix; settings: sources
                  conv    i.weight (out channels, in channels / groups, height, width), a correlation;
                          settings: input_shape and output_shape (channels, height, width), stride,
                          padding, dilation, groups
    i.spikes.npy  what source i sends, integers (rows, steps, size); mapped into memory

    result.json   arithmetic: SHA-256 of the file that was executed; versions; seconds
    i.npy         messages of population i, (rows * steps, size), uint8, or int32 where they are graded
    i.j.npy       state j in its `record`, after every step, likewise, int32

A "lif" has the parameters du, dv, threshold, bias_mantissa and bias_exponent, the first three uniform.
All rows follow one another in one run of Lava; every row starts from rest.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arithmetic  # the file that the job names; `runner.py` has put it there
import numpy as np


@dataclass(frozen=True)
class Clock:
    """Rows of `steps` steps, one after the other; a step is counted from the start of its row."""

    rows: int
    steps: int
    reset_every: int

    @property
    def total(self) -> int:
        """Steps of all rows."""
        return self.rows * self.steps

    def step(self, time_step: int) -> int:
        """Position in its row of Lava's time step (which starts at 1)."""
        return (time_step - 1) % self.steps


class Record:
    """A quantity over all steps, in a file that is mapped into memory."""

    def __init__(self, path: Path, clock: Clock, size: int, dtype: type = np.int32) -> None:
        self.array = np.lib.format.open_memmap(path, "w+", dtype, (clock.total, size))

    def write(self, time_step: int, values: np.ndarray) -> None:
        """Keep the values of one of Lava's time steps."""
        self.array[time_step - 1] = values


@dataclass(frozen=True)
class Population:
    """Neurons of one Lava process."""

    clock: Clock
    folder: Path
    index: int
    size: int
    depth: int
    graded: bool
    process: str
    kind: dict[str, Any] | None
    period: int
    parameters: dict[str, np.ndarray]
    initial: dict[str, np.ndarray]
    record: list[str]
    spikes: np.ndarray | None

    def records(self) -> tuple[Record, dict[str, Record]]:
        """Files for the messages and for every state to record; to be made by the process that fills them."""
        dtype = np.int32 if self.graded else np.uint8
        messages = Record(self.folder / f"{self.index}.npy", self.clock, self.size, dtype)
        states = {
            name: Record(self.folder / f"{self.index}.{j}.npy", self.clock, self.size)
            for j, name in enumerate(self.record)
        }
        return messages, states

    def cleared(self, time_step: int) -> list[str]:
        """States that are set to rest before a time step."""
        step = self.clock.step(time_step)
        what = "all" if step == 0 else arithmetic.resets(step, self.depth, self.clock.reset_every)
        states = self.kind["states"]
        return [name for name, (*_, slow) in states.items() if what == "all" or (what == "fast" and not slow)]

    def ticks(self, time_step: int) -> bool:
        """Whether the slow list runs in a time step."""
        step = self.clock.step(time_step)
        return self.period > 0 and arithmetic.ticks(step, self.depth, self.period)


@dataclass(frozen=True)
class Connection:
    """Weights from one population to an input port of another."""

    clock: Clock
    source: int
    target: int
    port: int
    process: str
    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]
    exponent: int
    lag: int
    delay: int
    slow: bool
    graded: bool
    depth: int  # of the target

    def starts(self, time_step: int) -> bool:
        """Whether a row starts: all that is under way belongs to the row before."""
        return self.clock.step(time_step) == 0

    def dropped(self, time_step: int) -> bool:
        """Whether what arrives in a time step is left over from before a reset of the target."""
        step = self.clock.step(time_step)
        return arithmetic.dropped(step, self.depth, self.lag, self.clock.reset_every, self.slow)


@dataclass(frozen=True)
class Job:
    """A network and what is fed to it."""

    clock: Clock
    populations: list[Population]
    connections: list[Connection]


def read(folder: Path) -> Job:
    """Read a job's folder."""
    data = json.loads((folder / "job.json").read_text())
    arrays = dict(np.load(folder / "arrays.npz", allow_pickle=False))
    clock = Clock(data["rows"], data["steps"], data["reset_every"])
    populations = [_population(p, i, arrays, folder, clock) for i, p in enumerate(data["populations"])]
    connections = [
        Connection(clock=clock, arrays=_named(arrays, f"{i}."), depth=populations[c["target"]].depth, **c)
        for i, c in enumerate(data["connections"])
    ]
    return Job(clock, populations, connections)


def _named(arrays, prefix) -> dict:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def _population(plain, index, arrays, folder, clock) -> Population:
    return Population(
        clock=clock,
        folder=folder,
        index=index,
        size=plain["size"],
        depth=plain["depth"],
        graded=plain["graded"],
        process=plain["process"],
        kind=plain["kind"],
        period=plain["period"],
        parameters=_named(arrays, f"{index}.parameter."),
        initial=_named(arrays, f"{index}.initial."),
        record=plain["record"],
        spikes=_sent(folder / f"{index}.spikes.npy", clock) if plain["process"] == "source" else None,
    )


def _sent(path: Path, clock: Clock) -> np.ndarray:
    """All rows one after the other, (steps, size), read from the file as they are used."""
    return np.load(path, mmap_mode="r", allow_pickle=False).reshape(clock.total, -1)
