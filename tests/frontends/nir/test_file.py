"""NIR files: the whole round trip, other readers, and files that are damaged, edited or foreign."""

import itertools
import json
import logging
import re

import h5py
import nir
import norse.torch as norse
import numpy as np
import pytest
import torch
from float_networks import random_closed_loop
from torch_networks import Chain, Hybrid, Nested, box, cuba, sequential, spikes, values

import astrodeploy as ad
from astrodeploy.encoders import encode_rate
from astrodeploy.errors import InputError, NirError, ProgramError
from astrodeploy.frontends.nir import astrocytes
from astrodeploy.frontends.nir.file import read_nir, to_nir, write_nir
from astrodeploy.ir.astrocytes import without_astrocytes
from astrodeploy.ir.canonical import canonical
from astrodeploy.ir.plain import fingerprint
from astrodeploy.program import same_but_recipe

NETWORKS = {
    "chain": lambda: Chain(bias=True),
    "hybrid": Hybrid,
    "hybrid with bias": lambda: Hybrid(bias=True, encoder=False),
    "hybrid of currents": lambda: Hybrid(make=cuba),
    "nested": Nested,
    "sequential": sequential,
}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", NETWORKS)
def test_checkpoint_to_nir_to_program_is_the_same_program_but_for_its_recipe(name, tmp_path):
    ad.save(NETWORKS[name](), tmp_path / "model.pt", dt=1e-3, input_shape=(6,))
    ad.export(tmp_path / "model.pt", tmp_path / "model.nir")
    programs = [ad.compile(tmp_path / f"model.{suffix}") for suffix in ("pt", "nir")]
    assert same_but_recipe(*programs)
    assert [each.recipe.source.name for each in programs] == ["model.pt", "model.nir"]
    one, two = (contents(each.save(tmp_path / f"{i}.astro")) for i, each in enumerate(programs))
    assert set(one) == {"program.json", "tensors.safetensors", "graph.nir"}
    assert all(one[name] == two[name] for name in set(one) - {"program.json"})
    assert one["graph.nir"] == (tmp_path / "model.nir").read_bytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_files_survive_reading_and_writing_by_nir_itself(name, tmp_path):
    ad.export(NETWORKS[name](), tmp_path / "a.nir")
    document = nir.read(tmp_path / "a.nir")
    known = {nir.Input, nir.Output, nir.Linear, nir.Affine, nir.LIF, nir.CubaLIF}
    assert {type(node) for node in document.nodes.values()} <= known
    nir.write(tmp_path / "b.nir", document)
    whole = fingerprint(ad.load(NETWORKS[name]()))
    for source in (tmp_path / "a.nir", tmp_path / "b.nir", document):
        assert fingerprint(ad.load(source)) == whole


def test_a_recurrent_graph_with_lags_is_read_back(tmp_path):
    graph = random_closed_loop(np.random.default_rng(0))
    write_nir(graph, tmp_path / "a.nir")
    assert fingerprint(read_nir(tmp_path / "a.nir").graph) == fingerprint(canonical(graph))


def in_norse(path, x, wide):
    """Spikes of a NIR file in Norse's own importer, in float32 or, as far as its parameters go, in float64."""
    logging.disable(logging.WARNING)
    try:
        module = norse.from_nir(nir.read(path), dt=1e-3, ignore_warnings=True)
    finally:
        logging.disable(logging.NOTSET)
    if wide:
        module = module.double()
        for child in module.modules():
            if hasattr(child, "p"):
                made = {k: v.double() for k, v in child.p._asdict().items() if isinstance(v, torch.Tensor)}
                child.p = child.p._replace(**made)
    state, outputs = None, []
    with torch.no_grad():
        for t in range(x.shape[1]):
            z, state = module(torch.from_numpy(x[:, t]).to(torch.float64 if wide else torch.float32), state)
            outputs.append(z)
    return torch.stack(outputs, 1).numpy()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("make", [box, lambda: cuba(v_th=2.0)])
