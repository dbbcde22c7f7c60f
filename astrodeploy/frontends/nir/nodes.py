"""The nodes of a NIR file, checked one by one: the right fields, finite numbers, whole settings.

Times are in seconds, shapes have neither batch nor time. What one node says is settled here; whether
the nodes fit each other is settled in `shapes.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from astrodeploy.frontends.findings import Findings
from astrodeploy.frontends.hdf5.file import Tree
from astrodeploy.ir.arrays import Array, FloatArray

Shape = tuple[int, ...]
LARGEST_WHOLE = 1 << 31


@dataclass(frozen=True, eq=False)
class NirNode:
    """Base of all nodes; a node of this very class could not be read."""

    name: str
    kind: str


@dataclass(frozen=True, eq=False)
class Port(NirNode):
    """Input or Output: passes on what it gets. Inside a nested graph both are a name and nothing else."""

    shape: Shape | None


@dataclass(frozen=True, eq=False)
class Neuron(NirNode):
    """I, IF, LI, LIF, CubaLI, CubaLIF or Threshold, with its parameters as the file has them."""

    parameters: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class Matrix(NirNode):
    """Linear or Affine: weight (*leading, out, in), bias or None."""

    weight: FloatArray
    bias: FloatArray | None


@dataclass(frozen=True, eq=False)
class Factor(NirNode):
    """Scale: an elementwise product with constants."""

    scale: FloatArray


@dataclass(frozen=True, eq=False)
class Filter(NirNode):
    """Conv1d or Conv2d: weight (out, in / groups, *kernel); padding may be "same"."""

    weight: FloatArray
    bias: FloatArray | None
    stride: Shape
    padding: Shape | str
    dilation: Shape
    groups: int
    input_shape: Shape | None


@dataclass(frozen=True, eq=False)
class Pool(NirNode):
    """SumPool2d or AvgPool2d, which counts its padding as zeros."""

    kernel: Shape
    stride: Shape
    padding: Shape


@dataclass(frozen=True, eq=False)
class Flatten(NirNode):
    """Joins the dimensions start..end into one."""

    start: int
    end: int
    input_shape: Shape | None


@dataclass(frozen=True, eq=False)
class Delay(NirNode):
    """Passes its input on so many seconds later, one number or one a neuron."""

    seconds: FloatArray


NEURONS: dict[str, tuple[str, ...]] = {
    "I": ("r",),
    "IF": ("r", "v_threshold"),
    "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"),
    "Threshold": ("threshold",),
}
SPIKING = ("IF", "LIF", "CubaLIF")  # those that have a reset
OPTIONAL = {"IF": ("v_reset",), "LIF": ("v_reset",), "CubaLI": ("w_in",), "CubaLIF": ("v_reset", "w_in")}
READ_ELSEWHERE = ("type",)  # fields of every node


class _Fields:
    """The fields of one node; whatever is wrong with one becomes a finding."""

    def __init__(self, name: str, kind: str, tree: Tree, findings: Findings) -> None:
        self.name, self.kind, self.findings = name, kind, findings
        self.tree = {k: v for k, v in tree.items() if k not in READ_ELSEWHERE}
        if not _filled(self.tree.get("metadata")):
            self.tree.pop("metadata", None)
        self.errors = len(findings.errors)

    def wrong(self, text: str) -> None:
        self.findings.error(self.name, text)

    @property
    def sound(self) -> bool:
        return len(self.findings.errors) == self.errors

    def array(self, key: str, optional: bool = False) -> FloatArray:
        """A field as float64; size 0 where it is missing or wrong."""
        if key not in self.tree and not optional:
            self.wrong(f"is a {self.kind} without its field {key!r}: it can't be computed")
        value = self._numeric(key, self.tree.pop(key, np.zeros(0)))
        bad = int(np.count_nonzero(~np.isfinite(value)))
        if bad:
            self.wrong(f"holds {bad} NaN or infinite value{'s' * (bad > 1)} in its {key}")
        return value

    def _numeric(self, key: str, value: object) -> FloatArray:
        if isinstance(value, str) and _is_number(value):
            self.findings.note(self.name, f"has its {key} as the text {value!r}, which is read as a number")
            value = np.asarray(float(value))
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
            self.wrong(f"has {_described(value)} as its {key}, needed are numbers")
            return np.zeros(0)
        return value.astype(np.float64)

    def maybe(self, key: str) -> FloatArray | None:
        """A field that may be missing."""
        return self.array(key) if key in self.tree else None

    def whole(self, key: str, count: int | None, default: int | None = None) -> Shape:
        """Whole numbers, `count` of them or one for all; None takes as many as there are."""
        if key not in self.tree and default is not None:
            return (default,) * (count or 1)
        values = self.array(key).ravel()
        if values.size == 1 and count is not None:
            values = np.repeat(values, count)
        if values.size == 0 or (count is not None and values.size != count):
            self.wrong(f"has {values.size} numbers as its {key}, needed is 1 or {count or 'more'}")
        elif np.any(np.rint(values) != values) or np.any(np.abs(values) > LARGEST_WHOLE):
            self.wrong(f"has {key} {_listed(values)}, needed are whole numbers below 2**31")
        else:
            return tuple(int(v) for v in values)
        return (1,) * (count or 1)

    def shape(self, *keys: str) -> Shape | None:
        """A shape under the first of these names that is there; None where it is not known."""
        for key in keys:
            value = self.tree.get(key)
            if isinstance(value, dict) and len(value) == 1:  # as some versions wrote a type
                value = self.tree[key] = next(iter(value.values()))
            if value is None or (isinstance(value, str) and value == "None") or np.size(value) == 0:
                self.tree.pop(key, None)
                continue
            shape = self.whole(key, None)
            if min(shape) < 1:
                self.wrong(f"has the {key} {shape}, all of whose numbers must be at least 1")
            return shape
        return None

    def done(self) -> None:
        """What is left over is not read; that is said."""
        for key in sorted(self.tree):
            self.findings.note(self.name, f"has a field {key!r}, which no {self.kind} has: it is not read")


def _filled(value: object) -> bool:
    return value is not None and not (isinstance(value, dict) and not value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _described(value: object) -> str:
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "text" if isinstance(value, np.ndarray) else "a group"


def _listed(values: Array) -> str:
    return ", ".join(f"{v:g}" for v in values[:4]) + (", ..." if values.size > 4 else "")


# ---- one reader a kind -----------------------------------------------------------------------------------


def _port(f: _Fields) -> NirNode:
    return Port(f.name, f.kind, f.shape("shape", "input_type", "output_type"))


def _neuron(f: _Fields) -> NirNode:
    parameters = {key: f.array(key) for key in NEURONS[f.kind]}
    parameters |= {key: f.array(key) for key in OPTIONAL.get(f.kind, ()) if key in f.tree}
    for key, values in parameters.items():
        if values.size == 0 and f.sound:
            f.wrong(f"has no numbers in its {key}")
        if key.startswith("tau") and np.any(values <= 0):
            f.wrong(f"has {key} = {values.min():g} s: a time constant must be positive")
    return Neuron(f.name, f.kind, parameters)


def _matrix(f: _Fields) -> NirNode:
    weight, bias = f.array("weight"), f.maybe("bias")
    if f.kind == "Affine" and bias is None:
        f.findings.note(f.name, "is an Affine without its bias, which is taken as 0")
    if f.sound and (weight.ndim < 2 or weight.size == 0):
        f.wrong(f"has a weight of shape {weight.shape}, needed is (targets, sources)")
    return Matrix(f.name, f.kind, weight, bias)


def _factor(f: _Fields) -> NirNode:
    scale = f.array("scale")
    if f.sound and scale.size == 0:
        f.wrong("has no numbers in its scale")
    return Factor(f.name, f.kind, scale)


def _filter(f: _Fields) -> NirNode:
    n = 1 if f.kind == "Conv1d" else 2
    weight, bias, padding = f.array("weight"), f.maybe("bias"), f.tree.get("padding")
    if bias is None:
        f.findings.note(f.name, f"is a {f.kind} without its bias, which is taken as 0")
    if f.sound and (weight.ndim != n + 2 or weight.size == 0):
        f.wrong(f"has a weight of shape {weight.shape}, needed is (out, in / groups, kernel of {n})")
    spaces: Shape | str
    if isinstance(padding, str) and padding in ("same", "valid"):
        del f.tree["padding"]
        spaces = "same" if padding == "same" else (0,) * n
    else:
        spaces = f.whole("padding", n, 0)
    input_shape = f.shape("input_shape")
    if input_shape is not None and len(input_shape) != n:
        f.wrong(f"has an input_shape of {len(input_shape)} dimensions, a {f.kind} has {n}")
    strides, gaps = f.whole("stride", n, 1), f.whole("dilation", n, 1)
    return Filter(
        f.name, f.kind, weight, bias, strides, spaces, gaps, f.whole("groups", 1, 1)[0], input_shape
    )


def _pool(f: _Fields) -> NirNode:
    kernel = f.whole("kernel_size", 2)
    stride = f.whole("stride", 2) if "stride" in f.tree else kernel
    padding = f.whole("padding", 2, 0)
    if min(kernel) < 1 or min(stride) < 1 or min(padding) < 0:
        f.wrong("needs a kernel and stride of at least 1, and padding of at least 0")
    return Pool(f.name, f.kind, kernel, stride, padding)


def _flatten(f: _Fields) -> NirNode:
    start, end = f.whole("start_dim", 1, 1)[0], f.whole("end_dim", 1, -1)[0]
    return Flatten(f.name, f.kind, start, end, f.shape("input_type", "input_shape"))


def _delay(f: _Fields) -> NirNode:
    seconds = f.array("delay")
    if seconds.size and seconds.min() < 0:
        f.wrong(f"has a delay of {seconds.min():g} s: a message can't come before it is sent")
    if f.sound and seconds.size == 0:
        f.wrong("has no numbers in its delay")
    return Delay(f.name, f.kind, seconds)


READERS: dict[str, Callable[[_Fields], NirNode]] = {
    "Input": _port,
    "Output": _port,
    "Linear": _matrix,
    "Affine": _matrix,
    "Scale": _factor,
    "Conv1d": _filter,
    "Conv2d": _filter,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
    "Delay": _delay,
    **dict.fromkeys(NEURONS, _neuron),
}


def kind_of(tree: Tree) -> str:
    """The type that a node says it has; empty where it says none."""
    kind = tree.get("type")
    return kind if isinstance(kind, str) and kind.isprintable() else ""


def read_node(name: str, tree: Tree, findings: Findings) -> NirNode:
    """One node of a file; one that can't be read is a bare NirNode, and its errors are in the findings."""
    kind = kind_of(tree)
    if kind not in READERS:
        called = kind or "node without a type"
        findings.error(name, f"is a {called[:60]}; known are NIRGraph, {', '.join(READERS)}")
        return NirNode(name, "")
    reader = _Fields(name, kind, tree, findings)
    node = READERS[kind](reader)
    reader.done()
    return node if reader.sound else NirNode(name, kind)
