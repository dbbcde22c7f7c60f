"""What a torch module holds and its one step does not use: parameters and buffers that are in no network."""

from collections.abc import Iterator

import torch

from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.torch.cells import is_cell
from astrodeploy.frontends.torch.layers import layer_of
from astrodeploy.frontends.torch.trace import path_of, traced

READ = ("weight", "bias", "running_mean", "running_var")  # of torch's own layers
HARMLESS = (
    "num_batches_tracked",  # counts the steps of training
    *("weight_orig", "weight_mask", "weight_g", "weight_v"),  # of which torch makes the weight that is read
)


def tell_unread(module: torch.nn.Module, findings: Findings) -> None:
    """A finding for every parameter and buffer that neither a layer in use nor the forward itself reads.

    Cells and astrocytes are read as a whole, by the readers of their families.
    """
    found = traced(module)
    root, trace = found.root, found.graph
    used = {str(node.target) for node in trace.nodes if node.op in ("call_module", "get_attr")}
    for path, tensor in _held(root, used):
        what = "parameter" if isinstance(tensor, torch.nn.Parameter) else "buffer"
        findings.warn(
            path_of(root, path), f"is a {what} that its step does not use: it is not in the network"
        )


def _held(root: torch.nn.Module, used: set[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors that nothing in use reads, by their paths."""
    for path, module in root.named_modules():
        if path in used and (is_cell(module) or layer_of(module) is None):
            continue
        if any(outer in used for outer in _outer(path)):  # a part of a module that is read as a whole
            continue
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            whole = f"{path}.{name}".removeprefix(".")
            known = name in HARMLESS or (path in used and name in READ)
            if tensor is not None and not known and whole not in used:
                yield whole, tensor


def _outer(path: str) -> Iterator[str]:
    """The paths of the modules around one."""
    parts = path.split(".")
    return (".".join(parts[:i]) for i in range(1, len(parts)))
