"""What a user trains with: the astrocyte layer against a direct loop, streams, the encoder."""

import numpy as np
import pytest
import torch
from norse.torch import LIFBoxCell, LIFBoxFeedForwardState
from torch_networks import DT, Hybrid, box, cuba, sequential, spikes, values

from astrodeploy.encoders import encode_rate
from astrodeploy.errors import UnsupportedError
from astrodeploy.nn import AstrocyteLayer, AstrocyteState, RateEncoder, carry, unroll

NEURONS, DOMAINS, PERIOD = 7, (0, 0, 0, 1, 1, 1, 2), 5


def direct_loop(current, tau, rate, low, high, target, log_gain):
    """The layer's equations once more, one neuron and one astrocyte at a time; k = 0.2, threshold 0.5."""
    v, seen = [0.0] * NEURONS, [0.0] * NEURONS
    log_gain, trace, count = list(log_gain), [0.0] * 3, [0.0] * 3
    gain, message, out = [2**x for x in log_gain], None, []
    for step, drive in enumerate(current.tolist()):
        gain = message or gain
        z = []
        for i in range(NEURONS):
            v[i] += 0.2 * (gain[DOMAINS[i]] * drive[i] - v[i])
            z.append(float(v[i] > 0.5))
            v[i] *= 1 - z[i]
        message = None
        for d in range(3):
            own = [seen[i] for i in range(NEURONS) if DOMAINS[i] == d]
            count[d] += (sum(seen) / NEURONS if target is None else target) - sum(own) / len(own)
        if (step + 1) % PERIOD == 0:
            for d in range(3):
                trace[d] += PERIOD * DT / tau * (count[d] / PERIOD - trace[d])
                log_gain[d] = min(max(log_gain[d] + rate * trace[d], low), high)
            message, count = [2**x for x in log_gain], [0.0] * 3
        out.append(z)
        seen = z
    return np.array(out), np.array(log_gain)


def layer(**given):
    made = AstrocyteLayer(
        box(), NEURONS, **({"domain": 3, "period": PERIOD, "tau": 0.02, "rate": 6.0} | given)
    )
    return made.double()


@pytest.mark.parametrize("target", ["mean", 0.3])
def test_the_layer_is_the_direct_loop(target):
    module = layer(target=target, gain_range=(0.5, 3.0))
    module.log_gain.copy_(torch.tensor([0.5, -0.5, 0.25]))
    current = np.random.default_rng(1).random((60, NEURONS)) * 2
    with torch.no_grad():
        z, state = unroll(module, torch.from_numpy(current)[None])
    goal = None if target == "mean" else target
    expected, log_gain = direct_loop(current, 0.02, 6.0, -1, np.log2(3), goal, [0.5, -0.5, 0.25])
    assert expected.sum() > 50
    assert np.abs(log_gain - [0.5, -0.5, 0.25]).max() > 0.3
    assert np.array_equal(z[0].numpy(), expected)
    assert np.allclose(state.log_gain[0], log_gain, atol=1e-9)


def test_a_gain_acts_two_steps_after_the_spikes_that_it_answers():
    module = AstrocyteLayer(box(), 2, domain=1, period=2, tau=0.002, rate=1.0)
    state = module.at_rest(torch.zeros(1, 2))
    gains = []
    for _ in range(5):  # only neuron 0 is driven, it spikes in every step
        _, state = module(torch.tensor([[9.0, 0.0]]), state)
        gains.append(state.gain[0, 0].item())
    # the window 0..1 saw the spike of step 0 alone; its message is sent in step 1 and used in step 2
    assert gains[:2] == [1.0, 1.0]
    assert gains[2] == pytest.approx(2**-0.25)
    assert gains[3] == gains[2]
    assert gains[4] == pytest.approx(2**-0.75)  # the next window saw two spikes


def test_gains_stay_in_their_range_and_take_no_gradient():
    module = AstrocyteLayer(box(), 4, domain=2, period=1, tau=0.001, rate=50.0, gain_range=(0.5, 2.0))
    current = torch.full((2, 30, 4), 3.0)
    current[..., 2:] = 0
    current.requires_grad_()
    z, state = unroll(module, current)
    assert state.log_gain.tolist() == [[-1.0, 1.0]] * 2
    assert not state.log_gain.requires_grad
    z.sum().backward()
    assert current.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"domain": 0}, r"domain must be 1\.\.7 neurons, not 0"),
        ({"domain": 8}, r"domain must be 1\.\.7 neurons, not 8"),
        ({"gain_range": (0.5, 16.0)}, r"gain_range must lie around 1 and within 1/16\.\.15\.99"),
        ({"gain_range": (1.5, 2.0)}, "gain_range must lie around 1"),
        ({"target": "median"}, 'target must be "mean" or a number'),
        ({"tau": 0.001}, r"tau must be at least period \* dt = 0\.005 s, not 0\.001"),
    ],
)
def test_wrong_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        layer(**given)


def test_the_layer_prints_its_settings():
    assert "neurons=7, domain=3, period=5, rate=6" in repr(layer())
    assert "steps=4, seed=2" in repr(RateEncoder(4, seed=2))


def test_gains_that_a_stream_has_reached_become_the_resting_gains():
    module = layer()
    _, state = unroll(module, torch.rand(2, 40, NEURONS, dtype=torch.float64) * 2)
    module.rest_at(state)
    assert torch.equal(module.log_gain, state.log_gain.mean(0))
    fresh = module.at_rest(torch.zeros(3, NEURONS, dtype=torch.float64))
    assert torch.equal(fresh.gain, 2 ** module.log_gain.expand(3, -1))


