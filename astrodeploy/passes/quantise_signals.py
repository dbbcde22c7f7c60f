"""How astrocytes that carry a signal become integers: by how large everything became on calibration data.

What makes 1.0 of a state, an output, a message is a power of two; a port's is the largest at which its
weights fit 8 bits and nothing that its sources may send can overflow it. What exceeds what the data
showed by more than MARGIN saturates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil, floor, log2

import numpy as np

from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import Range
from astrodeploy.compartments.functions import LOG_BITS
from astrodeploy.compartments.graded import (
    ARGUMENTS,
    EXPONENT_BITS,
    LONG,
    SCALE,
    SHARE_BITS,
    WIDE,
    Form,
    astrocyte_of,
)
from astrodeploy.compartments.kind import Kind
from astrodeploy.engines.reference import flat, output_of
from astrodeploy.errors import UnsupportedError
from astrodeploy.ir import Astrocyte, Compartments, Connection, Graph, Population
from astrodeploy.ir.arrays import FloatArray, IntArray
from astrodeploy.ir.numbers import DECAY, Fixed, Rounded
from astrodeploy.ir.wiring import Wiring
from astrodeploy.program import Note
from astrodeploy.quantisation.conservation import sum_notes
from astrodeploy.quantisation.rounding import Part
from astrodeploy.quantisation.seen import Calibration, Extent

FEW = 256  # integers that a message should reach, so that rounding is less than 0.2 % of it
MARGIN = 1.5  # times what the data showed that states and messages have room for
OUTPUT_UNITS = {"elu": LOG_BITS, "log2": LOG_BITS, "sigmoid": SHARE_BITS, "tanh": SHARE_BITS}
POWER_PORTS = ("factor",)  # whose 1.0 is a power of two, because a message's is
Source = Callable[[str], tuple[float, Range]]


def message_unit(
    graph: Graph, population: Population, node: Astrocyte, calibration: Calibration | None, limits: Formats
) -> float:
    """What a message of 1 of such an astrocyte means, before anything else of it is known."""
    extent = extent_of(graph, population, calibration)
    bits = floor(log2(limits.signal.high / (MARGIN * extent.message or 1.0)))
    factored = _has_factor(graph, population)
    return 2.0 ** -(bits if factored else min(bits, OUTPUT_UNITS.get(node.output, bits)))


def extent_of(graph: Graph, population: Population, calibration: Calibration | None) -> Extent:
    """How large everything became. Raises UnsupportedError without data, or with too short ones."""
    name, node = population.name, population.node
    assert isinstance(node, Astrocyte)
    if calibration is None:
        raise UnsupportedError(
            f"{name} computes with values of which only data tell how large they become: compile the "
            "network with calibration data (--calibrate, calibrate=)"
        )
    needed = node.period + (node.period > 1 and _has_factor(graph, population))
    if calibration.steps < needed:
        raise UnsupportedError(
            f"{name} answers first after a window of {node.period} steps, and the calibration samples have "
            f"{calibration.steps}: give samples of at least {needed} steps"
        )
    return calibration.extents[name]


def _has_factor(graph: Graph, population: Population) -> bool:
    return any(c.port == "factor" for c in graph.into(population.name))


def quantised_signals(
    graph: Graph,
    population: Population,
    node: Astrocyte,
    source: Source,
    calibration: Calibration | None,
    limits: Formats,
) -> Part:
    """The integer population, the connections that end in it, and what was rounded.

    `source` tells what a message of 1 of a population means, and all it may send; `limits` what the
    chip holds. Raises UnsupportedError where a format can't hold a value.
    """
    extent = extent_of(graph, population, calibration)
    ports = {c.port for c in graph.into(population.name)}
    form = Form(
        window=node.period > 1,
        memory=bool(np.any(node.decay != 1)),
        pool="activity" in ports,
        product="left" in ports,
        factor="factor" in ports,
        output=node.output,
        slow=bool(node.slow),
        message=limits.signal,
    )
    made = _Made(graph, population, node, form, extent, source, limits)
    return made.part(message_unit(graph, population, node, calibration, limits))


@dataclass(frozen=True)
class _Port:
    """A port's connections as integers; `unit` of which make 1.0 of what arrives."""

    unit: float
    connections: tuple[Connection, ...]
    error: float
    sums: tuple[Note, ...]


