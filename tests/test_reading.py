"""Nothing in program.json is ignored: whatever is added, removed or changed is seen, or refused by its name."""

import contextlib
import copy
import io
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_networks import Hybrid, values

import astrodeploy as ad
from astrodeploy import storage
from astrodeploy.cli import tables
from astrodeploy.errors import AstrodeployError, ProgramError
from astrodeploy.program import OLDEST, same_but_recipe
from astrodeploy.reading import migrated

VALUES = [None, True, False, 0, 1, -1, 5, 2**40, 2**70, 0.5, -1.0, 1e300, "", "x", [], {}, [1], {"a": 1}]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reading")
    np.savez(folder / "values.npz", x=values())
    ad.save(Hybrid(), folder / "hybrid.pt", dt=1e-3, input_shape=(6,))
    program = ad.compile(folder / "hybrid.pt", calibrate=folder / "values.npz", reset_every=50)
    return program.save(folder / "net.astro")


def content_of(folder):
    return storage.read_manifest(folder, "program.json", "Program")


def resealed(saved, folder, content):
    """A copy that says something else, its hashes made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder)
    (folder / "program.json").unlink()
    storage.write_manifest(folder, "program.json", content)
    return folder


def places(node, where=()):
    """Every field of plain data, and every entry of its lists."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, each in inside:
        yield (*where, key)
        yield from places(each, (*where, key))


def at(content, place):
    for key in place:
        content = content[key]
    return content


def changed(data, content):
    """One field is added, removed or changed."""
    content = copy.deepcopy(content)
    part = data.draw(st.sampled_from(sorted(content)))
    inside = [(part,), *((part, *rest) for rest in places(content[part]))]
    place = data.draw(st.sampled_from(inside))
    holder, key, value = at(content, place[:-1]), place[-1], at(content, place)
    what = data.draw(st.sampled_from(["remove", "add", "change", "near"]))
    if what == "remove":
        holder.pop(key)
    elif what == "add" and isinstance(value, dict):
        value["more"] = data.draw(st.sampled_from(VALUES))
    elif what == "add" and isinstance(value, list):
        value.append(data.draw(st.sampled_from([*VALUES, *value])))
    elif what == "near" and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = data.draw(st.sampled_from([value + 1, value - 1, -value, float(value), str(value)]))
    elif what == "near" and isinstance(value, str):
        holder[key] = value + "x"
    else:
        holder[key] = data.draw(st.sampled_from(VALUES))
    return content


def use(program, folder):
    """Everything that shows or runs a Program; a refusal is an answer."""
    for do in (
        lambda: program.run(values(), engine="oracle"),
        lambda: program.run(values(), engine="reference"),
        lambda: ad.estimate(program, rates=0.1),
        lambda: ad.report(program, path=folder / "page.html"),
        lambda: tables.show_inspection(program),
        lambda: storage.json_text(tables.program_facts(program)),
    ):
        with contextlib.suppress(AstrodeployError), contextlib.redirect_stdout(io.StringIO()):
            do()


def read_or_refused(data, saved, folder):
    """The Program, or None where it was refused by name; what was read says what the file says."""
    other = changed(data, content_of(saved))
    folder = resealed(saved, folder / "other.astro", other)
    try:
        program = ad.Program.load(folder)
    except ProgramError as error:
        assert str(folder) in str(error)
        return None
    assert storage.json_text(program.content()[0]) == storage.json_text(other)
    return program


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_changed_is_read_as_it_stands_or_refused(data, saved, tmp_path):
    read_or_refused(data, saved, tmp_path)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_read_is_used_without_a_traceback(data, saved, tmp_path):
    program = read_or_refused(data, saved, tmp_path)
    if program is not None:
        use(program, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(more=1), "program.json holds 'more', which is not known"),
        (lambda c: c.pop("recipe"), "program.json lacks 'recipe'"),
        (lambda c: c["recipe"].update(speed=1), "the recipe holds 'speed', which is not known"),
        (lambda c: c["recipe"].pop("pack"), "the recipe lacks 'pack'"),
        (lambda c: c["recipe"].update(dt=1), "1 stands in the recipe where a number is needed"),
        (lambda c: c["recipe"].update(pack=None), "None stands in the recipe where a text is needed"),
        (lambda c: c["recipe"].update(allow_delay=0), "0 stands in the recipe where true or false is needed"),
        (lambda c: c["recipe"].update(reset_every=5.0), "5.0 stands in the recipe where a whole number"),
        (lambda c: c["recipe"].update(input_shape=6), "6 stands in the recipe where a shape is needed"),
        (lambda c: c["recipe"]["source"].update(name="../a.pt"), "called by a name without a folder"),
        (lambda c: c["recipe"]["source"].update(sha256="0"), "is no SHA-256"),
        (lambda c: c["recipe"]["source"].update(form="web"), "one of file, factory, object, not 'web'"),
        (lambda c: c["recipe"]["source"].update(size=3), "an input of the recipe holds 'size'"),
        (lambda c: c["cores"][0].update(more=1), "a core holds 'more'"),
        (lambda c: c["cores"][0]["slices"][0].update(more=1), "a part of a core holds 'more'"),
        (lambda c: c["cores"][0]["loads"].pop("input_axons"), "core 0 has the loads"),
        (lambda c: c["cores"][0].update(index=128), "its cores are numbered .128., which loihi2 has not"),
        (lambda c: c["cores"].append(c["cores"][0]), "its cores are numbered"),
        (lambda c: c["cores"][0]["slices"].pop(), "its cores do not hold each neuron of .* once"),
        (lambda c: c["cores"][0]["slices"][0]["ranges"][0].reverse(), "malformed"),
        (lambda c: c["passes"][0].update(more=1), "a pass holds 'more'"),
        (
            lambda c: c["passes"][0]["notes"].append({"subject": "a", "text": "b"}),
            "a note of a pass lacks 'values'",
        ),
        (
            lambda c: c["passes"][0]["notes"].append({"subject": "a", "text": "b", "values": {"x": "1"}}),
            "a note of a holds the value '1', which is no number",
        ),
        (lambda c: c.update(reset_every=-1), "reset_every is -1"),
        (lambda c: c.update(reset_every=5.0), "in program.json reset_every is 5.0, taken was 5"),
        (lambda c: c["network"].update(more=1), "in program.json network.more is not known"),
        (
            lambda c: c["network"]["populations"][1].update(more=1),
            r"network.populations\[1\].more is not known",
        ),
        (
            lambda c: c["network"]["connections"][0].update(lag="0"),
            r"network.connections\[0\].lag is '0', taken was 0",
        ),
        (
            lambda c: c["network"]["kinds"].update(more=c["network"]["kinds"]["astrocyte"]),
            "kinds.more is not known",
        ),
        (lambda c: c["network"]["connections"][0].update(arrays=[]), "malformed"),
        (lambda c: c["board"].update(more=1), "board.more|more"),
        (lambda c: c["board"].pop("power"), "in program.json board.power is missing"),
    ],
)
def test_what_is_not_known_or_missing_is_refused_by_name(change, message, saved, tmp_path):
    content = content_of(saved)
    change(content)
    folder = resealed(saved, tmp_path / "other.astro", content)
    with pytest.raises(ProgramError, match=message):
        ad.Program.load(folder)


