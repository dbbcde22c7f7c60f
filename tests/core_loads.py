"""What lies on each core, counted in plain Python, synapse by synapse: a witness for the partition."""

from collections import Counter
from functools import cache
from math import ceil

import numpy as np

from astrodeploy.ir.wiring import Conv
from astrodeploy.synapses import neuron_bits


def axon_bits(encoding, n, delay, chip, runs=(), skip=0):
    """Bits of one axon's list of n synapses; of a run-length list the lengths of its runs are given."""
    s, width = chip.synapses, chip.widths.weight_bits.value
    width += s.delay_bits.value if delay > 1 else 0
    dearest = 0
    for formula in s.formulas.values():
        most = formula.synapses_per_entry.value
        if encoding == "runlength":
            if formula.least_skip_bits is None:
                continue
            entries, head, each = sum(ceil(run / most) for run in runs), s.index_bits.value, width + skip
        elif encoding == "sparse":
            entries, head, each = ceil(n / most), 0, width + s.index_bits.value
        else:
            entries, head, each = ceil(n / most), formula.dense_index_bits.value, width
        bits = entries * (formula.entry_header_bits.value + head) + n * each
        dearest = max(dearest, ceil(bits / s.word_bits.value) * s.word_bits.value)
    return dearest


def runs_of(places, line, reach):
    """Lengths of the runs of ascending places of which none is more than `reach` from the last, in one line."""
    lengths = []
    for i, place in enumerate(places):
        before = places[i - 1] if i else -1
        if i and before // line == place // line and place - before <= reach:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


def skips(chip):
    known = [f for f in chip.synapses.formulas.values() if f.least_skip_bits]
    if not known:
        return []
    return list(
        range(max(f.least_skip_bits.value for f in known), min(f.most_skip_bits.value for f in known) + 1)
    )


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


def core_parts(encoding, c, box, chip):
    """Sources, memory and input axons of what ends in a box: its neurons in order, and how long its lines are."""
    (name, skip), (order, line) = encoding, box
    inside = {n: i for i, n in enumerate(order)}
    synapses = [each for each in listed(c.wiring) if each[0] in inside]
    if name == "convolution":
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
    places = {}
    if name == "dense":
        places = {s: list(range(len(inside))) for s in range(c.wiring.shape[1])}
    else:
        for t, s, w in synapses:
            if w != 0:
                places.setdefault(s, []).append(inside[t])
    bits = 0
    for each in places.values():
        runs = runs_of(sorted(each), line, 1 << skip) if name == "runlength" else ()
        bits += axon_bits(name, len(each), c.delay, chip, runs, skip)
    return set(places), bits, len(places)


def cheapest(c, shape, chip):
    """The encoding that takes fewest bits on one core, and the width of its skips."""
    known = [("sparse", 0)]
    whole = list(range(c.wiring.shape[0])), shape[-1] if len(shape) > 1 else c.wiring.shape[0]
    bits = lambda e: core_parts(e, c, whole, chip)[1]
    if skips(chip):
        known.append(min((("runlength", skip) for skip in skips(chip)), key=bits))
    if isinstance(c.wiring, Conv) and c.wiring.output_shape == shape:
        known.append(("convolution", 0))
    return min([*known, ("dense", 0)], key=bits)


def box_of(cut, shape):
    start, stop = cut.ranges[-1]
    return neurons(cut, shape), stop - start if len(shape) > 1 else cut.size


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
            sources, bits, axons = core_parts(encoding, c, box_of(cut, shape), chip)
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
