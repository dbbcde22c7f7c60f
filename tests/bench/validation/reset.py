"""Clearing the chip between two samples: where its time comes from, and what the estimate was without it.

Quartz's programs clear whole cores, of 1024 compartments, whatever lies on them; so what its latency has beside
its steps is shared over the cores in use. One point sets the number in targets/loihi1/chip.toml, t_max 32, and one its high
end, t_max 8. The other points try it: t_max 128, and the five of the earlier version on 18 cores.
"""

import measured
import table

from astrodeploy.chip import load_chip

TITLES = (
    "row",
    "cores",
    "measured, uJ",
    "error without clearing",
    "with",
    "measured, ms",
    "error without clearing",
    "with",
    "us a core that meet the latency",
    "used for calibration",
)


def pace(rows):
    """The estimated time of a step, us."""
    return next(r.estimated.typical for r in rows if r.measured.quantity == "time of a step more")


def time_of_core(steps, milliseconds, cores, step):
    """Microseconds that clearing a core took, with steps of so many microseconds."""
    return (milliseconds * 1e3 - steps * step) / cores


def points(rows):
    """Of one cost model: steps, cores, and the rows of energy and latency."""
    sweeps = (
        (measured.SWEEP, 1, measured.QUARTZ_POINTS, measured.QUARTZ_CORES),
        (measured.EARLIER, 0, measured.EARLIER_POINTS, measured.EARLIER_CORES),
    )
    for numbers, place, pairs, cores in sweeps:
        for each, pair in zip(numbers, pairs, strict=True):
            energy, latency = (next(r for r in rows if r.measured is one) for one in pair)
            yield each[place], cores, energy, latency


def with_and_without(rows):
    """Cells of the two sweeps."""
    reset, step = load_chip("loihi1").reset, pace(rows)
    for steps, cores, energy, latency in points(rows):
        joules, seconds = energy.measured.middle, latency.measured.middle
        bare = energy.estimated.typical - reset.energy_per_chip_uJ.typical
        bare_time = latency.estimated.typical - cores * reset.time_per_core_us.typical * 1e-3
        yield [
            energy.measured.key,
            str(cores),
            table.number(joules),
            f"{bare / joules - 1:+.0%}",
            f"{energy.error:+.0%}",
            table.number(seconds),
            f"{bare_time / seconds - 1:+.0%}",
            f"{latency.error:+.0%}",
            table.number(time_of_core(steps, seconds, cores, step)),
            latency.measured.used,
        ]
