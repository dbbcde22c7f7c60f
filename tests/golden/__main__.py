"""Write the golden files anew: `PYTHONPATH=tests python -m golden [NAME ...]`."""

import sys
from pathlib import Path

from golden.eight import EIGHT
from golden.text import golden_text

for name in sys.argv[1:] or EIGHT:
    file = Path(__file__).parent / f"{name}.txt"
    file.write_text(golden_text(*EIGHT[name].made()), encoding="utf-8")
