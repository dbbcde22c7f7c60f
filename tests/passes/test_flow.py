"""The flow: golden text after each pass, and what is said when a pass breaks a law."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from float_networks import astrocyte, cuba, edge, gain_control, graph, lif

from astrodeploy.chip import load_target
from astrodeploy.errors import CompilerBug, DoesNotFit, InputError
from astrodeploy.ir import Population
from astrodeploy.passes import flow
from astrodeploy.passes.base import Draft


def small():
    """A gain-modulated layer, a synaptic layer, a skip connection, not in canonical order."""
    astro, *loop = gain_control(
        "deep", np.array([0, 0, 1]), astrocyte([1.0, -1.0], set_point=0.25), mean=False
    )
    deep = lif(bias=0.125, v_leak=-0.25)
    return graph(
        2,
        [Population("out", (2,), cuba()), Population("deep", (3,), deep), astro],
        [
            edge("deep", "out", [[1, -0.5, 0.25], [0.5, 1, -1]]),
            edge("x", "out", np.eye(2)),
            edge("x", "deep", [[1, 2], [3, -4], [5, 6]]),
            *loop,
        ],
    )


GOLDEN = {}
SETTINGS = "integrator=euler reset=value comparison=> refractory=0 sends=spikes"

GOLDEN["canonicalise"] = f"""\
graph dt=0.001s output=deep readout=count
  x: Input[2] depth=0 low=0 high=1 unit=1
  deep: LIF[3] depth=0 {SETTINGS} tau=0.01 r=1 v_leak=-0.25 v_threshold=1 v_reset=0 bias=0.125
  out: CubaLIF[2] depth=0 {SETTINGS} tau=0.01 r=1 v_leak=0 v_threshold=1 v_reset=0 bias=0 tau_syn=0.004 w_in=4
  astro: Astrocyte[2] depth=0 period=4 output=gain slow=1 rate=3 low=-2 high=2 decay=0.05 drive=0.0125 offset=0.0125 log_gain=-1..1#b74fce6c
  x -> deep.current: float64[3x2] -4..6#0aa5dedf lag=0 delay=0
  astro -> deep.modulation +1: float64[3x2] 0..1#503fdbba lag=1 delay=0
  x -> out.current: float64[2x2] 0..1#7b38b86d lag=0 delay=0
  deep -> out.current: float64[2x3] -1..1#aef127b8 lag=0 delay=0
  deep -> astro.activity +1: float64[2x3] -1..0#c783b0bd lag=1 delay=0
"""

GOLDEN["freeze_astrocytes"] = f"""\
graph dt=0.001s output=deep readout=count
  x: Input[2] depth=0 low=0 high=1 unit=1
  deep: LIF[3] depth=0 {SETTINGS} tau=0.01 r=1 v_leak=-0.25 v_threshold=1 v_reset=0 bias=0.0625..0.25#6787360c
  out: CubaLIF[2] depth=0 {SETTINGS} tau=0.01 r=1 v_leak=0 v_threshold=1 v_reset=0 bias=0 tau_syn=0.004 w_in=4
  x -> deep.current: float64[3x2] -8..6#0d0b08f0 lag=0 delay=0
  x -> out.current: float64[2x2] 0..1#7b38b86d lag=0 delay=0
  deep -> out.current: float64[2x3] -1..1#aef127b8 lag=0 delay=0
"""

GOLDEN["retime"] = f"""\
graph dt=0.001s output=deep readout=count
  x: Input[2] depth=0 low=0 high=1 unit=1
  deep: LIF[3] depth=1 {SETTINGS} tau=0.01 r=1 v_leak=-0.25 v_threshold=1 v_reset=0 bias=0.125
  out: CubaLIF[2] depth=2 {SETTINGS} tau=0.01 r=1 v_leak=0 v_threshold=1 v_reset=0 bias=0 tau_syn=0.004 w_in=4
  astro: Astrocyte[2] depth=1 period=4 output=gain slow=1 rate=3 low=-2 high=2 decay=0.05 drive=0.0125 offset=0.0125 log_gain=-1..1#b74fce6c
  x -> deep.current: float64[3x2] -4..6#0aa5dedf lag=0 delay=1
  astro -> deep.modulation +1: float64[3x2] 0..1#503fdbba lag=1 delay=1
  x -> out.current: float64[2x2] 0..1#7b38b86d lag=0 delay=2
  deep -> out.current: float64[2x3] -1..1#aef127b8 lag=0 delay=1
  deep -> astro.activity +1: float64[2x3] -1..0#c783b0bd lag=1 delay=1
