"""The plain data of .nir files and NIR documents: a tree of dicts with arrays and text as leaves."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrodeploy.errors import NirError
from astrodeploy.frontends.hdf5.file import Tree, read_group


def read_tree(path: Path) -> tuple[Tree, tuple[str, ...]]:
    """What stands under /node of a .nir file, and the names of what else it holds. Raises NirError."""
    return read_group(path, "node", "NIR", NirError)


# ---- documents in memory ----------------------------------------------------------------------------


def tree_of(document: Any) -> Tree:
    """A nir.NIRGraph as the same tree that its file gives."""
    nodes = {str(name): _node_tree(node) for name, node in document.nodes.items()}
    return {
        "type": "NIRGraph",
        "nodes": nodes,
        "edges": [(str(source), str(target)) for source, target in document.edges],
        "metadata": _leaf(document.metadata or {}),
    }


def _node_tree(node: Any) -> Tree:
    kind = type(node).__name__
    if kind == "NIRGraph":
        return tree_of(node)
    typed = ("input_type", "output_type")
    named = [f.name for f in fields(node) if f.name not in typed] if is_dataclass(node) else []
    tree = {name: _leaf(getattr(node, name)) for name in named if getattr(node, name, None) is not None}
    for port, key, name in (
        ("Input", "input_type", "shape"),
        ("Output", "output_type", "shape"),
        ("Flatten", "input_type", "input_type"),
    ):
        shape = next(iter((getattr(node, key, None) or {}).values()), None) if kind == port else None
        if shape is not None:
            tree[name] = np.asarray(shape)
    return tree | {"type": kind}


def _leaf(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _leaf(v) for k, v in value.items() if v is not None}
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, str):
        return value
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu()
    return np.asarray(value)
