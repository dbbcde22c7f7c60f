"""What can go wrong, as a small tree.

    AstrodeployError             everything that a user can meet            exit code 2
    |-- InputError               a file, array or option that can't be used
    |   |-- CheckpointError      a model.pt
    |   |-- NirError             a .nir file
    |   |-- UnsupportedError     a module, node or setting that is not supported (yet)
    |   |-- StimulusError        what is fed to a Program
    |   |-- ProgramError         a Program or Trace folder
    |   `-- ChipError            a chip's description
    |-- CheckFailed              a check did not hold                       exit code 1
    |   `-- DoesNotFit           the chip can't hold or execute the network
    |-- EngineError              an engine is missing, hung or died         exit code 2
    `-- CompilerBug              a fault of astrodeploy itself              exit code 3

A message is one sentence or a few: which object, what it needs, what the limit is, what to do.
"""

TYPE_CHECKING = False  # this is imported before typing is
if TYPE_CHECKING:
    from astrodeploy.frontends.findings import Finding


class AstrodeployError(Exception):
    """Base of every error that is meant for the user; `exit_code` is the command line's answer."""

    exit_code = 2


class InputError(AstrodeployError):
    """A file, array or option that can't be used."""


class CheckpointError(InputError):
    """A model.pt that is damaged, foreign, or of a later version."""


class NirError(InputError):
    """A .nir file that is damaged, or that can't be used; `findings` is all that was found in it."""

    def __init__(self, message: str, findings: "tuple[Finding, ...]" = ()) -> None:
        super().__init__(message)
        self.findings = findings


class UnsupportedError(InputError):
    """A module, node or setting that astrodeploy does not compile."""


class StimulusError(InputError):
    """An input array of the wrong shape, type or range."""


class ProgramError(InputError):
    """A Program or Trace folder that is damaged, or that can't be written."""


class ChipError(InputError):
    """A chip's description that is missing or wrong."""


class CheckFailed(AstrodeployError):
    """A check did not hold."""

    exit_code = 1


class DoesNotFit(CheckFailed):
    """The chip can't hold or execute the network; the message lists every violation."""


class EngineError(AstrodeployError):
    """An engine is missing, hung or died."""


class CompilerBug(AstrodeployError):
    """A fault of astrodeploy itself, which no user can mend; `what` says where and how it showed."""

    exit_code = 3

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}; this is a fault of astrodeploy, not of your network: please report it with this sentence, the "
            "source that was compiled, and the options that it was compiled with"
        )


def is_ours(error: Exception) -> bool:
    """Whether an exception is due to a line of astrodeploy, not to a user's: a library's is its caller's."""
    from pathlib import Path
    from sysconfig import get_paths
    from traceback import extract_tb

    own = Path(__file__).parent
    libraries = {Path(each) for each in get_paths().values()}
    for frame in reversed(extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_relative_to(own):
            return True
        if file.exists() and not any(file.is_relative_to(each) for each in libraries):
            return False
    return False


def fault(error: Exception, where: str) -> CompilerBug:
    """The bug that an exception shows which nobody meant to raise."""
    from pathlib import Path
    from traceback import extract_tb

    last = extract_tb(error.__traceback__)[-1:]
    place = f" at {Path(last[0].filename).name}:{last[0].lineno}" if last else ""
    told = " ".join(str(error).split())
    return CompilerBug(f"{where} raised {type(error).__name__}{place}{f' ({told})' if told else ''}")
