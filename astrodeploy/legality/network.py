"""What a network asks of a chip, wherever its neurons lie: programs, widths, delays, state."""

from collections.abc import Callable, Iterator

import numpy as np

from astrodeploy.arithmetic import ALIGNMENT
from astrodeploy.chip.formats import Formats
from astrodeploy.compartments import KINDS, Range
from astrodeploy.ir import Compartments, Graph, Population
from astrodeploy.ir.arrays import Array, IntArray
from astrodeploy.ir.verify import arrivals, message_range
from astrodeploy.passes.base import Draft

Findings = Iterator[str]


def neurons(graph: Graph) -> Iterator[tuple[Population, Compartments]]:
    """All populations that lie on the chip, and their nodes."""
    for population in graph.populations:
        if not population.is_input:
            assert isinstance(population.node, Compartments), f"{population.name} is not quantised"
            yield population, population.node


def kinds_are_executable(draft: Draft) -> Findings:
    """The chip executes every population's kind, as a fixed kind or as a program."""
    chip, execution = draft.chip, draft.chip.execution
    for population, node in neurons(draft.graph):
        missing = chip.missing_operations(node.kind)
        if not missing:
            continue
        able = [f"the kind{'s' * (len(execution.fixed) > 1)} {', '.join(execution.fixed)}"] * bool(
            execution.fixed
        )
        able += [f"programs of {', '.join(sorted(execution.operations))}"] * bool(execution.operations)
        yield (
            f"{population.name} is of the kind {node.kind.name}, which needs {', '.join(missing)}; {chip.name} "
            f"executes {' and '.join(able) or 'nothing'}: {_instead(draft, population)}"
        )


def _instead(draft: Draft, population: Population) -> str:
    ends = {c.source for c in draft.graph.connections if c.port == "modulation"}
    ends |= {c.target for c in draft.graph.connections if c.port == "modulation"}
    if population.name in ends and not draft.chip.missing_operations(KINDS["lif"]):
        return (
            "choose a chip with programmable neurons, or --freeze-astrocytes (freeze_astrocytes=True), which "
            "fixes every gain"
        )
    return "choose a chip with programmable neurons"


def weights_have_their_width(draft: Draft) -> Findings:
    """Every weight fits the chip's signed weight."""
    bits = draft.chip.widths.weight_bits
    allowed = Range.signed(bits.value)
    for c in draft.graph.connections:
        values = c.wiring.values
        if values.size and not allowed.contains(Range(int(values.min()), int(values.max()))):
            yield (
                f"{c.name} has weights {values.min()}..{values.max()}, {draft.chip.name} holds {allowed}: "
                f"quantise to fewer bits{bits.doubt}"
            )


def weight_exponents_have_their_width(draft: Draft) -> Findings:
    """Every connection's exponent fits the chip's signed exponent."""
    if (bits := draft.chip.widths.weight_exponent_bits) is None:
        return
    allowed = Formats.of(draft.chip).exponent
    for c in draft.graph.connections:
        if not allowed.contains(Range(c.exponent, c.exponent)):
            yield (
                f"{c.name} has the weight exponent {c.exponent}, {draft.chip.name} allows {allowed}: "
                f"scale the weights or the target's threshold{bits.doubt}"
            )


def messages_have_their_width(draft: Draft) -> Findings:
    """A spike fits everywhere; a graded message, the input's too, needs a payload that holds it."""
    allowed = draft.chip.widths.message_bits
    for population in draft.graph.populations:
        sent = message_range(population)
        if not Range(0, 1).contains(sent) and sent.bits > allowed.value:
            instead = "give it spikes" if population.is_input else "send fewer bits"
            if any(c.port == "modulation" for c in draft.graph.out_of(population.name)):
                instead += ", use --freeze-astrocytes, which fixes every gain"
            yield (
                f"{population.name} sends {sent}, which takes {sent.bits} bits, a spike of {draft.chip.name} "
                f"carries {allowed.value}: {instead}, or choose a chip with graded spikes{allowed.doubt}"
            )


def delays_are_in_range(draft: Draft) -> Findings:
    """No delay is longer than the chip can hold a message back."""
    longest = draft.chip.limits.maximal_delay_steps
    for c in draft.graph.connections:
        if c.delay > longest.value:
            yield (
                f"{c.name} has a delay of {c.delay} steps, {draft.chip.name} allows {longest.value}: "
                f"shorten it, or relay through another population{longest.doubt}"
            )


