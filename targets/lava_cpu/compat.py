"""Lava 0.10.0 on Python 3.11 and later: an import hook that mends one file of it as it is loaded.

Since Python 3.11 a dataclass refuses an unhashable default; eight fields in Lava have one. No file is
edited: the source is changed between reading and compiling. Run as a program, it checks the
environment: it imports Lava through the hook and prints the version.
"""

import importlib.machinery
import sys
from importlib.metadata import version
from types import CodeType

LAVA = "0.10.0"
MENDED = "lava.magma.compiler.var_model"
REFUSED = "ByteEncoder = ByteEncoder()"
ACCEPTED = "ByteEncoder = __import__('dataclasses').field(default_factory=ByteEncoder)"


class _Mender(importlib.machinery.SourceFileLoader):
    """Loads one module from its mended source, never from a cache."""

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        if REFUSED not in source:
            raise ImportError(f"{self.path} is not as in lava-nc {LAVA}: make the environment anew")
        return compile(source.replace(REFUSED, ACCEPTED), self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the module that needs mending, and no other."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != MENDED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Mender(name, spec.origin)
        return spec


def install() -> None:
    """Make `import lava` work; to be called before it. Python 3.10 gets Lava as it is."""
    if sys.version_info >= (3, 11) and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


if __name__ == "__main__":
    install()
    import lava.magma.core.run_configs
    import lava.proc.dense.models
    import lava.proc.lif.models  # noqa: F401

    sys.stdout.write(f"lava-nc {version('lava-nc')}\n")
