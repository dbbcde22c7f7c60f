"""NIR documents for tests: small ones of every node, random ones, and an interpreter that shares no code with ours."""

import itertools
from collections import defaultdict

import nir
import numpy as np
import torch

DT = 1e-3


def neurons(kind, shape, rng=None, **given):
    """A neuron node with parameters of a shape; plain ones, or random ones with a generator."""
    of = lambda low, high: np.full(shape, (low + high) / 2) if rng is None else rng.uniform(low, high, shape)
    every = {
        "tau": of(4, 16) * DT,
        "tau_mem": of(4, 16) * DT,
        "tau_syn": of(2, 6) * DT,
        "r": of(100, 300) if kind in ("I", "IF") else of(1, 3),
        "v_leak": of(-0.1, 0.1),
        "v_threshold": of(0.4, 0.8),
        "v_reset": of(-0.3, 0.1),
        "w_in": of(1, 4),
        "threshold": of(0.3, 0.9),
    }
    fields = {
        "I": ("r",),
        "IF": ("r", "v_threshold", "v_reset"),
        "LI": ("tau", "r", "v_leak"),
        "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
        "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
        "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
        "Threshold": ("threshold",),
    }[kind]
    return getattr(nir, kind)(**{k: given.get(k, every[k]) for k in fields})


def chained(*nodes, shape, **named):
    """Input, nodes in a row, Output. Nodes are called n0, n1, ... or as given by name."""
    inner = {f"n{i}": node for i, node in enumerate(nodes)} | named
    every = {"input": nir.Input(np.array(shape)), **inner, "output": nir.Output(None)}
    document = nir.NIRGraph(every, list(itertools.pairwise(every)), type_check=False)
    every["output"].output_type = every["output"].input_type = {"output": np.array(output_shape(document))}
    return document


def output_shape(document):
    """What arrives at the one Output, found with torch."""
    spikes = np.zeros((1, 1, *document.nodes["input"].input_type["input"]))
    return interpret(document, spikes)["output"].shape[2:]


def recurrent_cell(size, rng):
    """A nested graph, as snnTorch and nirtorch write a recurrent layer."""
    nodes = {
        "input": nir.Input(np.array([size])),
        "lif": neurons("LIF", (size,), rng),
        "w_rec": nir.Linear(rng.normal(0, 0.3, (size, size))),
        "output": nir.Output(np.array([size])),
    }
    edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, edges)


def every_node(seed=0):
    """Four small documents with every node of NIR between them."""
    rng = np.random.default_rng(seed)
    w = lambda *shape: rng.normal(0.1, 0.5, shape)
    pair = lambda a, b: np.array([a, b])
    return [
        chained(
            nir.Affine(w(5, 6), w(5)),
            neurons("LIF", (5,), rng),
            nir.Scale(w(5)),
            nir.Delay(np.array([0, 1, 1, 2, 3]) * DT),
            nir.Linear(w(4, 5)),
            neurons("CubaLIF", (4,), rng),
            shape=(6,),
        ),
        chained(
            nir.Conv2d((6, 6), w(2, 1, 3, 3), 1, 1, 1, 1, w(2)),
            neurons("IF", (2, 6, 6), rng),
            nir.SumPool2d(pair(2, 2), pair(2, 2), pair(0, 0)),
            nir.AvgPool2d(pair(3, 3), pair(1, 1), pair(1, 1)),
            nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1),
            nir.Linear(w(4, 18)),
            neurons("LI", (4,), rng),
            shape=(1, 6, 6),
        ),
        chained(
            nir.Conv1d(8, w(2, 1, 3), 1, 1, 1, 1, w(2)),
            nir.Flatten({"input": np.array([2, 8])}, 0, -1),
            nir.Linear(w(4, 16)),
            neurons("Threshold", (4,), rng),
            recurrent_cell(4, rng),
            neurons("CubaLI", (4,), rng),
            shape=(1, 8),
        ),
        chained(
            nir.Linear(w(4, 6)),
            neurons("I", (4,), rng),
            nir.Linear(w(4, 4)),
            neurons("Threshold", (4,), rng),
            shape=(6,),
        ),
    ]


# ---- an interpreter of NIR ------------------------------------------------------------------------------