def test_norse_runs_the_core_as_our_network_with_its_astrocytes_at_rest(make, wide, tmp_path):
    module = Hybrid(make=make)
    path = ad.export(module, tmp_path / "a.nir")
    frozen = ad.compile(path, freeze_astrocytes=True)
    assert "hidden_astrocytes" not in frozen.layers
    x = values(samples=8)
    ours = frozen.run(x, engine="reference", steps=40).spikes["readout"][:, 2:42]
    theirs = in_norse(path, encode_rate(x, 40, module.encoder.seed), wide)
    assert ours.sum() > 50
    assert np.array_equal(ours, theirs)
    awake = ad.compile(path).run(x, engine="reference", steps=40).spikes["readout"][:, 2:42]
    assert not np.array_equal(awake, theirs)


def test_norse_runs_a_network_without_astrocytes_as_it_is(tmp_path):
    path = ad.export(Chain(), tmp_path / "a.nir")
    x = spikes(samples=8, steps=40)
    ours = ad.compile(path).run(x, engine="reference").spikes["readout"]
    assert ours.sum() > 20
    assert np.array_equal(ours[:, 2:], in_norse(path, x, wide=False))


def test_the_core_is_the_network_at_rest():
    graph = ad.load(Hybrid(bias=True))
    document = to_nir(graph)
    data = json.loads(document.metadata["astrodeploy"])
    assert (data["schema"], data["version"]) == ("astrodeploy.nir", 3)
    assert (data["core"], data["dt"], data["reset"], data["threshold"]) == (
        "runs at rest",
        1e-3,
        "value",
        ">",
    )
    document.metadata = {}
    rest = canonical(without_astrocytes(graph))
    core = ad.load(document, dt=1e-3)
    assert [c.name for c in core.connections] == [c.name for c in rest.connections]
    for ours, theirs in zip(rest.connections, core.connections, strict=True):
        assert np.array_equal(ours.weight, theirs.weight)
    assert np.array_equal(rest["hidden"].node.bias, core["hidden"].node.bias)
    assert core.encoder is None


# ---- plain NIR -------------------------------------------------------------------------------------


def document(**changed):
    """A small foreign NIR graph."""
    ones, rng = np.ones(4), np.random.default_rng(0)
    neurons = {"r": ones, "v_leak": 0 * ones, "v_threshold": 0.5 * ones, "v_reset": 0 * ones}
    nodes = {
        "in": nir.Input(np.array([6])),
        "w": nir.Affine(rng.random((4, 6)), 0.1 * ones),
        "1": nir.LIF(tau=5e-3 * ones, **neurons),
        "w2": nir.Linear(rng.random((4, 4))),
        "0": nir.CubaLIF(tau_syn=4e-3 * ones, tau_mem=5e-3 * ones, w_in=2 * ones, **neurons),
        "out": nir.Output(np.array([4])),
    }
    chain = ["in", "w", "1", "w2", "0", "out"]
    edges = list(itertools.pairwise(chain))
    return {"nodes": nodes | changed.get("nodes", {}), "edges": edges + changed.get("edges", [])}


def foreign(**changed):
    return nir.NIRGraph(**document(**changed), type_check=False)


def test_a_plain_file_asks_for_its_time_step_and_then_compiles(tmp_path):
    nir.write(tmp_path / "a.nir", foreign())
    with pytest.raises(
        NirError, match=r"a.nir does not say its time step: give it with --dt \(seconds\), or dt="
    ):
        ad.compile(tmp_path / "a.nir")
    with pytest.raises(NirError, match="the NIR graph does not say its time step"):
        ad.compile(foreign())
    program = ad.compile(tmp_path / "a.nir", dt=1e-3)
    assert program.layers == ("in", "1", "0")
    assert program.network.output == "0"
    assert program.run(spikes(), engine="oracle").spikes["0"].sum() > 0
    assert (ad.compile(foreign(), dt=5e-4).network["1"].node.parameters["dv"] == round(4096 * 0.1)).all()


