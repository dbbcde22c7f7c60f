"""The driver of the reference systems' studies: resumable, honest about failures, nothing half-written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "models"
STUDY = """
from pathlib import Path

def measure(seed):
    runs = Path({log!r})
    runs.write_text(runs.read_text() + f"{{seed}} " if runs.exists() else f"{{seed}} ")
    if seed == 1 and Path({broken!r}).exists():
        raise RuntimeError("the second seed broke")
    return {{"seed": seed, "value": seed * 2}}

def present(results):
    return "| seeds | mean |\\n|---|---|\\n" + f"| {{len(results)}} | {{sum(r['value'] for r in results)}} |", None
"""


@pytest.fixture
def studies(tmp_path):
    """A copy of the driver with one system, its log of measured seeds, and a switch that breaks seed 1."""
    folder = tmp_path / "models"
    (folder / "toy").mkdir(parents=True)
    for name in ("study.py", "common.py", "gallery.py", "gallery.html.j2"):
        (folder / name).write_text((MODELS / name).read_text(encoding="utf-8"), encoding="utf-8")
    log, broken = tmp_path / "log", tmp_path / "broken"
    (folder / "toy" / "study.py").write_text(STUDY.format(log=str(log), broken=str(broken)))
    (folder / "toy" / "README.md").write_text(
        "# Toy\n\nbefore\n\n<!-- measured -->\n<!-- /measured -->\n\nafter\n"
    )
    return folder, log, broken


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "study.py"), "-o", str(folder.parent / "out"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_study_is_measured_once_and_resumed(studies):
    folder, log, _ = studies
    assert run(folder, "--seeds", "2").returncode == 0
    assert sorted(log.read_text().split()) == ["0", "1"]
    assert run(folder, "--seeds", "3").returncode == 0
    assert sorted(log.read_text().split()) == ["0", "1", "2"]
    readme = (folder / "toy" / "README.md").read_text()
    assert "| 3 | 6 |" in readme
    assert readme.startswith("# Toy\n\nbefore\n") and readme.endswith("after\n")
    measured = json.loads((folder.parent / "out" / "toy" / "seed-2.json").read_text())
    assert measured["measured"] == {"seed": 2, "value": 4}
    assert "<html" in (folder.parent / "out" / "gallery.html").read_text()


def test_changed_code_is_measured_anew(studies):
    folder, log, _ = studies
    run(folder, "--seeds", "1")
    study = folder / "toy" / "study.py"
    study.write_text(study.read_text() + "\n# changed\n")
    run(folder, "--seeds", "1")
    assert log.read_text().split() == ["0", "0"]


def test_a_failure_is_shown_and_leaves_the_tables_alone(studies):
    folder, _, broken = studies
    broken.touch()
    before = (folder / "toy" / "README.md").read_text()
    done = run(folder, "--seeds", "2")
    assert done.returncode == 1
    assert "toy, seed 1: failed" in done.stderr and "the second seed broke" in done.stderr
    assert (folder / "toy" / "README.md").read_text() == before
    assert (folder.parent / "out" / "toy" / "seed-0.json").exists()
    broken.unlink()
    assert run(folder, "--seeds", "2").returncode == 0
