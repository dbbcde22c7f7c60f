"""What the numbers and names that a user gives have to be: one sentence each, said before anything is done."""

import os
from collections.abc import Iterable, Mapping
from math import isfinite, prod
from numbers import Integral, Real
from typing import Any

import numpy as np

from astrodeploy.errors import InputError, StimulusError
from astrodeploy.ir.arrays import Array

Shape = tuple[int, ...]


def positive(name: str, value: Any, unit: str) -> None:
    """Raise InputError unless a value is a finite number above 0."""
    if not (is_number(value) and isfinite(value) and value > 0):
        raise InputError(f"{name} must be a positive number of {unit}, not {value!r}")


def whole(
    name: str, value: Any, least: int = 1, unit: str = "", error: type[InputError] = InputError
) -> None:
    """Raise an InputError unless a value is a whole number of at least `least`."""
    if not is_whole(value):
        raise error(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise error(f"{name} must be at least {least}{f' {unit}' if unit else ''}, not {value}")


def time_step(dt: Any) -> None:
    """Raise InputError unless dt is None or a time step."""
    if dt is not None:
        positive("dt", dt, "seconds")


def shape(value: Any, name: str = "input_shape") -> Shape | None:
    """A shape as a tuple; None for none. Raises InputError."""
    if value is None:
        return None
    try:
        parts = tuple(value)
    except TypeError:
        parts = (value,)
    wrong = [n for n in parts if not is_whole(n) or n < 1]
    if wrong or not parts or isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{name} must be whole numbers of at least 1, such as (1, 28, 28), not {value!r}")
    return tuple(int(n) for n in parts)


def names(name: str, value: Any) -> tuple[str, ...]:
    """Several names as a tuple. Raises InputError for a single text, whose letters would be taken for names."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InputError(f"{name} must be several names, such as ({value!r},), not {value!r}")
    found = tuple(value)
    if wrong := [each for each in found if not isinstance(each, str)]:
        raise InputError(f"{name} must be names, not {wrong[0]!r}")
    return found


def one_of(name: str, value: Any, known: Iterable[str]) -> None:
    """Raise InputError unless a value is one of some names."""
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def array(value: Any, what: str = "the stimulus") -> Array:
    """A value as an array. Raises StimulusError."""
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise StimulusError(f"{what} can't be read as an array: {error}") from error


def room(steps: int, samples: int, values: Iterable[Shape]) -> None:
    """Raise StimulusError where so many steps of what is sent, a byte each, are more than this machine's memory."""
    at_once = samples * sum(prod(each) for each in values)
    if steps * at_once > (held := memory()):
        raise StimulusError(
            f"steps = {steps} is more than this machine's memory holds: {samples} sample{'s' * (samples != 1)} of "
            f"this network send {at_once} values a step, so that {held // at_once} steps are the most in "
            f"{held / 2**30:.3g} GiB"
        )


def memory() -> int:
    """Bytes that this process may have."""
    held = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:  # no Unix
        return held
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    return held if allowed == resource.RLIM_INFINITY else min(held, allowed)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, Python's or numpy's."""
    return not isinstance(value, bool) and isinstance(value, Real)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number by its type, Python's or numpy's."""
    return not isinstance(value, bool) and isinstance(value, Integral)
