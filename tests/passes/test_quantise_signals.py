"""Networks of astrocytes that carry signals: from torch to integers, on every engine."""

from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from signal_networks import Attention, Competition, spikes

import astrodeploy as ad
from astrodeploy.errors import UnsupportedError
from astrodeploy.frontends.nir.file import read_nir
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.plain import fingerprint
from astrodeploy.nn import Astrocyte, unroll
from astrodeploy.program import same_but_recipe

NETWORKS = {"attention": (Attention(), spikes(12, 20)), "competition": (Competition(), spikes(8, 40))}


@pytest.fixture(scope="module", params=NETWORKS)
def compiled(request):
    """A module, its input, and the Program."""
    module, x = NETWORKS[request.param]
    return module, x, ad.compile(module, target="loihi2", calibrate=x)


def test_engines_agree_and_are_near_the_float_network(compiled):
    _, x, program = compiled
    verified = ad.verify(program, x[:4], engines=("oracle", "fast"))
    assert verified.equal
    assert verified.distance.total.membrane < 0.01  # 8-bit weights; states and functions cost a tenth of it
    by_name = {cause.name: cause for cause in verified.distance.causes}
    assert by_name["rounding of states"].membrane < 0.002
    assert not verified.distance.bounded  # the calibration data themselves have room


@pytest.mark.slow
def test_lava_agrees(compiled):
    _, x, program = compiled
    assert ad.verify(program, x[:2], engines=("oracle", "lava")).equal


def test_the_chip_says_what_torch_says(compiled):
    """Step by step, and in what is read out."""
    module, x, program = compiled
    output = program.network[program.network.output]
    trace = program.run(x, engine="fast")
    with torch.no_grad():
        meant = unroll(module, torch.from_numpy(x).float())[0].numpy()
    answers = slice(output.depth, output.depth + x.shape[1])
    sent = trace.spikes[output.name][:, answers] / output.node.units["message"]
    assert np.abs(sent - meant).max() < 0.01 * np.abs(meant).max()
    read = sent.sum(1) if program.network.readout == "sum" else sent[:, -1]
    assert np.allclose(trace.outputs, read)


def test_checkpoint_nir_and_module_give_one_program(compiled, tmp_path):
    module, x, program = compiled
    ad.save(module, tmp_path / "model.pt", dt=1e-3, input_shape=(6,))
    ad.export(module, tmp_path / "net.nir", dt=1e-3, sample=x)
    assert fingerprint(read_nir(tmp_path / "net.nir").graph) == fingerprint(canonical(ad.load(module)))
    for source in ("model.pt", "net.nir"):
        assert same_but_recipe(program, ad.compile(tmp_path / source, target="loihi2", calibrate=x))


def test_the_nir_file_says_that_it_holds_parts_only(tmp_path):
    module, x = NETWORKS["attention"]
    ad.export(module, tmp_path / "net.nir", dt=1e-3, sample=x)
    document = nir.read(tmp_path / "net.nir")
    assert '"core": "parts only"' in document.metadata["astrodeploy"]
    linear = [node for node in document.nodes.values() if isinstance(node, nir.Linear)]
    assert any(np.array_equal(node.weight, module.key.weight.detach().numpy()) for node in linear)


def test_what_is_refused_is_named(tmp_path: Path):
    module, x = NETWORKS["attention"]
    with pytest.raises(UnsupportedError, match=r"compile the network with calibration data \(--calibrate, "):
        ad.compile(module, target="loihi2")
    with pytest.raises(UnsupportedError, match="can't be frozen: not a gain"):
        ad.compile(module, target="loihi2", calibrate=x, freeze_astrocytes=True)
    with pytest.raises(ad.errors.AstrodeployError, match="astrocyte_product_identity_factor"):
        ad.compile(module, target="loihi1", calibrate=x)


class Product(torch.nn.Module):
    """A signal, raised, times itself, of which a step is sent on."""

    def __init__(self, output: str = "identity", raised: float = 0.0, **settings: object) -> None:
        super().__init__()
        self.unit, self.raised = Astrocyte(3, output=output, **settings), raised
        self.out = Astrocyte(3)

    def forward(self, x, state=None):
        y, state = self.unit(None, state, left=x + self.raised, right=x)
        return self.out(y)[0], state


LAST = 3  # of three steps, of a unit of depth 1


