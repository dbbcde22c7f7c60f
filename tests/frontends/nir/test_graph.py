"""What a NIR file means: our Graph against an interpreter of nir's own document, node by node and step by step."""

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_documents import DT, Random, every_node, interpret

from astrodeploy.engines.reference import simulate
from astrodeploy.frontends.nir.file import read_nir
from astrodeploy.frontends.nir.rules import NirOptions

OPTIONS = NirOptions(dt=DT, if_r="per_second")


def agree(document, path, late=(), steps=12):
    """Write, read by nir and by us, run both; the number of populations that were compared."""
    nir.write(path, document)
    theirs, graph = nir.read(path), read_nir(path, OPTIONS).graph
    shape = theirs.nodes["input"].input_type["input"]
    rng = np.random.default_rng(0)
    x = (rng.random((2, steps, *shape)) < 0.5).astype(np.float64)
    wanted = interpret(theirs, x, late)
    found = simulate(graph, x.reshape(2, steps, -1)).spikes
    compared = 0
    for name in graph.layers:
        expected = wanted[name].reshape(found[name].shape)
        assert np.allclose(found[name], expected, atol=1e-9), name
        compared += 1
    return compared


@pytest.mark.parametrize("index", range(4))
def test_every_node_means_what_it_means_in_nir(index, tmp_path):
    assert agree(every_node()[index], tmp_path / "a.nir", steps=20) >= 2


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6))
def test_random_networks_mean_what_they_mean_in_nir(tmp_path_factory, seed):
    made = Random(seed)
    agree(made.document, tmp_path_factory.mktemp("nir") / "a.nir", made.late)