"""

GOLDEN["quantise"] = """\
graph dt=0.001s output=deep readout=count
  x: Input[2] depth=0 low=0 high=1 unit=1
  deep: modulated_lif[3] depth=1 du=4096 dv=410 threshold=27093 bias=-43344 modulated_bias=21672 v0=-433493 gain0=128..512#3ad84f78
  out: lif[2] depth=2 du=1024 dv=410 threshold=20320 bias=0
  astro: astrocyte[2] depth=1 set_point=127..254#db109daf trace_decay=205 drive=3303 drive_shift=5..6#d9c0a65b rate=3072 rate_shift=14 log_gain_low=-131072 log_gain_high=131072 log_gain0=-65536..65536#10bf6e2f period=4
  x -> deep.current: int8[3x2] -85..127#5dfcb7b1 *2^7 lag=0 delay=1
  astro -> deep.modulation +1: int8[3x2] 0..1#4be4656d lag=1 delay=1
  x -> out.current: int8[2x2] 0..127#efe31a95 *2^4 lag=0 delay=2
  deep -> out.current: int8[2x3] -127..127#4bb0ad5f *2^4 lag=0 delay=1
  deep -> astro.activity +1: int8[2x3] -127..0#6408bda7 lag=1 delay=1
"""


def golden(name):
    """The text after a pass; one that is not written out here has nothing to do with this network."""
    if name == "freeze_astrocytes":
        return GOLDEN[name]
    so_far = flow.FLOW[: flow.FLOW.index(name) + 1]
    return GOLDEN[[each for each in so_far if each in GOLDEN][-1]]


def drafted():
    return Draft(small(), load_target("loihi2"))


@pytest.mark.parametrize("name", [*flow.FLOW, "freeze_astrocytes"])
def test_the_text_after_each_pass(name):
    steps = flow.FLOW[: flow.FLOW.index(name) + 1] if name in flow.FLOW else flow.FROZEN_FLOW[:2]
    draft, reports = flow.run_flow(drafted(), steps)
    assert draft.graph.text() == golden(name)
    assert [report.name for report in reports] == list(steps)


def test_the_flows_name_their_passes():
    assert set(flow.PASSES) == {*flow.FLOW, *flow.FROZEN_FLOW}
    assert all(name == each.name for name, each in flow.PASSES.items())
    assert [n for n in flow.FROZEN_FLOW if n != "freeze_astrocytes"] == list(flow.FLOW)


def test_drafts_are_not_changed_by_passes():
    draft = drafted()
    before = draft.graph.text()
    flow.run_flow(draft, flow.FROZEN_FLOW)
    assert draft.graph.text() == before
    assert draft.reference is None


@dataclass(frozen=True)
class Careless:
    """A pass that loses the output."""

    name = "careless"

    def apply(self, draft):
        return replace(draft, graph=replace(draft.graph, outputs=("gone",))), ()


def test_a_pass_that_breaks_a_law_is_named_with_those_before_it(monkeypatch):
    monkeypatch.setitem(flow.PASSES, "careless", Careless())
    with pytest.raises(
        CompilerBug, match=r"^after the pass careless \(before it: canonicalise, retime\): .*'gone'"
    ):
        flow.run_flow(drafted(), ("canonicalise", "retime", "careless", "quantise"))
    with pytest.raises(CompilerBug, match=r"^after the pass careless \(before it: nothing\)"):
        flow.run_flow(drafted(), ("careless",))


@dataclass(frozen=True)
class Failing:
    """A pass that fails in a way that it does not mean to."""

    error: Exception
    name = "failing"

    def apply(self, draft):
        raise self.error


@pytest.mark.parametrize("error", [KeyError("lost"), AssertionError("never"), ZeroDivisionError()])
def test_what_a_pass_did_not_mean_to_raise_is_a_fault_of_ours(monkeypatch, error):
    monkeypatch.setitem(flow.PASSES, "failing", Failing(error))
    told = rf"^the pass failing \(before it: canonicalise\) raised {type(error).__name__} at test_flow.py:\d+"
    with pytest.raises(
        CompilerBug, match=rf"{told}.*a fault of astrodeploy, not of your network: please report"
    ):
        flow.run_flow(drafted(), ("canonicalise", "failing"))


@pytest.mark.parametrize("error", [InputError("a user's"), DoesNotFit("too large"), MemoryError()])
def test_what_a_pass_tells_the_user_stays(monkeypatch, error):
    monkeypatch.setitem(flow.PASSES, "failing", Failing(error))
    with pytest.raises(type(error)) as caught:
        flow.run_flow(drafted(), ("canonicalise", "failing"))
    assert caught.value is error


@dataclass(frozen=True)
class Forgetful:
    """A placement that loses the last core."""

    name = "place"

    def apply(self, draft):
        return replace(draft, cores=draft.cores[:-1]), ()


def test_a_mapping_that_is_wrong_is_no_fault_of_the_network(monkeypatch):
    monkeypatch.setitem(flow.PASSES, "place", Forgetful())
    with pytest.raises(CompilerBug, match=r"^the pass check .* neurons lie on no core or on several"):
        flow.run_flow(drafted(), flow.FLOW)
