"""The reset between two images: a term that the estimator does not have, and what it would explain.

Quartz clears every neuron between two images; the processors embedded in the chip do that. Two numbers:

energy  5.94 uJ a chip: published (Frady et al. 2020), and so not from these rows
time    of a neuron, from the step sweep's point t_max 32: its latency less its steps at the estimated pace.
        One point sets it; the two others try it
"""

import measured
import table

ENERGY_OF_CHIP = 5.94  # uJ
NEURONS = 5410


def pace(rows):
    """The estimated time of a step, us."""
    return next(r.estimated.typical for r in rows if r.measured.quantity == "time of a step more")


def time_of_neuron(rows):
    """Microseconds."""
    _, steps, _, milliseconds = measured.SWEEP[1]
    return (milliseconds * 1e3 - steps * pace(rows)) / NEURONS


def with_reset(rows):
    """Cells of the sweep with and without it."""
    points = [point[0] for point in measured.QUARTZ_POINTS]
    found = [r for each in points for r in rows if r.measured is each]
    for (_, steps, energy, milliseconds), row in zip(measured.SWEEP, found, strict=True):
        joules = row.estimated.typical
        latency = steps * pace(rows) * 1e-3
        whole = joules + ENERGY_OF_CHIP, latency + NEURONS * time_of_neuron(rows) * 1e-3
        yield [
            row.measured.key,
            table.number(energy),
            f"{joules / energy - 1:+.0%}",
            f"{whole[0] / energy - 1:+.0%}",
            table.number(milliseconds),
            f"{latency / milliseconds - 1:+.0%}",
            f"{whole[1] / milliseconds - 1:+.0%}",
        ]


TITLES = (
    "row",
    "measured, uJ",
    "error",
    "error with 5.94 uJ a reset",
    "measured, ms",
    "error",
    "error with the reset's time",
)
