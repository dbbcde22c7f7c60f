"""Lava's environment, and the runner in it: started, watched over, and nothing of it left behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astrodeploy.errors import EngineError
from astrodeploy.resources import data_folder

SECONDS = "ASTRODEPLOY_LAVA_SECONDS"  # environment variable: the time limit of a run
PYTHON = "ASTRODEPLOY_LAVA_PYTHON"  # environment variable: the interpreter of Lava's environment
NO_LAVA = 3  # the runner's exit code where it can't import Lava
SHARED_MEMORY = Path("/dev/shm")
PREFIX = "adlava"


def lava_python() -> Path:
    """The interpreter of Lava's environment: $ASTRODEPLOY_LAVA_PYTHON, else .venv-lava beside ours.

    Raises EngineError that says how to make it.
    """
    chosen = os.environ.get(PYTHON)
    python = Path(chosen) if chosen else Path(sys.prefix).parent / ".venv-lava" / "bin" / "python"
    if not python.is_file():
        said = f" (named by {PYTHON}: correct or unset it)" if chosen else ""
        raise EngineError(
            f"{python} does not exist{said}, and Lava needs an environment of its own: {_remedy()}"
        )
    return python


def _remedy() -> str:
    script = data_folder("targets") / "lava_cpu" / "make_environment.py"
    return f"make it with: python {script} {Path(sys.prefix).parent / '.venv-lava'}"


def run(python: Path, folder: Path, prefix: str, limit: float) -> None:
    """Run the runner to its end. Raises EngineError where it does not end well."""
    errors = folder / "stderr.txt"
    with errors.open("wb") as stderr, _runner(python, folder, prefix, stderr.fileno()) as runner:
        try:
            code = runner.wait(limit)
        except subprocess.TimeoutExpired:
            raise EngineError(
                f"Lava did not finish in {limit:g} s and was stopped: give it longer with {SECONDS}"
            ) from None
    if code == 0 and (folder / "result.json").is_file():
        return
    lines = errors.read_text(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else f"exit code {code}"
    if code == NO_LAVA:
        raise EngineError(f"{python} can't import Lava ({reason}): {_remedy()}")
    raise EngineError(f"Lava's runner died: {reason}")


@contextmanager
def _runner(python: Path, folder: Path, prefix: str, stderr: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The runner, in a session of its own; at the end of the block nothing of it is left.

    Its standard input stays open as long as we live: when we are killed it closes, and the runner ends.
    """
    script = data_folder("targets") / "lava_cpu" / "runner.py"
    command = [str(python.absolute()), "-B", "-E", "-s", "-W", "ignore", str(script), str(folder)]
    try:
        runner = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    except OSError as error:
        raise EngineError(f"{python} can't be started ({error.strerror}): {_remedy()}") from error
    try:
        yield runner
    finally:
        with suppress(ProcessLookupError):
            os.killpg(runner.pid, signal.SIGKILL)
        runner.wait()
        assert runner.stdin is not None
        runner.stdin.close()
        _unlink(SHARED_MEMORY.glob(f"{prefix}_*"))


def sweep() -> None:
    """Delete the shared memory of runs whose process is gone."""
    for path in SHARED_MEMORY.glob(f"{PREFIX}*"):
        owner = re.match(rf"{PREFIX}(\d+)_", path.name)
        if owner and not _alive(int(owner[1])):
            _unlink(iter([path]))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unlink(paths: Iterator[Path]) -> None:
    for path in paths:
        with suppress(OSError):  # another user's, or gone already
            path.unlink()
