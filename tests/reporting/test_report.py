"""The whole page: what it holds, and that it is safe, self-contained and the same every time."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from float_networks import astrocyte, edge, gain_control, graph, lif, several_inputs

from astrodeploy.compare import Comparison, Divergence
from astrodeploy.costs import estimate
from astrodeploy.errors import InputError, ProgramError, StimulusError, UnsupportedError
from astrodeploy.ir import Population
from astrodeploy.pipeline import compile
from astrodeploy.reporting import evidence, figures, report
from astrodeploy.verification import Verification

EVIL = "<script>alert('&$x_1$')</script>"
VOID = {"meta", "br", "wbr", "img", "path", "rect", "use", "line", "circle", "link", "image"}
STREAM = ("astrocytes",)


def closed_loop(hidden="hidden", output="output"):
    """Six modulated neurons in two domains, and three behind them."""
    rng = np.random.default_rng(5)
    astro, *loop = gain_control(hidden, np.arange(6) % 2, astrocyte([0.3, -0.2]), mean=True)
    return graph(
        4,
        [Population(hidden, (6,), lif()), Population(output, (3,), lif()), astro],
        [
            edge("x", hidden, rng.uniform(0, 8, (6, 4))),
            edge(hidden, output, rng.uniform(0, 6, (3, 6))),
            *loop,
        ],
    )


@pytest.fixture(scope="module")
def program():
    return compile(closed_loop())


@pytest.fixture(scope="module")
def x():
    return (np.random.default_rng(6).random((5, 12, 4)) < 0.5).astype(np.uint8)


@pytest.fixture(scope="module")
def page(program, x, tmp_path_factory):
    return text_of(program, x, tmp_path_factory.mktemp("stream"), labels=np.arange(5) % 3, carry=STREAM)


def text_of(program, x, folder, **options):
    path = report(program, x, path=folder / "report.html", **options)
    return path.read_text(encoding="utf-8")


def test_several_inputs_and_outputs_graded_messages_and_every_pattern(tmp_path):
    """A read-out of membranes, a bias neuron that the float network lacks, convolutions."""
    given = several_inputs(np.random.default_rng(0))
    program = compile(given.program.reference)
    x = {"camera": given.spikes["camera"].reshape(2, 40, 2, 6, 5), "sensor": given.spikes["sensor"] / 16}
    text = text_of(program, x, tmp_path, labels=np.zeros(2, int))
    for part in ("camera uint8 (2, 40, 2, 6, 5), SHA-256", "sensor float64 (2, 40, 7), SHA-256", "c.bias"):
        assert part in text
    assert "c.bias" not in program.reference.layers


class Page(HTMLParser):
    """Tags in order; everything that is opened must be closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


def section(text, name):
    return text[text.index(f'<section id="{name}">') :].partition("</section>")[0]


def numbers(text):
    """The exact numbers behind what is shown."""
    return set(re.findall(r'<data value="([^"]*)">', text))


