"""What stands in a .nir file, node by node, whether it can be used or not."""

from pathlib import Path
from typing import Any

import numpy as np

from astrodeploy.errors import NirError
from astrodeploy.frontends.hdf5.file import Tree
from astrodeploy.frontends.nir.tree import read_tree
from astrodeploy.ir.graph import array_text

BESIDE = ("type", "metadata")  # no fields of a node's own
SHORT = 60  # letters of a text


def overview(path: Path) -> list[dict[str, Any]]:
    """The nodes of a file: name, type, fields with shape and range; nothing of a file that can't be read."""
    try:
        return _nodes(read_tree(path)[0], "")
    except NirError:
        return []


def _nodes(tree: Tree, path: str) -> list[dict[str, Any]]:
    nodes = tree.get("nodes")
    found: list[dict[str, Any]] = []
    for name, node in nodes.items() if isinstance(nodes, dict) else ():
        flat = f"{path}.{name}" if path else name
        if not isinstance(node, dict):
            found.append({"name": flat, "type": "none", "fields": {}})
        elif isinstance(node.get("nodes"), dict):
            found += _nodes(node, flat)
        else:
            fields = {k: _field(v) for k, v in node.items() if k not in BESIDE}
            found.append({"name": flat, "type": str(node.get("type", "none"))[:SHORT], "fields": fields})
    return found


def _field(value: Any) -> str:
    if isinstance(value, str):
        return value[:SHORT]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        return "a group" if isinstance(value, dict) else "text"
    shape = "x".join(str(n) for n in value.shape)
    return f"{array_text(value)}[{shape}]" if shape else array_text(value)
