"""Files that are whole or not there."""

import errno
import os
from hashlib import sha256
from pathlib import Path

import pytest

from astrodeploy import storage
from astrodeploy.errors import CheckpointError, ProgramError


def ours(folder):
    return (folder / "mark").is_file()


def fill(folder, text="new"):
    (folder / "mark").write_text(text)


def make(path, text="new"):
    with storage.atomic_folder(path, ours) as folder:
        fill(folder, text)


def test_a_folder_appears_whole_and_alone(tmp_path):
    with storage.atomic_folder(tmp_path / "a", ours) as folder:
        fill(folder)
        assert not (tmp_path / "a").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "mark").read_text() == "new"


def test_one_of_ours_is_replaced(tmp_path):
    make(tmp_path / "a", "old")
    (tmp_path / "a" / "more").write_text("old")
    with storage.atomic_folder(tmp_path / "a", ours) as folder:
        fill(folder)
        assert (tmp_path / "a" / "mark").read_text() == "old"
    assert {p.name: p.read_text() for p in (tmp_path / "a").iterdir()} == {"mark": "new"}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder"])
def test_what_is_not_ours_is_never_replaced(kind, tmp_path):
    path = tmp_path / "a"
    if kind == "file":
        path.write_text("precious")
    else:
        path.mkdir()
    if kind == "folder":
        (path / "thesis.txt").write_text("precious")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(
        ProgramError, match=f"{path} exists and is not ours to replace: choose another output"
    ):
        make(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupted_write_leaves_nothing(error, existing, tmp_path):
    if existing:
        make(tmp_path / "a", "old")

    def half(path):
        with storage.atomic_folder(path, ours) as folder:
            fill(folder)
            raise error

    with pytest.raises(error):
        half(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"] * existing
    assert not existing or (tmp_path / "a" / "mark").read_text() == "old"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")])
def test_the_old_folder_comes_back_where_the_exchange_fails(error, tmp_path, monkeypatch):
    make(tmp_path / "a", "old")
    rename = Path.rename

    def fails(self, target):
        if self.name == "fresh":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises((KeyboardInterrupt, ProgramError)):
        make(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "mark").read_text() == "old"


def test_a_full_disk(tmp_path):
    def full(path):
        with storage.atomic_folder(path, ours) as folder:
            fill(folder)
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ProgramError, match="a can't be written: No space left on device"):
        full(tmp_path / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", ["folder", "file"])
def test_places_that_can_not_be_written(write, tmp_path):
    def attempt(path):
        atomic = storage.atomic_file(path) if write == "file" else storage.atomic_folder(path, ours)
        with atomic as fresh:
            fresh.write_text("x") if write == "file" else fill(fresh)

    with pytest.raises(ProgramError, match="can't be written: the folder .*/no does not exist"):
        attempt(tmp_path / "no" / "a")
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(ProgramError, match="plain/a can't be written: Not a directory"):
        attempt(tmp_path / "plain" / "a")
    with pytest.raises(ProgramError, match="can't be written: File name too long"):
        attempt(tmp_path / ("a" * 300))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(
        ProgramError, match="pipe exists and is no(t ours| ordinary file).*: choose another output"
    ):
        attempt(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pipe", "plain"]


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    for text in ("old", "new"):
        with storage.atomic_file(path) as fresh:
            fresh.write_text(text)
            assert not path.exists() or path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_an_interrupted_file_leaves_the_old_one(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half():
        with storage.atomic_file(path) as fresh:
            fresh.write_text("ne")
            raise error

    with pytest.raises((KeyboardInterrupt, ProgramError)):
        half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_does_not_replace_a_folder(tmp_path):
    def onto_a_folder():
        with storage.atomic_file(tmp_path / "a") as fresh:
            fresh.write_text("x")

    (tmp_path / "a").mkdir()
    with pytest.raises(ProgramError, match="a exists and is no ordinary file: choose another output"):
        onto_a_folder()


# ---- manifests ---------------------------------------------------------------------------------------

CONTENT = {"format": "thing", "version": 1, "numbers": [1, 2.5, -3e-20], "text": "\u00e4"}


def with_manifest(folder):
    (folder / "data").write_bytes(b"12345")
    storage.write_manifest(folder, "thing.json", CONTENT)
    return folder


def test_a_manifest_is_read_back(tmp_path):
    assert storage.read_manifest(with_manifest(tmp_path), "thing.json", "Thing") == CONTENT


def test_json_has_one_form_and_no_nan():
    assert storage.json_text({"b": 1, "a": [0.1]}) == '{\n "a": [\n  0.1\n ],\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="Out of range float values"):
        storage.json_text(float("nan"))


def spaced(text):
    return text.replace('"version": 1', '"version":  1')


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-2],
        lambda text: text + " ",
        lambda text: "[]",
        lambda text: "3",
        lambda text: "[" * 100_000,
        spaced,
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"content"', '"contents"'),
        lambda text: text.replace("2.5", "NaN"),
        lambda text: text.replace("2.5", "2" * 5000),
    ],
)
def test_a_manifest_that_was_edited(change, tmp_path):
    path = with_manifest(tmp_path) / "thing.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(
        ProgramError, match="thing.json was changed or damaged after it was written: make the Thing"
    ):
        storage.read_manifest(tmp_path, "thing.json", "Thing")


def test_a_manifest_that_is_no_text(tmp_path):
    (with_manifest(tmp_path) / "thing.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProgramError, match="was changed or damaged"):
        storage.read_manifest(tmp_path, "thing.json", "Thing")


def test_files_beside_the_manifest(tmp_path):
    with_manifest(tmp_path)
    (tmp_path / "data").write_bytes(b"12346")
    with pytest.raises(ProgramError, match="data was changed after it was written: make the Thing anew"):
        storage.read_manifest(tmp_path, "thing.json", "Thing")
    (tmp_path / "more").write_bytes(b"")
    with pytest.raises(ProgramError, match=r"holds \['data', 'more', 'thing.json'\], its thing.json lists"):
        storage.read_manifest(tmp_path, "thing.json", "Thing")
    (tmp_path / "more").unlink()
    (tmp_path / "data").unlink()
    with pytest.raises(
        ProgramError, match=r"holds \['thing.json'\], its thing.json lists \['data', 'thing.json'\]"
    ):
        storage.read_manifest(tmp_path, "thing.json", "Thing")
    (tmp_path / "data").mkdir()
    with pytest.raises(ProgramError, match="can't be read: .*Is a directory"):
        storage.read_manifest(tmp_path, "thing.json", "Thing")


def test_a_folder_without_manifest(tmp_path):
    with pytest.raises(ProgramError, match="is no Thing: it has no thing.json"):
        storage.read_manifest(tmp_path, "thing.json", "Thing")


def test_versions():
    path = Path("x")
    storage.check_version({"format": "thing", "version": 1}, "thing", 3, path)
    with pytest.raises(ProgramError, match="x is no thing: its format is 'other'"):
        storage.check_version({"format": "other"}, "thing", 1, path)
    with pytest.raises(ProgramError, match="x is no thing: its format is None"):
        storage.check_version({}, "thing", 1, path)
    for version in (2, None, "1"):
        with pytest.raises(
            CheckpointError, match=f"of version {version}; this astrodeploy reads up to 1: update"
        ):
            storage.check_version({"format": "thing", "version": version}, "thing", 1, path, CheckpointError)


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert storage.file_hash(tmp_path / "a") == sha256(b"abc" * 1_000_000).hexdigest()