def parameters_have_their_width(draft: Draft) -> Findings:
    """Threshold mantissas and decay factors fit their fields."""
    widths = draft.chip.widths
    mantissa, decay = widths.threshold_mantissa_bits, widths.decay_bits
    for population, node in neurons(draft.graph):
        held = node.kind.registers
        fields = [(name, mantissa, Range.unsigned) for name in held.thresholds]
        fields += [(name, decay, _decays) for pair in held.decays for name in pair]
        for name, bits, range_of in fields:
            span = _span(node.parameters[name])
            if bits is not None and not range_of(bits.value).contains(span):
                yield (
                    f"{population.name}.{name} is {span}, {draft.chip.name} holds {range_of(bits.value)}: "
                    f"rescale the layer{bits.doubt}"
                )


def _decays(bits: int) -> Range:
    """All of a decay is one more than its field holds."""
    return Range(0, 1 << bits)


def biases_are_mantissa_and_exponent(draft: Draft) -> Findings:
    """Every bias is a mantissa, shifted left by an exponent, of the chip's widths."""
    mantissa, exponent = draft.chip.widths.bias_mantissa_bits, draft.chip.widths.maximal_bias_exponent
    if mantissa is None or exponent is None:
        return
    for population, node in neurons(draft.graph):
        doubt = mantissa.doubt or exponent.doubt
        held = f"a mantissa of {mantissa.value} bits << 0..{exponent.value}"
        for name in node.kind.registers.biases:
            values = node.parameters[name]
            wrong = np.logical_not(_representable(values, mantissa.value, exponent.value))
            if np.any(wrong):
                first = int(np.flatnonzero(wrong)[0])
                yield (
                    f"{population.name}.{name} is {values[first]} at neuron {first} ({wrong.sum()} "
                    f"such), {draft.chip.name} holds {held}: round the bias{doubt}"
                )


def _representable(bias: IntArray, mantissa_bits: int, maximal_exponent: int) -> Array:
    allowed = Range.signed(mantissa_bits)
    fits = np.zeros(bias.shape, np.bool_)
    for exponent in range(maximal_exponent + 1):
        mantissa = bias >> exponent
        fits |= (mantissa << exponent == bias) & (mantissa >= allowed.low) & (mantissa <= allowed.high)
    return fits


def accumulators_hold_all_arrivals(draft: Draft) -> Findings:
    """The most that a step can bring to a port, shifted by the alignment, fits the accumulator."""
    if (limit := draft.chip.accumulator_limit) is None:
        return
    bits = draft.chip.widths.accumulator_bits
    doubt = bits.doubt if bits is not None else ""
    for population, node in neurons(draft.graph):
        for port in node.kind.inputs:
            total = arrivals(draft.graph, population.name, port)
            low, high = total.low << ALIGNMENT, total.high << ALIGNMENT
            if not Range(-limit, limit).contains(Range(low, high)):
                instead = "use fewer inputs, smaller weights or a lower weight exponent"
                if port == "modulation":
                    instead = "--freeze-astrocytes, which fixes every gain"
                yield (
                    f"{population.name}.{port} may receive {low}..{high} in one step (after the shift by "
                    f"{ALIGNMENT} bits), {draft.chip.name}'s accumulator holds {-limit}..{limit}: "
                    f"{instead}{doubt}"
                )


def neurons_have_room_for_their_state(draft: Draft) -> Findings:
    """A neuron's states fit its part of the state memory."""
    if (limit := draft.chip.limits.state_bytes_per_neuron) is None:
        return
    for population, node in neurons(draft.graph):
        needed = -(-node.kind.state_bits // 8)
        if needed > limit.value:
            yield (
                f"{population.name} keeps {needed} bytes of state per neuron, {draft.chip.name} allows "
                f"{limit.value}: declare narrower states{limit.doubt}"
            )


def _span(values: IntArray) -> Range:
    return Range(int(values.min()), int(values.max()))


NETWORK_RULES: tuple[Callable[[Draft], Findings], ...] = (
    kinds_are_executable,
    weights_have_their_width,
    weight_exponents_have_their_width,
    messages_have_their_width,
    delays_are_in_range,
    parameters_have_their_width,
    biases_are_mantissa_and_exponent,
    accumulators_hold_all_arrivals,
    neurons_have_room_for_their_state,
)
