"""Stimuli from .npz files: what is read, and what is refused without executing anything."""

import bad_files
import numpy as np
import pytest
from torch_networks import Chain, spikes

import astrodeploy as ad
from astrodeploy.errors import StimulusError
from astrodeploy.frontends.stimulus import count, part, read_stimulus


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_x_and_labels(save, tmp_path):
    save(tmp_path / "x.npz", x=spikes(), y=np.array([1, 0, 2]), other=np.zeros(5))
    x, y = read_stimulus(tmp_path / "x.npz")
    assert np.array_equal(x, spikes())
    assert y.tolist() == [1, 0, 2]


def test_several_inputs_have_an_array_each(tmp_path):
    x = {"camera": np.zeros((3, 20, 6)), "audio.left": np.ones((3, 20, 2))}
    arrays = {f"x.{name}": array for name, array in x.items()}
    np.savez(tmp_path / "x.npz", y=np.array([1, 0, 2]), **arrays)
    read, y = read_stimulus(tmp_path / "x.npz")
    assert list(read) == list(x)
    assert all(np.array_equal(read[name], x[name]) for name in x)
    assert y.tolist() == [1, 0, 2]
    assert count(read) == 3
    assert {name: len(array) for name, array in part(read, slice(2)).items()} == dict.fromkeys(x, 2)
    np.savez(tmp_path / "x.npz", x=np.zeros(3), **arrays)
    with pytest.raises(StimulusError, match="holds x and arrays for several inputs.*give one or the other"):
        read_stimulus(tmp_path / "x.npz")


def test_labels_are_optional(tmp_path):
    np.savez(tmp_path / "x.npz", x=spikes())
    assert read_stimulus(tmp_path / "x.npz")[1] is None


@pytest.mark.parametrize("name", bad_files.BAD_STIMULI)
def test_bad_files_are_refused(name, tmp_path):
    write, message = bad_files.BAD_STIMULI[name]
    path = write(tmp_path)
    with pytest.raises(StimulusError, match=message) as refusal:
        read_stimulus(path)
    assert str(refusal.value).startswith(str(path))
    assert not (tmp_path / "owned").exists()


def test_any_cut_and_many_flips_are_refused_or_change_nothing(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=spikes(), y=np.arange(3))
    content, rng = (tmp_path / "x.npz").read_bytes(), np.random.default_rng(0)
    damaged = [content[:size] for size in rng.integers(0, len(content), 40)]
    for place in rng.integers(0, len(content), 150):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    refused = 0
    for each in damaged:
        (tmp_path / "bad.npz").write_bytes(each)
        try:
            x, _ = read_stimulus(tmp_path / "bad.npz")
            assert np.array_equal(x, spikes())
        except StimulusError:
            refused += 1
    assert refused > 100


@pytest.fixture(scope="module")
def program():
    return ad.compile(Chain())


@pytest.mark.parametrize("name", bad_files.BAD_ARRAYS)
def test_bad_arrays_are_refused_by_run_and_verify(name, program):
    x, message = bad_files.BAD_ARRAYS[name]
    with pytest.raises(StimulusError, match=message):
        program.run(x)
    with pytest.raises(StimulusError, match=message):
        ad.verify(program, x)
