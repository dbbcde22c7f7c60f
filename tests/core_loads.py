"""What lies on each core, counted in plain Python, synapse by synapse: a witness for the partition."""

from collections import Counter
from functools import cache
from math import ceil

import numpy as np

from astrodeploy.ir.wiring import Conv
from astrodeploy.synapses import neuron_bits


def axon_bits(encoding, n, delay, chip):
    s, width = chip.synapses, chip.widths.weight_bits.value
    width += s.delay_bits.value if delay > 1 else 0
    bits = 0
    while n > 0:
        part = min(n, s.synapses_per_entry.value)
        bits += s.entry_header_bits.value + part * width
        bits += s.index_bits.value * (1 if encoding == "dense" else part)
        n -= part
    return ceil(bits / s.word_bits.value) * s.word_bits.value


@cache
def listed(wiring):
    """Synapses of the pattern: (target, source, weight)."""
    if not isinstance(wiring, Conv):
        return [(t, s, w) for t, row in enumerate(wiring.matrix().tolist()) for s, w in enumerate(row)]
    outputs, inputs, *kernel = wiring.values.shape
    numbers = np.arange(np.prod(wiring.input_shape)).reshape(wiring.input_shape)
    found = []
    for target, (out, *place) in enumerate(np.ndindex(*wiring.output_shape)):
        for channel, *cell in np.ndindex(inputs, *kernel):
            steps = zip(place, cell, wiring.stride, wiring.padding, wiring.dilation, strict=True)
            read = [p * stride - padding + k * dilation for p, k, stride, padding, dilation in steps]
            if all(0 <= r < n for r, n in zip(read, wiring.input_shape[1:], strict=True)):
                source = out // (outputs // wiring.groups) * inputs + channel
                found.append(
                    (target, int(numbers[(source, *read)]), int(wiring.values[(out, channel, *cell)]))
                )
    return found


def core_parts(encoding, c, inside, chip):
    """Sources, memory and input axons of what ends in a set of neurons."""
    synapses = [each for each in listed(c.wiring) if each[0] in inside]
    if encoding == "convolution":
        pixels = {s % int(np.prod(c.wiring.input_shape[1:])) for _, s, _ in synapses}
        plane = int(np.prod(c.wiring.output_shape[1:]))
        outs = {t // plane for t in inside}
        lists = Counter()
        fed, read = c.wiring.values.shape[0] // c.wiring.groups, c.wiring.values.shape[1]
        for out in outs:
            for channel in range(read):
                lists[out // fed * read + channel] += int(np.prod(c.wiring.values.shape[2:]))
        words = ceil(len(pixels) * chip.synapses.convolution_axon_bits.value / chip.synapses.word_bits.value)
        bits = sum(axon_bits("dense", n, c.delay, chip) for n in lists.values())
        return {s for _, s, _ in synapses}, bits + words * chip.synapses.word_bits.value, len(pixels)
    if encoding == "dense":
        counts = dict.fromkeys(range(c.wiring.shape[1]), len(inside))
    else:
        counts = Counter(s for _, s, w in synapses if w != 0)
    return set(counts), sum(axon_bits(encoding, n, c.delay, chip) for n in counts.values()), len(counts)


def cheapest(c, shape, chip):
    known = ["sparse", "dense"]
    if isinstance(c.wiring, Conv) and c.wiring.output_shape == shape:
        known = ["sparse", "convolution", "dense"]
    return min(known, key=lambda e: core_parts(e, c, set(range(c.wiring.shape[0])), chip)[1])


def neurons(cut, shape):
    """The neurons of a box, one by one."""
    inside = lambda place: all(a <= i < b for i, (a, b) in zip(place, cut.ranges, strict=True))
    return [n for n, place in enumerate(np.ndindex(*shape)) if inside(place)]


def recounted(graph, cores, chip):
    """Loads of every core."""
    loads = {core.index: Counter() for core in cores}
    homes = {core.index: set() for core in cores}
    for core in cores:
        for cut in core.slices:
            homes[core.index] |= {(cut.population, n) for n in neurons(cut, graph[cut.population].shape)}
    for c in graph.connections:
        shape = graph[c.target].shape
        encoding = cheapest(c, shape, chip)
        for home, cut in ((k.index, s) for k in cores for s in k.slices if s.population == c.target):
            sources, bits, axons = core_parts(encoding, c, set(neurons(cut, shape)), chip)
            loads[home].update(synaptic_memory_bits=bits, memory_bits=bits, input_axons=axons)
            for index, held in homes.items():
                loads[index]["output_axons"] += sum((c.source, s) in held for s in sources)
    for index, held in homes.items():
        loads[index]["compartments"] += len(held)
        loads[index]["memory_bits"] += sum(neuron_bits(graph[name]) for name, _ in held)
    return loads


def assert_legal(graph, cores, chip):
    assert [core.index for core in cores] == list(range(len(cores)))
    assert len(cores) <= chip.limits.cores.value
    for p in graph.populations:
        cuts = [s for core in cores for s in core.slices if s.population == p.name]
        held = sorted(n for cut in cuts for n in neurons(cut, p.shape))
        assert held == ([] if p.is_input else list(range(p.size))), p.name
    loads = recounted(graph, cores, chip)
    for core in cores:
        assert core.slices
        for name, limit in chip.core_limits.items():
            assert core.loads[name] == loads[core.index][name] <= limit == core.limits[name], (
                core.index,
                name,
            )
