"""Passes: one file, one frozen dataclass, one `apply` each; `flow.py` names them in order."""
