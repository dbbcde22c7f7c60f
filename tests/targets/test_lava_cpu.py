"""The script that makes Lava's environment, and the hook that mends Lava as it is imported."""

import importlib.util
import subprocess
import sys

import pytest

from astrodeploy.resources import data_folder

HERE = data_folder("targets") / "lava_cpu"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("make_environment", HERE / "make_environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(script, monkeypatch, capsys):
    """Call the script with a folder; its exit code and what it wrote."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["make_environment.py", *map(str, arguments)])
        code = script.main()
        out, err = capsys.readouterr()
        return code, out + err

    return run


@pytest.fixture
def unmade(script, monkeypatch):
    """Instead of making environments and installing packages, note what would be done."""
    done = []

    def create(folder, **options):
        script.interpreter(folder).parent.mkdir(parents=True)
        script.interpreter(folder).touch()

    def run(command, **options):
        done.append(command[1:])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(script.venv, "create", create)
    monkeypatch.setattr(script.subprocess, "run", run)
    return done


class TestMakeEnvironment:
    def test_installs_the_pinned_packages_then_lava_as_it_is_then_checks(self, call, unmade, tmp_path):
        code, text = call(tmp_path / "env")
        assert (code, text) == (0, f"Lava's environment is ready: {tmp_path / 'env' / 'bin' / 'python'}\n")
        packages, lava, check = unmade
        assert packages[-2:] == ["-r", str(HERE / "requirements.txt")]
        assert lava[-3:] == ["--ignore-requires-python", "--no-deps", "lava-nc==0.10.0"]
        assert check[-1] == str(HERE / "compat.py")

    def test_does_nothing_a_second_time(self, call, unmade, tmp_path):
        call(tmp_path / "env")
        unmade.clear()
        assert call(tmp_path / "env")[0] == 0
        assert unmade == []

    def test_makes_it_anew_where_the_recipe_has_changed(self, script, call, unmade, tmp_path, monkeypatch):
        call(tmp_path / "env")
        monkeypatch.setattr(script, "LAVA", "lava-nc==0.11.0")
        assert not script.is_ready(tmp_path / "env")

    @pytest.mark.parametrize(
        ("step", "sentence"),
        [
            ("-r", "its packages can't be installed: no space"),
            ("lava-nc==0.10.0", "lava-nc==0.10.0 can't be installed: no space"),
            ("compat.py", "Lava can't be imported: no space"),
        ],
    )
    def test_one_sentence_where_a_step_fails(
        self, script, call, unmade, tmp_path, monkeypatch, step, sentence
    ):
        def run(command, **options):
            failed = any(part.endswith(step) for part in command)
            return subprocess.CompletedProcess(command, int(failed), "", "lines before\nno space\n")

        monkeypatch.setattr(script.subprocess, "run", run)
        assert call(tmp_path / "env") == (1, sentence + "\n")
        assert not script.is_ready(tmp_path / "env")

    def test_one_sentence_where_there_can_be_no_environment(self, call, tmp_path):
        (tmp_path / "file").touch()
        code, text = call(tmp_path / "file" / "env")
        assert code == 1
        assert text.startswith(f"{tmp_path / 'file' / 'env'} can't be made an environment: ")
        assert text.count("\n") == 1

    def test_leaves_a_foreign_folder_alone(self, call, tmp_path):
        (tmp_path / "thesis.tex").touch()
        code, text = call(tmp_path)
        assert (code, text) == (
            1,
            f"{tmp_path} is not an environment and not empty: choose another folder\n",
        )
        assert (tmp_path / "thesis.tex").exists()

    def test_refuses_an_older_python(self, script, call, tmp_path, monkeypatch):
        monkeypatch.setattr(script, "OLDEST", (99, 0))
        code, text = call(tmp_path / "env")
        assert code == 1
        assert text.startswith("Lava needs Python 99.0 or later, this is 3.")

    def test_says_how_it_is_used(self, call):
        assert call() == (2, "use: python make_environment.py FOLDER\n")


class TestCompat:
    SOURCE = (
        "from dataclasses import dataclass\n\n"
        "class ByteEncoder:\n    __hash__ = None\n\n"
        "@dataclass\nclass Model:\n    encoder: ByteEncoder = ByteEncoder()\n"
    )

    def import_mended(self, folder, source):
        package = folder / "lava" / "magma" / "compiler"
        package.mkdir(parents=True)
        (package / "var_model.py").write_text(source)
        program = (
            f"import sys; sys.path[:0] = [{str(HERE)!r}, {str(folder)!r}]; import compat; compat.install(); "
            "from lava.magma.compiler.var_model import Model; print(Model().encoder is not Model().encoder)"
        )
        return subprocess.run(
            [sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False
        )

    def test_mends_the_defaults_that_dataclasses_refuse(self, tmp_path):
        done = self.import_mended(tmp_path, self.SOURCE)
        assert done.stdout == "True\n", done.stderr

    def test_refuses_another_lava(self, tmp_path):
        done = self.import_mended(tmp_path, "class Model: ...\n")
        assert "var_model.py is not as in lava-nc 0.10.0: make the environment anew" in done.stderr
