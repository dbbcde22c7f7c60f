"""freeze_astrocytes: gains at rest become factors of the weights, exactly."""

from dataclasses import replace

import numpy as np
import pytest
from float_networks import compiled, random_closed_loop
from torch_networks import Hybrid, box, cuba, values

import astrodeploy as ad
from astrodeploy.chip import load_target
from astrodeploy.engines.reference import simulate
from astrodeploy.errors import DoesNotFit
from astrodeploy.ir.plain import fingerprint
from astrodeploy.passes.base import Draft
from astrodeploy.passes.freeze_astrocytes import FreezeAstrocytes


def frozen(each):
    draft, notes = FreezeAstrocytes().apply(Draft(each, load_target("loihi1")))
    return draft.graph, notes


def test_weights_and_biases_are_multiplied_by_the_gain_of_their_neuron():
    original = random_closed_loop(np.random.default_rng(0))
    made, (note,) = frozen(original)
    (spread,) = (c.weight for c in original.connections if c.port == "modulation")
    gain = (2.0 ** original["astro"].node.log_gain)[spread.argmax(1)]
    assert made.layers == ("x", "a", "b", "c")
    assert np.array_equal(made["a"].node.bias, original["a"].node.bias * gain)
    for before in (c for c in original.connections if c.port == "current"):
        (after,) = (c for c in made.connections if c.name == before.name)
        factor = gain[:, None] if before.target == "a" else 1.0
        assert np.array_equal(after.weight, before.weight * factor)
        assert after.lag == before.lag
    assert note.subject == "a"
    assert note.values == {"least gain": gain.min(), "largest gain": gain.max()}
    assert "frozen" in note.text


def test_a_frozen_network_is_the_one_whose_astrocytes_never_move():
    rng = np.random.default_rng(1)
    original = random_closed_loop(rng)
    still = original.with_population(
        replace(original["astro"], node=replace(original["astro"].node, rate=0.0))
    )
    x = rng.random((3, 80, 12)) < 0.3
    ours, theirs = simulate(frozen(original)[0], x), simulate(still, x)
    moving = simulate(original, x)
    for name in ("a", "b", "c"):
        assert ours.spikes[name].sum() > 50
        assert np.array_equal(ours.spikes[name], theirs.spikes[name])
    assert not np.array_equal(ours.spikes["a"], moving.spikes["a"])


def test_a_network_without_astrocytes_stays_as_it_is():
    once, _ = frozen(random_closed_loop(np.random.default_rng(2)))
    twice, notes = frozen(once)
    assert notes == ()
    assert fingerprint(twice) == fingerprint(once)


def test_freezing_before_or_after_compilation_gives_the_same_program():
    original = random_closed_loop(np.random.default_rng(3))
    one = ad.compile(original, freeze_astrocytes=True)
    two = ad.compile(frozen(original)[0])
    assert one.fingerprint == two.fingerprint
    assert [report.name for report in one.passes].count("freeze_astrocytes") == 1
    assert fingerprint(compiled(frozen(original)[0]).network) == fingerprint(one.network)


@pytest.mark.parametrize("make", [box, cuba])
def test_loihi1_can_not_multiply_and_the_message_offers_to_freeze(make):
    module = Hybrid(make=make)
    with pytest.raises(
        DoesNotFit, match="(?s)can't run on loihi1.*hidden is of the kind modulated_lif.*--freeze-"
    ):
        ad.compile(module, "loihi1")
    program = ad.compile(module, "loihi1", freeze_astrocytes=True)
    assert {p.node.kind.name for p in program.network.populations if not p.is_input} == {"lif"}
    assert program.run(values(), engine="oracle").outputs.sum() > 0
