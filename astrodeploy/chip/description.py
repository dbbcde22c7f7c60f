"""The chip as data: every limit, width and cost from one TOML file, with its source and quality.

A target is a folder under `targets/` with a `chip.toml`; a user's own chip is one such file, and its
path (ending in .toml) is accepted wherever a target's name is. The unit of a number stands in its key.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from astrodeploy.arithmetic import ALIGNMENT, OPERATIONS
from astrodeploy.compartments import KINDS, Kind
from astrodeploy.compartments.kind import OperationList
from astrodeploy.errors import ChipError
from astrodeploy.resources import data_folder

Quality = Literal["published", "derived", "calibrated", "assumed"]
FREE = frozenset({"constant", "state", "parameter", "input"})  # operations that only name a register
SAID = {  # pydantic's kinds of error, as a chip's author reads them
    "missing": "is missing",
    "extra_forbidden": "is not a key of a chip's file",
    "int_type": "must be a whole number, not {input!r}",
    "float_type": "must be a number, not {input!r}",
    "string_type": "must be a text, not {input!r}",
    "finite_number": "must be a finite number, not {input!r}",
    "greater_than_equal": "must be at least {ge}, not {input!r}",
    "less_than_equal": "must be at most {le}, not {input!r}",
    "literal_error": "must be {expected}, not {input!r}",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be letters, digits, '_', '-' and '.', not {input!r}",
    "tuple_type": 'must be a list such as ["ADD"], not {input!r}',
    "model_type": "must be a table with its numbers, a source and a quality, not {input!r}",
    "dict_type": "must be a table, not {input!r}",
}


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Number(_Data):
    """A whole number, where it stands, and how sure it is."""

    value: Annotated[int, Field(ge=0, le=1 << 48)]
    source: Annotated[str, Field(min_length=1)]
    quality: Quality


class Cost(_Data):
    """A cost as a range, where it stands, and how sure it is."""

    low: Annotated[float, Field(ge=0)]
    typical: Annotated[float, Field(ge=0)]
    high: Annotated[float, Field(ge=0)]
    source: Annotated[str, Field(min_length=1)]
    quality: Quality

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.typical <= self.high:
            raise ValueError(f"low <= typical <= high is needed, not {self.low}, {self.typical}, {self.high}")
        return self


class Instructions(_Data):
    """The chip's instructions that do one of our operations."""

    instructions: Annotated[tuple[str, ...], Field(strict=False)]
    source: Annotated[str, Field(min_length=1)]
    quality: Quality


class Limits(_Data):
    """What a chip and a core hold; None where the chip has no such limit."""

    cores: Number
    tiles_x: Number
    tiles_y: Number
    cores_per_tile: Number
    compartments_per_core: Number
    synaptic_memory_bits_per_core: Number
    input_axons_per_core: Number
    output_axons_per_core: Number
    memory_bits_per_core: Number | None = None
    maximal_delay_steps: Number
    state_bytes_per_neuron: Number | None = None
    threshold_values_per_core: Number | None = None
    decay_pairs_per_core: Number | None = None

    @model_validator(mode="after")
    def _mesh_holds_all_cores(self) -> Self:
        places = self.tiles_x.value * self.tiles_y.value * self.cores_per_tile.value
        if not 1 <= self.cores.value <= places:
            raise ValueError(f"there are {self.cores.value} cores and {places} places in the mesh")
        return self


class Widths(_Data):
    """Widths of what is stored and sent; None where the chip sets no width."""

    weight_bits: Number
    message_bits: Number
    weight_exponent_bits: Number | None = None
    accumulator_bits: Number | None = None
    threshold_mantissa_bits: Number | None = None
    decay_bits: Number | None = None
    bias_mantissa_bits: Number | None = None
    maximal_bias_exponent: Number | None = None

    @model_validator(mode="after")
    def _bias_is_whole(self) -> Self:
        if (self.bias_mantissa_bits is None) != (self.maximal_bias_exponent is None):
            raise ValueError("bias_mantissa_bits and maximal_bias_exponent need each other")
        return self

    @model_validator(mode="after")
    def _weights_have_a_sign_and_a_size(self) -> Self:
        if self.weight_bits.value < 2:
            raise ValueError(
                f"weight_bits must be at least 2, a sign and a bit, not {self.weight_bits.value}"
            )
        return self


class Synapses(_Data):
    """How an axon's synapses lie in memory: entries of a header and a few synapses, in whole words.

    `convolution_axon_bits` is what an input axon of shared filters takes beside them; None where the chip
    shares none.
    """

    word_bits: Number
    entry_header_bits: Number
    synapses_per_entry: Number
    index_bits: Number
    delay_bits: Number
    convolution_axon_bits: Number | None = None

    @model_validator(mode="after")
    def _words_are_not_empty(self) -> Self:
        if not (self.word_bits.value and self.synapses_per_entry.value):
            raise ValueError("word_bits and synapses_per_entry must be at least 1")
        return self


class Execution(_Data):
    """Which neuron programs the chip executes: fixed kinds by name, and programs of these operations."""

    kinds: Annotated[tuple[str, ...], Field(strict=False)] = ()
    operations: dict[str, Instructions] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _all_are_known(self) -> Self:
        for what, given, known in (
            ("kind", self.kinds, KINDS),
            ("operation", self.operations, {*OPERATIONS, "table"}),
        ):
            if unknown := sorted(set(given) - set(known)):
                raise ValueError(
                    f"there is no {what} {', '.join(unknown)}; there are {', '.join(sorted(known))}"
                )
        return self


