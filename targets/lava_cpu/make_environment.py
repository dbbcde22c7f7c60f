"""Make Lava's environment: `python make_environment.py FOLDER`, from the Python to make it of.

Does nothing where FOLDER is already as it should be; exit code 1 and one sentence where it can't be made.
Lava 0.10.0 asks for Python 3.10 and an exact set of packages, so pip is told to install it as it is;
`compat.py` lets it run on later Pythons.
"""

import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
LAVA = "lava-nc==0.10.0"
STAMP = "astrodeploy-lava.sha256"  # in the environment: what it was made from
OLDEST = (3, 10)


class CannotMake(Exception):
    """The environment can't be made; the message is one sentence for the user."""


def interpreter(folder: Path) -> Path:
    """The environment's Python."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def recipe() -> str:
    """Hash of all that the environment is made from."""
    parts = [sys.version, LAVA, REQUIREMENTS.read_text(), (HERE / "compat.py").read_text()]
    return sha256("\n".join(parts).encode()).hexdigest()


def is_ready(folder: Path) -> bool:
    """Whether the environment was made to its end from the same recipe."""
    stamp = folder / STAMP
    return interpreter(folder).is_file() and stamp.is_file() and stamp.read_text() == recipe()


def make(folder: Path) -> None:
    """Make the environment anew and check that Lava can be imported. Raises CannotMake."""
    if sys.version_info < OLDEST:
        raise CannotMake(
            f"Lava needs Python {OLDEST[0]}.{OLDEST[1]} or later, this is {sys.version.split()[0]}"
        )
    if folder.exists() and not (folder / "pyvenv.cfg").is_file() and any(folder.iterdir()):
        raise CannotMake(f"{folder} is not an environment and not empty: choose another folder")
    try:
        venv.create(folder, clear=True, symlinks=sys.platform != "win32", with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMake(f"{folder} can't be made an environment: {error}") from error
    python = interpreter(folder)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _call([*pip, "-r", str(REQUIREMENTS)], "its packages can't be installed")
    _call([*pip, "--ignore-requires-python", "--no-deps", LAVA], f"{LAVA} can't be installed")
    _call([str(python), "-W", "ignore", str(HERE / "compat.py")], "Lava can't be imported")
    (folder / STAMP).write_text(recipe())


def _call(command: list[str], problem: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CannotMake(f"{problem}: {lines[-1] if lines else f'exit code {done.returncode}'}")


def main() -> int:
    """The command: 0 where the environment is ready at the end."""
    if len(sys.argv) != 2:
        sys.stderr.write("use: python make_environment.py FOLDER\n")
        return 2
    folder = Path(sys.argv[1])
    if not is_ready(folder):
        try:
            make(folder)
        except CannotMake as problem:
            sys.stderr.write(f"{problem}\n")
            return 1
    sys.stdout.write(f"Lava's environment is ready: {interpreter(folder)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
