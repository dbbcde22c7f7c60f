"""Packages that only some of this one's parts need: which extra brings them."""

from astrodeploy.errors import InputError

EXTRAS = {  # by the name that is imported: what is installed, and by which extra
    "sklearn": ("scikit-learn", "models"),
    "markdown_it": ("markdown-it-py", "models"),
    "snntorch": ("snntorch", "models"),
    "spikingjelly": ("spikingjelly", "frameworks"),
}


def missing(error: ImportError) -> InputError | None:
    """What to install where an import failed for want of a package of an extra; None for any other import."""
    name = (error.name or "").split(".")[0]
    if not isinstance(error, ModuleNotFoundError) or name not in EXTRAS:
        return None
    package, extra = EXTRAS[name]
    return InputError(
        f"{package} is not installed, which this needs: it comes with the extra {extra!r}, pip install "
        f"'astrodeploy[{extra}]'"
    )
