"""Compile trained spiking networks with astrocytes for Loihi-style chips.

import astrodeploy as ad

program = ad.compile("model.pt", target="loihi2")
trace = program.run(x)
print(ad.verify(program, x), ad.estimate(program, x))
ad.report(program, x, path="report.html")
"""

from importlib import import_module

TYPE_CHECKING = False  # typing's own takes as long to import as all the rest of the start
if TYPE_CHECKING:
    from typing import Any

    from astrodeploy.costs import Estimate, WhatIf, estimate, what_if
    from astrodeploy.errors import AstrodeployError
    from astrodeploy.finetune import fine_tune
    from astrodeploy.frontends.torch.checkpoint import save
    from astrodeploy.ir import Graph
    from astrodeploy.pipeline import compile, export, load
    from astrodeploy.program import Program
    from astrodeploy.reporting import report
    from astrodeploy.trace import Trace
    from astrodeploy.verification import Verification, verify

__all__ = [
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
]

# Where each public name lives; imported when it is first used, because some are heavy.
_HOMES = {
    "AstrodeployError": "errors",
    "Estimate": "costs",
    "Graph": "ir",
    "Program": "program",
    "Trace": "trace",
    "Verification": "verification",
    "WhatIf": "costs",
    "compile": "pipeline",
    "estimate": "costs",
    "export": "pipeline",
    "fine_tune": "finetune",
    "load": "pipeline",
    "report": "reporting",
    "save": "frontends.torch.checkpoint",
    "verify": "verification",
    "what_if": "costs",
}
_MODULES = ("nn",)


def __getattr__(name: str) -> "Any":
    if name in _MODULES:
        return import_module(f"astrodeploy.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'astrodeploy' has no attribute {name!r}")
    return getattr(import_module(f"astrodeploy.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
