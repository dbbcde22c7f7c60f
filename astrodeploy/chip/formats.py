"""What numbers a chip can hold: the widths of its file, as quantisation obeys them.

Where a file sets no width, it is that of Loihi's public model, which Lava's LIF executes. States of 24 bits
and decays per 4096 are the arithmetic of the engines itself (`astrodeploy/arithmetic.py`), and of no file.
"""

from dataclasses import dataclass

from astrodeploy.arithmetic import ALIGNMENT, THRESHOLD_MAX
from astrodeploy.chip.description import Chip
from astrodeploy.compartments import Range
from astrodeploy.compartments.graded import MESSAGE as SIGNAL
from astrodeploy.compartments.lif import CURRENT, MESSAGE
from astrodeploy.ir.numbers import BIAS, BiasFormat

EXPONENT = Range(-8, 7)  # of a chip that sets none: brian2_loihi's
THRESHOLD = Range(0, THRESHOLD_MAX)


@dataclass(frozen=True)
class Formats:
    """What a chip holds.

    weight        a weight's integer
    accumulator   all that arrives at a neuron of Loihi's own in a step, << 6
    summed        all that the chip itself adds up in a step, << 6, for programs whose ports are wider
    exponent      a weight's exponent
    threshold     a threshold's mantissa
    bias          a bias; `sets_biases` where the file says so, of all biases and not of Loihi's neurons alone
    message_bits  the payload of a graded spike
    """

    weight: Range
    accumulator: int
    exponent: Range = EXPONENT
    threshold: Range = THRESHOLD
    bias: BiasFormat = BIAS
    message_bits: int = 32
    sets_biases: bool = False
    summed: int = 1 << 62

    @classmethod
    def of(cls, chip: Chip) -> "Formats":
        """Of a chip, at most those of the compartments."""
        widths = chip.widths
        port, summed = CURRENT.range.high << ALIGNMENT, chip.accumulator_limit or 1 << 62
        exponent, threshold = widths.weight_exponent_bits, widths.threshold_mantissa_bits
        mantissa, shifts = widths.bias_mantissa_bits, widths.maximal_bias_exponent
        return cls(
            weight=Range.signed(widths.weight_bits.value),
            accumulator=min(port, summed),
            summed=summed,
            exponent=EXPONENT if exponent is None else Range.signed(exponent.value),
            threshold=THRESHOLD if threshold is None else Range.unsigned(threshold.value),
            bias=BIAS
            if mantissa is None or shifts is None
            else BiasFormat(Range.signed(mantissa.value), shifts.value),
            message_bits=widths.message_bits.value,
            sets_biases=mantissa is not None,
        )

    @property
    def arriving(self) -> int:
        """All that the chip adds up in a step, in whole messages of weight 1."""
        return self.summed >> ALIGNMENT

    @property
    def signal(self) -> Range:
        """What an astrocyte sends that carries a signal: a sign and at least one bit, of at most 16."""
        bits = max(2, min(SIGNAL.bits, self.message_bits))
        return Range(-(1 << bits - 1) + 1, (1 << bits - 1) - 1)

    @property
    def membrane(self) -> Range:
        """A membrane on its way to other neurons: a sign and at least one bit, of at most 8."""
        return Range.signed(max(2, min(MESSAGE.bits, self.message_bits)))
