"""Measure the reference systems, and write what comes out into their READMEs, figures and one gallery page.

    python models/study.py --seeds 3                 # all systems; what was measured before is kept
    python models/study.py --seeds 10 --only memory

Every system has a study.py with `measure(seed)`, which gives plain data, and `present(results)`, which makes
Markdown and a figure of those of all seeds. A seed is measured in a process of its own, two at a time, and
kept as one file; it is measured anew when the system's files or the package's have changed.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from gallery import BEGIN, END, MODELS, ORDER, write_gallery

JOBS = 2
RELEASES = ("torch", "numpy", "norse", "snntorch", "scikit-learn", "brian2")  # that results may change with
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def main() -> int:
    """Read the options; 1 where a measurement failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--only", nargs="+", choices=systems(), default=systems(), metavar="NAME")
    parser.add_argument("-o", "--out", type=Path, default=Path("build/models"))
    parser.add_argument("--worker", nargs=3, metavar=("WHAT", "NAME", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        what, name, number = options.worker
        work = _measure if what == "measure" else _present
        work(name, int(number), options.out)
        return 0
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, not {options.seeds}")
    failed = _measure_all(options.only, options.seeds, options.out)
    for name in options.only:
        if name not in failed:
            _run("present", name, options.seeds, options.out)
    write_gallery(options.out / "gallery.html")
    print(f"wrote the READMEs' tables, their figures, and {options.out / 'gallery.html'}")
    return 1 if failed else 0


def systems() -> list[str]:
    """The systems that can be studied, in the gallery's order."""
    found = sorted(each.parent.name for each in MODELS.glob("*/study.py"))
    return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def results(name: str, seeds: int, out: Path) -> list[dict[str, Any]]:
    """What was measured of a system, by seed; without those that are missing."""
    files = (_file(name, seed, out) for seed in range(seeds))
    return [json.loads(each.read_text(encoding="utf-8"))["measured"] for each in files if each.exists()]


# ---- measuring ---------------------------------------------------------------------------------------


def _measure_all(names: Iterable[str], seeds: int, out: Path) -> set[str]:
    """Measure what is missing, seed by seed; the systems of which a measurement failed."""
    from rich.console import Console
    from rich.progress import Progress

    wanted = [(name, seed) for seed in range(seeds) for name in names]
    missing = [each for each in wanted if not _is_known(*each, out)]
    failed: set[str] = set()
    console = Console(stderr=True)
    with Progress(console=console) as bar, ThreadPoolExecutor(JOBS) as pool:
        task = bar.add_task(f"{len(wanted) - len(missing)} measured before", total=len(missing))
        running = {pool.submit(_run, "measure", *each, out): each for each in missing}
        for done in as_completed(running):
            name, seed = running[done]
            seconds, error = done.result()
            bar.update(task, advance=1, description=f"{name} {seed}: {seconds:.0f} s")
            if error:
                failed.add(name)
                console.print(f"{name}, seed {seed}: failed\n{error}", style="red", markup=False)
    return failed


def _run(what: str, name: str, number: int, out: Path) -> tuple[float, str]:
    """Do a piece of work in a process of its own; the seconds it took, and what went wrong."""
    started = perf_counter()
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        "--worker",
        what,
        name,
        str(number),
        "-o",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD, check=False)
    if done.returncode and what == "present":
        raise SystemExit(f"{name} can't be presented:\n{done.stderr}")
    return perf_counter() - started, done.stderr if done.returncode else ""


def _measure(name: str, seed: int, out: Path) -> None:
    started = perf_counter()
    measured = _study(name).measure(seed)
    content = {"fingerprint": _fingerprint(name), "seconds": perf_counter() - started, "measured": measured}
    _write(_file(name, seed, out), json.dumps(content, indent=1))


def _present(name: str, seeds: int, out: Path) -> None:
    text, figure = _study(name).present(results(name, seeds, out))
    if figure is not None:
        figure.savefig(MODELS / name / "figure.svg", metadata={"Date": None}, bbox_inches="tight")
    readme = MODELS / name / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    _write(readme, f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}")


def _study(name: str) -> Any:
    """A system's study.py, imported with its folder first on the path, and that of common.py after it."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = name
    sys.path[:1] = [str(MODELS / name), str(MODELS)]
    return import_module("study")


# ---- files -------------------------------------------------------------------------------------------


def _file(name: str, seed: int, out: Path) -> Path:
    return out / name / f"seed-{seed}.json"


def _is_known(name: str, seed: int, out: Path) -> bool:
    file = _file(name, seed, out)
    if not file.exists():
        return False
    try:
        return bool(json.loads(file.read_text(encoding="utf-8"))["fingerprint"] == _fingerprint(name))
    except (ValueError, KeyError):
        return False


def _fingerprint(name: str) -> str:
    """Hash of all that a measurement depends on: code, chips, data, releases of Python and of packages."""
    import astrodeploy

    package = Path(astrodeploy.__file__).parent
    files = [MODELS / "common.py", *sorted((MODELS / name).glob("*.py")), *sorted(package.rglob("*.py"))]
    files += sorted((MODELS.parent / "targets").rglob("*.toml")) + sorted((MODELS / "data").glob("*.npz"))
    releases = [f"{each} {version(each)}" for each in RELEASES]
    digest = sha256(" ".join([sys.version, *releases]).encode())
    for each in files:
        digest.update(each.read_bytes())
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(path.suffix + ".fresh")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main())