def test_a_tensor_that_nobody_asks_for_is_refused(saved, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "other.astro"
    shutil.copytree(saved, folder)
    save_file(
        load_file(folder / "tensors.safetensors") | {"more": np.ones(3)}, folder / "tensors.safetensors"
    )
    content = json.loads((folder / "program.json").read_text())["content"]
    (folder / "program.json").unlink()
    storage.write_manifest(folder, "program.json", content)
    with pytest.raises(ProgramError, match="of its tensors more is not known"):
        ad.Program.load(folder)


def test_a_key_beside_the_content_is_refused(saved, tmp_path):
    folder = tmp_path / "other.astro"
    shutil.copytree(saved, folder)
    path = folder / "program.json"
    path.write_text(storage.json_text(json.loads(path.read_text()) | {"more": 1}))
    with pytest.raises(ProgramError, match="was changed or damaged"):
        ad.Program.load(folder)


# ---- the version before ----------------------------------------------------------------------------------


def older(content):
    """What the version before wrote of the same Program."""
    return {k: v for k, v in content.items() if k != "recipe"} | {"version": OLDEST}


def test_a_program_of_the_version_before_is_read_and_written_anew(saved, tmp_path):
    made, read = (
        ad.Program.load(saved),
        ad.Program.load(resealed(saved, tmp_path / "old", older(content_of(saved)))),
    )
    assert read.recipe is None and made.recipe is not None
    assert same_but_recipe(made, read) and made.fingerprint == read.fingerprint
    content = content_of(read.save(tmp_path / "new"))
    assert (content["version"], content["recipe"]) == (5, None)
    assert "does not say how it was compiled" in ad.report(read, path=tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(recipe=None), "version 4 holds no 'recipe'"),
        (lambda c: c.update(more=1), "program.json holds 'more'"),
        (lambda c: c["network"].update(more=1), "network.more is not known"),
    ],
)
def test_what_the_version_before_did_not_know_is_refused_in_it(change, message, saved, tmp_path):
    content = older(content_of(saved))
    change(content)
    with pytest.raises(ProgramError, match=message):
        ad.Program.load(resealed(saved, tmp_path / "old", content))


def test_a_present_content_needs_no_migration(saved):
    content = content_of(saved)
    assert migrated(content) is content


# ---- what it is compared by --------------------------------------------------------------------------------


def test_the_first_difference_is_named():
    assert storage.difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) == ""
    assert storage.difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2.0}]}) == "a[1].b is 2, taken was 2.0"
    assert storage.difference({"a": [1]}, {"a": [1, 2]}) == "a is [1], taken was [1, 2]"
    assert storage.difference({"a": 1}, {}) == "a is not known"
    assert storage.difference({}, {"a": 1}) == "a is missing"
    assert storage.difference({"a": True}, {"a": 1}) == "a is True, taken was 1"


def test_of_an_earlier_version_more_may_be_known():
    assert storage.difference({"a": 1}, {"a": 1.0, "b": 2}, strict=False) == ""
    assert storage.difference({"a": 1, "c": 0}, {"a": 1.0}, strict=False) == "c is not known"
    assert storage.difference({"a": 1}, {"a": 2}, strict=False) == "a is 1, taken was 2"
