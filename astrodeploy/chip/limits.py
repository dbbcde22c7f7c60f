"""What a chip and its cores hold, how synapses lie in memory, and what the neurons can compute."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from astrodeploy.arithmetic import ALIGNMENT, DECAY_BITS, OPERATIONS, THRESHOLD_MAX
from astrodeploy.chip.numbers import Data, Instructions, Number
from astrodeploy.compartments import KINDS
from astrodeploy.compartments.lif import PARAMETERS


class Limits(Data):
    """What a chip and a core hold; None where the chip has no such limit.

    synapse_formats_per_core       different encodings, exponents and widths of synapses
    program_instructions_per_core  of all neuron programs that a core runs
    """

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
    synapse_formats_per_core: Number | None = None
    program_instructions_per_core: Number | None = None

    @model_validator(mode="after")
    def _mesh_holds_all_cores(self) -> Self:
        places = self.tiles_x.value * self.tiles_y.value * self.cores_per_tile.value
        if not 1 <= self.cores.value <= places:
            raise ValueError(f"cores must be 1..{places}, the places in the mesh, not {self.cores.value}")
        if not self.maximal_delay_steps.value:
            raise ValueError(
                "maximal_delay_steps must be at least 1, the step that every message takes, not 0"
            )
        return self


BIAS_BITS = PARAMETERS["bias"].bits
WIDEST_FIELD = 32  # bits: sizes and delays are numbers of 32 bits, and 2 to the power of wider ones leaves 64
SIGN = "a sign and a bit"
BITS: dict[str, tuple[int, int, tuple[str, str]]] = {  # what `arithmetic.py` and the compartments can do
    "weight_bits": (2, 8, (SIGN, "as many as a Program keeps of a weight")),
    "weight_exponent_bits": (1, 6, ("a sign", "as far as a Program shifts a weight")),
    "accumulator_bits": (
        ALIGNMENT + 1,
        62,
        ("one more than what arrives is shifted by", "as many as the engines' words have"),
    ),
    "threshold_mantissa_bits": (
        1,
        THRESHOLD_MAX.bit_length(),
        ("as a threshold is more than 0", "of a compartment"),
    ),
    "decay_bits": (
        DECAY_BITS,
        DECAY_BITS,
        ("as decays are factors per 4096", "as decays are factors per 4096"),
    ),
    "bias_mantissa_bits": (2, BIAS_BITS, (SIGN, "of a compartment")),
}


class Widths(Data):
    """Widths of what is stored and sent; None where the chip sets no width.

    What the engines' arithmetic can't do is refused: wider numbers, and decays of another unit.
    """

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
    def _engines_can_compute_with_them(self) -> Self:
        for name, (least, most, why) in BITS.items():
            given = getattr(self, name)
            if given is not None and given.value < least:
                raise ValueError(f"{name} must be at least {least}, {why[0]}, not {given.value}")
            if given is not None and given.value > most:
                raise ValueError(f"{name} must be at most {most}, {why[1]}, not {given.value}")
        return self

    @model_validator(mode="after")
    def _biases_are_no_wider_than_the_compartments(self) -> Self:
        mantissa, shifts = self.bias_mantissa_bits, self.maximal_bias_exponent
        if mantissa and shifts and mantissa.value + shifts.value > BIAS_BITS:
            raise ValueError(
                f"bias_mantissa_bits and maximal_bias_exponent make biases of {mantissa.value + shifts.value} bits, "
                f"the engines' compartments hold {BIAS_BITS}"
            )
        return self


class Formula(Data):
    """One account of how an axon's synapses lie in memory: entries of a header and a few synapses.

    dense_index_bits  beside the header of a dense entry, where it says which neuron its first synapse is for
    least_skip_bits, most_skip_bits
                      beside a synapse of a run-length entry, which says how many neurons it passes over: the
                      widths that can be chosen from; none where the account knows no such entries
    """

    entry_header_bits: Number
    dense_index_bits: Number
    synapses_per_entry: Number
    least_skip_bits: Number | None = None
    most_skip_bits: Number | None = None

    @model_validator(mode="after")
    def _entries_are_not_empty(self) -> Self:
        if not self.synapses_per_entry.value:
            raise ValueError("synapses_per_entry must be at least 1")
        return self

    @model_validator(mode="after")
    def _skips_are_a_range(self) -> Self:
        least, most = self.least_skip_bits, self.most_skip_bits
        if (least is None) != (most is None) or (least and most and not 1 <= least.value <= most.value):
            raise ValueError("least_skip_bits and most_skip_bits need each other, 1 <= least <= most")
        return self


class Synapses(Data):
    """How synapses lie in a core's memory. Of several accounts, legality goes by the dearest.

    words_per_axon         the most that the synapses of one axon may take; None without a limit
    convolution_axon_bits  what an input axon of shared filters takes beside them; None where the chip
                           shares none
    """

    word_bits: Number
    index_bits: Number
    delay_bits: Number
    words_per_axon: Number | None = None
    convolution_axon_bits: Number | None = None
    formulas: dict[str, Formula]

    @model_validator(mode="after")
    def _fields_are_no_wider_than_a_number(self) -> Self:
        fields = {"index_bits": self.index_bits, "delay_bits": self.delay_bits}
        for name, each in self.formulas.items():
            fields |= {
                f"formulas.{name}.{width}": bits
                for width in ("dense_index_bits", "least_skip_bits", "most_skip_bits")
                if (bits := getattr(each, width)) is not None
            }
        for name, bits in fields.items():
            if bits.value > WIDEST_FIELD:
                raise ValueError(
                    f"{name} must be at most {WIDEST_FIELD}, as no neuron's number or delay is wider, not {bits.value}"
                )
        return self

    @model_validator(mode="after")
    def _words_are_not_empty(self) -> Self:
        if not self.word_bits.value:
            raise ValueError("word_bits must be at least 1")
        if not self.formulas:
            raise ValueError("formulas: at least one table [synapses.formulas.NAME] is needed")
        return self


class Execution(Data):
    """Which neuron programs the chip executes: fixed kinds by name, and programs of these operations.

    joined  fixed kinds that take several compartments of a core, and how many
    """

    kinds: Annotated[tuple[str, ...], Field(strict=False)] = ()
    joined: dict[str, Number] = Field(default_factory=dict)
    operations: dict[str, Instructions] = Field(default_factory=dict)

    @property
    def fixed(self) -> tuple[str, ...]:
        """All kinds that need no program."""
        return (*self.kinds, *self.joined)

    @model_validator(mode="after")
    def _joined_kinds_take_several(self) -> Self:
        for name, each in self.joined.items():
            if each.value < 2 or name in self.kinds:
                raise ValueError(
                    f"joined.{name}: it must take at least 2 compartments, and not be one of kinds too"
                )
        return self

    @model_validator(mode="after")
    def _all_are_known(self) -> Self:
        for table, what, given, known in (
            ("kinds", "kind", self.kinds, KINDS),
            ("joined", "kind", self.joined, KINDS),
            ("operations", "operation", self.operations, {*OPERATIONS, "table"}),
        ):
            if unknown := sorted(set(given) - set(known)):
                where = table if table == "kinds" else f"{table}.{unknown[0]}"
                raise ValueError(
                    f"{where}: there is no {what} {', '.join(unknown)}; there are {', '.join(sorted(known))}"
                )
        return self