@dataclass(frozen=True)
class _Made:
    """A population in the making."""

    graph: Graph
    population: Population
    node: Astrocyte
    form: Form
    extent: Extent
    source: Source
    limits: Formats

    def part(self, meaning: float) -> Part:
        """All of it; a message of 1 is to stand for `meaning`."""
        kind, node, size = astrocyte_of(self.form), self.node, self.population.size
        ports, product_shift, drive_unit = self._drives()
        state = self._state_unit(kind, drive_unit)
        output = self._output_unit(state, 1 / meaning)
        factor = ports["factor"].unit if self.form.factor else 1.0
        shift = log2(output * factor * meaning)
        name = self.population.name
        if shift < 0:
            raise UnsupportedError(
                f"{name} sends up to {self.extent.message:g}, too little beside its states"
            )
        decay = self._decay()
        rounded = {
            "message_shift": np.full(size, round(shift)),
            "product_shift": np.full(size, product_shift),
            "trace_decay": decay.integers,
        }
        driven, drive_error = self._drive(kind, state, drive_unit)
        rounded |= driven | self._biases(ports)
        rounded |= self._function(kind, state, output)
        units = {"trace": state, "count": drive_unit, "output": output, "message": 1 / meaning}
        rest = np.rint(output_of(node, np.zeros(size)) * output)
        compartments = Compartments(
            kind=kind,
            parameters={key: rounded[key] for key in kind.parameters},
            initial={
                key: (rest if key == "output" else np.zeros(size)).astype(np.int64) for key in kind.states
            },
            period=node.period if self.form.window else 0,
            units=units,
        )
        errors = {"decay": decay.worst if self.form.memory else 0.0, "drive": drive_error}
        notes = (self._note(errors, state, output, 1 / meaning), *self._about_weights(ports))
        connections = tuple(c for port in ports.values() for c in port.connections)
        return Part(replace(self.population, node=compartments), connections, notes, meaning)

    def _decay(self) -> Rounded:
        exact = flat(self.node.decay, self.population.size)
        decay = DECAY.round(exact, f"{self.population.name}.decay")
        if np.any((exact > 0) & (decay.integers == 0)):
            raise UnsupportedError(
                f"{self.population.name}'s decay of {exact[exact > 0].min():g} a window rounds to none at all: the "
                "chip has 4096ths; make its period longer, or its decay 0"
            )
        return decay

    def _state_unit(self, kind: Kind, drive_unit: float) -> float:
        """Integers that make 1.0 of the state: as many as it, the offset and the drive's factor have room for."""
        rooms = [WIDE.high / (MARGIN * self.extent.state or 1.0)]
        offset, drive = (float(np.abs(each).max()) for each in (self.node.offset, self.node.drive))
        if offset:
            rooms.append(WIDE.high / offset)
        if drive:
            rooms.append(kind.parameters["drive"].high * drive_unit / drive)
        return 2.0 ** floor(log2(min(rooms)))

    def _drive(self, kind: Kind, state: float, unit: float) -> tuple[dict[str, IntArray], float]:
        """From a window's drive, and from nothing, to the state; the largest error of a neuron's factor."""
        name, size = self.population.name, self.population.size
        exact = flat(self.node.drive, size) * state / unit
        mantissa, shift = _mantissas(exact, kind.parameters["drive"], f"{name}.drive")
        off = np.abs(mantissa / 2.0**shift - exact)
        error = np.divide(off, np.abs(exact), out=np.zeros(size), where=exact != 0).max()
        offset = Fixed(WIDE, state).round(flat(self.node.offset, size), f"{name}.offset").integers
        return {"drive": mantissa, "drive_shift": np.full(size, shift), "offset": offset}, float(error)

    def _biases(self, ports: Mapping[str, _Port]) -> dict[str, IntArray]:
        """What is added to what arrives at the ports of products, in their units."""
        found: dict[str, IntArray] = {}
        for port in ("left", "right", "factor"):
            if port in ports:
                bias = flat(self.node.arrays()[f"{port}_bias"], self.population.size)
                rounded = Fixed(WIDE, ports[port].unit).round(bias, f"{self.population.name}.{port}_bias")
                found[f"{port}_bias"] = rounded.integers
        return found

    # ---- what arrives ----------------------------------------------------------------------------

    def _drives(self) -> tuple[dict[str, _Port], int, float]:
        """The ports, the product's shift, and the integers that make a drive of 1.0."""
        form, room = self.form, WIDE.high / (MARGIN * self.extent.drive or 1.0)
        ports: dict[str, _Port] = {}
        if form.factor:
            ports["factor"] = self._port("factor", most=self._bias_room("factor"))
        if not form.product:
            ports["activity"] = self._port("activity", most=room)
            return ports, 0, ports["activity"].unit
        ports |= {port: self._port(port, most=self._bias_room(port)) for port in ("left", "right")}
        product = ports["left"].unit * ports["right"].unit
        shift = max(0, ceil(log2(product / room)))
        if form.pool:  # both have one unit, which the smaller room decides
            pool = self._port("activity", most=product / 2.0**shift)
            shift = ceil(log2(product / pool.unit))
            ports["activity"] = self._port("activity", exactly=product / 2.0**shift)
        return ports, shift, product / 2.0**shift

    def _bias_room(self, port: str) -> float:
        """The largest unit in which a port's bias still fits."""
        largest = float(np.abs(self.node.arrays()[f"{port}_bias"]).max())
        return WIDE.high / largest if largest else np.inf

    def _port(self, port: str, most: float = np.inf, exactly: float | None = None) -> _Port:
        """A port's connections at the largest unit at which they fit, at `most` or `exactly` one."""
        into = [c for c in self.graph.into(self.population.name) if c.port == port]
        scaled = [c.wiring.scaled(np.full(c.wiring.shape[0], self.source(c.source)[0])) for c in into]
        largest = max((float(np.abs(w.values).max(initial=0.0)) for w in scaled), default=0.0)
        if not largest:
            raise UnsupportedError(f"{self.population.name}.{port}: all weights are 0: leave it out")
        unit = exactly or self._unit(port, into, scaled, largest, most)
        connections, worst = [], 0.0
        sums: list[Note] = []
        for each, weights in zip(into, scaled, strict=True):
            exact = weights.values * unit
            exponent = _exponent(exact, self.limits)
            values = np.clip(np.rint(exact * 2.0**-exponent), self.limits.weight.low, self.limits.weight.high)
            error = np.abs(values - exact * 2.0**-exponent).max(initial=0.0)
            worst = max(worst, float(error / np.abs(exact * 2.0**-exponent).max(initial=1e-300)))
            wiring = each.wiring.with_values(values.astype(np.int8))
            connections.append(replace(each, wiring=wiring, exponent=exponent))
            kept = values * 2.0**exponent / (unit * self.source(each.source)[0])
            sums += sum_notes(each.name, each.wiring, each.wiring.with_values(kept))
        return _Port(unit, tuple(connections), worst, tuple(sums))

    def _unit(
        self, port: str, into: list[Connection], scaled: list[Wiring], largest: float, most: float
    ) -> float:
        arriving = min(WIDE.high, self.limits.arriving)
        low = high = np.zeros(1)
        for each, weights in zip(into, scaled, strict=True):
            messages = self.source(each.source)[1]
            least, greatest = weights.bounds(messages.low, messages.high)
            low, high = low + least, high + greatest
        worst = float(np.maximum(high, -low).max())
        # rounding a weight up adds at most half a unit in 64 of the largest
        most = min(most, (arriving - 2 * len(into)) / (worst * (1 + 1 / self.limits.weight.high)))
        most = min(most, self.limits.weight.high * 2.0**self.limits.exponent.high / largest)
        plain = all(np.ptp(np.abs(w.values[w.values != 0])) == 0 for w in scaled if np.any(w.values))
        if plain or port in POWER_PORTS:
            return 2.0 ** floor(log2(most))
        full = self.limits.weight.high / largest
        return float(full * 2.0 ** floor(log2(most / full)))

    # ---- what is sent ----------------------------------------------------------------------------

    def _output_unit(self, state: float, message: float) -> float:
        """Integers that make 1.0 of the output."""
        output = self.node.output
        if output == "identity":
            return state
        if output in OUTPUT_UNITS:
            unit = 2.0 ** OUTPUT_UNITS[output]
            most = (WIDE if self.form.keeps_output else LONG).high / unit
            if MARGIN * self.extent.output > most:
                raise UnsupportedError(
                    f"{self.population.name}'s {output} becomes {self.extent.output:g} on the calibration data, and "
                    f"the chip's holds {most / MARGIN:g} with its margin of {MARGIN}: make what arrives smaller"
                )
            return unit
        held = WIDE.high if self.form.factor else self.form.message.high
        room = 2.0 ** floor(log2(held / (MARGIN * self.extent.output or 1.0)))
        return room if self.form.factor else max(message, room)

    def _function(self, kind: Kind, state: float, output: float) -> dict[str, IntArray]:
        """Parameters of the output function."""
        node, size = self.node, self.population.size
        found: dict[str, IntArray] = {}
        if node.output in ARGUMENTS:
            mantissa, shift = _mantissas(
                np.full(size, 2.0**LOG_BITS / state),
                kind.parameters["argument"],
                f"{self.population.name}'s output",
            )
            found |= {"argument": mantissa, "argument_shift": np.full(size, shift)}
        if node.output == "power":
            found["exponent"] = np.full(size, round(node.exponent * 2**EXPONENT_BITS))
        scales = {
            "exp2": log2(output),
            "power": log2(output) - node.exponent * log2(state),
            "log2": -log2(state),
        }
        if abs(scales.get(node.output, 0.0)) * 2**LOG_BITS > SCALE.high:
            raise UnsupportedError(
                f"{self.population.name}'s {node.output} becomes {self.extent.output:g} on the calibration data, of a "
                f"state of {self.extent.state:g}, which is out of the chip's reach: make what arrives smaller"
            )
        if node.output in scales:
            found["scale"] = np.full(size, round(scales[node.output] * 2**LOG_BITS))
        return found

    def _note(self, errors: Mapping[str, float], state: float, output: float, message: float) -> Note:
        told = [
            f"1.0 of its state is {state:g}, of its messages {message:g}",
            f"beyond {MARGIN} times what the calibration data reached it saturates",
        ]
        told += [
            f"its {what} is rounded by {error:.2g} of its value" for what, error in errors.items() if error
        ]
        reached = min(self.extent.output * output, self.extent.message * message)
        if reached < FEW:
            told.append(
                f"what it sends reaches only {reached:.0f} integers on the calibration data: make it larger"
            )
        named = {f"{what} error": error for what, error in errors.items()}
        return Note(self.population.name, "; ".join(told), named | {"reached": reached})

    def _about_weights(self, ports: Mapping[str, _Port]) -> tuple[Note, ...]:
        notes = []
        for port, each in ports.items():
            what = f"rounded by at most {each.error:.2%} of the largest" if each.error > 1e-9 else "exact"
            name = f"{self.population.name}.{port}"
            notes += [Note(name, f"weights are {what}", {"largest error": each.error}), *each.sums]
        return tuple(notes)


def _exponent(exact: FloatArray, limits: Formats) -> int:
    """The least exponent that holds the largest weight; one at which all are whole, where there is one."""
    largest = float(np.abs(exact).max(initial=0.0)) or 1.0
    return max(limits.exponent.low, ceil(log2(largest / limits.weight.high) - 1e-9))


def _mantissas(values: FloatArray, mantissa: Range, name: str) -> tuple[IntArray, int]:
    """Integers m and one shift s with m / 2**s nearest to the values. Raises UnsupportedError."""
    largest = float(np.abs(values).max())
    shift = floor(log2(mantissa.high / largest)) if largest else 0
    if not 0 <= shift <= 40:
        raise UnsupportedError(
            f"{name} needs a factor of {largest:g} on the chip, which its format can't hold"
        )
    return np.rint(values * 2.0**shift).astype(np.int64), shift
