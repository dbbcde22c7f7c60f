"""The command line. Heavy modules are imported by the commands that need them, so that --help is quick.

Until `guarded` stands Ctrl-C is Python's own: what is imported before is kept to a few milliseconds, without typing.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

INTERRUPTED = 130  # the shells' exit code for Ctrl-C
LEFT = "error: interrupted; nothing half-written was left behind\n"


def main() -> None:
    """Run the command line; an error is one message on stderr and a non-zero exit code."""
    guarded(_command_line)


def _command_line() -> "Callable[[], object]":
    from astrodeploy.cli import export, fine_tune, models, report, targets  # noqa: F401  # which add their commands
    from astrodeploy.cli.commands import app

    sys.path.append("")  # so that module:function finds the user's own modules in the current folder
    return app


def guarded(prepare: "Callable[[], Callable[[], object]]") -> None:
    """Do what `prepare` returns; errors and Ctrl-C, at whatever moment, end in one message and an exit code.

    While `prepare` imports, nothing is written yet, and Ctrl-C ends the process at once: an import that is interrupted
    can raise anything. After that it is a KeyboardInterrupt, so that what is half-written is taken back.
    """
    if sys.stdout is None:  # closed by whoever started us: what is opened next must not take its place
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    try:
        import atexit
        import signal
        import threading

        if threading.current_thread() is not threading.main_thread():  # which can't set handlers
            _told(prepare())
            return
        before = signal.getsignal(signal.SIGINT)
        if before != signal.SIG_IGN:  # a job in the background is not interrupted
            signal.signal(signal.SIGINT, lambda number, frame: _leave())
        work = prepare()
    except KeyboardInterrupt:
        _leave()
    seen, hook = _Interrupts(signal.SIGINT), sys.unraisablehook
    try:
        if before != signal.SIG_IGN:
            signal.signal(signal.SIGINT, seen.raised)
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # all is done by then
        sys.unraisablehook = seen.unraisable
        _told(work)
    except BaseException as error:
        if not seen.any:
            if not isinstance(error, KeyboardInterrupt):
                _told_as_a_fault(error)
                raise
            sys.stderr.write(LEFT)
            sys.exit(INTERRUPTED)  # raised by somebody, without the signal
        # Where the interrupt passed through code given to exec as text, Python ends by the signal whatever it is told.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        _leave()
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, before)


class _Interrupts:
    """Whether Ctrl-C was pressed: libraries may make another exception of it, or drop it where none can be raised."""

    def __init__(self, number: int) -> None:
        self.number, self.any = number, False

    def raised(self, number: int, frame: "FrameType | None") -> None:
        self.any = True
        raise KeyboardInterrupt

    def unraisable(self, told: "sys.UnraisableHookArgs") -> None:
        if isinstance(told.exc_value, KeyboardInterrupt):
            from threading import Timer

            Timer(0.01, os.kill, (os.getpid(), self.number)).start()  # again, where it can be raised
        else:
            sys.__unraisablehook__(told)


def _leave() -> None:
    sys.stderr.write(LEFT)
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _told(work: "Callable[[], object]") -> None:
    """Do it; what a user can meet is one message on stderr."""
    from astrodeploy.cli.screen import complain
    from astrodeploy.errors import AstrodeployError
    from astrodeploy.optional import missing

    try:
        work()
    except AstrodeployError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            raise KeyboardInterrupt from end
        raise
    except ModuleNotFoundError as error:
        if (told := missing(error)) is None:
            raise
        complain(str(told))
        sys.exit(told.exit_code)
    except OSError as error:
        complain(f"{error.filename or 'a file'} can't be used: {error.strerror or error}")
        sys.exit(2)
    except MemoryError:
        complain("out of memory: run fewer samples at once, for fewer steps, or a smaller network")
        sys.exit(2)


def _told_as_a_fault(error: BaseException) -> None:
    """What nobody meant to raise ends in a sentence where it is ours; a user's own stays as Python tells it."""
    from astrodeploy.cli.screen import complain
    from astrodeploy.errors import fault, is_ours

    if isinstance(error, Exception) and is_ours(error):
        bug = fault(error, "the command line")
        complain(str(bug))
        sys.exit(bug.exit_code)
