"""The float network once more, as Brian2 equations: a witness that shares no code with `reference`.

It runs on the chip's clock, with the Program's delays: Brian2 delivers a spike after the thresholds of
its step, so that a synapse without a delay of its own takes one step, as on the chip. Everything is
interpreted with numpy in float64; no compiler is needed.

    engine.py     a Brian2 network of some rows: groups, synapses, monitors
    groups.py     neurons and astrocytes, as equations
    transfers.py  graded messages (membranes, graded input), which Brian2's synapses don't delay
    runtime.py    Brian2's global state

Source: Stimberg, Brette, Goodman, eLife 2019, 10.7554/eLife.47314.
"""

from astrodeploy.engines.brian2.engine import brian2

__all__ = ["brian2"]