def flat_document(document, prefix=""):
    """(nodes, edges) with nested graphs opened; their Inputs and Outputs stay as nodes that pass on."""
    nodes, edges = {}, []
    name = lambda n: f"{prefix}{n}"
    for key, node in document.nodes.items():
        if isinstance(node, nir.NIRGraph):
            inner, more = flat_document(node, f"{name(key)}.")
            nodes |= inner
            edges += more
        else:
            nodes[name(key)] = node
    gate = lambda key, port: (
        f"{name(key)}.{port}" if isinstance(document.nodes[key], nir.NIRGraph) else name(key)
    )
    edges += [(gate(s, "output"), gate(t, "input")) for s, t in document.edges]
    return nodes, edges


def interpret(document, x, late=(), dt=DT):
    """What every node gives in every step, (rows, steps, *shape), for x (rows, steps, *input shape).

    The edges `late` carry what was given in the step before.
    """
    nodes, edges = flat_document(document)
    late = set(late) | {("lif1.w_rec", "lif1.lif")} | {e for e in edges if e[0].endswith(".w_rec")}
    states = {name: Stepper(node, dt) for name, node in nodes.items()}
    before, given = defaultdict(lambda: None), defaultdict(list)
    for t in range(x.shape[1]):
        now = {}
        for name in order(nodes, edges, late):
            arriving = [before[s] if (s, n) in late else now[s] for s, n in edges if n == name]
            arriving = [a for a in arriving if a is not None]
            if isinstance(nodes[name], nir.Input) and "." not in name:
                arriving = [x[:, t].astype(np.float64)]
            now[name] = states[name].step(sum(arriving) if arriving else None, len(x))
            given[name].append(now[name])
        before = defaultdict(lambda: None, now)
    return {name: np.stack(values, 1) for name, values in given.items()}


def order(nodes, edges, late):
    waiting, done = list(nodes), []
    while waiting:
        ready = [n for n in waiting if all(s in done or (s, n) in late for s, t in edges if t == n)]
        assert ready, "a loop without a late edge"
        done += ready
        waiting = [n for n in waiting if n not in ready]
    return done


class Stepper:
    """One node with its state."""

    def __init__(self, node, dt):
        self.node, self.dt, self.v, self.i, self.past = node, dt, None, 0.0, []

    def step(self, x, rows):
        node, kind = self.node, type(self.node).__name__
        if kind in ("Input", "Output"):
            return x
        if kind in ("Linear", "Affine"):
            x = torch.zeros(rows, node.weight.shape[1], dtype=torch.float64).numpy() if x is None else x
            return x @ node.weight.T.astype(np.float64) + getattr(node, "bias", 0.0)
        if kind == "Scale":
            return x * node.scale
        if kind in ("Conv1d", "Conv2d", "SumPool2d", "AvgPool2d"):
            return self.torch(kind, torch.from_numpy(np.asarray(x, np.float64))).numpy()
        if kind == "Flatten":
            end = node.end_dim if node.end_dim < 0 else node.end_dim + 1
            return torch.flatten(torch.from_numpy(np.asarray(x)), node.start_dim + 1, end).numpy()
        if kind == "Delay":
            return self.delayed(x)
        return self.neuron(kind, np.zeros((rows, 1)) if x is None else x)

    def torch(self, kind, x):
        node = self.node
        plain = lambda n: n if isinstance(n, str) else tuple(int(v) for v in np.atleast_1d(n))
        if kind.startswith("Conv"):
            conv = torch.nn.functional.conv1d if kind == "Conv1d" else torch.nn.functional.conv2d
            weight, bias = (torch.from_numpy(np.asarray(a, np.float64)) for a in (node.weight, node.bias))
            return conv(
                x,
                weight,
                bias,
                plain(node.stride),
                plain(node.padding),
                plain(node.dilation),
                int(node.groups),
            )
        sizes = (plain(node.kernel_size), plain(node.stride), plain(node.padding))
        mean = torch.nn.functional.avg_pool2d(x, *sizes)
        return mean * np.prod(sizes[0]) if kind == "SumPool2d" else mean

    def delayed(self, x):
        steps = np.rint(np.broadcast_to(self.node.delay, x.shape[1:]) / self.dt).astype(int)
        self.past.append(x)
        given = np.zeros_like(x)
        for at in np.ndindex(*x.shape[1:]):
            if len(self.past) > steps[at]:
                given[(slice(None), *at)] = self.past[-1 - steps[at]][(slice(None), *at)]
        return given

    def neuron(self, kind, x):
        node, dt = self.node, self.dt
        if kind == "Threshold":
            return (x > node.threshold).astype(np.float64)
        if self.v is None:
            self.v = np.zeros_like(x) + getattr(node, "v_leak", 0.0)
        if kind.startswith("Cuba"):
            self.i = self.i + dt / node.tau_syn * (node.w_in * x - self.i)
            x = self.i
        if kind in ("I", "IF"):
            self.v = self.v + dt * node.r * x
        else:
            tau = node.tau_mem if kind.startswith("Cuba") else node.tau
            self.v = self.v + dt / tau * (node.v_leak - self.v + node.r * x)
        if kind in ("I", "LI", "CubaLI"):
            return self.v
        spikes = self.v > node.v_threshold
        self.v = np.where(spikes, node.v_reset, self.v)
        return spikes.astype(np.float64)