class Costs(_Data):
    """Energy and time of what happens on a core, and the chip's standing power."""

    energy_per_synaptic_operation_pJ: Cost
    energy_per_active_update_pJ: Cost
    energy_per_inactive_update_pJ: Cost
    energy_per_message_pJ: Cost
    energy_per_hop_east_west_pJ: Cost
    energy_per_hop_north_south_pJ: Cost
    energy_per_core_step_pJ: Cost
    time_per_synaptic_operation_ns: Cost
    time_per_active_update_ns: Cost
    time_per_inactive_update_ns: Cost
    time_per_message_sent_ns: Cost
    time_per_message_received_ns: Cost
    time_per_barrier_ns: Cost
    static_power_per_chip_mW: Cost
    host_power_per_chip_mW: Cost


class Chip(_Data):
    """One chip: limits, widths, the synapses' encoding, what it executes, and what that costs."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    description: str
    limits: Limits
    widths: Widths
    synapses: Synapses
    execution: Execution
    costs: Costs

    @model_validator(mode="after")
    def _an_index_reaches_every_neuron(self) -> Self:
        neurons, bits = self.limits.compartments_per_core.value, self.synapses.index_bits.value
        if neurons > 1 << bits:
            raise ValueError(
                f"synapses.index_bits = {bits} reaches {1 << bits} neurons, and limits.compartments_per_core "
                f"is {neurons}"
            )
        return self

    @property
    def core_limits(self) -> dict[str, int]:
        """What one core holds, under the names that `program.Core.loads` uses."""
        named = {
            "compartments": self.limits.compartments_per_core,
            "synaptic_memory_bits": self.limits.synaptic_memory_bits_per_core,
            "input_axons": self.limits.input_axons_per_core,
            "output_axons": self.limits.output_axons_per_core,
            "memory_bits": self.limits.memory_bits_per_core,
        }
        return {name: number.value for name, number in named.items() if number is not None}

    @property
    def accumulator_limit(self) -> int | None:
        """Largest magnitude of all that arrives in a step, after the shift by 6; None without a limit."""
        bits = self.widths.accumulator_bits
        return None if bits is None else (1 << bits.value) - (1 << ALIGNMENT)

    def missing_operations(self, kind: Kind) -> tuple[str, ...]:
        """Operations of a kind that the chip lacks, sorted; none where it executes the kind."""
        ours = KINDS.get(kind.name)
        if kind.name in self.execution.kinds and ours and ours.fingerprint == kind.fingerprint:
            return ()
        return tuple(sorted(kind.operations_used - set(self.execution.operations)))

    def tile(self, core: int) -> tuple[int, int]:
        """Column and row of a core's tile: cores lie in order, tile by tile, row by row."""
        row, column = divmod(core // self.limits.cores_per_tile.value, self.limits.tiles_x.value)
        return column, row

    def numbers(self) -> Iterator[tuple[str, Number | Cost | Instructions]]:
        """Every number of the file with its full key, such as `limits.cores`."""
        for section in ("limits", "widths", "synapses", "costs"):
            for key, each in getattr(self, section):
                if each is not None:
                    yield f"{section}.{key}", each
        for operation, each in self.execution.operations.items():
            yield f"execution.operations.{operation}", each


def operation_count(each: OperationList | None) -> int:
    """How many operations of a list compute something; loads and constants are free."""
    return 0 if each is None else sum(operation[0] not in FREE for operation in each.operations)


def chip_names() -> tuple[str, ...]:
    """Names of all targets that travel with the package."""
    return tuple(sorted(path.parent.name for path in data_folder("targets").glob("*/chip.toml")))


def load_chip(target: str | PathLike[str]) -> Chip:
    """A chip by name (see `chip_names`), or from a file ending in .toml.

    Raises ChipError: an unknown name, a file that can't be read, or a wrong entry, named with its line.
    """
    path = Path(target)
    if path.suffix != ".toml":
        if str(target) not in chip_names():
            known = ", ".join(chip_names())
            raise ChipError(
                f"there is no target {str(target)!r}: choose one of {known}, or give a chip's .toml file"
            )
        path = data_folder("targets") / str(target) / "chip.toml"
    try:
        text = path.read_text(encoding="utf-8-sig")
        return Chip.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ChipError(f"the chip's file {path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ChipError(f"the chip's file {path} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ChipError(f"the chip's file {path} is not valid TOML: {error}") from error
    except ValidationError as error:
        findings = [_finding(text, each) for each in error.errors()]
        raise ChipError(f"the chip's file {path} is wrong: " + "; ".join(findings)) from error


def _finding(text: str, error: Mapping[str, Any]) -> str:
    keys = tuple(str(part) for part in error["loc"])
    line = _line(text, keys)
    where = f"{'.'.join(keys) or 'the file'}{f' (line {line})' if line else ''}"
    if error["type"] in SAID:
        return f"{where} {SAID[error['type']].format(input=error['input'], **error.get('ctx', {}))}"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _line(text: str, keys: tuple[str, ...]) -> int:
    """Line of the entry that comes closest to a path of keys; 0 where none does."""
    table: tuple[str, ...] = ()
    best, found = 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([\w.\-]+)\]", line):
            path = table = tuple(header[1].split("."))
        elif entry := re.match(r"\s*([\w\-]+)\s*=", line):
            path = (*table, entry[1])
        else:
            continue
        if path == keys[: len(path)] and len(path) > best:
            best, found = len(path), number
    return found
