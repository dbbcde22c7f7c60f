"""Programs and Traces of eight networks, bit for bit as the files beside say.

Where a change is meant, `PYTHONPATH=tests python -m golden` writes the files anew: read their difference, and tell
users of it in the CHANGELOG.
"""

from pathlib import Path

import pytest
from golden.eight import EIGHT
from golden.text import golden_text


@pytest.mark.parametrize("name", EIGHT)
def test_program_and_trace_are_as_they_were(name):
    written = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8")
    assert golden_text(*EIGHT[name].made()) == written
