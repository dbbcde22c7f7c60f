"""What all tests share."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # networks.py, float_networks.py


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled kernels beside pytest's own cache, not among the user's."""
    os.environ.setdefault("ASTRODEPLOY_CACHE", str(config.rootpath / ".pytest_cache" / "kernels"))
