"""Nothing outlives a run: the runner, its children and their shared memory go together.

Lava starts one process per Lava process, which block on one another and never time out. They end

    - when the engine that started the runner dies: its end of the runner's standard input closes;
    - when the runner dies, even by SIGKILL: the kernel ends its children (Linux only);
    - when one of them dies: the others would wait for it for ever.

The engine, for its part, kills the runner's process group after every run.
"""

import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection, process, shared_memory
from pathlib import Path
from types import TracebackType

SHARED_MEMORY = Path("/dev/shm")  # where Linux keeps it; elsewhere the resource tracker alone cleans up
PR_SET_PDEATHSIG = 1  # linux/prctl.h
RANDOM_DIGITS = 8


class Lifeline:
    """Ties the runner and all that it starts together, from the moment of its creation.

    `folder` is the job's scratch folder; it goes as well where the engine dies. `prefix` begins the
    names of all shared memory of this run.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix = folder, prefix
        self.actors: Sequence = ()
        if os.getpgrp() != os.getpid():
            os.setpgrp()
        os.chdir(folder)  # a socket's path may not exceed some 100 characters: make it a relative one
        process.current_process()._config["tempdir"] = "."
        shared_memory._SHM_NAME_PREFIX = f"/{prefix}_"
        shared_memory._SHM_SAFE_NAME_LENGTH = len(f"/{prefix}_") + RANDOM_DIGITS
        if sys.platform == "linux":
            os.register_at_fork(after_in_child=_die_with_parent())
        sys.excepthook = self._report
        threading.Thread(target=self._await_engine, daemon=True).start()

    def watch(self, actors: Sequence) -> threading.Event:
        """End everything as soon as one of Lava's processes ends before the event returned is set."""
        self.actors, finished = actors, threading.Event()
        threading.Thread(target=self._await_death, args=(actors, finished), daemon=True).start()
        return finished

    def _await_engine(self) -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
        self._end()

    def _await_death(self, actors: Sequence, finished: threading.Event) -> None:
        ended = connection.wait([actor.sentinel for actor in actors])
        if finished.is_set():
            return
        dead = next(actor for actor in actors if actor.sentinel in ended)
        sys.stderr.write(f"{_trace(actors) or f'a Lava process died with code {dead.exitcode}'}\n")
        self._end()

    def _report(self, cls: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        traceback.print_exception(cls, error, trace)
        sys.stderr.write(_trace(self.actors))  # Lava's own error only says that there was one
        self._end()

    def _end(self) -> None:
        sys.stderr.flush()
        for path in SHARED_MEMORY.glob(f"{self.prefix}_*"):
            path.unlink(missing_ok=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _trace(actors: Sequence) -> str:
    """The traceback of the process that raised. The first to end may be one that had to follow it."""
    for _ in range(20 if actors else 0):
        for actor in actors:
            with suppress(OSError):  # Lava may be closing its pipe at this moment
                if actor.exception:
                    return actor.exception[1]
        time.sleep(0.05)
    return ""


def _die_with_parent():
    """What a forked child does first: ask the kernel to be killed when its parent ends."""
    import ctypes

    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)

    return ask
