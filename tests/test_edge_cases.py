"""Edge cases, each of which was wrong once."""

import sys

import numpy as np
import pytest
import torch
from float_networks import edge, graph, lif
from torch_networks import INPUTS, Chain, Hybrid, box, linear, spikes, values

import astrodeploy as ad
from astrodeploy.cli import main
from astrodeploy.ir import Population
from astrodeploy.ir.plain import fingerprint
from astrodeploy.nn import AstrocyteLayer, RateEncoder


class Modulated(torch.nn.Module):
    """One layer with astrocytes."""

    def __init__(self, neurons, **settings):
        super().__init__()
        self.weigh = linear(INPUTS, neurons, 0)
        self.layer = AstrocyteLayer(box(), neurons, **settings)

    def forward(self, x, state=None):
        return self.layer(self.weigh(x), state)


class Image(torch.nn.Module):
    """Pixels (1, 4, 4) through an encoder."""

    def __init__(self):
        super().__init__()
        self.encoder, self.flat = RateEncoder(8, 3), torch.nn.Flatten()
        self.weigh, self.layer = linear(16, 5, 0), AstrocyteLayer(box(), 5, domain=2, period=4, tau=0.1)

    def forward(self, x, state=None):
        encoder, layer = (None, None) if state is None else state
        x, encoder = self.encoder(x, encoder)
        z, layer = self.layer(self.weigh(self.flat(x)), layer)
        return z, (encoder, layer)


def _pool(program):
    return next(c.weight.astype(int) for c in program.network.connections if c.port == "activity")


@pytest.mark.parametrize(
    "neurons, domain, period, target", [(8, 4, 8, 0.01), (8, 4, 8, 0.02), (8, 1, 1, 0.3), (16, 16, 64, 0.02)]
)
def test_a_set_point_keeps_its_value(neurons, domain, period, target):
    program = ad.compile(Modulated(neurons, domain=domain, period=period, tau=1.0, target=target))
    set_point = program.network["layer_astrocytes"].node.parameters["set_point"]
    window = -period * _pool(program).sum(1)
    assert set_point / window == pytest.approx(target, rel=0.02)


@pytest.mark.parametrize("neurons", [1000, 1500, 3000, 4096])
def test_a_large_layer_at_its_mean_drives_no_astrocyte(neurons):
    pool = _pool(ad.compile(Modulated(neurons, domain=16, period=8, tau=0.1)))
    domains = neurons // 16
    assert np.abs(pool[:domains].sum(1)).max() <= 1
    assert np.abs(pool[:domains, : neurons // 2].clip(0).sum(1) - 127 * 8).max() <= 20


def test_what_rounds_to_no_decay_is_refused():
    with pytest.raises(ad.AstrodeployError, match="tau is longer than 8192 periods"):
        ad.compile(Modulated(8, domain=4, period=1, tau=10.0))


def test_a_negative_rate_is_refused_by_name():
    with pytest.raises(ad.AstrodeployError, match=r"layer_astrocytes\.rate must be"):
        ad.compile(Modulated(8, domain=4, period=8, tau=0.1, rate=-1.0))


def test_a_layer_against_its_own_mean_is_refused_with_what_to_do():
    with pytest.raises(ad.AstrodeployError, match=r"layer_astrocytes observes nothing.*more domains"):
        ad.compile(Modulated(8, domain=8, period=8, tau=0.1))


@pytest.mark.parametrize("bias", [0.6, 1.0, 3.0])
def test_a_large_bias_lowers_the_scale(bias):
    module = Chain(bias=True)
    with torch.no_grad():
        module.classify.bias.fill_(bias)
    program = ad.compile(module)
    ours, theirs = (program.run(spikes(), engine).outputs for engine in ("fast", "reference"))
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.1, abs=2)


def test_the_notes_of_a_plain_lif_name_only_its_own_parameters():
    notes = [n for report in ad.compile(Chain(bias=True)).passes for n in report.notes]
    assert not any("modulated_bias" in n.text for n in notes)


def test_inputs_of_any_shape_are_saved_and_exported(tmp_path):
    program = ad.compile(Image(), input_shape=(1, 4, 4))
    ad.export(Image(), tmp_path / "image.nir", input_shape=(1, 4, 4))
    program.save(tmp_path / "image.astro")
    again = ad.Program.load(tmp_path / "image.astro")
    assert again.input_shape == (1, 4, 4)
    assert fingerprint(again.reference) == fingerprint(program.reference)
    assert ad.compile(tmp_path / "image.nir").fingerprint == program.fingerprint


def test_a_graph_in_any_order_is_exported(tmp_path):
    populations = [Population("b", (3,), lif()), Population("a", (3,), lif())]
    unordered = graph(3, populations, [edge("b", "a", np.eye(3)), edge("x", "b", np.eye(3))])
    assert ad.load(ad.export(unordered, tmp_path / "x.nir")).layers == ("x", "b", "a")


@pytest.mark.parametrize("name", ["a/b", ".", ""])
def test_names_that_no_nir_file_can_keep_are_kept_by_a_program(name, tmp_path):
    made = graph(3, [Population(name, (3,), lif())], [edge("x", name, np.eye(3))])
    with pytest.raises(ad.AstrodeployError, match="a layer's name is readable text, not empty"):
        ad.export(made, tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())
    program = ad.compile(made)
    program.save(tmp_path / "net.astro")
    again = ad.Program.load(tmp_path / "net.astro")
    assert again.fingerprint == program.fingerprint


def test_what_a_bias_does_before_the_first_step_is_no_rounding():
    layers = [f"l{i}" for i in range(8)]
    populations = [Population(name, (3,), lif(bias=np.full(3, 2.4))) for name in layers]
    edges = [edge(a, b, np.eye(3) / 2) for a, b in zip(["x", *layers], layers, strict=False)]
    program = ad.compile(graph(3, populations, edges))
    x = np.zeros((1, 20, 3))
    assert program.run(x).spikes["l7"][:, :8].any()
    assert ad.verify(program, x, ("fast",)).distance.total.spikes == 0


def test_tau_may_be_one_step_in_single_precision():
    module = Chain(make=lambda: box(dt=3e-3, tau_mem_inv=torch.tensor(1 / 3e-3)))
    assert ad.verify(ad.compile(module), spikes(), ("fast",)).equal
    AstrocyteLayer(box(), 8, domain=4, period=9, tau=0.009)


@pytest.mark.parametrize("tau", [0.0, -1.0])
def test_a_tau_that_is_no_time_is_refused(tau):
    with pytest.raises(ValueError, match="tau must be at least"):
        AstrocyteLayer(box(), 8, domain=4, period=8, tau=tau)


# ---- the command line ------------------------------------------------------------------------------


def _call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["astrodeploy", *map(str, arguments)])
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0