def test_beyond_what_the_data_showed_it_saturates():
    """The margin is 1.5: a drive of 1.3 times the largest passes, one of many times is held."""
    rng = np.random.default_rng(0)
    x = rng.integers(-8, 9, (4, 10, 3)).astype(float)
    program = ad.compile(Product(), target="loihi2", calibrate=x)
    unit = program.network["unit"].node.units["message"]
    sent = program.run(np.full((1, 3, 3), 9.0), engine="oracle").spikes["unit"][0, LAST] / unit
    assert np.allclose(sent, 81, rtol=1e-3)
    held = program.run(np.full((1, 3, 3), 15.0), engine="oracle").spikes["unit"][0, LAST] / unit
    assert np.all(held < 225) and np.all(held > 81)


def test_a_window_whose_messages_are_smaller_than_its_rest():
    """At rest a sigmoid is a half, which is never sent: what is sent decides the unit."""
    x = np.random.default_rng(0).integers(3, 9, (4, 16, 3)).astype(float)
    program = ad.compile(Product("sigmoid", period=4, decay=0.5, drive=-0.03), target="loihi2", calibrate=x)
    verified = ad.verify(program, x[:2], engines=("fast",))
    assert verified.distance.total.membrane < 1e-3


def test_a_decay_that_rounds_to_none_is_refused():
    x = np.random.default_rng(0).integers(-8, 9, (4, 10, 3)).astype(float)
    with pytest.raises(UnsupportedError, match="unit's decay of 0.0001 a window rounds to none at all"):
        ad.compile(Product(decay=1e-4), target="loihi2", calibrate=x)


class Unit(torch.nn.Module):
    """A signal through one astrocyte, its factor the signal too where that is asked for."""

    def __init__(self, factor: bool = False, **settings: object) -> None:
        super().__init__()
        self.unit, self.factor = Astrocyte(3, **settings), factor
        self.out = Astrocyte(3)

    def forward(self, x, state=None):
        y, state = self.unit(x, state, factor=x if self.factor else None)
        return self.out(y)[0], state


@pytest.mark.parametrize(
    ("module", "scale", "message"),
    [
        (Unit(period=16, decay=0.5), 1, "window of 16 steps, and the calibration samples have 10: give .* 16 steps"),
        (Unit(factor=True, period=10, decay=0.5), 1, "give samples of at least 11 steps"),
        (Unit(output="exp2"), 1e4, "unit leaves the range of float64 on the calibration data"),
        (Unit(output="exp2"), 200, "unit's exp2 becomes .* out of the chip's reach: make what arrives smaller"),
        (Unit(factor=True, output="elu", period=2), 200, "unit's elu becomes .* and the chip's holds 85.3"),
    ],
)  # fmt: skip
def test_data_that_give_no_scale_are_refused(module, scale, message):
    x = scale * np.random.default_rng(0).random((4, 10, 3))
    with pytest.raises(UnsupportedError, match=message):
        ad.compile(module, target="loihi2", calibrate=x)


@pytest.mark.parametrize(
    ("module", "scale"),
    [(Unit(output="elu"), 200.0), (Product(raised=0.4), 1e-4), (Unit(offset=20.0), 1e-3)],
)
def test_what_is_large_beside_the_signal_still_compiles(module, scale):
    """Within what an input of 8 bits is rounded by, half of 1 in 127 of its largest value."""
    x = scale * np.random.default_rng(0).integers(-8, 9, (4, 10, 3)) / 8
    program = ad.compile(module, target="loihi2", calibrate=x, input_shape=(3,))
    exact, chip = (program.run(x, engine=engine).spikes["unit"][:, 1:] for engine in ("reference", "fast"))
    chip = chip / program.network["unit"].node.units["message"]
    assert np.abs(chip - exact).max() < 0.5 / 127 * np.abs(exact).max()


def test_messages_of_few_integers_are_told():
    x = 1e-3 * np.random.default_rng(0).random((4, 10, 3))
    passes = ad.compile(Unit(output="tanh"), target="loihi2", calibrate=x).passes
    notes = [note.text for report in passes for note in report.notes]
    assert any("reaches only 16 integers on the calibration data" in each for each in notes)


def test_two_kinds_of_units_are_two_kinds():
    """What differs in form has another name; what differs in numbers has not."""
    x = np.random.default_rng(0).integers(-8, 9, (4, 10, 3)).astype(float)
    plain = ad.compile(Product(), target="loihi2", calibrate=x).network["unit"].node
    other = ad.compile(Product(drive=0.5), target="loihi2", calibrate=x).network["unit"].node
    slow = ad.compile(Product("sigmoid", decay=0.5), target="loihi2", calibrate=x).network["unit"].node
    assert plain.kind == other.kind
    assert slow.kind.name == "astrocyte_product_sigmoid" != plain.kind.name
