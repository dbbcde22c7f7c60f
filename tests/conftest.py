"""What all tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # networks.py, float_networks.py


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled kernels beside pytest's own cache, not among the user's."""
    os.environ.setdefault("ASTRODEPLOY_CACHE", str(config.rootpath / ".pytest_cache" / "kernels"))


@pytest.fixture(autouse=True, scope="session")
def every_mapping_is_checked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test compiles is counted anew by the independent checker in tests/legality."""
    from legality.every_mapping import checked, summary

    with pytest.MonkeyPatch.context() as monkeypatch:
        for seen in checked(monkeypatch):  # noqa: B007 (it is read when all is done)
            yield
    request.config.stash[SEEN] = summary(seen) if seen else ""


SEEN = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many mappings were checked, and how many were too large for it."""
    if config.stash.get(SEEN, ""):
        terminalreporter.write_line(config.stash[SEEN])