def test_a_missing_v_reset_is_zero():
    node = nir.LIF(tau=np.full(4, 5e-3), r=np.ones(4), v_leak=np.zeros(4), v_threshold=np.ones(4))
    assert (ad.load(foreign(nodes={"1": node}), dt=1e-3)["1"].node.v_reset == 0).all()


def test_parallel_weights_and_biases_add_up():
    extra = {"w3": nir.Affine(np.full((4, 6), 2.0), np.full(4, 0.3))}
    graph = ad.load(foreign(nodes=extra, edges=[("in", "w3"), ("w3", "1")]), dt=1e-3)
    plain = ad.load(foreign(), dt=1e-3)
    weight = lambda g: next(c.weight for c in g.connections if c.target == "1")
    assert np.allclose(weight(graph), weight(plain) + 2)
    assert np.allclose(graph["1"].node.bias, 0.4)


@pytest.mark.parametrize("dt", [-1e-3, 0.0, float("inf"), float("nan")])
def test_time_steps_that_are_none(dt):
    with pytest.raises(InputError, match="dt must be a positive number of seconds, not"):
        ad.load(foreign(), dt=dt)


def test_a_time_step_longer_than_a_time_constant():
    with pytest.raises(
        NirError, match=r"0 has tau_syn = 0.004 s, shorter than dt = 0.0045 s: choose a smaller dt"
    ):
        ad.load(foreign(), dt=4.5e-3)


class Strange(nir.NIRNode):
    """A node of somebody's own."""

    def __init__(self):
        self.input_type = self.output_type = {}


def test_unknown_nodes_are_refused_by_name():
    with pytest.raises(
        NirError, match="the NIR graph: strange is a Strange; known are NIRGraph, Input, Output"
    ):
        ad.load(foreign(nodes={"strange": Strange()}), dt=1e-3)


def weights(*shape):
    return nir.Linear(np.ones(shape))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nodes": {"w": weights(4, 5)}}, r"w has a weight of shape \(4, 5\), needed is \(targets, 6\)"),
        (
            {"nodes": {"w": weights(3, 6)}},
            r"1 has its tau in the shape \(4,\), needed is one number or \(3,\)",
        ),
        (
            {"nodes": {"w": nir.Affine(np.ones((4, 6)), np.ones(3))}},
            "w has a bias of 3 numbers, needed are 4",
        ),
        ({"edges": [("nobody", "1")]}, "the edge 'nobody' -> '1', but no node 'nobody'; there are in, w, 1"),
        (
            {"nodes": {"w": nir.Linear(np.full((4, 6), np.nan))}},
            "w holds 24 NaN or infinite values in its weight",
        ),
        ({"nodes": {"out2": nir.Output(np.array([4]))}}, "out2 is an Output that nothing reaches"),
        (
            {
                "nodes": {"a": weights(4, 4), "b": weights(4, 4)},
                "edges": [("a", "b"), ("b", "a"), ("b", "1")],
            },
            "a lies in the loop a -> b -> a, in which there is no neuron",
        ),
    ],
)
def test_graphs_that_do_not_fit_together(changed, message):
    with pytest.raises(NirError, match=message):
        ad.load(foreign(**changed), dt=1e-3)


# ---- files that were edited, damaged or never were NIR ------------------------------------------------


@pytest.fixture(scope="module")
def hybrid_file(tmp_path_factory):
    return ad.export(Hybrid(bias=True), tmp_path_factory.mktemp("nir") / "hybrid.nir")


def edited(hybrid_file, tmp_path, change):
    made = nir.read(hybrid_file)
    change(made)
    nir.write(tmp_path / "edited.nir", made)
    return tmp_path / "edited.nir"


def add_a_little(made, name, field):
    array = getattr(made.nodes[name], field).copy()
    array.flat[0] += 2**-30
    setattr(made.nodes[name], field, array)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("input_to_hidden", "weight"),
        ("input_to_hidden", "bias"),
        ("hidden_to_readout", "weight"),
        ("hidden", "tau"),
        ("hidden", "v_reset"),
        ("readout", "v_threshold"),
    ],
)
def test_an_edited_core_no_longer_fits_its_astrocytes(name, field, hybrid_file, tmp_path):
    path = edited(hybrid_file, tmp_path, lambda made: add_a_little(made, name, field))
    with pytest.raises(
        NirError, match="its core graph was edited after its astrocytes were written.*export it again"
    ):
        ad.load(path)


