"""The front doors: every kind of source, and what is said to every other."""

import sys

import nir
import numpy as np
import pytest
import torch
from float_networks import edge, graph, lif
from torch_networks import Chain, Hybrid, spikes, values

import astrodeploy as ad
from astrodeploy.errors import ChipError, DoesNotFit, InputError, UnsupportedError
from astrodeploy.frontends.nir.file import to_nir
from astrodeploy.ir import Population
from astrodeploy.ir.plain import fingerprint

FACTORY = """
import torch_networks

CONSTANT = 3.0


def make():
    return torch_networks.Chain()


def path():
    return {path!r}


def broken():
    return 7
"""


@pytest.fixture
def factory(tmp_path, monkeypatch):
    ad.save(Chain(), tmp_path / "chain.pt", dt=1e-3, input_shape=(6,))
    (tmp_path / "my_factory.py").write_text(FACTORY.format(path=str(tmp_path / "chain.pt")))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_factory", None)


def test_all_sources_of_a_network_are_the_same_network(factory):
    graphs = [
        ad.load(source)
        for source in (
            Chain(),
            factory / "chain.pt",
            str(factory / "chain.pt"),
            "my_factory:make",
            "my_factory:path",
            to_nir(ad.load(Chain())),
            ad.export(Chain(), factory / "chain.nir"),
            ad.load(Chain()),
        )
    ]
    assert len({fingerprint(each) for each in graphs}) == 1
    assert (
        len({ad.compile(each).fingerprint for each in (graphs[0], "my_factory:make", factory / "chain.nir")})
        == 1
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "my_factory:nobody",
            "my_factory:nobody can't be imported: module 'my_factory' has no attribute 'nobody'",
        ),
        ("no_such_module:make", "no_such_module:make can't be imported: No module named 'no_such_module'"),
        (":make", ":make can't be imported: Empty module name"),
        ("my_factory:", "my_factory: can't be imported"),
        ("my_factory:CONSTANT", "my_factory:CONSTANT is a float, needed is a function that returns a module"),
        ("my_factory:broken", "a int can't be compiled: give a path, a torch module or a NIR graph"),
        ("none.pt", "none.pt does not exist"),
        ("", "is none of the files that can be compiled"),
        ("/" * 300 + "a" * 300 + ".pt", "does not exist"),
        (3, "a int can't be compiled"),
        (None, "a NoneType can't be compiled"),
        (Chain, "a type can't be compiled"),
        (np.zeros(3), "a ndarray can't be compiled"),
    ],
)
def test_sources_that_are_none(source, message, factory):
    with pytest.raises(InputError, match=message):
        ad.compile(source)


@pytest.mark.parametrize("name", ["net.h5", "net.txt", "net", "net.astro"])
def test_files_of_another_kind(name, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=f"{name} is none of the files that can be compiled: .pt, .nir, "):
        ad.load(tmp_path / name)


def test_a_graph_that_breaks_a_law_is_refused_before_any_pass():
    made = graph(1, [Population("a", (1,), lif())], [edge("x", "a", [[1.0]])])
    broken = made.with_population(Population("a", (1,), lif(tau=1e-6)))
    with pytest.raises(InputError, match="^the network can't be compiled: a.tau is 1e-06 s, shorter than dt"):
        ad.compile(broken)


# ---- options -----------------------------------------------------------------------------------------


def test_unknown_targets_are_told_which_there_are(tmp_path):
    with pytest.raises(
        ChipError,
        match="there is no target 'loihi3': choose a chip .*loihi1, loihi2.*, a board .*, or give a",
    ):
        ad.compile(Chain(), "loihi3")
    with pytest.raises(ChipError, match="none.toml can't be read: No such file"):
        ad.compile(Chain(), tmp_path / "none.toml")


def test_a_bad_target_is_told_before_the_network_is_read():
    with pytest.raises(ChipError):
        ad.compile("none.pt", "loihi3")


@pytest.mark.parametrize("every", [0, -1])
def test_resets_need_a_step(every):
    with pytest.raises(InputError, match=f"reset_every must be at least 1 step, not {every}"):
        ad.compile(Chain(), reset_every=every)


def test_time_steps_and_shapes_must_agree_with_the_source(factory):
    source = factory / "chain.pt"
    assert ad.load(source, dt=1e-3, input_shape=(6,)).dt == 1e-3
    for each in (source, ad.load(source)):
        with pytest.raises(
            InputError, match=r"trained with dt = 0.001 s, asked for is 0.002 s: leave dt out"
        ):
            ad.load(each, dt=2e-3)
        with pytest.raises(InputError, match=r"input has shape \(6,\), asked for is \(2, 3\)"):
            ad.load(each, input_shape=(2, 3))


def test_astrocytes_do_not_fit_a_chip_that_can_not_multiply():
    with pytest.raises(
        DoesNotFit, match="(?s)the network can't run on loihi1, .*--freeze-astrocytes, which fixes"
    ):
        ad.compile(Hybrid(), "loihi1")
    assert ad.compile(Hybrid(), "loihi1", freeze_astrocytes=True).target == "loihi1"


def test_compilation_is_deterministic():
    assert ad.compile(Hybrid()).fingerprint == ad.compile(Hybrid()).fingerprint


# ---- export ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["module", "checkpoint", "factory", "graph"])
def test_every_source_can_be_exported(kind, factory):
    source = {
        "module": Chain(),
        "checkpoint": factory / "chain.pt",
        "factory": "my_factory:make",
        "graph": ad.load(Chain()),
    }[kind]
    path = ad.export(source, factory / "out.nir", dt=1e-3)
    assert fingerprint(ad.load(path)) == fingerprint(ad.load(Chain()))
    assert isinstance(nir.read(path), nir.NIRGraph)


def test_a_sample_is_checked_for_modules_and_factories(factory):
    ad.export("my_factory:make", factory / "a.nir", sample=spikes())
    ad.export(Hybrid(), factory / "b.nir", sample=values())

    class Wrong(Chain):
        def __init__(self):
            super().__init__()
            self.expand.register_forward_hook(lambda m, i, out: out + (i[0].sum() == 0) * 9)

    with pytest.raises(UnsupportedError, match="the export check failed"):
        ad.export(Wrong(), factory / "c.nir", sample=np.zeros((1, 4, 6)))
    assert not (factory / "c.nir").exists()


def test_a_network_that_nir_can_not_say_is_not_exported(tmp_path):
    """Neurons with and without leak in one layer: NIR has no node for both."""
    mixed = lif(tau=np.array([0.01, np.inf]))
    made = graph(1, [Population("a", (2,), mixed)], [edge("x", "a", [[1.0], [2.0]])])
    with pytest.raises(
        InputError,
        match="a.nir was not written: NIR can't say the whole of this network: a has neurons with and",
    ):
        ad.export(made, tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())


def test_training_goes_on_after_a_save(tmp_path):
    """Neither parameters nor mode nor gradients of the module are touched."""
    module = Hybrid().train()
    before = [p.clone() for p in module.parameters()]
    ad.save(module, tmp_path / "model.pt", dt=1e-3, input_shape=(6,))
    assert module.training
    assert all(
        torch.equal(a, b) and b.requires_grad for a, b in zip(before, module.parameters(), strict=True)
    )
    assert next(module.parameters()).dtype == torch.float32


def test_a_checkpoint_is_not_overwritten_by_an_export(tmp_path):
    path = tmp_path / "chain.pt"
    ad.save(Chain(), path, dt=1e-3, input_shape=(6,))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"chain.pt was not written: the name of a NIR file ends in .nir"):
        ad.export(path, path)
    assert path.read_bytes() == before
