"""The modules of a reference system, imported as a script in its folder imports them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from astrodeploy.resources import data_folder


@contextmanager
def modules_of(system: str) -> Iterator[dict[str, ModuleType]]:
    """By name. Several systems have a model.py: afterwards sys.modules is as it was."""
    models = data_folder("models")
    folder = models / system
    names = sorted(path.stem for path in folder.glob("*.py"))
    kept = {name: sys.modules.pop(name, None) for name in names}
    sys.path[:0] = [str(folder), str(models)]
    try:
        yield {name: __import__(name) for name in names}
    finally:
        del sys.path[:2]
        for name in names:
            sys.modules.pop(name, None)
            if kept[name] is not None:
                sys.modules[name] = kept[name]
