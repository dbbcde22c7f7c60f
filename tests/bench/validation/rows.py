"""Every row of the table: a measurement, and what we estimate for it under a cost model.

Where spikes are not public, they follow from the topology (time to first spike: every neuron once an
image), or from stated rates of 2, 10 and 50 % of all neurons in every step: all three are shown, and the row's
own range goes from the low of 2 % to the high of 50 %, with 10 % in its middle. This was fixed before any
comparison.
"""

from dataclasses import dataclass
from functools import cache

import measured
import workloads

import astrodeploy
from astrodeploy.chip import load_chip
from astrodeploy.costs.activity import Expected
from astrodeploy.costs.clearing import PART, clearings
from astrodeploy.costs.energy import Costing
from astrodeploy.costs.rates import all_rates

RATES = (0.02, 0.10, 0.50)
GESTURE_FIRINGS = 365_277 / 1000  # of all neurons in a step: published in SANA-FE's challenge
PILOTNET_STEPS = 16
INPUT_NEURONS = 39_600  # PilotNet's input layer, which lay on 13 cores; a Program's input lies on none
MICRO, MILLI = 1e6, 1e3
ONCE = "every neuron fires once an image"


@dataclass(frozen=True)
class Range:
    """low, typical and high, in the unit of a row."""

    low: float
    typical: float
    high: float

    @classmethod
    def of(cls, span, factor=1.0):
        """An estimate's Span times a factor."""
        return cls(span.low * factor, span.typical * factor, span.high * factor)

    def __sub__(self, other):
        return Range(self.low - other.low, self.typical - other.typical, self.high - other.high)

    def __add__(self, other):
        return Range(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __mul__(self, factor):
        return Range(self.low * factor, self.typical * factor, self.high * factor)


@dataclass(frozen=True)
class Row:
    """A measurement beside an estimate.

    events   where the estimate's events come from
    mapping  the cores that it lies on
    summary  whether this line is the row's own, not one of several rates
    """

    measured: measured.Measurement
    model: str
    estimated: Range
    events: str
    mapping: str
    summary: bool = True

    @property
    def error(self):
        """Of the typical value, beside the measurement; 0 anywhere between a plot's axes."""
        nearest = min(max(self.estimated.typical, self.measured.low), self.measured.high)
        return self.estimated.typical / nearest - 1

    @property
    def inside(self):
        """Whether the measurement and our range meet."""
        return self.estimated.low <= self.measured.high and self.measured.low <= self.estimated.high

    @property
    def span(self):
        """high over low of our range."""
        return self.estimated.high / self.estimated.low

    @property
    def is_time(self):
        """Whether a time is compared, not an energy."""
        return self.measured.unit in ("us", "ms")


def dynamic(found):
    """Joules of the operations and of the steps: what the boards' probes call dynamic energy of the cores."""
    return Range.of(found.parts["operations"]) + Range.of(found.parts["step overhead"])


def with_clearing(found):
    """The same, and what clearing takes: where it is known that a measurement holds it."""
    return dynamic(found) + Range.of(found.parts[PART])


def in_all(program, rates, steps, model):
    """An inference of as many steps as were measured, which hold the way through the layers.

    One follows the other: while the last layers still answer, the first ones take in the next.
    """
    activity = Expected(all_rates(program, rates), steps, steps, program.network)
    times = clearings(program.reference, program.reset_every, steps)
    return Costing(program, activity, 1, times, 0.0, model, "largest").estimate("assumed", "in steady state")


@cache
def _compiled(name, *given, target="loihi1"):
    """A workload on the fewest cores."""
    return astrodeploy.compile(getattr(workloads, name)(*given), target, pack="fewest")


def on(program):
    """The cores that a Program lies on."""
    return f"{len(program.cores)} cores"


# ---- Quartz ---------------------------------------------------------------------------------------


def quartz(model):
    """The step sweep: every neuron fires once an image, at any of its steps.

    On 11 cores as there: no layer shares one, and only the first needs several.
    """
    program = workloads.cut(_compiled("quartz", target="nahuku-32"), {"conv1": 6})
    found = {n: in_all(program, rates=1 / n, steps=n, model=model) for _, n, *_ in measured.SWEEP}
    for point in measured.QUARTZ_POINTS:
        steps = int(point[0].key.split("(")[1].split()[0])
        values = [with_clearing(found[steps]) * MICRO, Range.of(found[steps].latency_seconds, MILLI)]
        for each, value in zip(point, values, strict=True):
            yield Row(each, model, value, ONCE, on(program))
    more = dynamic(found[651]) - dynamic(found[171])
    later = Range.of(found[651].steps_seconds) - Range.of(found[171].steps_seconds)
    for each, value in zip(measured.QUARTZ_SLOPES, (more, later), strict=True):
        yield Row(each, model, value * (MICRO / 480), ONCE, on(program))


def quartz_earlier(model):
    """The sweep of an earlier version, on 18 cores, as if its network were the same."""
    program = workloads.cut(_compiled("quartz", target="nahuku-32"), {"conv1": 12, "pool1": 2})
    for (steps, *_), point in zip(measured.EARLIER, measured.EARLIER_POINTS, strict=True):
        found = in_all(program, rates=1 / steps, steps=steps, model=model)
        values = [with_clearing(found) * MICRO, Range.of(found.latency_seconds, MILLI)]
        for each, value in zip(point, values, strict=True):
            yield Row(each, model, value, ONCE, on(program))


# ---- rows whose rates are stated ------------------------------------------------------------------


def at_rates(each, model, values, mapping):
    """One line a rate, and the row's own over all of them."""
    for rate, value in zip(RATES, values, strict=True):
        yield Row(each, model, value, f"{rate:.0%} in every step", mapping, summary=False)
    whole = Range(values[0].low, values[1].typical, values[-1].high)
    yield Row(each, model, whole, "2 to 50 %, typical 10 %", mapping)


def keywords(model):
    """What nine copies more cost, a copy; and the whole of the small network, which the host sets."""
    few, many = _compiled("keyword_copies", 1), _compiled("keyword_copies", 10)
    at = lambda program, rate: dynamic(in_all(program, rates=rate, steps=10, model=model))
    values = [(at(many, rate) - at(few, rate)) * (MICRO / 9) for rate in RATES]
    yield from at_rates(measured.KEYWORD_SLOPE, model, values, f"{len(few.cores)} to {len(many.cores)} cores")
    small = _compiled("keywords")
    whole = [
        Range.of(in_all(small, rates=rate, steps=10, model=model).energy_joules, MICRO) for rate in RATES
    ]
    yield from at_rates(measured.KEYWORD_WHOLE, model, whole, on(small))


def braille(model):
    """The Braille reader, on as many cores as there: 53 and 1. Its 6.64 us a step hold no clearing of them."""
    for inputs, numbers in measured.BRAILLE_NUMBERS.items():
        program = workloads.cut(
            _compiled("braille", inputs, target="nahuku-32"), {"hidden": 50, "letters": 4}
        )
        found = [in_all(program, rates=rate, steps=270, model=model) for rate in RATES]
        paces = [Range.of(each.steps_seconds, MICRO / each.steps) for each in found]
        for each, values in zip(numbers, ([dynamic(e) * MICRO for e in found], paces), strict=True):
            yield from at_rates(each, model, values, on(program))


def gestures(model):
    """The DVS network with its published number of spikes, spread evenly; of the measurement only axes are public."""
    program = _compiled("gestures", target="nahuku-32")
    neurons = sum(p.size for p in program.network.populations)
    found = in_all(program, rates=GESTURE_FIRINGS / neurons, steps=128, model=model)
    told = f"published: {GESTURE_FIRINGS:.0f} spikes a step, {GESTURE_FIRINGS / neurons:.1%}, spread evenly"
    values = dynamic(found), Range.of(found.steps_seconds)
    for each, value in zip(measured.GESTURE_AXES, values, strict=True):
        yield Row(each, model, value * (MICRO / found.steps), told, on(program))


# ---- PilotNet -------------------------------------------------------------------------------------


@cache
def pilotnet_runs():
    """PilotNet on as many cores as there, and Traces of two and of three frames."""
    program = workloads.pilotnet()
    return program, *(program.run(workloads.pilotnet_frames(frames)) for frames in (2, 3))


def pilotnet_frame(model):
    """What a frame in steady state adds: its estimate's dynamic energy, joules, and seconds, of 17 steps."""
    program, *traces = pilotnet_runs()
    two, three = (astrodeploy.estimate(program, trace, model=model) for trace in traces)
    return dynamic(three) - dynamic(two), Range.of(three.steps_seconds) - Range.of(two.steps_seconds)


def input_layer(model):
    """Joules of the input layer's updates in a step."""
    cost = load_chip("loihi2").cost(model).energy_per_active_update_pJ
    return Range(cost.low, cost.typical, cost.high) * (INPUT_NEURONS * 1e-12)


def pilotnet(model):
    """The measured frame is another one of the same film: events of a step are taken to be alike."""
    program = pilotnet_runs()[0]
    joules, seconds = pilotnet_frame(model)
    step = joules * (1 / workloads.FRAME) + input_layer(model)
    pace = seconds * (1 / workloads.FRAME)
    power = program.board.power_per_chip()
    rest = [power.static_power_per_chip_mW, power.host_power_per_chip_mW]
    low, typical, high = (
        sum(getattr(each, level) for each in rest) * 1e-3 * getattr(pace, level)
        for level in ("low", "typical", "high")
    )
    whole = step + Range(low, typical, high)
    told = "counted from the published spikes, and 39,600 input neurons"
    values = step * (PILOTNET_STEPS * MILLI), whole * (PILOTNET_STEPS * MILLI), pace * MICRO
    for each, value in zip(measured.PILOTNET_NUMBERS, values, strict=True):
        yield Row(each, model, value, told, f"{on(program)}, and 13 for the input")


# ---- all ------------------------------------------------------------------------------------------

LOIHI1 = (quartz, quartz_earlier, keywords, braille, gestures)


def models(chip):
    """The names of a chip's cost models."""
    return tuple(load_chip(chip).costs)


def all_rows(chips=("loihi1", "loihi2")):
    """Every row under every cost model; without PilotNet's where its file is not at hand."""
    rows = []
    if "loihi1" in chips:
        rows += [row for model in models("loihi1") for make in LOIHI1 for row in make(model)]
    if "loihi2" in chips and workloads.PILOTNET.exists():
        rows += [row for model in models("loihi2") for row in pilotnet(model)]
    return rows
