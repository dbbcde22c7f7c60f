"""Every form of an astrocyte that carries a signal is a program whose words hold what it computes."""

from itertools import product

import pytest

from astrodeploy.compartments.graded import Form, astrocyte_of
from astrodeploy.compartments.proof import prove
from astrodeploy.ir.nodes import OUTPUTS

YES_AND_NO = (False, True)
DRIVES = ((True, False), (False, True), (True, True))  # pool, product


@pytest.mark.parametrize("output", sorted(set(OUTPUTS) - {"gain"}))
def test_no_word_overflows_in_any_form(output):
    for window, memory, (pool, multiplied), factor, slow in product(
        YES_AND_NO, YES_AND_NO, DRIVES, YES_AND_NO, YES_AND_NO
    ):
        prove(astrocyte_of(Form(window, memory, pool, multiplied, factor, output, slow)))
