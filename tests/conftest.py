"""What all tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True)  # make test: the same examples every time
settings.register_profile(
    "drawn", print_blob=True
)  # make test-all: others each time; a failure tells its own
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
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
    said = [summary(seen)] if seen else []
    if hasattr(request.config, "workeroutput"):  # one of several processes: the first of them writes
        request.config.workeroutput["mappings"] = said
    else:
        request.config.stash[SEEN] = said


SEEN = pytest.StashKey[list[str]]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a process that ran tests has to say."""
    node.config.stash.setdefault(SEEN, []).extend(node.workeroutput.get("mappings", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many mappings were checked, and how many were too large for it."""
    for line in config.stash.get(SEEN, []):
        terminalreporter.write_line(line)
