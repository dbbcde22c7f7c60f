"""What `import astrodeploy` gives: exactly these names, each importable, none shadowed by a submodule."""

import pkgutil
import subprocess
import sys

import pytest

import astrodeploy as ad
from astrodeploy import errors

NAMES = {
    "AstrodeployError",
    "Estimate",
    "Graph",
    "Program",
    "Trace",
    "Verification",
    "WhatIf",
    "compile",
    "estimate",
    "export",
    "fine_tune",
    "load",
    "report",
    "save",
    "verify",
    "what_if",
}


def in_a_fresh_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_names():
    assert set(ad.__all__) == NAMES
    assert ad.__all__ == sorted(ad.__all__)
    assert set(dir(ad)) == {*NAMES, "nn"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_is_what_it_says(name):
    assert callable(getattr(ad, name))
    assert getattr(ad, name).__doc__
    assert isinstance(getattr(ad, name), type) == name[0].isupper()


def test_no_submodule_shadows_a_name():
    """After `import astrodeploy.estimate`, ad.estimate would be the module."""
    submodules = {each.name for each in pkgutil.iter_modules(ad.__path__)}
    assert not submodules & NAMES


def test_unknown_names():
    with pytest.raises(AttributeError, match="module 'astrodeploy' has no attribute 'simulate'"):
        ad.simulate  # noqa: B018
    assert ad.nn.AstrocyteLayer


def test_importing_is_light_and_every_name_comes_when_it_is_used():
    heavy = "('torch', 'numba', 'brian2', 'matplotlib', 'norse', 'nir', 'numpy')"
    code = f"import sys, astrodeploy; print([m for m in {heavy} if m in sys.modules])"
    assert in_a_fresh_python(code) == "[]"
    code = "import astrodeploy as ad; print([getattr(ad, n).__name__ for n in ad.__all__] == ad.__all__)"
    assert in_a_fresh_python(code) == "True"


def test_the_tree_of_errors():
    bases = {
        errors.InputError: errors.AstrodeployError,
        errors.CheckpointError: errors.InputError,
        errors.NirError: errors.InputError,
        errors.UnsupportedError: errors.InputError,
        errors.StimulusError: errors.InputError,
        errors.ProgramError: errors.InputError,
        errors.ChipError: errors.InputError,
        errors.CheckFailed: errors.AstrodeployError,
        errors.DoesNotFit: errors.CheckFailed,
        errors.EngineError: errors.AstrodeployError,
        errors.CompilerBug: errors.AstrodeployError,
    }
    for each, base in bases.items():
        assert each.__base__ is base
        own = 3 if each is errors.CompilerBug else 2
        assert each.exit_code == (1 if issubclass(each, errors.CheckFailed) else own)
        assert each.__name__ in errors.__doc__
    assert ad.AstrodeployError is errors.AstrodeployError
