"""AM-SNet: recurrent = parallel, positions that are relative, constant state, and the chip from train.py on."""

import subprocess
import sys

import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_modules import modules_of

import astrodeploy as ad
from astrodeploy.resources import data_folder

FOLDER = data_folder("models") / "amsnet"
UNITY = 4096  # what a decay is a whole number of parts of, on the chip


@pytest.fixture(scope="module")
def amsnet():
    """Its modules, by name."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as train.py does: the matrices are small
    with modules_of("amsnet") as modules:
        yield modules
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("amsnet")
    command = [sys.executable, str(FOLDER / "train.py"), "--out", str(folder), "--steps", "2"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def small(amsnet, tmp_path_factory):
    """A network of one narrow unit, trained for some steps, its Program, and text."""
    made = amsnet["model"].Settings(width=24, neurons=24, heads=(0.5, 0.9375), keys=4, values=4, layers=1)
    torch.manual_seed(0)
    network = amsnet["model"].AMSNet(made)
    amsnet["train"].train(network, made, 0, 60)
    x, following, calibrate = amsnet["train"].samples(made)
    file = tmp_path_factory.mktemp("small") / "model.pt"
    ad.save(network, file, dt=amsnet["model"].DT, input_shape=(made.inputs,))
    program = ad.compile(file, "loihi2", calibrate=calibrate, pack="fewest")
    return {"file": file, "program": program, "x": x, "next": following, "calibrate": calibrate}


decays = st.lists(st.integers(0, UNITY).map(lambda part: part / UNITY), min_size=1, max_size=3).map(tuple)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 5), st.integers(1, 5))


@settings(max_examples=40, deadline=None)
@given(betas=decays, shape=shapes, seed=st.integers(0, 2**31))
def test_membranes_in_parallel_are_those_step_by_step(amsnet, betas, shape, seed):
    torch.manual_seed(seed)
    current = torch.randn(*shape[:2], len(betas))
    together = amsnet["model"].integrated(current, betas)
    u = torch.zeros(shape[0], len(betas))
    for step in range(shape[1]):
        u = torch.tensor(betas) * u + current[:, step]
        assert torch.allclose(together[:, step], u, rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(lambdas=decays, shape=shapes, seed=st.integers(0, 2**31))
def test_reading_a_decaying_state_is_masked_attention(amsnet, lambdas, shape, seed):
    batch, steps, keys, values = shape
    torch.manual_seed(seed)
    q, k = torch.randn(2, batch, len(lambdas), steps, keys)
    v = torch.randn(batch, len(lambdas), steps, values)
    together = amsnet["model"].retained(q, k, v, lambdas)
    decay = torch.tensor(lambdas)[:, None, None]
    h = torch.zeros(batch, len(lambdas), keys, values)
    for step in range(steps):
        h = decay * h + k[:, :, step, :, None] * v[:, :, step, None]
        y = (q[:, :, step, :, None] * h).sum(2)
        scale = 1 + (q[:, :, step, :, None] * h).abs().sum(
            2
        )  # float32's rounding grows with what is added up
        assert ((together[:, :, step] - y).abs() / scale).max() < 1e-5


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_the_network_in_parallel_is_the_network_step_by_step(amsnet, rotary, layers, seed):
    made = amsnet["model"].Settings(layers=layers, rotary=rotary)
    network, x = _random(amsnet, made, seed)
    with torch.no_grad():
        together, alone = network.parallel(x), _stepped(network, x)
        exact = network.double().parallel(x.double())
    assert exact.std() > 0.3
    assert (together - exact).abs().max() < 1e-4  # no spike of these seeds is at its threshold
    assert torch.allclose(alone, together, rtol=1e-5, atol=1e-5)


def test_without_astrocytes_too(amsnet):
    network, x = _random(amsnet, amsnet["model"].Settings(rotary=False, astrocytes=False), 0)
    with torch.no_grad():
        assert torch.allclose(_stepped(network, x), network.parallel(x), rtol=1e-5, atol=1e-5)


def test_it_reads_no_character_before_its_time(amsnet):
    network, x = _random(amsnet, amsnet["model"].Settings(), 1)
    changed = x.clone()
    changed[:, 30] = x[:, 30].roll(1, 0)
    with torch.no_grad():
        before, after = network.parallel(x), network.parallel(changed)
    assert torch.equal(before[:, :30], after[:, :30])
    assert not torch.allclose(before[:, 30:], after[:, 30:])


def test_only_the_distance_between_positions_counts(amsnet):
    model, made = amsnet["model"], amsnet["model"].Settings()
    characters = torch.randint(0, 56, (2, 20), generator=torch.Generator().manual_seed(0))
    late = model.encoded(torch.cat([characters, characters], 1), made).double()[:, 20:]
    early = model.encoded(characters, made).double()
    torch.manual_seed(0)
    network = model.AMSNet(made).double()
    with torch.no_grad():
        assert not torch.equal(early, late)
        assert (network.parallel(early) - network.parallel(late)).abs().max() < 1e-5  # cosines are in float32


def test_its_state_does_not_grow_and_the_cache_does(amsnet):
    unit = amsnet["model"].Unit(amsnet["model"].Settings())
    found = amsnet["lengths"].growth(unit, 0, (70, 140, 210), 1)
    assert len({each["unit"]["kept"] for each in found}) == 1
    assert len({each["unit"]["allocated"] for each in found}) == 1
    kept = [each["softmax"]["kept"] for each in found]
    assert np.all(np.diff(kept) == 4 * 2 * 64 * 70)


def test_its_decays_are_exact_on_the_chip(amsnet):
    for decay in (*amsnet["model"].MEMBRANES, *amsnet["model"].HEADS):
        assert (decay * UNITY).is_integer()


def test_no_paragraph_is_in_two_parts_of_the_text(amsnet):
    text = amsnet["text"]
    parts = text.parts()
    assert len(text.VOCABULARY) == len(set(text.VOCABULARY)) <= 64
    assert 0.1 < len(parts.test) / sum(map(len, parts)) < 0.2
    assert len(parts.validation) > 10_000
    lines = [
        {line for line in "".join(text.VOCABULARY[i] for i in part.tolist()).split("\n") if len(line) > 80}
        for part in parts
    ]
    assert min(map(len, lines)) > 20
    assert len(set.union(*lines)) == sum(map(len, lines))
    assert sum(map(len, parts)) == sum(map(len, text.chapters().values()))


def test_windows_predict_every_character_once(amsnet):
    every = amsnet["text"].windows(torch.arange(1000), 128)
    assert every.shape == (7, 129)
    assert torch.equal(every[:, 1:].flatten(), torch.arange(1, 7 * 128 + 1))


def test_counting_characters_gives_the_cross_entropy_of_their_shares(amsnet):
    text, train = amsnet["text"], amsnet["text"].parts().training.numpy()
    every = text.windows(text.parts().test, 128)
    counts = np.bincount(train, minlength=56) + 0.05
    assert text.counted(0, every) == pytest.approx(-np.log2(counts / counts.sum())[every[:, 1:]].mean())
    assert text.counted(2, every) < text.counted(1, every) < text.counted(0, every)


def test_counting_uses_the_characters_before_and_no_others(amsnet):
    text, train = amsnet["text"], amsnet["text"].parts().training.numpy()
    first, second, third = window = train[5000:5003]
    pairs = np.bincount(train[1:][train[:-1] == first], minlength=56) + 0.05
    triples = np.bincount(train[2:][(train[:-2] == first) & (train[1:-1] == second)], minlength=56) + 0.05
    shares = (pairs / pairs.sum())[second], (triples / triples.sum())[third]
    assert text.counted(2, torch.tensor(window)[None]) == pytest.approx(-np.log2(shares).mean())


def test_a_text_is_scored_by_all_its_windows(amsnet):
    made, characters = amsnet["model"].Settings(), amsnet["text"].parts().validation
    torch.manual_seed(0)
    network = amsnet["model"].AMSNet(made)
    windows = [characters[start : start + 129] for start in range(0, len(characters) - 128, 128)]
    with torch.no_grad():
        found = [
            amsnet["train"].bits(
                network.parallel(amsnet["model"].encoded(each[None, :-1], made)), each[None, 1:]
            )
            for each in windows
        ]
    assert amsnet["train"].scored(network, made, characters) == pytest.approx(np.mean(found), rel=1e-5)


def test_a_choice_is_made_on_validation_text(amsnet, monkeypatch):
    read = []
    monkeypatch.setattr(amsnet["choose"], "scored", lambda model, settings, text: read.append(text) or 0.0)
    amsnet["choose"].validated("plain", amsnet["model"].COMPARED["plain"], 100, 2, 0.005)
    assert len(read) == 1
    assert torch.equal(read[0], amsnet["text"].parts().validation)


def test_the_script_writes_what_compile_takes(files, amsnet):
    graph = ad.load(files / "model.pt")
    assert [graph[name].shape for name in graph.outputs] == [(56,)]
    assert graph["units_1_memory"].shape == (8, 8, 8)
    with np.load(files / "test.npz") as test, np.load(files / "calibrate.npz") as data:
        assert test["next"].shape == (16, 128)
        assert test["x"].shape == (16, 128, *graph.input.shape)
        assert data["x"].shape[1:] == test["x"].shape[1:]
        characters = test["x"][:, :128, :56].argmax(2)
        assert np.array_equal(characters[:, 1:], test["next"][:, :-1])


def test_the_chip_reads_text_as_float_does(small, amsnet):
    program, x, following = small["program"], small["x"], torch.from_numpy(small["next"])
    assert program.network.after is None
    assert not [n for report in program.passes for n in report.notes if n.values.get("decay error")]
    found = {
        engine: amsnet["train"].bits(
            amsnet["study"]._logits(program, program.run(x, engine=engine)), following
        )
        for engine in ("fast", "reference")
    }
    assert found["fast"] == pytest.approx(found["reference"], rel=0.03)
    assert found["reference"] < amsnet["text"].counted(
        0, amsnet["train"].spread(amsnet["text"].parts().test, 16)
    )


def test_every_engine_agrees_on_text(small):
    program = small["program"]
    verification = ad.verify(program, small["x"][:1, :6], ("oracle", "fast", "lava"))
    assert [(c.right, c.differing) for c in verification.comparisons] == [("fast", 0), ("lava", 0)]
    assert verification.comparisons[0].spikes > 1000


def test_checkpoint_and_nir_give_the_same_program(amsnet, small, tmp_path):
    ad.export(small["file"], tmp_path / "model.nir")
    other = ad.compile(tmp_path / "model.nir", "loihi2", calibrate=small["calibrate"], pack="fewest")
    assert amsnet["study"].same_but_recipe(small["program"], other)
    assert '"core": "parts only"' in nir.read(tmp_path / "model.nir").metadata["astrodeploy"]


@pytest.mark.slow
def test_the_study_measures_and_presents(amsnet, monkeypatch):
    monkeypatch.setattr(amsnet["study"], "STEPS", 3)
    monkeypatch.setattr(amsnet["study"], "SHORT", 2)
    text, figure = amsnet["study"].present([amsnet["study"].measure(0)])
    assert "| AM-SNet | 56376 | 0.015 |" in text
    assert figure is not None


def _random(amsnet, made, seed):
    """A network as it is before training, and 2 random texts of 48 characters."""
    torch.manual_seed(seed)
    network = amsnet["model"].AMSNet(made)
    return network, amsnet["model"].encoded(torch.randint(0, 56, (2, 48)), made)


def _stepped(network, x):
    state, found = None, []
    for step in range(x.shape[1]):
        logits, state = network(x[:, step], state)
        found.append(logits)
    return torch.stack(found, 1)