NETS = """
from torch_networks import Chain

def small(): return Chain()
def broken(): raise OSError("no weights here")
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "nets_of_a_user.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    yield "nets_of_a_user"
    sys.modules.pop("nets_of_a_user", None)


def test_a_function_in_the_working_directory_is_found_and_names_its_program(nets, monkeypatch, tmp_path):
    assert _call(monkeypatch, "compile", f"{nets}:small") == 0
    assert (tmp_path / f"{nets}.small.astro").is_dir()


def test_what_a_users_function_raises_is_one_sentence(nets, monkeypatch, capsys):
    assert _call(monkeypatch, "compile", f"{nets}:broken") == 2
    assert "broken raised OSError: no weights here" in capsys.readouterr().err


def test_an_assumed_rate_takes_no_options_of_a_run(monkeypatch, capsys, tmp_path):
    ad.compile(Hybrid()).save(tmp_path / "net.astro")
    assert (
        _call(monkeypatch, "estimate", tmp_path / "net.astro", "--rate", "0.1", "--carry", "astrocytes") == 2
    )
    assert "say how a run is made" in capsys.readouterr().err


def test_the_oracle_alone_is_not_called_unequal(monkeypatch, capsys, tmp_path):
    ad.compile(Hybrid()).save(tmp_path / "net.astro")
    np.savez(tmp_path / "x.npz", x=values())
    arguments = ("verify", tmp_path / "net.astro", "--input", tmp_path / "x.npz", "--engines", "lava")
    monkeypatch.setenv("ASTRODEPLOY_LAVA_PYTHON", "/nowhere/python")
    assert _call(monkeypatch, *arguments) == 1
    assert "no engine but the oracle ran" in capsys.readouterr().out


@pytest.mark.parametrize("bits", [0, 1])
def test_a_weight_has_a_sign_and_a_bit(bits, tmp_path):
    from astrodeploy.resources import data_folder

    text = (data_folder("targets") / "toy" / "chip.toml").read_text()
    (tmp_path / "c.toml").write_text(
        text.replace("weight_bits = { value = 8", f"weight_bits = {{ value = {bits}")
    )
    with pytest.raises(ad.AstrodeployError, match="weight_bits must be at least 2"):
        ad.compile(Chain(), tmp_path / "c.toml")
