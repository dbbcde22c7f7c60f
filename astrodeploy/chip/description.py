"""The chip as data: every limit, width and cost, with its source and quality."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from astrodeploy.arithmetic import ALIGNMENT
from astrodeploy.brief import listed, plural, short
from astrodeploy.chip.costs import Barrier, CostModel, Power, Reset
from astrodeploy.chip.limits import Execution, Limits, Synapses, Widths
from astrodeploy.chip.numbers import Cost, Data, Instructions, Number
from astrodeploy.compartments import KINDS, Kind
from astrodeploy.compartments.kind import OperationList
from astrodeploy.errors import ChipError

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
FREE = frozenset({"constant", "state", "parameter", "input"})  # operations that only name a register


Entry = Number | Cost | Instructions | Barrier


class Chip(Data):
    """One chip: limits, widths, the synapses' encoding, what it executes, and what that costs.

    costs       named cost models; `cost_model` is the one that estimates take unless told otherwise
    reset       of clearing it between two samples; None where nothing is known of that
    """

    name: Annotated[str, Field(pattern=NAME)]
    description: str
    limits: Limits
    widths: Widths
    synapses: Synapses
    execution: Execution
    cost_model: str
    costs: dict[str, CostModel]
    power: Power
    reset: Reset | None = None

    def __repr__(self) -> str:
        cores = plural(self.limits.cores.value, "core")
        return f"<Chip {short(self.name)}: {cores}, cost models {listed(self.costs)}>"

    __str__ = __repr__

    @model_validator(mode="after")
    def _an_index_reaches_every_neuron(self) -> Self:
        neurons, bits = self.limits.compartments_per_core.value, self.synapses.index_bits.value
        if neurons > 1 << bits:
            raise ValueError(
                f"synapses.index_bits = {bits} reaches {1 << bits} neurons, and limits.compartments_per_core "
                f"is {neurons}"
            )
        return self

    @model_validator(mode="after")
    def _the_cost_model_is_there(self) -> Self:
        if self.cost_model not in self.costs:
            known = ", ".join(self.costs) or "there are none"
            raise ValueError(f"cost_model = {self.cost_model!r} is none of the tables [costs.NAME]: {known}")
        return self

    def cost(self, name: str | None = None) -> CostModel:
        """A cost model by name, the chip's own choice without one. Raises ChipError."""
        chosen = self.cost_model if name is None else name
        if not isinstance(chosen, str) or chosen not in self.costs:
            raise ChipError(f"{self.name} has no cost model {name!r}: choose one of {', '.join(self.costs)}")
        return self.costs[chosen]

    @property
    def core_numbers(self) -> dict[str, Number]:
        """What one core holds, under the names that `program.Core.loads` uses."""
        named = {
            "compartments": self.limits.compartments_per_core,
            "synaptic_memory_bits": self.limits.synaptic_memory_bits_per_core,
            "input_axons": self.limits.input_axons_per_core,
            "output_axons": self.limits.output_axons_per_core,
            "memory_bits": self.limits.memory_bits_per_core,
        }
        return {name: number for name, number in named.items() if number is not None}

    @property
    def core_limits(self) -> dict[str, int]:
        """The same as plain numbers."""
        return {name: number.value for name, number in self.core_numbers.items()}

    @property
    def configuration_numbers(self) -> dict[str, Number]:
        """How many different ones one core holds, under the names of `legality.configurations`."""
        named = {
            "threshold_values": self.limits.threshold_values_per_core,
            "decay_pairs": self.limits.decay_pairs_per_core,
            "synapse_formats": self.limits.synapse_formats_per_core,
        }
        return {name: number for name, number in named.items() if number is not None}

    @property
    def configuration_limits(self) -> dict[str, int]:
        """The same as plain numbers."""
        return {name: number.value for name, number in self.configuration_numbers.items()}

    @property
    def accumulator_limit(self) -> int | None:
        """Largest magnitude of all that arrives in a step, after the shift by 6; None without a limit."""
        bits = self.widths.accumulator_bits
        return None if bits is None else (1 << bits.value) - (1 << ALIGNMENT)

    def fixed_kind(self, kind: Kind) -> str | None:
        """The kind of `execution` that does what a kind does, whatever that is called; None without one."""
        return next((name for name in self.execution.fixed if KINDS[name].meaning == kind.meaning), None)

    def missing_operations(self, kind: Kind) -> tuple[str, ...]:
        """Operations of a kind that the chip lacks, sorted; none where it executes the kind."""
        if self.fixed_kind(kind) is not None:
            return ()
        return tuple(sorted(kind.operations_used - set(self.execution.operations)))

    def compartments_of(self, kind: Kind) -> int:
        """Compartments of a core that a neuron of a kind takes."""
        joined = self.execution.joined.get(self.fixed_kind(kind) or "")
        return 1 if joined is None else joined.value

    def numbers(self) -> Iterator[tuple[str, Entry]]:
        """Every number of the file with its full key, such as `limits.cores`."""
        for section in ("limits", "widths", "synapses", "power", "reset"):
            yield from entries(section, getattr(self, section))
        for kind, number in self.execution.joined.items():
            yield f"execution.joined.{kind}", number
        for operation, each in self.execution.operations.items():
            yield f"execution.operations.{operation}", each
        for name, model in self.costs.items():
            yield from entries(f"costs.{name}", model)


def entries(prefix: str, table: Data | None) -> Iterator[tuple[str, Entry]]:
    """All that stands in a table and in the tables in it."""
    for key, each in table or ():
        if isinstance(each, Number | Cost | Instructions | Barrier):
            yield f"{prefix}.{key}", each
        elif isinstance(each, dict):
            for name, inner in each.items():
                yield from entries(f"{prefix}.{key}.{name}", inner)


def operation_count(each: OperationList | None) -> int:
    """How many operations of a list compute something; loads and constants are free."""
    return 0 if each is None else sum(operation[0] not in FREE for operation in each.operations)
