"""A Program and a Trace as text that a person can compare: what is short in full, arrays by range and hash."""

from collections.abc import Iterable, Iterator

import numpy as np

from astrodeploy.ir.graph import array_text
from astrodeploy.program import Program
from astrodeploy.trace import Trace


def golden_text(program: Program, trace: Trace) -> str:
    """Both, in lines that change only where a bit of them does."""
    return "\n".join([*_program(program), *_trace(trace)]) + "\n"


def _program(program: Program) -> Iterator[str]:
    yield f"target {program.target}, reset every {program.reset_every}"
    yield from _indented("network", program.network.text().splitlines())
    yield from _indented("reference", program.reference.text().splitlines())
    yield from _indented(
        "cores", (f"{c.index}: {' '.join(map(str, c.slices))} {dict(c.loads)}" for c in program.cores)
    )
    for each in program.passes:
        yield from _indented(f"pass {each.name}", (f"{n.subject}: {n.text}" for n in each.notes))


def _trace(trace: Trace) -> Iterator[str]:
    yield f"run of {trace.steps} steps, stream {trace.stream}"
    yield from _indented("spikes", (_array(name, array) for name, array in trace.spikes.items()))
    yield from _indented("states", (_array(".".join(key), array) for key, array in trace.states.items()))
    yield from _indented("read-out", [_array("all", trace.output), *map(str, trace.output.tolist())])
    yield from _indented("events", (f"{k} {int(v.sum())} {array_text(v)}" for k, v in trace.events.items()))


def _array(name: str, array: np.ndarray) -> str:
    shape = "x".join(map(str, array.shape))
    return f"{name} {array.dtype}[{shape}] {np.count_nonzero(array)} not 0, {array_text(array)}"


def _indented(head: str, lines: Iterable[str]) -> Iterator[str]:
    yield head
    yield from (f"  {line}" for line in lines)
