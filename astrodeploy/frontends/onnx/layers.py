"""The ONNX operators that become parts of a Graph, by name: those with weights, and those with numbers."""

from math import prod

import numpy as np
import scipy.sparse

from astrodeploy.frontends.onnx.node import FLOAT_TYPES, Layer, Node, spread
from astrodeploy.frontends.onnx.shapes import RESHAPES, reshape
from astrodeploy.frontends.onnx.signals import SYNAPSES, Builder, Refusal, Signal, sized
from astrodeploy.frontends.onnx.windows import (
    average_pool,
    convolution,
    global_average_pool,
    pad,
    reduce_mean,
)
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.wiring import Dense, Sparse, Wiring


def gemm(node: Node, build: Builder) -> Signal:
    """y = alpha x B + beta C."""
    x, weight = node.signal(), node.constant(1, "weights")
    if node.get("transA", 0):
        raise Refusal("transposes its input (transA=1), which mixes the samples of a batch")
    if len(x.shape) != 1 or weight.ndim != 2:
        raise Refusal(f"needs vectors and a matrix, not {x.shape} and {weight.shape} a sample")
    weight = node.get("alpha", 1.0) * (weight if node.get("transB", 0) else weight.T)
    wiring = _dense(weight, x.size)
    y = build.mapped(x, wiring, (len(weight),), node.layer)
    if node.given(2) is None:
        return y
    return y.shifted(node.get("beta", 1.0) * spread(node.constant(2, "biases"), y.shape))


def matmul(node: Node, build: Builder) -> Signal:
    """y = x W over the last dimension."""
    x, weight = node.signal(), node.constant(1, "weights")
    if weight.ndim != 2 or not x.shape:
        raise Refusal(f"needs a constant matrix, not {weight.shape}")
    rows = prod(x.shape[:-1])
    wiring: Wiring = _dense(weight.T, x.shape[-1])
    if rows > 1:
        if rows * weight.size > SYNAPSES:
            raise Refusal(f"has more than {SYNAPSES} synapses, which is more than is compiled")
        wiring = Sparse.of(scipy.sparse.kron(scipy.sparse.eye_array(rows), weight.T, format="csr"))
    return build.mapped(x, wiring, sized((*x.shape[:-1], weight.shape[1])), node.layer)


def _dense(weight: FloatArray, sources: int) -> Dense:
    sized(weight.shape[:1])
    if weight.shape[1] != sources:
        raise Refusal(f"takes {weight.shape[1]} numbers a sample, it gets {sources}")
    return Dense(weight)


def batch_normalization(node: Node, build: Builder) -> Signal:
    """A factor and a constant for every channel, from running statistics."""
    x = node.signal()
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise Refusal("normalises by the batch's own statistics (training mode): export it for inference")
    scale, shift, mean, variance = (node.constant(i, "statistics").ravel() for i in (1, 2, 3, 4))
    spread = variance + node.get("epsilon", 1e-5)
    if np.any(spread <= 0) or not x.shape or {a.size for a in (scale, shift, mean, spread)} != {x.shape[0]}:
        raise Refusal("needs positive variances, and one of each statistic for every channel")
    factor = scale / np.sqrt(spread)
    constant = shift - mean * factor
    factors, constants = (np.repeat(a, x.size // x.shape[0]) for a in (factor, constant))
    return x.scaled(factors).shifted(constants)


def add(node: Node, build: Builder) -> Signal:
    """The sum of two signals, or of one and a constant."""
    a, b = node.given(0), node.given(1)
    if isinstance(a, Signal) and isinstance(b, Signal):
        return a.plus(_same_shape(a, b))
    x, other = (0, 1) if isinstance(a, Signal) else (1, 0)
    signal = node.signal(x)
    return signal.shifted(spread(node.constant(other, "numbers to add"), signal.shape))


def subtract(node: Node, build: Builder) -> Signal:
    """The difference of two signals, or of a signal and a constant."""
    a, b = node.given(0), node.given(1)
    if isinstance(b, Signal):
        negative = b.scaled(-np.ones(b.size))
        if isinstance(a, Signal):
            return a.plus(_same_shape(a, negative))
        return negative.shifted(spread(node.constant(0, "numbers"), b.shape))
    signal = node.signal()
    return signal.shifted(-spread(node.constant(1, "numbers to subtract"), signal.shape))


def multiply(node: Node, build: Builder) -> Signal:
    """A signal times a constant."""
    if isinstance(node.given(0), Signal) and isinstance(node.given(1), Signal):
        raise Refusal("multiplies two values that the network computes, which a connection can't do")
    x, other = (0, 1) if isinstance(node.given(0), Signal) else (1, 0)
    signal = node.signal(x)
    return signal.scaled(spread(node.constant(other, "factors"), signal.shape))


def divide(node: Node, build: Builder) -> Signal:
    """A signal divided by a constant."""
    signal = node.signal()
    divisor = spread(node.constant(1, "divisors"), signal.shape)
    if np.any(divisor == 0):
        raise Refusal("divides by 0")
    return signal.scaled(1 / divisor)


def _same_shape(a: Signal, b: Signal) -> Signal:
    if a.shape != b.shape:
        raise Refusal(f"joins values of the shapes {a.shape} and {b.shape}, which must be the same")
    return b


def rectify(node: Node, build: Builder) -> Signal:
    """max(x, 0): a layer of neurons."""
    return build.neurons(node.signal(), "rectified")


def same(node: Node, build: Builder) -> Signal:
    """What changes nothing in inference."""
    training = node.given(2)
    if node.operator == "Dropout" and isinstance(training, np.ndarray) and bool(training.any()):
        raise Refusal("drops at random (training mode): export it for inference")
    if node.operator == "Cast" and node.get("to", 1) not in FLOAT_TYPES:
        raise Refusal(f"turns what the network computes into numbers of type {node.get('to', 1)}, not float")
    return node.signal()


LAYERS: dict[str, Layer] = {
    "Gemm": gemm,
    "MatMul": matmul,
    "Conv": convolution,
    "BatchNormalization": batch_normalization,
    "Relu": rectify,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "ReduceMean": reduce_mean,
    "Pad": pad,
    "Add": add,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Flatten": reshape,
    "Reshape": reshape,
    "Squeeze": reshape,
    "Unsqueeze": reshape,
    "Identity": same,
    "Dropout": same,
    "Cast": same,
}
# what the host computes at the end of a network: all keep the shape
HEADS = (
    *("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "Tanh", "Softplus", "LayerNormalization"),
    *("LpNormalization", "Exp", "Log"),
)
ON_HOST = (*HEADS, *RESHAPES, "Identity", "Dropout", "Cast", "Add", "Sub", "Mul", "Div")
INSTEAD = {
    "MaxPool": "a chip's connections add, they don't compare: train with AveragePool, or strides",
    "GlobalMaxPool": "a chip's connections add, they don't compare: train with GlobalAveragePool",
    "ArgMax": "leave it out: predictions are the largest output anyway",
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Loop", "Scan", "If"), "an ONNX network has no time here"),
    **dict.fromkeys(("LeakyRelu", "PRelu", "Elu", "Selu", "Gelu", "Clip"), "train with Relu"),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), "export the network in float"),
}


def hint(operator: str) -> str:
    """What to do about an operator that is not compiled."""
    return f": {INSTEAD[operator]}" if operator in INSTEAD else ""
