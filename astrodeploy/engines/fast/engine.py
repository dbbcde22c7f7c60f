"""Runs a Job: lays out the arrays of every group and calls its kernel once."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from astrodeploy import arithmetic
from astrodeploy.engines.fast import source
from astrodeploy.engines.fast.plan import Cells, Group, Synapses, plan
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.errors import EngineError, ProgramError
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.verify import message_range

Schedule = npt.NDArray[np.uint8]


def fast(job: Job) -> Recording:
    """Run a Job on generated, compiled kernels; every bit as the oracle.

    Keeps what every population sends, rows * steps * size bytes (four times that where messages are
    graded), and four bytes per recorded state beside it: run large batches in parts. Raises
    EngineError where memory or the cache's disk is full, or a state does not fit 32 bits.
    """
    import numba

    try:
        run = _Run(job)
        for group in plan(job.program.network):
            run.advance(group)
    except MemoryError as error:
        raise EngineError(
            f"{job.rows} rows of {job.steps} steps need more memory than there is: run fewer rows at once"
        ) from error
    except (OSError, ProgramError) as error:
        raise EngineError(
            f"a compiled kernel can't be kept: {error}; name a folder with space in ASTRODEPLOY_CACHE"
        ) from error
    return Recording(run.spikes, run.states, {"numba": numba.__version__})


class _Run:
    """One Job on its way: what has been sent and recorded so far."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.sent: dict[str, Array] = {
            name: np.require(spikes, np.int32 if _graded(job, name) else np.uint8, ["C", "W"])
            for name, spikes in job.spikes.items()
        }
        self.spikes: dict[str, Array] = dict(job.spikes)
        self.states: dict[tuple[str, str], Array] = {}

    def advance(self, group: Group) -> None:
        """Run all rows and steps of a group whose sources have run."""
        for cells in group.cells:
            dtype = np.int32 if source.is_graded(message_range(cells.population)) else np.uint8
            shape = (self.job.rows, self.job.steps, cells.population.size)
            self.sent[cells.population.name] = np.zeros(shape, dtype)
        synapses = [s for cells in group.cells for s in cells.inputs]
        widest = max((s.connection.wiring.shape[1] for s in synapses), default=0)
        arguments: list[object] = [
            self.job.rows,
            self.job.steps,
            np.zeros(widest, np.int64),
            np.zeros(max(cells.population.size for cells in group.cells), np.int16),
        ]
        for cells in group.cells:
            arguments += self._population(cells)
            for each in cells.inputs:
                arguments += self._connection(each)
        group.kernel(*arguments)
        self.spikes |= {c.population.name: self.sent[c.population.name] for c in group.cells}

    def _population(self, cells: Cells) -> list[object]:
        """The arguments named in `source.POPULATION`."""
        name = cells.population.name
        kept: list[str] = []
        slots = np.full(len(cells.kind.states), -1, np.int64)
        for k, state in enumerate(cells.kind.states):
            if (name, state) in self.job.record:
                slots[k] = len(kept)
                kept.append(state)
        recorded = np.zeros((len(kept), self.job.rows, self.job.steps, cells.population.size), np.int32)
        self.states |= {(name, state): recorded[i] for i, state in enumerate(kept)}
        lags = tuple((s.connection.delay, s.connection.lag, _is_slow(cells, s)) for s in cells.inputs)
        times = schedule(self.job.steps, cells.population.depth, cells.period, self.job.reset_every, lags)
        states = np.empty_like(cells.rest)
        out = self.sent[name]
        return [times, cells.parameters, cells.rest, states, cells.fast, cells.tables, slots, recorded, out]

    def _connection(self, each: Synapses) -> list[object]:
        """The arguments named in `source.CONNECTION`."""
        totals = np.zeros(each.connection.wiring.shape[0], np.int64 if each.graded else np.int32)
        messages = self.sent[each.connection.source]
        return [each.wiring, messages, each.starts, each.columns, each.values, totals]


def _graded(job: Job, name: str) -> bool:
    return source.is_graded(message_range(job.program.network[name]))


def _is_slow(cells: Cells, each: Synapses) -> bool:
    return cells.kind.inputs[each.connection.port].slow


@lru_cache(maxsize=256)
def schedule(
    steps: int, depth: int, period: int, reset_every: int, lags: tuple[tuple[int, int, bool], ...]
) -> Schedule:
    """What happens to a population in every step, (2 + connections, steps); see `source.py`.

    `lags` holds delay, lag and slowness of each of its connections.
    """
    clears = {"": 0, "fast": source.CLEAR_FAST, "all": source.CLEAR_ALL}
    times = np.zeros((source.ARRIVES + len(lags), steps), np.uint8)
    for t in range(steps):
        times[source.RESET, t] = clears[arithmetic.resets(t, depth, reset_every)]
        times[source.TICK, t] = period > 0 and arithmetic.ticks(t, depth, period)
        for c, (delay, lag, slow) in enumerate(lags):
            lost = arithmetic.dropped(t, depth, lag, reset_every, slow)
            times[source.ARRIVES + c, t] = t >= delay and not lost
    return times
