"""In which form NIR can hold a Graph's populations and connections.

A convolution needs neurons in (channels, *spatial) at both ends, a matrix flat ones, and NIR can flatten
but not unflatten: so a population keeps its shape where everything that feeds it can deliver that.
"""

from dataclasses import replace
from math import prod

import numpy as np

from astrodeploy.frontends.nir.nodes import Shape
from astrodeploy.ir.arrays import FloatArray
from astrodeploy.ir.graph import Graph, Population
from astrodeploy.ir.nodes import LIF, Membrane
from astrodeploy.ir.wiring import Conv, OneToOne, Wiring

LARGEST_FILTER = 1 << 24  # numbers of a filter that is written with the zeros of its groups


def written_shapes(graph: Graph, forms: dict[str, Conv]) -> dict[str, Shape]:
    """The shape that every population has in the file; `forms` are the convolutions that NIR can say."""
    shapes = {p.name: _wished(graph, p, forms) for p in graph.populations}
    changed = True
    while changed:
        changed = False
        for p in graph.populations:
            if len(shapes[p.name]) > 1 and not p.is_input and not _delivered(graph, p, shapes, forms):
                shapes[p.name] = (p.size,)
                changed = True
    return shapes


def _wished(graph: Graph, population: Population, forms: dict[str, Conv]) -> Shape:
    """What the convolutions at a population ask for, or its own shape."""
    asked = [forms[c.name].output_shape for c in graph.into(population.name) if c.name in forms]
    asked += [forms[c.name].input_shape for c in graph.out_of(population.name) if c.name in forms]
    return population.shape if not asked or population.shape in asked else asked[0]


def _delivered(graph: Graph, p: Population, shapes: dict[str, Shape], forms: dict[str, Conv]) -> bool:
    """Whether all that feeds a population comes in its shape, and its bias has a place."""
    into = list(graph.into(p.name))
    for c in into:
        if c.name in forms:
            fits = (
                forms[c.name].output_shape == shapes[p.name] and forms[c.name].input_shape == shapes[c.source]
            )
        else:
            fits = isinstance(c.wiring, OneToOne) and shapes[c.source] == shapes[p.name]
        if not fits:
            return False
    biased = isinstance(p.node, Membrane) and bool(np.any(p.node.bias))
    return not biased or (any(c.name in forms for c in into) and channel_bias(p, shapes[p.name]) is not None)


def channel_bias(population: Population, shape: Shape) -> FloatArray | None:
    """One bias a channel, where all neurons of a channel have the same; else None."""
    assert isinstance(population.node, Membrane)
    by_channel = np.broadcast_to(population.node.bias.ravel(), (population.size,)).reshape(shape[0], -1)
    return by_channel[:, 0].copy() if np.all(by_channel == by_channel[:, :1]) else None


def uniform_pool(wiring: Conv) -> str | None:
    """SumPool2d or AvgPool2d where a convolution is one, else None."""
    channels = wiring.input_shape[0]
    depthwise = wiring.groups == channels == wiring.values.shape[0] and set(wiring.dilation) == {1}
    values = np.unique(wiring.values)
    if not depthwise or values.size != 1 or wiring.values.ndim != 4:
        return None
    cells = prod(wiring.values.shape[2:])
    return {1.0: "SumPool2d", 1 / cells: "AvgPool2d"}.get(float(values[0]))


def conv_form(wiring: Wiring) -> Conv | None:
    """The convolution that says the same to every reader of NIR, or None where there is none.

    nir 1.0.8 finds wrong shapes for groups and for kernels that are not square: those are filled with zeros.
    """
    if not isinstance(wiring, Conv) or uniform_pool(wiring):
        return wiring if isinstance(wiring, Conv) else None
    if wiring.groups > 1:
        if wiring.values.size * wiring.groups > LARGEST_FILTER:
            return None
        wiring = _ungrouped(wiring)
    return _square(wiring) if wiring.values.ndim == 4 else wiring


def _ungrouped(wiring: Conv) -> Conv:
    outputs, inputs = wiring.values.shape[:2]
    values = np.zeros((outputs, inputs * wiring.groups, *wiring.values.shape[2:]))
    for out in range(outputs):
        first = out // (outputs // wiring.groups) * inputs
        values[out, first : first + inputs] = wiring.values[out]
    return replace(wiring, values=values, groups=1)


def _square(wiring: Conv) -> Conv | None:
    """The same map with a square kernel; None where no padding keeps its output's size."""
    kernel, made = wiring.values.shape[2:], wiring
    for axis, k in enumerate(kernel):
        missing = max(kernel) - k
        tries = [_longer(made, axis, missing, before) for before in {missing // 2, -(-missing // 2)}]
        fitting = [each for each in tries if each is not None and each.output_shape == wiring.output_shape]
        if not fitting:
            return None
        made = fitting[0]
    return made


def _longer(wiring: Conv, axis: int, missing: int, before: int) -> Conv | None:
    """With so many zeros more along an axis, some of them before the filter, and the padding that this takes."""
    widths = [(0, 0)] * 4
    widths[axis + 2] = (before, missing - before)
    padding = list(wiring.padding)
    padding[axis] += before * wiring.dilation[axis]
    reach = wiring.dilation[axis] * (wiring.values.shape[axis + 2] + missing - 1) + 1
    if wiring.input_shape[axis + 1] + 2 * padding[axis] < reach:
        return None
    return replace(wiring, values=np.pad(wiring.values, widths), padding=tuple(padding))


def is_reader(graph: Graph, population: Population) -> bool:
    """Whether a population only passes a linear signal on to the read-out: in NIR it needs no node."""
    node = population.node
    forgets = is_forgetful(node, graph.dt) and isinstance(node, LIF) and node.sends == "membrane"
    into = list(graph.into(population.name))
    read = population.name in graph.outputs and not any(True for _ in graph.out_of(population.name))
    plain = all(isinstance(c.wiring, OneToOne) and np.all(c.wiring.values == 1) for c in into)
    return forgets and read and not plain


def is_forgetful(node: object, dt: float) -> bool:
    """Whether a membrane is its input of a step and nothing else."""
    return (
        isinstance(node, LIF)
        and node.integrator == "euler"
        and node.refractory == 0
        and bool(np.all(node.tau == dt) and np.all(node.r == 1) and not np.any(node.v_leak))
    )