def test_a_core_without_its_metadata_compiles_alone(hybrid_file, tmp_path):
    path = edited(hybrid_file, tmp_path, lambda made: made.metadata.clear())
    assert ad.load(path, dt=1e-3).layers == ("input", "hidden", "readout")


def rewrite(change):
    def edit(made):
        text = made.metadata["astrodeploy"]
        data = json.loads(text.decode() if isinstance(text, bytes) else str(text))
        change(data)
        made.metadata["astrodeploy"] = json.dumps(data)

    return edit


def touch(name):
    def edit(made):
        array = np.array(made.metadata[name])
        array.flat[0] += 2**-40
        made.metadata[name] = array

    return edit


DAMAGES = {
    "no JSON": lambda made: made.metadata.update(astrodeploy="{"),
    "a list": lambda made: made.metadata.update(astrodeploy="[1]"),
    "a number": lambda made: made.metadata.update(astrodeploy="3"),
    "too deep": lambda made: made.metadata.update(astrodeploy="[" * 100_000),
    "no schema": rewrite(lambda data: data.pop("schema")),
    "no hash": rewrite(lambda data: data.pop("sha256")),
    "another period": rewrite(lambda data: data["network"]["populations"][2]["settings"].update(period=9)),
    "another dt": rewrite(lambda data: data.update(dt=2e-3)),
    "no dt": rewrite(lambda data: data.pop("dt")),
    "no core": rewrite(lambda data: data.pop("core_sha256")),
    "no astrocytes": rewrite(lambda data: data["network"]["populations"].pop(2)),
    "another place": rewrite(lambda data: data["tensors"].update({"population.1.tau": ["metadata"]})),
    "log gain": touch("astrodeploy.population.2.log_gain"),
    "pool": touch("astrodeploy.connection.2.values"),
    "weight": touch("astrodeploy.connection.0.values"),
    "bias": touch("astrodeploy.population.1.bias"),
    "a tensor less": lambda made: made.metadata.pop("astrodeploy.connection.2.values"),
    "a tensor more": lambda made: made.metadata.update({"astrodeploy.more": np.ones(3)}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_metadata(name, hybrid_file, tmp_path):
    path = edited(hybrid_file, tmp_path, DAMAGES[name])
    with pytest.raises(
        NirError, match="its astrocyte metadata (is|was edited or) damaged: export the network again"
    ):
        ad.load(path)


def test_metadata_of_another_version(hybrid_file, tmp_path):
    path = edited(hybrid_file, tmp_path, rewrite(lambda data: data.update(version=4)))
    with pytest.raises(
        NirError, match="its astrocytes are of astrodeploy.nir 4, read here is up to .* 3: update"
    ):
        ad.load(path)
    path = edited(hybrid_file, tmp_path, rewrite(lambda data: data.update(schema="other", version=4)))
    with pytest.raises(NirError, match="its astrocytes are of other 4, read here is up to astrodeploy.nir 3"):
        ad.load(path)
    path = edited(hybrid_file, tmp_path, rewrite(lambda data: data.update(version=1)))
    with pytest.raises(NirError, match="its metadata is of astrodeploy.nir 1, which is read no more: export"):
        ad.load(path)


def resealed(made, change):
    """Metadata that was changed by somebody who knows how it is sealed."""
    data = json.loads(str(made.metadata["astrodeploy"]))
    change(data)
    data["sha256"] = astrocytes._seal(data, made.metadata)
    made.metadata["astrodeploy"] = json.dumps(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["tensors"].update({"population.1.tau": ["uniform", [10**6, 10**6], 0.0, "<f8"]}),
        lambda data: data["tensors"].update({"population.1.tau": ["uniform", [12], 0.0, "O"]}),
        lambda data: data["tensors"].update({"population.1.tau": ["core", "nobody", "tau", [12]]}),
        lambda data: data["tensors"].update({"population.1.tau": ["core", "hidden", "tau", [7]]}),
        lambda data: data["tensors"].update({"population.1.tau": "core"}),
        lambda data: data["tensors"].pop("population.1.tau"),
        lambda data: data["network"]["populations"][0].update(shape=[10**6, 10**6]),
        lambda data: data["network"]["populations"][0].update(node="Strange"),
        lambda data: data["network"].pop("connections"),
        lambda data: data.update(network=[]),
        lambda data: data["network"].update(dt=-1.0),
    ],
)
def test_metadata_that_are_sealed_and_wrong(change, hybrid_file, tmp_path):
    path = edited(hybrid_file, tmp_path, lambda made: resealed(made, change))
    with pytest.raises(NirError, match=re.escape(str(path))):
        ad.load(path)


def test_another_time_step_than_the_files_own(hybrid_file):
    assert ad.load(hybrid_file, dt=1e-3).dt == 1e-3
    with pytest.raises(
        NirError, match=r"was written for dt = 0.001 s, asked for is dt = 0.002 s: leave dt out"
    ):
        ad.load(hybrid_file, dt=2e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can't be read as NIR"),
        (b"no HDF5", "can't be read as NIR"),
        (None, "can't be read: Is a directory"),
    ],
)
def test_files_that_are_no_nir(content, message, tmp_path):
    path = tmp_path / "a.nir"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(NirError, match=re.escape(str(path)) + f" {message}") as refusal:
        ad.load(path)
    assert "\n" not in str(refusal.value)


