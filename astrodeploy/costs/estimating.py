"""estimate: from a Program, and a batch or rates, to what an inference costs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from astrodeploy import arguments
from astrodeploy.chip import Board
from astrodeploy.costs.activity import Expected, Recorded
from astrodeploy.costs.answer import Estimate
from astrodeploy.costs.clearing import clearings
from astrodeploy.costs.energy import Costing
from astrodeploy.costs.moments import MOST_STEPS
from astrodeploy.costs.moving import on_board
from astrodeploy.costs.rates import all_rates
from astrodeploy.costs.timing import check_timing
from astrodeploy.errors import InputError
from astrodeploy.host import measured
from astrodeploy.ir import Graph
from astrodeploy.ir.arrays import Array
from astrodeploy.program import Program
from astrodeploy.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt


def estimate(
    program: Program,
    x: "npt.ArrayLike | Trace | None" = None,
    *,
    rates: float | Mapping[str, float] | None = None,
    steps: int | None = None,
    model: str | None = None,
    timing: str = "largest",
    board: Board | None = None,
) -> Estimate:
    """Energy and latency of one inference.

    x       a batch as `Program.run` takes it, which is run on the fast engine; or a Trace of this Program
    rates   without a run: messages per neuron and step, 0..1, of every layer or by layer's name
    steps   with rates: steps that a sample is shown; the encoder's own unless given, and 1 where there
            is no encoder
    model   a cost model of the chip by name; the chip's own choice unless given
    timing  "largest", "barrier-after" or "queueing": how a step's time is put together (`costs/timing.py`)
    board   of the same chip, with the cores as they are; the Program's own unless given

    Raises InputError unless exactly one of x and rates is given, and where they don't fit the Program;
    ChipError for an unknown model; DoesNotFit where the board has too few cores.
    """
    if (x is None) == (rates is None):
        raise InputError("estimate needs either a batch (or a Trace), or rates=: give one of the two")
    if steps is not None and rates is None:
        raise InputError("steps= goes with rates=; a batch or a Trace brings its own number of steps")
    if steps is not None:
        arguments.whole("steps", steps)
    check_timing(timing)
    trace = x if isinstance(x, Trace) else None if x is None else program.run(x)
    if trace is not None and trace.program != program.fingerprint:
        raise InputError("the Trace is of another Program: run this one, or load the Program that it names")
    placed = program if board is None else on_board(program, board)
    name = program.chip.cost_model if model is None else model
    program.chip.cost(name)
    if trace is not None:
        return _counted(placed, trace, name, timing)
    assert rates is not None
    return _assumed(placed, rates, steps, name, timing)


def _counted(program: Program, trace: Trace, model: str, timing: str) -> Estimate:
    samples = trace.samples
    if trace.stream:
        activity = Recorded(unfolded(program, trace), trace.steps)
    else:
        activity = Recorded(trace.spikes, program.reset_every)
    text = f"events counted in a run of {samples} sample{'s' * (samples != 1)} on {trace.engine}"
    host = trace.host_seconds / samples
    times = clearings(program.reference, program.reset_every, trace.steps)
    return Costing(program, activity, samples, times, host, model, timing).estimate("counted", text)


def unfolded(program: Program, trace: Trace) -> dict[str, Array]:
    """The one long row (1, steps, size) per layer that a stream's Trace was cut from."""
    rows: dict[str, Array] = {}
    for population in program.network.populations:
        spikes = trace.spikes[population.name].reshape(*trace.spikes[population.name].shape[:2], -1)
        window = spikes[:, population.depth : population.depth + trace.steps].reshape(-1, population.size)
        after = program.depth - population.depth
        rows[population.name] = np.pad(window, ((population.depth, after), (0, 0)))[None]
    return rows


def _assumed(
    program: Program, rates: float | Mapping[str, float], steps: int | None, model: str, timing: str
) -> Estimate:
    firing = all_rates(program, rates)
    network = program.network
    shown = steps if steps is not None else network.encoder.steps if network.encoder else 1
    length = shown + program.depth
    if length > MOST_STEPS:
        raise InputError(f"steps can be at most {MOST_STEPS - program.depth} here, not {shown}")
    told = ", ".join(f"{name} {rate:g}" for name, rate in firing.items())
    text = (
        f"events assumed, not counted, for an inference of {length} step{'s' * (length != 1)}; "
        f"messages per neuron and step: {told}"
    )
    activity = Expected(firing, length, shown, network)
    times, host = clearings(program.reference, program.reset_every, shown), _timed(network, shown)
    return Costing(program, activity, 1, times, host, model, timing).estimate("assumed", text)


def _timed(network: Graph, steps: int) -> float:
    """Seconds that the ordinary layers of an inference take here, timed on zeros."""
    before = [] if network.before is None else [(network.before, 1 if network.encoder else steps)]
    after = [] if network.after is None else [(network.after, steps)]
    return measured([*before, *after])
