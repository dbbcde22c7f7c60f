"""What a core holds few different ones of: thresholds, pairs of decays, formats of synapses, neuron programs."""

from collections.abc import Iterable, Mapping

import numpy as np

from astrodeploy.chip import Chip
from astrodeploy.compartments import Kind
from astrodeploy.compartments.kind import OperationList, Registers
from astrodeploy.ir import Compartments, Population
from astrodeploy.program import Slice
from astrodeploy.synapses import RunLengthStored, Stored

Configurations = Mapping[str, frozenset[tuple[int | str, ...]]]


def configurations(population: Population, cut: Slice, into: Iterable[Stored], chip: Chip) -> Configurations:
    """What a box asks of its core, by the names of `Chip.configuration_limits`; only what the chip limits.

    A core holds the union of what its boxes ask for.
    """
    limited = chip.configuration_limits
    node = population.node
    held = node.kind.registers if isinstance(node, Compartments) else Registers()
    found = {
        name: frozenset().union(*(_values(population, cut, each) for each in of))
        for name, of in (
            ("threshold_values", [(name,) for name in held.thresholds]),
            ("decay_pairs", held.decays),
        )
        if name in limited
    }
    if "synapse_formats" in limited:
        found["synapse_formats"] = frozenset(map(synapse_format, into))
    return found


def synapse_format(stored: Stored) -> tuple[int | str, ...]:
    """What the core keeps once for all synapses of a connection: encoding, exponent, and widths that differ."""
    skip = stored.skip_bits if isinstance(stored, RunLengthStored) else 0
    return stored.encoding, stored.connection.exponent, "delays" if stored.connection.delay > 1 else "", skip


def _values(population: Population, cut: Slice, names: tuple[str, ...]) -> frozenset[tuple[int | str, ...]]:
    """The different values of parameters, together."""
    node = population.node
    assert isinstance(node, Compartments)
    held = [np.unique(node.parameters[n].reshape(population.shape)[cut.index].ravel()) for n in names]
    if all(values.size == 1 for values in held):
        return frozenset([tuple(int(values[0]) for values in held)])
    together = [node.parameters[n].reshape(population.shape)[cut.index].ravel() for n in names]
    return frozenset(map(tuple, np.unique(np.stack(together), axis=1).T.tolist()))


def instructions(kind: Kind, chip: Chip) -> int:
    """The chip's instructions of a kind's program, of both lists; none of a kind that the chip has as it is."""
    return 0 if is_fixed(kind, chip) else sum(instructions_of(each, chip) for each in kind.lists)


def instructions_of(each: OperationList, chip: Chip) -> int:
    """The chip's instructions of one list; loads and constants are free."""
    known = chip.execution.operations
    return sum(len(known[name].instructions) for name, *_ in each.operations if name in known)


def is_fixed(kind: Kind, chip: Chip) -> bool:
    """Whether the chip has the kind without a program."""
    return chip.fixed_kind(kind) is not None