def test_data_of_other_types_are_not_read(tmp_path):
    """HDF5 itself would crash where a text is said to be a list of bytes."""
    with h5py.File(tmp_path / "a.nir", "w") as file:
        file.create_dataset("node/type", (1,), dtype=h5py.vlen_dtype(np.uint8))
    with pytest.raises(
        NirError, match="a.nir can't be read as NIR: /node/type holds object, neither numbers nor text"
    ):
        ad.load(tmp_path / "a.nir")


def test_cuts_and_flips_never_crash(hybrid_file, tmp_path):
    content, whole, rng = (
        hybrid_file.read_bytes(),
        fingerprint(ad.load(hybrid_file)),
        np.random.default_rng(0),
    )
    damaged = [content[:size] for size in rng.integers(0, len(content), 20)]
    for place in rng.integers(0, len(content), 80):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    refused = 0
    for each in damaged:
        (tmp_path / "bad.nir").write_bytes(each)
        try:
            assert fingerprint(ad.load(tmp_path / "bad.nir")) == whole
        except InputError:
            refused += 1
    assert refused >= 30


# ---- export ------------------------------------------------------------------------------------------


def test_exports_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    with pytest.raises(ProgramError, match="a.nir can't be written: the folder .*no does not exist"):
        ad.export(Chain(), tmp_path / "no" / "a.nir")
    monkeypatch.setattr("pathlib.Path.write_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ad.export(Chain(), tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())


def test_exports_are_deterministic(tmp_path):
    for name in ("a", "b"):
        ad.export(Hybrid(), tmp_path / f"{name}.nir", sample=values())
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_a_layer_that_nobody_listens_to_is_kept(tmp_path):
    """nir gives every node without a successor an Output of its own."""

    class Branched(Chain):
        def forward(self, x, state=None):
            hidden, readout, side = (None, None, None) if state is None else state
            z, hidden = self.hidden(self.expand(x), hidden)
            _, side = self.side(z, side)
            z, readout = self.readout(self.classify(z), readout)
            return z, (hidden, readout, side)

    module = Branched()
    module.side = box()
    path = ad.export(module, tmp_path / "a.nir")
    nir.write(tmp_path / "b.nir", nir.read(path))
    for source in (path, tmp_path / "b.nir"):
        assert fingerprint(ad.load(source)) == fingerprint(ad.load(module))
    saved = ad.compile(module).save(tmp_path / "net.astro")
    assert ad.Program.load(saved).network.output == "readout"