def test_unroll_is_the_step_in_a_loop_and_goes_on_from_a_state():
    module = layer()
    x = torch.rand(2, 17, NEURONS, dtype=torch.float64) * 2
    z, end = unroll(module, x)
    assert z.shape == (2, 17, NEURONS)
    first, state = unroll(module, x[:, :9])
    second, state = unroll(module, x[:, 9:], state=state)
    assert torch.equal(torch.cat([first, second], 1), z)
    assert torch.equal(state.log_gain, end.log_gain)
    held, _ = unroll(module, x[:, 0], steps=6)
    assert torch.equal(held, unroll(module, x[:, :1].expand(-1, 6, -1))[0])


def test_carry_keeps_the_slow_state_alone():
    module = layer()
    _, state = unroll(module, torch.rand(1, 8, NEURONS, dtype=torch.float64) * 2)
    kept = carry(state)
    assert isinstance(kept, AstrocyteState)
    assert kept.cell is None
    assert kept.clock == 8
    for name in ("gain", "observed", "count", "trace", "log_gain"):
        assert getattr(kept, name) is getattr(state, name)


def test_carry_walks_through_tuples_lists_and_dicts_and_clears_the_rest():
    _, slow = layer()(torch.ones(1, NEURONS, dtype=torch.float64))
    fast = LIFBoxFeedForwardState(v=torch.ones(1))
    nested = carry({"a": (fast, slow), "b": [3, None], "c": torch.ones(2)})
    assert nested["a"][0] is None
    assert nested["a"][1].cell is None
    assert nested["b"] == [None, None]
    assert nested["c"] is None


@pytest.mark.parametrize("make", [box, cuba])
def test_a_carried_stream_differs_from_fresh_samples_by_its_slow_state_alone(make):
    module = Hybrid(make=make).eval()
    x = torch.from_numpy(values(samples=1))
    state, outputs = None, []
    with torch.no_grad():
        for _ in range(4):
            z, state = unroll(module, x, steps=12, state=carry(state))
            outputs.append(z)
    assert torch.equal(outputs[0], unroll(module, x, steps=12)[0])
    assert state[1].clock == 48
    assert not torch.equal(state[1].log_gain[0], module.hidden.log_gain)


def test_a_layer_in_norses_container():
    module = sequential()
    module.append(AstrocyteLayer(LIFBoxCell(), 4, domain=2, period=4))
    module.stateful_layers.append(True)
    z, state = unroll(module, torch.from_numpy(spikes()).float())
    assert z.shape == (3, 20, 4)
    assert carry(state)[-1].clock == 20


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_the_encoder_is_encode_rate_bit_for_bit(dtype, shape):
    rng = np.random.default_rng(3)
    x = rng.random((4, *shape)).astype(dtype)
    x[0] = rng.integers(0, 65537, shape) / 65536  # on the thresholds themselves
    x[1].flat[:2] = (0, 1)
    if dtype == np.float64:
        x[2] = np.nextafter(
            rng.integers(1, 65536, shape) / 65536, 2
        )  # float32 can't tell these from a threshold
    encoder = RateEncoder(steps=30, seed=7)
    z, last = unroll(encoder, torch.from_numpy(x), steps=50)  # longer than it was made for
    assert last == 50
    assert z.dtype == torch.from_numpy(x).dtype
    assert z.shape == (4, 50, *shape)
    assert np.array_equal(z.numpy().reshape(4, 50, -1), encode_rate(x, 50, seed=7))
    assert z[1, :, *([0] * len(shape))].sum() == 0


def test_the_encoder_serves_inputs_of_different_sizes():
    encoder = RateEncoder(steps=6, seed=1)
    for size in (3, 8, 3):
        x = values(inputs=size)
        z, _ = unroll(encoder, torch.from_numpy(x), steps=6)
        assert np.array_equal(z.numpy(), encode_rate(x, 6, seed=1))


def test_an_encoder_needs_a_step():
    with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
        RateEncoder(steps=0)


class Timeless(torch.nn.Module):
    """A cell without a dt."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell": Timeless()}, "takes a cell of Norse .*, not a Timeless, which has none"),
        (
            {"neurons": (4, 6, 6)},
            r"neurons of an AstrocyteLayer is a whole number, not \(4, 6, 6\): the layer is flat",
        ),
        (
            {"domain": [0, 1, 1]},
            r"domain of an AstrocyteLayer is a whole number, not \[0, 1, 1\].*side by side",
        ),
        ({"domain": torch.arange(4)}, "domain of an AstrocyteLayer is a whole number"),
        ({"period": 2.5}, "period of an AstrocyteLayer is a whole number, not 2.5"),
    ],
)
def test_what_a_layer_does_not_take_is_a_sentence(given, message):
    cell = given.get("cell", LIFBoxCell())
    rest = {"neurons": 4, "domain": 2, "period": 4} | {k: v for k, v in given.items() if k != "cell"}
    with pytest.raises(UnsupportedError, match=message):
        AstrocyteLayer(cell, **rest)


@pytest.mark.parametrize("name", ["tau", "rate"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_settings_are_finite_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a finite number, not {value}"):
        AstrocyteLayer(LIFBoxCell(), 4, 2, **{name: value})


def test_feature_maps_are_to_be_flattened():
    with pytest.raises(
        UnsupportedError, match=r"takes currents \(batch, 7\), not of shape \(2, 7, 1, 1\): flatten"
    ):
        layer()(torch.zeros(2, 7, 1, 1))
