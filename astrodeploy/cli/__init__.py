"""The command line. Heavy modules are imported by the commands that need them, so that --help is quick."""

import sys

from astrodeploy.errors import AstrodeployError, fault, is_ours

INTERRUPTED = 130  # typer's exit code for Ctrl-C


def main() -> None:
    """Run the command line; an error is one message on stderr and a non-zero exit code."""
    from astrodeploy.cli import export, fine_tune, models, report, targets  # noqa: F401  # which add their commands
    from astrodeploy.cli.commands import app
    from astrodeploy.cli.screen import complain

    sys.path.append("")  # so that module:function finds the user's own modules in the current folder
    try:
        app()
    except AstrodeployError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            complain("interrupted; nothing half-written was left behind")
        raise
    except OSError as error:
        complain(f"{error.filename or 'a file'} can't be used: {error.strerror or error}")
        sys.exit(2)
    except MemoryError:
        complain("out of memory: run fewer samples at once, or a smaller network")
        sys.exit(2)
    except AssertionError as error:
        if not is_ours(error):  # of a user's own module
            raise
        bug = fault(error, "an assertion")
        complain(str(bug))
        sys.exit(bug.exit_code)
