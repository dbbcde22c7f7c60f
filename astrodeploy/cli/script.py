"""python -m astrodeploy.cli.script FILE ...: a reference system's own script, with the command line's manners."""

import sys
from collections.abc import Callable
from pathlib import Path

from astrodeploy.cli import guarded


def _script() -> Callable[[], object]:
    from runpy import run_path

    path = sys.argv.pop(1)
    sys.argv[0] = path
    sys.path.insert(0, str(Path(path).parent))  # as it is where Python runs a file
    return lambda: run_path(path, run_name="__main__")


if __name__ == "__main__":
    guarded(_script)