def words(text):
    """The text between the tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))


# ---- what it is ----------------------------------------------------------------------------------------


def test_it_is_whole_and_refers_to_nothing_outside(page):
    parsed = Page(page)
    assert parsed.open == []
    assert not {"script", "link", "iframe", "img", "object", "base"} & {tag for tag, _ in parsed.tags}
    references = parsed.values("href") + parsed.values("src") + parsed.values("xlink:href")
    assert references
    assert all(each.startswith("#") for each in references)
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {f"#{each}" for each in parsed.values("id")}
    assert "http" not in page and "@import" not in page


def test_ids_are_unique_and_every_link_inside_has_its_place(page):
    parsed = Page(page)
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    assert {each.removeprefix("#") for each in parsed.values("href")} <= set(ids)


def test_the_same_arguments_give_the_same_bytes(program, x, tmp_path):
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pages.append(report(program, x, carry=STREAM, path=tmp_path / name / "r.html").read_bytes())
    assert pages[0] == pages[1]


def test_nothing_simulated_is_called_measured(page):
    assert "measured" not in page.lower()
    assert "simulated" in words(page) and "estimated" in words(page)


def test_names_from_the_network_are_text_and_nothing_else(x, tmp_path):
    program = compile(closed_loop(hidden=EVIL, output="層 -- \ud800 %"))
    text = text_of(program, x, tmp_path, carry=STREAM)
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in section(text, "spikes")
    assert Page(text).open == []


def test_the_users_matplotlib_is_left_as_it_was(program, x, tmp_path):
    with matplotlib.rc_context({"font.size": 31.0, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        styled = text_of(program, x, tmp_path, carry=STREAM)
        assert dict(matplotlib.rcParams) == before
    assert styled == text_of(program, x, tmp_path, carry=STREAM)


# ---- what it holds -------------------------------------------------------------------------------------


def test_its_costs_are_those_of_the_estimate(program, x, page):
    cost = estimate(program, program.run(x, carry=STREAM))
    shown = numbers(page)
    spans = [cost.energy_joules, cost.latency_seconds, cost.astrocyte_joules]
    spans += [*cost.parts.values(), *cost.by_layer.values(), *cost.constants]
    wanted = [getattr(each, level) for each in spans for level in ("low", "typical", "high")]
    wanted += [cost.astrocyte_share, *cost.events.values()]
    assert {repr(each) for each in wanted} <= shown
    assert cost.basis_text in words(section(page, "energy"))
    assert all(each.source in section(page, "energy") for each in cost.constants if "'" not in each.source)


def test_its_accuracies_are_those_of_the_runs(program, x, page):
    labels = np.arange(5) % 3
    tile = page[page.index("Accuracy, simulated") :].partition("</div>")[0]
    for engine in ("fast", "reference"):
        accuracy = program.run(x, engine=engine, carry=STREAM).accuracy(labels)
        assert repr(accuracy) in numbers(tile)
        assert engine in tile


def test_its_network_passes_and_cores_are_those_of_the_program(program, page):
    network = words(section(page, "network"))
    assert all(name in network for name in program.layers)
    assert program.fingerprint in page and program.network.text().splitlines()[1].strip() in network
    passes = section(page, "passes")
    notes = [note for each in program.passes for note in each.notes]
    assert len(notes) > 10
    for note in notes:
        assert words(note.text) in words(passes).replace("&gt;", ">").replace("&#39;", "'")
        assert {repr(value) for value in note.values.values()} <= numbers(passes)
    (core,) = program.cores
    assert {repr(load) for load in core.loads.values()} <= numbers(section(page, "cores"))
    assert {repr(limit) for limit in core.limits.values()} <= numbers(section(page, "cores"))


def test_it_verifies_the_first_samples_itself(page):
    verification = words(section(page, "verification"))
    assert "Made for this report on the first 4 samples" in verification
    assert "every bit" in verification
    assert "oracle and fast agree in every bit" in words(page)
    assert "time discretisation" in verification


def test_a_stream_shows_spikes_and_gains(page):
    spikes, gains = section(page, "spikes"), section(page, "gains")
    assert "The first 5 samples of the stream" in words(spikes)
    assert "label 1, says" in spikes
    assert gains.count("domain 0") == gains.count("domain 1") == 1
    assert "the dashed lines are the float network" in gains
    assert "says" not in gains


def test_the_gains_are_two_to_the_log_gain_of_the_stream(program, x):
    trace = program.run(x, probes=("astro.log_gain",), carry=STREAM)
    (found,) = figures.gains(trace, None, program.network)
    depth = program.network["astro"].depth
    rows = [trace.states["astro", "log_gain"][b, depth : depth + 12] for b in range(5)]
    assert found.values.shape == (60, 2)
    np.testing.assert_allclose(found.values, 2.0 ** (np.concatenate(rows) / 65536))
    assert len(np.unique(found.values[:, 0])) > 5


def test_samples_from_rest_show_one_of_them(program, x, tmp_path):
    text = text_of(program, x, tmp_path)
    said = int(program.run(x).predictions[0])
    told = "undecided" if said < 0 else f"says {said}"
    assert f"The first sample ({told})" in section(text, "spikes")
    assert "<svg" in section(text, "gains")


def test_the_foot_says_how_to_make_it_again(page, program, x, tmp_path):
    again = section(page, "again")
    call = "ad.report(program, &#39;samples.npz&#39;, first=5, carry=(&#39;astrocytes&#39;,), path=&#39;report.html&#39;)"
    assert call in again
    line = "astrodeploy report net.astro --input samples.npz --samples 5 --carry astrocytes -o report.html"
    assert line in words(again)
    assert "--samples 5 --verified 1 -o" in words(section(text_of(program, x, tmp_path, samples=1), "again"))


def test_a_frozen_network_says_so(x, tmp_path):
    program = compile(closed_loop(), freeze_astrocytes=True, reset_every=6)
    text = text_of(program, x, tmp_path)
    assert "the network has no astrocytes" in section(text, "gains")
    assert "Caused by astrocytes" not in text
    assert "--freeze-astrocytes --reset-every 6" in section(text, "again")
    assert "freeze_astrocytes=True, reset_every=6" in section(text, "again")


def test_many_spikes_are_an_image_inside_the_file(program, x, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "VECTOR_SPIKES", 10)
    text = text_of(program, x, tmp_path, carry=STREAM)
    assert 'href="data:image/png;base64,' in section(text, "spikes")
    assert "http" not in text


def test_a_silent_layer_is_said_to_be_silent(program, x, tmp_path):
    assert "no spikes" not in text_of(program, x, tmp_path)
    assert section(text_of(program, np.zeros_like(x), tmp_path), "spikes").count("no spikes") == 3


def test_many_domains_are_cut_and_that_is_said(program, x, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "SHOWN_DOMAINS", 1)
    gains = section(text_of(program, x, tmp_path, carry=STREAM), "gains")
    assert "Of astro the first 1 domains are shown" in gains
    assert "domain 1" not in gains


# ---- without something -----------------------------------------------------------------------------------


def test_without_samples_it_assumes_a_rate_and_says_what_is_missing(program, tmp_path):
    text = text_of(program, None, tmp_path)
    cost = estimate(program, rates=0.1)
    assert repr(cost.energy_joules.typical) in numbers(text)
    assert cost.basis_text in words(section(text, "energy"))
    assert "estimated from assumed rates" in words(text)
    for name in ("spikes", "gains", "verification"):
        assert "no samples were given" in section(text, name)
        assert "<svg" not in section(text, name)


def test_rates_and_steps_are_those_that_were_given(program, tmp_path):
    text = text_of(program, None, tmp_path, rates=0.4, steps=9)
    assert repr(estimate(program, rates=0.4, steps=9).energy_joules.typical) in numbers(text)
    assert "rates=0.4, steps=9" in section(text, "again")


def test_clearing_is_shown_where_it_is_known(tmp_path):
    layers = [Population("hidden", (3,), lif())]
    plain = graph(4, layers, [edge("x", "hidden", np.ones((3, 4)))])
    for target, known in (("loihi1", True), ("loihi2", False)):
        program = compile(plain, target)
        text = text_of(program, None, tmp_path, rates=0.1)
        cost = estimate(program, rates=0.1)
        energy = section(text, "energy")
        assert cost.clearing_text in words(energy)
        assert ("Clearing between samples" in energy) == known
        assert not known or repr(cost.clearing_seconds.typical) in numbers(text)
        assert ("loihi2 has no table [reset]" in energy) == (not known)


def test_samples_shorter_than_the_astrocytes_period_show_no_gains(program, x, tmp_path):
    text = text_of(program, x[:, :3], tmp_path)
    assert "lasted 3 steps, while the astrocytes act every 4 steps" in section(text, "gains")


def test_a_verification_can_be_left_out(program, x, tmp_path):
    text = text_of(program, x, tmp_path, samples=0)
    assert "it was not asked for" in section(text, "verification")


def test_a_large_network_is_not_run_on_the_oracle_in_passing(program, x, tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "CHECKED_NEURON_STEPS", 10)
    assert "too large to be run on the oracle" in section(text_of(program, x, tmp_path), "verification")


def test_a_float_network_that_cant_run_is_named_with_the_reason(program, x, tmp_path, monkeypatch):
    def refuse(*arguments, engine="fast", **options):
        if engine == "reference":
            raise UnsupportedError("a loop takes no time")
        return run(*arguments, engine=engine, **options)

    def refuse_all(*arguments, **options):
        raise UnsupportedError("a loop takes no time")

    run = evidence.run
    monkeypatch.setattr(evidence, "run", refuse)
    monkeypatch.setattr(evidence, "verify", refuse_all)
    verification = section(text_of(program, x, tmp_path, carry=STREAM), "verification")
    assert "The float reference did not run: a loop takes no time" in words(verification)
    assert "Not in this report: a loop takes no time" in words(verification)


def test_what_was_handed_in_is_not_run_again(program, x, tmp_path, monkeypatch):
    probes = ("astro.log_gain",)
    traces = [program.run(x, engine=each, probes=probes, carry=STREAM) for each in ("reference", "fast")]
    traces.append(program.run(x[:2], engine="oracle", carry=STREAM))
    monkeypatch.delattr(evidence, "run")
    text = text_of(program, None, tmp_path, traces=traces, labels=np.zeros(5))
    assert "simulated on fast" in section(text, "gains")
    verification = words(section(text, "verification"))
    order = [verification.index(each) for each in ("fast integer", "oracle integer", "reference float")]
    assert order == sorted(order)


def test_a_trace_without_probes_shows_no_gains_and_says_why(program, x, tmp_path):
    text = text_of(program, None, tmp_path, traces=[program.run(x, carry=STREAM)])
    assert "holds no astro.log_gain: run it with that probe" in section(text, "gains")


def test_a_verification_that_found_differences_is_shown_as_it_is(program, x, tmp_path):
    found = evidence.verify(program, x[:2], ("oracle", "fast"))
    first = Divergence("hidden", 1, 7, 3, "v", 40.0, 41.0)
    differs = Comparison("oracle", "lava", 11, 12, 13, 2, first)
    witness = Comparison("reference", "brian2", 21, 30, 22, 0, None, excused=5)
    handed_in = Verification(
        (*found.comparisons, differs), witness, found.distance, {"board": "there is none"}
    )
    text = text_of(program, x, tmp_path, verification=handed_in)
    verification = words(section(text, "verification"))
    assert "The engines differ: 2 values" in words(text)
    assert "hidden.v, sample 1, step 7, neuron 3: 40 and 41" in verification
    assert "21 messages and 22 states of the float reference against Brian2" in verification
    assert "0 differing, 5 more excused" in verification
    assert "board did not run: there is none" in verification
    only_oracle = Verification((), None, found.distance, {"brian2": "missing"})
    text = words(text_of(program, x, tmp_path, verification=only_oracle))
    assert "Not verified: only the oracle ran" in text
    assert "It could not run; the reason stands above" in text


# ---- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": 0.1}, "leave rates= out"),
        ({"samples": -1}, "0 for none, not -1"),
        ({"labels": [1, 2]}, "2 labels for 5 samples"),
    ],
)
def test_arguments_that_do_not_go_together(program, x, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        text_of(program, x, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": [1]}, "labels= needs samples"),
        ({"carry": STREAM}, "carry= says how x is run"),
        ({"rates": 2.0}, "must lie in 0..1"),
    ],
)
def test_arguments_that_need_samples(program, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        text_of(program, None, tmp_path, **options)


def test_a_trace_must_be_of_this_program_and_of_x(program, x, tmp_path):
    trace = program.run(x)
    with pytest.raises(InputError, match="the Trace of fast is of another Program"):
        text_of(program, None, tmp_path, traces=[replace(trace, program="other")])
    with pytest.raises(InputError, match="x has 2 samples and the longest Trace 5: give the x that was run"):
        text_of(program, x[:2], tmp_path, traces=[trace])


def test_a_stimulus_of_the_wrong_shape(program, tmp_path):
    with pytest.raises(StimulusError, match="needed is"):
        text_of(program, np.zeros((2, 5)), tmp_path)


def test_a_path_that_cant_be_written(program, tmp_path):
    with pytest.raises(ProgramError, match="does not exist"):
        report(program, path=tmp_path / "nowhere" / "report.html")
