"""Data files that travel with the package: chips, the Lava runner, reference models.

In a checkout they lie beside the package, in a wheel inside it.
"""

from importlib.resources import files
from pathlib import Path


def data_folder(name: str) -> Path:
    """The folder `targets` or `models`."""
    package = Path(str(files("astrodeploy")))
    packaged = package / "data" / name
    return packaged if packaged.is_dir() else package.parent / name
