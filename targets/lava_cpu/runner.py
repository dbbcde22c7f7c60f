"""Run a network in Lava: `python runner.py FOLDER` in Lava's own environment.

The folder (its format: job.py) is scratch and belongs to the run: standard input is the line to whoever
started it, and when that closes, everything ends and the folder is deleted. Exit code 0 with a
result.json in the folder, 3 where Lava can't be imported, anything else where it died; then the last line on
standard error says why. Nothing of astrodeploy is imported but one file, its arithmetic.
"""

import json
import platform
import sys
import time
import types
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import compat
from lifeline import Lifeline

NO_LAVA = 3
CHANNEL_SLOTS = 4  # messages that a channel holds; all processes go in step, so that 1 would do


def load_arithmetic(path: Path) -> str:
    """Execute the arithmetic as module `arithmetic` and return the SHA-256 of what was executed."""
    source = path.read_bytes()
    module = types.ModuleType("arithmetic")
    exec(compile(source, str(path), "exec"), module.__dict__)
    sys.modules["arithmetic"] = module
    return sha256(source).hexdigest()


def import_lava() -> None:
    """Import Lava through the hook; exit where that fails."""
    compat.install()
    try:
        import lava.magma.core.run_configs  # noqa: F401
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NO_LAVA)


def build(job) -> list:
    """Make Lava processes of the populations, and connect them."""
    import stock
    import synapses
    from processes.neuron_program import NeuronProgram

    makers = {
        "source": stock.source,
        "lif": stock.lif,
        "program": lambda population: NeuronProgram(population=population),
    }
    made = [makers[population.process](population) for population in job.populations]
    for connection in job.connections:
        source, target = made[connection.source], made[connection.target]
        out = source.out if isinstance(source, NeuronProgram) else source.s_out
        into = getattr(target, f"in_{connection.port}") if isinstance(target, NeuronProgram) else target.a_in
        synapses.connect(connection, out, into)
    return made


def run(job, lifeline: Lifeline) -> None:
    """Run all rows. Lava runs what is connected to a process: parts that are not, follow one another."""
    import stock
    import synapses
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    models = stock.MODELS | synapses.MODELS
    configuration = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models)
    for process in build(job):
        if process.is_compiled:
            continue
        process.create_runtime(configuration, compile_config={"pypy_channel_size": CHANNEL_SLOTS})
        finished = lifeline.watch(process.runtime._messaging_infrastructure.actors)
        process.run(RunSteps(num_steps=job.clock.total))
        finished.set()
        process.stop()


def main() -> None:
    """Read the folder, run, write the result."""
    started = time.perf_counter()
    folder = Path(sys.argv[1]).resolve()
    settings = json.loads((folder / "job.json").read_text())
    lifeline = Lifeline(folder, settings["shared_memory"])
    digest = load_arithmetic(Path(settings["arithmetic"]))
    import_lava()

    import job

    run(job.read(folder), lifeline)
    result = {
        "arithmetic": digest,
        "versions": {name: version(name) for name in ("lava-nc", "numpy")}
        | {"python": platform.python_version()},
        "seconds": time.perf_counter() - started,
    }
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
