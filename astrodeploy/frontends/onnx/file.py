"""ONNX files: ordinary layers as a Graph of memoryless neurons that send numbers.

Every Relu is a population that sends max(v, 0) in every step, and every output one that sends v; what
lies between is folded into the connections. What follows the last layer and only the host can compute,
a softmax say, becomes `Graph.after`. Everything else is refused by its name, all of it at once.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrodeploy.errors import EngineError, InputError, UnsupportedError
from astrodeploy.frontends.findings import Findings, Reading, message
from astrodeploy.frontends.onnx import layers, shapes
from astrodeploy.frontends.onnx.check import check_against_runtime
from astrodeploy.frontends.onnx.host import cut_of, host_layers, leading_to
from astrodeploy.frontends.onnx.node import Node, Value
from astrodeploy.frontends.onnx.signals import Builder, HostValue, Refusal, Signal, sized
from astrodeploy.host import MODEL_BYTES, mixes_rows, model_of, printable
from astrodeploy.ir import Graph, Input, verify
from astrodeploy.ir.arrays import Array
from astrodeploy.ir.canonical import canonical, reshaped
from astrodeploy.ir.host import HostStage

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

OPSETS = (7, 20)
DT = 1e-3  # seconds; without memory it changes no number
FLOATS = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}


def read_onnx(path: Path, dt: float | None = None, input_shape: tuple[int, ...] | None = None) -> Reading:
    """The float Graph of an .onnx file, and what was assumed.

    dt           seconds per step, DT unless given: a network without memory computes the same with any
    input_shape  of one sample, where the file leaves it open

    Raises InputError for a damaged file, UnsupportedError with every operator that is not compiled.
    """
    try:
        if path.stat().st_size > MODEL_BYTES:
            raise InputError(f"{path} has more than the {MODEL_BYTES} bytes that are read")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
    return from_onnx(model_of(content, str(path)), str(path), dt, input_shape)


def from_onnx(
    model: "ModelProto", name: str, dt: float | None = None, input_shape: tuple[int, ...] | None = None
) -> Reading:
    """The float Graph of an ONNX model (`read_onnx`), which messages call `name`."""
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise UnsupportedError(
            f"{name} is of ONNX opset {opset}; read are {OPSETS[0]} to {OPSETS[1]}: export it with one of those"
        )
    reader = _Reader(model, opset, Builder(DT if dt is None else dt))
    reader.read(input_shape)
    reader.tell_unread()
    graph = None if reader.findings.errors else reader.graph()
    if graph is None or reader.findings.errors:
        raise UnsupportedError(message(name, reader.findings.errors))
    check_against_runtime(model, graph, name, reader.batch)
    graph = canonical(graph)
    verify(graph)
    if dt is None:
        reader.findings.note("", f"keeps no state, so that a step may last any time: taken is dt = {DT:g} s")
    return Reading(graph, reader.findings.all)


class _Unknown:
    """What a node gives that was refused: what comes after it is not held against the file."""


UNKNOWN = _Unknown()


@dataclass
class _Reader:
    """The walk along a model's nodes, in their order, which is that of computation."""

    model: "ModelProto"
    opset: int
    build: Builder
    values: dict[str, "Value | _Unknown"] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    batch: int = 0
    on_host: list["NodeProto"] = field(default_factory=list)

    def read(self, input_shape: tuple[int, ...] | None) -> None:
        for tensor in self.model.graph.initializer:
            self.values[tensor.name] = self._numbers(tensor, f"the tensor {tensor.name!r}")
        given = [each for each in self.model.graph.input if each.name not in self.values]
        if not given:
            self.findings.error("", "has no input")
        for each in given:
            self.values[each.name] = self._input(each, input_shape)
        for proto in self.model.graph.node:
            value = self._computed(proto)
            self.values |= {output: UNKNOWN for output in proto.output if output}
            if proto.output:
                self.values[proto.output[0]] = value

    def tell_unread(self) -> None:
        """A finding for what stands in the file and is in no network; operators' attributes the runtime checks."""
        graph = self.model.graph
        used = {*(name for node in graph.node for name in node.input), *(each.name for each in graph.output)}
        for tensor in graph.initializer:
            if tensor.name not in used:
                self.findings.warn(
                    printable(f"the tensor {tensor.name!r}"), "is used by no operator: it is not read"
                )
        keys = printable(", ".join(sorted(each.key for each in self.model.metadata_props))[:80])
        parts = {
            f"metadata ({keys})": self.model.metadata_props,
            "quantization annotations": graph.quantization_annotation,
            "training information": self.model.training_info,
        }
        for what, held in parts.items():
            if len(held):
                self.findings.note("", f"has {what}, which are not read")

    def _numbers(self, tensor: Any, what: str) -> "Array | _Unknown":
        from onnx import numpy_helper

        try:
            array = np.asarray(numpy_helper.to_array(tensor))
        except Exception as error:  # whatever a malformed tensor meets in there
            self.findings.error(what, f"is malformed ({error})")
            return UNKNOWN
        if tensor.data_type in FLOATS:
            return array.astype(np.float64)
        return array

    def _input(self, each: "ValueInfoProto", input_shape: tuple[int, ...] | None) -> "Signal | _Unknown":
        tensor = each.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
        shape = tuple(dims[1:]) if input_shape is None or 0 not in dims[1:] else input_shape
        try:
            if tensor.elem_type not in FLOATS:
                raise Refusal(
                    f"holds numbers of type {tensor.elem_type}; read are {', '.join(FLOATS.values())}"
                )
            if len(dims) < 1 or len(shape) + 1 != len(dims):
                raise Refusal("needs a shape whose first dimension is the batch")
            if min(shape, default=1) < 1:
                raise Refusal(
                    f"has the open shape {shape} a sample: say it with --input-shape (input_shape=)"
                )
            self.batch = dims[0]
            return self.build.input(each.name, sized(shape), Input())
        except Refusal as refusal:
            self.findings.error(f"the input {each.name!r}", str(refusal))
            return UNKNOWN

    def _computed(self, proto: "NodeProto") -> "Value | _Unknown":
        inputs = [self.values.get(name, UNKNOWN) if name else None for name in proto.input]
        try:
            node = self._node(proto, tuple(None if isinstance(v, _Unknown) else v for v in inputs))
            known = not any(isinstance(v, _Unknown) for v in inputs)
            return self._value(proto, node) if known else self._unreached(node)
        except Refusal as refusal:
            self.findings.error(_title(proto), str(refusal))
        except (InputError, ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            self.findings.error(_title(proto), f"is malformed: {error}")
        return UNKNOWN

    def _unreached(self, node: Node) -> _Unknown:
        """What comes after something that was refused: only its operator can be judged."""
        known = {*layers.LAYERS, *shapes.FOLDED, *layers.ON_HOST, "Constant", "Shape"}
        if node.operator not in known:
            raise Refusal("is not compiled" + layers.hint(node.operator))
        return UNKNOWN

    def _value(self, proto: "NodeProto", node: Node) -> Value:
        first = node.given(0)
        if any(isinstance(v, HostValue) for v in node.inputs):
            return self._after_host(proto, node)
        if not any(isinstance(v, Signal) for v in node.inputs):
            return shapes.stored(node) if node.operator == "Constant" else shapes.folded(node)
        if node.operator == "Shape" and isinstance(first, Signal):
            return shapes.shaped(node, first.shape)
        if node.operator in layers.LAYERS:
            return layers.LAYERS[node.operator](node, self.build)
        if node.operator in layers.HEADS and isinstance(first, Signal):
            self.on_host.append(proto)
            return HostValue(first.shape, _title(proto))
        raise Refusal("is not compiled" + layers.hint(node.operator))

    def _after_host(self, proto: "NodeProto", node: Node) -> HostValue:
        """More of what the host computes after the network."""
        before = next(v for v in node.inputs if isinstance(v, HostValue))
        if node.operator not in layers.ON_HOST or any(isinstance(v, Signal) for v in node.inputs):
            raise Refusal(
                f"follows {before.operator}, which the host can only compute after all that is compiled"
            )
        self.on_host.append(proto)
        if node.operator in shapes.RESHAPES:
            return HostValue(shapes.new_shape(node, before.shape), before.operator)
        return before

    def _node(self, proto: "NodeProto", inputs: tuple[Value, ...]) -> Node:
        from onnx import helper

        if proto.domain not in ("", "ai.onnx"):
            raise Refusal(f"is of the domain {printable(proto.domain)}, none of ONNX's own operators")
        attributes: dict[str, Any] = {}
        for each in proto.attribute:
            value = helper.get_attribute_value(each)
            if each.type == each.TENSOR:
                value = self._numbers(value, f"the constant of {_title(proto)}")
            if isinstance(value, _Unknown):
                raise Refusal("holds numbers that can't be read")
            attributes[each.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        return Node(
            operator=proto.op_type,
            name=proto.name or (proto.output[0] if proto.output else ""),
            inputs=inputs,
            attributes=attributes,
            opset=self.opset,
            batch=self.batch,
            layer=_layer_name(proto),
        )

    # ---- the Graph -----------------------------------------------------------------------------------

    def graph(self) -> Graph | None:
        """The network that was read; None where an output can't be read out, which is a finding then."""
        ends = [each.name for each in self.model.graph.output]
        after = None
        try:
            if self.on_host:
                ends, after = self._host_end(ends)
            outputs = [self._read_out(name, after) for name in ends]
        except Refusal as refusal:
            self.findings.error("its output", str(refusal))
            return None
        return Graph(
            dt=self.build.dt,
            populations=tuple(self.build.populations),
            connections=tuple(self.build.connections),
            outputs=tuple(dict.fromkeys(outputs)),
            readout="last" if after is None else "mean",
            after=after,
        )

    def _host_end(self, ends: list[str]) -> tuple[list[str], HostStage | None]:
        """Where the network ends and the host goes on, and what the host computes."""
        if not any(isinstance(self.values.get(name), HostValue) for name in ends):
            return ends, None
        if len(ends) > 1:
            raise Refusal(
                f"is computed by the host, which needs it to be the only one, not {', '.join(ends)}"
            )
        nodes = leading_to(ends[0], self.on_host)
        cut = cut_of(nodes, self.values)
        sizes = {k: v.shape for k, v in self.values.items() if isinstance(v, HostValue | Signal)}
        stage = host_layers(nodes, self.values, (cut, ends[0]), sizes, self.opset)
        try:
            if not stage.inputs or mixes_rows(stage):
                raise Refusal(f"is computed by the host ({stage.text}), and would mix the samples of a batch")
        except (InputError, EngineError) as error:
            raise Refusal(f"is computed by the host, which fails: {error}") from error
        self.findings.note("", f"ends in what the host computes, after the network: {stage.text}")
        return [cut], stage

    def _read_out(self, name: str, after: HostStage | None) -> str:
        """The population that sends an output."""
        signal = self.values.get(name)
        if not isinstance(signal, Signal) or not signal.terms:
            raise Refusal(f"{name!r} does not depend on the network's input")
        sent_by = signal.population
        inputs = {p.name for p in self.build.populations if p.is_input}
        if sent_by is None or sent_by in inputs:
            return str(self.build.neurons(signal, "membrane").population)
        if after is not None:
            self.build.populations = [
                reshaped(p, after.inputs) if p.name == sent_by else p for p in self.build.populations
            ]
        return sent_by


def _layer_name(proto: "NodeProto") -> str:
    """What its layer is called: as its weights are, "conv1.weight", or as its node, "/conv1/Conv"."""
    weights = proto.input[1] if len(proto.input) > 1 else ""
    if weights.endswith((".weight", "_weight")):
        return weights[: -len(".weight")]
    name = proto.name or (proto.output[0] if proto.output else "")
    return re.sub(rf"/{proto.op_type}(_\d+)?$", "", name)


def _title(proto: "NodeProto") -> str:
    """A node as messages name it: its operator and its name, or what it gives."""
    return printable(f"{proto.op_type} ({proto.name or (proto.output[0] if proto.output else 'nameless')})")
