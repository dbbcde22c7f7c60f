"""The table of estimates against published measurements (tests/bench/validation): its judgements and its numbers."""

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from astrodeploy.chip import load_chip

BENCH = Path(__file__).parents[1] / "bench" / "validation"
PILOTNET = Path(__file__).parents[3] / "shared/data/pilotnet_lif"
needs_pilotnet = pytest.mark.skipif(not PILOTNET.exists(), reason="PilotNet-LIF is not in ../shared/data")


@pytest.fixture
def bench(monkeypatch):
    """The modules of the validation."""
    monkeypatch.syspath_prepend(str(BENCH))
    names = ("measured", "workloads", "rows", "table", "reset", "calibrate", "validate")
    return SimpleNamespace(**{name: import_module(name) for name in names})


def row(bench, low, typical, high, value=(10.0, 10.0), unit="uJ", **more):
    measurement = bench.measured.Measurement("row", "loihi1", "energy", unit, *value, "a source", **more)
    return bench.rows.Row(measurement, "a model", bench.rows.Range(low, typical, high), "events", "1 core")


# ---- judgements -----------------------------------------------------------------------------------


def test_error_and_inside(bench):
    near = row(bench, 8.0, 12.0, 16.0)
    assert near.error == pytest.approx(0.2) and near.inside and near.span == 2
    assert not row(bench, 10.1, 12.0, 16.0).inside and not row(bench, 1.0, 2.0, 9.9).inside


def test_between_the_axes_of_a_plot_there_is_no_error(bench):
    assert row(bench, 1.0, 3.0, 3.5, (2.0, 4.0)).error == 0
    assert row(bench, 1.0, 6.0, 7.0, (2.0, 4.0)).error == pytest.approx(0.5)
    assert not row(bench, 4.1, 6.0, 7.0, (2.0, 4.0)).inside


def test_goals_differ_for_energy_and_time(bench):
    assert bench.table.within(row(bench, 1, 12.4, 20)) and not bench.table.within(row(bench, 1, 12.6, 20))
    assert bench.table.within(row(bench, 1, 12.9, 20, unit="us")) and not bench.table.within(
        row(bench, 1, 13.1, 20, unit="us")
    )


def test_calibrated_rows_do_not_count_as_validated(bench):
    found = [
        row(bench, 9, 10, 11),
        row(bench, 9, 10, 11, used=bench.measured.YES),
        row(bench, 9, 10, 11, counted=False),
    ]
    assert bench.table.tally_of("energy within 25 %, rows not calibrated on", found) == (1, 1)
    assert bench.table.tally_of("measured inside the range", found) == (2, 2)


def test_a_miss_names_what_is_missing_and_a_wide_range_its_constant(bench):
    assert list(bench.table.told(row(bench, 9, 10, 11))) == []
    missed = row(bench, 1, 1.5, 2, lacks="the host")
    assert list(bench.table.told(missed)) == ["row, energy: missing is the host"]
    wide = row(bench, 1, 10, 20, wide="the rate")
    assert list(bench.table.told(wide)) == ["row, energy: the range spans 20, for the rate"]
    assert "not named" in next(bench.table.told(row(bench, 1, 10, 20)))


# ---- workloads ------------------------------------------------------------------------------------


def test_quartz_is_as_published(bench):
    shapes = {p.name: p.shape for p in bench.workloads.quartz().populations}
    assert shapes["conv1"] == (6, 24, 24) and shapes["pool2"] == (12, 4, 4) and shapes["conv3"] == (120, 1, 1)
    assert sum(np.prod(s) for name, s in shapes.items() if name != "x") == bench.validate.QUARTZ_NEURONS


def test_a_copy_is_ten_layers_of_256(bench):
    sizes = [sum(p.size for p in bench.workloads.keyword_copies(n).populations) for n in (1, 2)]
    assert sizes[1] - sizes[0] == 2560


def test_cut_puts_every_neuron_on_one_core(bench):
    program = bench.workloads.cut(bench.rows._compiled("quartz", target="nahuku-32"), {"conv1": 6})
    assert len(program.cores) == 11
    for p in program.network.populations:
        if not p.is_input:
            seen = np.zeros(p.shape, np.int64)
            for core in program.cores:
                for piece in core.slices:
                    if piece.population == p.name:
                        seen[piece.index] += 1
            assert np.all(seen == 1)


# ---- numbers --------------------------------------------------------------------------------------


@pytest.fixture
def quartz(bench):
    return list(bench.rows.quartz("nahuku"))


def test_the_readme_holds_what_the_command_writes(bench, quartz):
    written = (BENCH / "README.md").read_text()
    for each in [*quartz, *bench.rows.gestures("davies-2018")]:
        assert "| " + " | ".join(bench.table.cells(each)) + " |" in written


def test_quartz_keeps_the_goals(bench, quartz):
    assert [each.measured.key for each in quartz if not (each.inside and bench.table.within(each))] == []


def test_what_set_the_time_of_clearing_validates_nothing(bench, quartz):
    times = [r.measured for r in quartz if r.measured.quantity == "latency"]
    assert [(m.used, m.counted) for m in times] == [
        (bench.measured.BOUND, False),
        (bench.measured.YES, False),
        (bench.measured.NO, True),
    ]


def test_the_time_of_clearing_is_what_t_max_32_has_beside_its_steps(bench, quartz):
    core = load_chip("loihi1").reset.time_per_core_us
    step = bench.reset.pace(quartz)
    most, fitted, *_ = (
        bench.reset.time_of_core(steps, ms, bench.measured.QUARTZ_CORES, step)
        for _, steps, _, ms in bench.measured.SWEEP
    )
    assert fitted == pytest.approx(core.typical, rel=0.01) and most == pytest.approx(core.high, rel=0.01)


def test_the_earlier_version_on_other_cores_meets_the_same_time_a_core(bench, quartz):
    step, typical = bench.reset.pace(quartz), load_chip("loihi1").reset.time_per_core_us.typical
    for steps, us, _ in bench.measured.EARLIER:
        found = bench.reset.time_of_core(steps, steps * us * 1e-3, bench.measured.EARLIER_CORES, step)
        assert found == pytest.approx(typical, rel=0.07)


def test_clearing_is_in_no_line_of_a_step(bench):
    for make in (bench.rows.gestures, bench.rows.braille):
        for each in make("nahuku"):
            if each.measured.quantity == "time of a step":
                assert each.estimated.high < 100  # us: clearing takes 326 a core


@needs_pilotnet
@pytest.mark.slow
def test_loihi2_was_calibrated_on_pilotnet_when_zeros_counted(bench):
    """The file's scale is met with weights of 0 as operations, and missed by a known part without them."""
    found = bench.calibrate.calibration()
    made = found["scale in targets/loihi2/chip.toml"]
    assert found["the same if weights of 0 counted, as when the file was made"] == pytest.approx(
        made, rel=0.05
    )
    assert found["scale that meets the measurement"] == pytest.approx(1.13 * made, rel=0.02)
    for each in bench.rows.pilotnet("pilotnet"):
        assert each.measured.used == bench.measured.YES
        assert each.inside and -0.3 < each.error < 0.1


def test_named_models_stay_as_published():
    davies, sana = load_chip("loihi1").cost("davies-2018"), load_chip("loihi1").cost("sana-fe")
    assert davies.energy_per_active_update_pJ.typical == 81.0
    assert davies.energy_per_synaptic_operation_dense_pJ.typical == 23.6
    assert sana.energy_per_active_update_pJ.typical == 72.8
    assert sana.time_per_spike_ns.typical == 30.0
