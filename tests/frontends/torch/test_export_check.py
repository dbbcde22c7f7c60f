"""The export check passes for what the export says, and names what it does not."""

import numpy as np
import pytest
import torch
from torch_networks import Chain, Hybrid, Nested, box, cuba, linear, sequential, spikes, values

import astrodeploy as ad
from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.torch.export_check import check_export
from astrodeploy.nn import unroll
from astrodeploy.pipeline import load

NETWORKS = {
    "chain": Chain,
    "chain with bias": lambda: Chain(bias=True),
    "currents": lambda: Chain(make=cuba),
    "currents with bias": lambda: Chain(make=cuba, bias=True),
    "hybrid": Hybrid,
    "hybrid of currents": lambda: Hybrid(make=cuba, bias=True),
    "hybrid without encoder": lambda: Hybrid(encoder=False, bias=True),
    "nested": Nested,
    "sequential": sequential,
    "sequential of boxes": lambda: sequential(make=box),
    "currents with leak and reset": lambda: Chain(make=lambda: cuba(v_leak=-0.1, v_reset=-0.2)),
    "in training": lambda: Nested().train(),
    "in float64": lambda: Chain().double(),
    "a forward that scales a Linear's": lambda: of_a_subclass(Chain()),
    "a sum of unequal parts": lambda: Alpha(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_pass(name):
    module = NETWORKS[name]()
    training = module.training
    graph = load(module)
    layers = [p for p in graph.populations if not (p.is_input or p.is_astrocyte)]
    steps = 32
    assert check_export(module, graph) == sum(4 * steps * p.size for p in layers)
    assert module.training == training


def test_astrocytes_tick_three_times_within_the_check():
    module = Hybrid()
    module.hidden.period = 30
    assert check_export(module, load(module)) == 4 * 90 * (12 + 4)


def test_a_membrane_at_its_threshold_may_fall_on_either_side():
    """dt / tau = 0.1 in float32 and 0.1 in float64 differ; 0.1 * 5.0 meets 0.5 or misses it."""
    module = Chain(sizes=(6, 3, 2), make=lambda: box(tau_mem_inv=100.0))
    with torch.no_grad():
        module.expand.weight.fill_(5.0)
        module.expand.weight[1] = 2.5
    assert check_export(module, load(module)) > 0


class Scaled(torch.nn.Linear):
    """More than a Linear."""

    def forward(self, x):
        return super().forward(x) * 1.5


def with_hook(module):
    module.expand.register_forward_hook(lambda m, i, out: out * 1.5)
    return module


def with_hook_on_cell(module):
    """The deep layer's spikes are silence, and its silence spikes."""
    module.readout.register_forward_hook(lambda _m, _i, out: (1 - out[0], out[1]))
    return module


def with_pre_hook(module):
    module.classify.register_forward_pre_hook(lambda m, x: (1 - x[0],))
    return module


def of_a_subclass(module):
    scaled = Scaled(6, 10, bias=False)
    scaled.weight = module.expand.weight
    module.expand = scaled
    return module


class Forgets(Chain):
    """Passes no state to its hidden layer, which then starts anew in every step."""

    def forward(self, x, state=None):
        z, _ = self.hidden(self.expand(x))
        return self.readout(self.classify(z), state)


class Alpha(torch.nn.Module):
    """torch.add scales one of the two."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.cell = linear(6, 4, 0), linear(6, 4, 1), box()

    def forward(self, x, state=None):
        return self.cell(torch.add(self.a(x), self.b(x), alpha=3), state)


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (lambda: with_hook(Chain()), "hidden"),
        (lambda: with_hook_on_cell(Chain()), "readout"),
        (lambda: with_pre_hook(Chain()), "readout"),
        (Forgets, "hidden"),
    ],
)
def test_what_the_graph_does_not_say_is_found(make, layer, tmp_path):
    message = (
        rf"the export check failed: {layer} differs from the torch module first in step \d+ \(sample \d, neuron "
        r"\d\): torch sends [01], the exported network [01]; the module's forward does what the export can't say"
    )
    for export in (
        lambda: ad.compile(make()),
        lambda: ad.save(make(), tmp_path / "m.pt", dt=1e-3, input_shape=(6,)),
        lambda: ad.export(make(), tmp_path / "m.nir"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            export()
    assert not list(tmp_path.iterdir())


def test_a_block_whose_cell_is_called_cell_is_checked_too():
    module = Nested()
    module.blocks[1].cell.register_forward_hook(lambda m, i, out: (1 - out[0], out[1]))
    with pytest.raises(UnsupportedError, match="blocks_1_cell differs from the torch module first in step 0"):
        load(module)


def test_random_input_may_miss_what_a_sample_shows():
    """A dead input: the check's random input is never silent there, the sample is."""

    class Gate(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.cell = linear(6, 4, 0), box()
            self.fc.register_forward_hook(lambda m, i, out: out + (i[0].sum() == 0) * 9)

        def forward(self, x, state=None):
            return self.cell(self.fc(x), state)

    graph = load(Gate())
    with pytest.raises(UnsupportedError, match="cell differs from the torch module first in step 0"):
        check_export(Gate(), graph, np.zeros((1, 5, 6)))


def test_modules_that_are_traced_away_are_no_matter():
    module = Chain()
    module.unused = torch.nn.GRU(3, 3)
    assert check_export(module, load(module)) > 0


def test_parameters_that_were_computed_count_as_they_are():
    rate = torch.nn.Parameter(torch.tensor(200.0))
    module = Chain(make=lambda: box(tau_mem_inv=rate * 1.0))
    assert check_export(module, load(module)) > 0
    assert module.hidden.p.tau_mem_inv.requires_grad


def test_trained_parameters_can():
    module = Chain(make=lambda: box(tau_mem_inv=torch.nn.Parameter(torch.tensor(200.0))))
    assert check_export(module, load(module)) > 0


@pytest.mark.parametrize("make", [Hybrid, lambda: Hybrid(make=cuba), lambda: Hybrid(encoder=False), Nested])
def test_the_float_engines_give_the_modules_own_spikes(make):
    """In float32, on the chip's clock, `reference` (float64) and `torch` send what the user's module sends."""
    module = make().eval()
    program = ad.compile(module)
    encoded = program.network.encoder
    x = values() if encoded else spikes()
    with torch.no_grad():
        z, _ = unroll(module, torch.from_numpy(x).float(), 12 if encoded else None)
    depth = program.network[program.network.output].depth
    steps = z.shape[1] if encoded else z.shape[1] - depth
    for engine in ("reference", "torch"):
        trace = program.run(x, engine=engine)
        ours = trace.spikes[program.network.output][:, depth : depth + steps]
        assert z.sum() > 3
        assert np.array_equal(ours, z[:, :steps].numpy())
