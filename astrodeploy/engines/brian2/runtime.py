"""Brian2's global state: imported, set and left as it was."""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from astrodeploy.errors import EngineError


@contextmanager
def runtime() -> Iterator[Any]:
    """Brian2, interpreting in float64; its settings are as before afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own dependencies
        library = _load()
        device, prefs = import_module("brian2.devices.device"), library.prefs
        foreign = device.get_device() is not device.runtime_device
        settings = {"codegen.target": "numpy", "core.default_float_dtype": np.float64}
        before = {key: prefs[key] for key in settings}
        if foreign:
            device.set_device("runtime")
        try:
            for key, value in settings.items():
                prefs[key] = value
            yield library
        finally:
            for key, value in before.items():
                prefs[key] = value
            if foreign:
                device.reset_device()


def _load() -> Any:
    """Import Brian2 and take back what the import leaves behind.

    That is a log file and a copy of the main script in the temporary folder, handlers of uncaught
    exceptions, of Ctrl-C and of all Python warnings.
    """
    if (loaded := sys.modules.get("brian2")) is not None:
        return loaded
    excepthook, interrupt, show = sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning
    try:
        library = import_module("brian2")
    except ImportError as error:
        raise EngineError(f"Brian2 can't be imported: {error}; pip install brian2") from error
    logger = library.BrianLogger
    if warnings.showwarning is not show:
        logging.captureWarnings(False)
    logging.getLogger("py.warnings").removeHandler(logger.console_handler)
    sys.excepthook = excepthook
    signal.signal(signal.SIGINT, interrupt)
    if logger.file_handler is not None:
        logging.getLogger("brian2").removeHandler(logger.file_handler)
        logger.file_handler.close()
        logger.file_handler = None
    for left in (logger.tmp_log, logger.tmp_script):
        if left is not None:
            Path(left).unlink(missing_ok=True)
    logger.tmp_log = logger.tmp_script = None
    return library