# ---- random documents --------------------------------------------------------------------------------------


LINEAR = ("Scale", "Delay", "Flatten", "SumPool2d", "AvgPool2d")


class Random:
    """A random document: a chain of neurons with linear nodes between, skips ahead and feedback."""

    KINDS = ("LIF", "LIF", "CubaLIF", "IF", "LI", "CubaLI", "I", "Threshold", "cell")

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.edges, self.late = {}, [], []
        self.skips = self.rng.random() < 0.5  # with both it would be open which edge closes a loop
        self.input_shape = self.shape = [(7,), (1, 6, 6), (2, 5, 7), (2, 9)][self.rng.integers(4)]
        self.last = "input"
        self.nodes["input"] = nir.Input(np.array(self.shape))
        made = []
        for i in range(int(self.rng.integers(1, 5))):
            self.between(i)
            made.append(self.neuron(i))
            self.skip(made, i)
            self.feedback(made, i)
        self.put("output", nir.Output(np.array(self.shape)))

    @property
    def document(self):
        order = self.rng.permutation(len(self.edges))
        return nir.NIRGraph(self.nodes, [self.edges[i] for i in order], type_check=True)

    def put(self, name, node, shape=None):
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last, self.shape = name, self.shape if shape is None else shape

    def weight(self, *shape):
        return self.rng.normal(0.1, 1.2 / np.sqrt(np.prod(shape[1:])), shape)

    def between(self, i):
        for j in range(int(self.rng.integers(1, 3))):
            name = f"between{i}_{j}"
            options = {1: self.flat, 2: self.line, 3: self.image}[len(self.shape)]
            options(name)
        if len(self.shape) == 1 and not isinstance(self.nodes[self.last], nir.Linear | nir.Affine):
            self.dense(f"dense{i}")

    def dense(self, name):
        size = int(self.rng.integers(3, 9))
        weight = self.weight(size, self.shape[0])
        if self.rng.random() < 0.5:
            self.put(name, nir.Affine(weight, self.rng.normal(0, 0.2, size)), (size,))
        else:
            self.put(name, nir.Linear(weight), (size,))

    def flat(self, name):
        choice = self.rng.random()
        if choice < 0.6:
            self.dense(name)
        elif choice < 0.8:
            self.put(name, nir.Scale(self.rng.uniform(0.5, 2, self.shape)))
        elif not self.biased():
            self.put(name, nir.Delay(self.rng.integers(0, 4, self.shape) * DT))

    def biased(self):
        """Whether a constant is on its way: ours is there from step 0 on, also behind a Delay."""
        names = list(self.nodes)
        while hasattr(self.nodes[names[-1]], "weight") or type(self.nodes[names[-1]]).__name__ in LINEAR:
            if np.any(getattr(self.nodes[names.pop()], "bias", 0)):
                return True
        return False

    def line(self, name):
        if self.rng.random() < 0.4:
            self.flatten(name)
            return
        kernel, stride, padding, gap = (int(self.rng.integers(*r)) for r in ((1, 4), (1, 3), (0, 3), (1, 3)))
        channels = int(self.rng.integers(1, 4))
        length = (self.shape[1] + 2 * padding - gap * (kernel - 1) - 1) // stride + 1
        if length < 1:
            return
        weight, bias = self.weight(channels, self.shape[0], kernel), self.rng.normal(0, 0.1, channels)
        self.put(name, nir.Conv1d(self.shape[1], weight, stride, padding, gap, 1, bias), (channels, length))

    def image(self, name):
        choice = self.rng.random()
        if choice < 0.25:
            self.flatten(name)
        elif choice < 0.55:
            self.pool(name)
        else:
            self.conv(name)

    def flatten(self, name):
        shape = np.array(self.shape)
        self.put(name, nir.Flatten({"input": shape}, 0, -1), (int(np.prod(shape)),))

    def pool(self, name):
        kernel, stride = (int(self.rng.integers(1, 4)) for _ in range(2))
        padding = int(self.rng.integers(0, kernel // 2 + 1))
        spatial = tuple((n + 2 * padding - kernel) // stride + 1 for n in self.shape[1:])
        if min(spatial) < 1:
            return
        kind = nir.SumPool2d if self.rng.random() < 0.5 else nir.AvgPool2d
        sizes = (np.full(2, n) for n in (kernel, stride, padding))
        self.put(name, kind(*sizes), (self.shape[0], *spatial))

    def conv(self, name):
        kernel, gap = int(self.rng.integers(1, 4)), self.rng.integers(1, 3, 2)
        stride, padding = self.rng.integers(1, 3, 2), self.rng.integers(0, 3, 2)
        channels = int(self.rng.integers(1, 4))
        spatial = tuple(
            int((n + 2 * p - g * (kernel - 1) - 1) // s + 1)
            for n, p, g, s in zip(self.shape[1:], padding, gap, stride, strict=True)
        )
        if min(spatial) < 1:
            return
        weight, bias = self.weight(channels, self.shape[0], kernel, kernel), self.rng.normal(0, 0.1, channels)
        node = nir.Conv2d(np.array(self.shape[1:]), weight, stride, padding, gap, 1, bias)
        self.put(name, node, (channels, *spatial))

    def neuron(self, i):
        kind = self.KINDS[self.rng.integers(len(self.KINDS))]
        name = f"neuron{i}"
        if kind == "cell" and len(self.shape) == 1:
            self.put(name, recurrent_cell(self.shape[0], self.rng))
        else:
            self.put(name, neurons("LIF" if kind == "cell" else kind, self.shape, self.rng))
        return name, self.shape

    def skip(self, made, i):
        """A further path from an earlier neuron or the input into this neuron."""
        name, shape = made[-1]
        if len(shape) > 1 or not self.skips or self.rng.random() < 0.5:
            return
        source, wide = [*made[:-1], ("input", self.input_shape)][self.rng.integers(len(made))]
        self.path(f"skip{i}", source, wide, name, shape)

    def feedback(self, made, i):
        """A path back into an earlier neuron or this one, which carries the step before; not around a Delay."""
        name, shape = made[-1]
        first = i if self.skips else int(self.rng.integers(len(made)))
        target, wide = made[first]
        between = [f"between{k}_{j}" for k in range(first + 1, i + 1) for j in range(3)]
        if any(isinstance(self.nodes.get(each), nir.Delay) for each in between):
            return
        cell = isinstance(self.nodes[target], nir.NIRGraph)
        if len(wide) > 1 or cell or isinstance(self.nodes[name], nir.NIRGraph) or self.rng.random() < 0.6:
            return
        last = self.path(f"back{i}", name, shape, target, wide)
        self.late.append((last, target))

    def path(self, label, source, wide, target, shape):
        start = source
        if len(wide) > 1:
            self.nodes[f"{label}_flat"] = nir.Flatten({"input": np.array(wide)}, 0, -1)
            self.edges.append((source, f"{label}_flat"))
            start = f"{label}_flat"
        self.nodes[label] = nir.Linear(self.weight(shape[0], int(np.prod(wide))))
        self.edges += [(start, label), (label, target)]
        return label
