"""Lava, the second witness: a network on Lava's own fixed-point processes, in Lava's own environment.

Lava 0.10.0 asks for an old NumPy, starts a process per Lava process, and waits for ever where one of
them dies. So `targets/lava_cpu/runner.py` runs it, in an environment and a process group of its own;
this module writes the job's folder, watches over the run, and reads what was recorded. Plain LIF
layers run on Lava's stock LIF, all connections on its stock Dense and DelayDense; every other kind
on one generic Lava process that executes the operation lists (`targets/lava_cpu/processes`).
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from astrodeploy import arithmetic
from astrodeploy.compartments import KINDS, Range
from astrodeploy.engines.recording import Job, Recording, StateName
from astrodeploy.errors import EngineError
from astrodeploy.ir import Compartments, Connection, Graph, Population
from astrodeploy.ir.nodes import Array, IntArray
from astrodeploy.ir.numbers import BIAS_EXPONENT_MAX, BIAS_MANTISSA
from astrodeploy.ir.verify import message_range
from astrodeploy.resources import data_folder
from astrodeploy.storage import file_hash

PYTHON = "ASTRODEPLOY_LAVA_PYTHON"  # environment variable: the interpreter of Lava's environment
SECONDS = "ASTRODEPLOY_LAVA_SECONDS"  # environment variable: the time limit of a run

# The time limit is there to end what hangs, so it lies an order of magnitude above what was measured:
# 2 s to start and, on two cores, 0.2 to 0.4 ms a Lava process and step.
START_SECONDS = 120.0
PROCESS_SECONDS = 5e-3  # a Lava process (one a population, one a connection) and step
WEIGHT_SECONDS = 1e-7  # a weight and step; a delayed one counts once a step of delay

INPUT_PORTS = 4  # of the generic process
DELAY_MAX = 64  # of Lava's DelayDense, whose 0..63 arrive 1..64 steps later
DECAY = Range.unsigned(12)  # Lava's du and dv; the effective factor of u is du + 1

NO_LAVA = 3  # the runner's exit code where it can't import Lava
SHARED_MEMORY = Path("/dev/shm")
PREFIX = "adlava"


def lava(job: Job) -> Recording:
    """Run a Job in Lava.

    Raises EngineError where Lava's environment is missing, where the network exceeds what the runner or
    Lava holds, and where a run dies or exceeds its time limit.
    """
    network = job.program.network
    _check(job)
    python = lava_python()
    limit = _time_limit(job)
    _sweep()
    prefix = f"{PREFIX}{os.getpid()}_{secrets.token_hex(2)}"
    with TemporaryDirectory(prefix=f"{PREFIX}-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _write(job, folder, prefix)
        _run(python, folder, prefix, limit)
        return _read(job, network, folder)


def lava_python() -> Path:
    """The interpreter of Lava's environment: $ASTRODEPLOY_LAVA_PYTHON, else .venv-lava beside ours.

    Raises EngineError that says how to make it.
    """
    chosen = os.environ.get(PYTHON)
    python = Path(chosen) if chosen else Path(sys.prefix).parent / ".venv-lava" / "bin" / "python"
    if not python.is_file():
        said = f" (named by {PYTHON}: correct or unset it)" if chosen else ""
        raise EngineError(
            f"{python} does not exist{said}, and Lava needs an environment of its own: {_remedy()}"
        )
    return python


def _remedy() -> str:
    script = data_folder("targets") / "lava_cpu" / "make_environment.py"
    return f"make it with: python {script} {Path(sys.prefix).parent / '.venv-lava'}"


# ---- what Lava can hold ----------------------------------------------------------------------------


def _check(job: Job) -> None:
    """Raise EngineError, with every finding, where the network exceeds a limit."""
    network = job.program.network
    findings = [] if job.rows * job.steps else ["there are no steps to run"]
    for population in network.populations:
        node = population.node
        if isinstance(node, Compartments) and len(node.kind.inputs) > INPUT_PORTS:
            findings.append(
                f"{population.name} has {len(node.kind.inputs)} inputs, the limit is {INPUT_PORTS}"
            )
    for connection in network.connections:
        if connection.delay > DELAY_MAX:
            findings.append(f"{connection.name} has delay {connection.delay}, the limit is {DELAY_MAX}")
    if findings:
        raise EngineError("Lava can't run this: " + "; ".join(findings) + "; use the engine fast")


def stock_lif(population: Population) -> dict[str, Array] | None:
    """Parameters of Lava's stock LIF where it says exactly what the population does, else None.

    It takes one du, dv and threshold for all neurons, du of 1..4096 and dv of 0..4095 effective, and
    biases of 13 bits with an exponent of 0..7.
    """
    node = population.node
    if not isinstance(node, Compartments) or node.kind != KINDS["lif"]:
        return None
    parameters: dict[str, Array] = {name: node.parameters[name] for name in ("du", "dv", "threshold")}
    du, dv = (int(parameters[name][0]) for name in ("du", "dv"))
    uniform = all(np.all(array == array[0]) for array in parameters.values())
    bias = _split_bias(node.parameters["bias"])
    if bias is None or not uniform or not DECAY.contains(Range(min(du - 1, dv), max(du - 1, dv))):
        return None
    return parameters | {"bias_mantissa": bias[0], "bias_exponent": bias[1]}


def _split_bias(bias: IntArray) -> tuple[IntArray, IntArray] | None:
    """Mantissa and exponent of every neuron, with the smallest exponents; None where one has none."""
    exponents = np.zeros_like(bias)
    for exponent in range(BIAS_EXPONENT_MAX):
        wide = ~_within(bias >> exponent, BIAS_MANTISSA)
        exponents[wide] = exponent + 1
    mantissas = bias >> exponents
    exact = np.all(_within(mantissas, BIAS_MANTISSA)) and np.array_equal(mantissas << exponents, bias)
    return (mantissas, exponents) if exact else None


def _within(values: IntArray, allowed: Range) -> npt.NDArray[np.bool_]:
    return (values >= allowed.low) & (values <= allowed.high)


# ---- the job's folder; its format stands in targets/lava_cpu/job.py ----------------------------------


def _write(job: Job, folder: Path, prefix: str) -> None:
    network = job.program.network
    arrays: dict[str, Array] = {
        f"{i}.spikes": job.spikes[p.name] for i, p in enumerate(network.populations) if p.is_input
    }
    populations = [_population(p, i, job, arrays) for i, p in enumerate(network.populations)]
    connections = [_connection(c, i, network, arrays) for i, c in enumerate(network.connections)]
    data = {
        "rows": job.rows,
        "steps": job.steps,
        "reset_every": job.reset_every,
        "arithmetic": str(_arithmetic_file()),
        "shared_memory": prefix,
        "populations": populations,
        "connections": connections,
    }
    (folder / "job.json").write_text(json.dumps(data))
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)


def _population(population: Population, index: int, job: Job, arrays: dict[str, Array]) -> dict[str, Any]:
    plain: dict[str, Any] = {"size": population.size, "depth": population.depth}
    node = population.node
    if not isinstance(node, Compartments):
        return plain | {"process": "source", "kind": None, "period": 0, "record": []}
    stock = stock_lif(population)
    parameters = node.parameters if stock is None else stock
    arrays |= {f"{index}.parameter.{k}": v for k, v in parameters.items()}
    arrays |= {f"{index}.initial.{k}": v for k, v in node.initial.items()}
    return plain | {
        "process": "program" if stock is None else "lif",
        "kind": node.kind.to_dict(),
        "period": node.period,
        "record": [state for _, state in _recorded(job, population)],
    }


def _connection(
    connection: Connection, index: int, network: Graph, arrays: dict[str, Array]
) -> dict[str, Any]:
    source, target = network[connection.source], network[connection.target]
    assert isinstance(target.node, Compartments)
    inputs = target.node.kind.inputs
    arrays[f"{index}.weight"] = connection.wiring.matrix()
    return {
        "source": network.layers.index(source.name),
        "target": network.layers.index(target.name),
        "port": list(inputs).index(connection.port),
        "exponent": connection.exponent,
        "lag": connection.lag,
        "delay": connection.delay,
        "slow": inputs[connection.port].slow,
        "graded": not Range(0, 1).contains(message_range(source)),
    }


def _recorded(job: Job, population: Population) -> list[StateName]:
    return sorted(key for key in job.record if key[0] == population.name)


def _read(job: Job, network: Graph, folder: Path) -> Recording:
    result = json.loads((folder / "result.json").read_text())
    ours = file_hash(_arithmetic_file())
    if result["arithmetic"] != ours:
        raise EngineError(
            f"Lava's runner executed the arithmetic {result['arithmetic'][:12]}, ours is {ours[:12]}: "
            "it changed during the run, run again"
        )
    spikes: dict[str, Array] = dict(job.spikes)
    states: dict[StateName, Array] = {}

    def load(name: str) -> Array:
        array: Array = np.load(folder / name, allow_pickle=False)
        return array.reshape(job.rows, job.steps, -1)

    for i, population in enumerate(network.populations):
        if not population.is_input:
            spikes[population.name] = load(f"{i}.npy")
            states |= {key: load(f"{i}.{j}.npy") for j, key in enumerate(_recorded(job, population))}
    return Recording(spikes, states, result["versions"] | {"arithmetic": ours})


def _arithmetic_file() -> Path:
    return Path(arithmetic.__file__)


# ---- the run ---------------------------------------------------------------------------------------


def _time_limit(job: Job) -> float:
    """Seconds that a run may take."""
    if chosen := os.environ.get(SECONDS):
        try:
            return float(chosen)
        except ValueError:
            raise EngineError(f"{SECONDS} must be a number of seconds, not {chosen!r}") from None
    network = job.program.network
    processes = len(network.populations) + len(network.connections)
    weights = sum(c.wiring.synapses * c.delay for c in network.connections)
    step = processes * PROCESS_SECONDS + weights * WEIGHT_SECONDS
    return START_SECONDS + job.rows * job.steps * step


def _run(python: Path, folder: Path, prefix: str, limit: float) -> None:
    """Run the runner to its end. Raises EngineError where it does not end well."""
    errors = folder / "stderr.txt"
    with errors.open("wb") as stderr, _runner(python, folder, prefix, stderr.fileno()) as runner:
        try:
            code = runner.wait(limit)
        except subprocess.TimeoutExpired:
            raise EngineError(
                f"Lava did not finish in {limit:g} s and was stopped: give it longer with {SECONDS}"
            ) from None
    if code == 0 and (folder / "result.json").is_file():
        return
    lines = errors.read_text(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else f"exit code {code}"
    if code == NO_LAVA:
        raise EngineError(f"{python} can't import Lava ({reason}): {_remedy()}")
    raise EngineError(f"Lava's runner died: {reason}")


@contextmanager
def _runner(python: Path, folder: Path, prefix: str, stderr: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The runner, in a session of its own; at the end of the block nothing of it is left.

    Its standard input stays open as long as we live: when we are killed it closes, and the runner ends.
    """
    script = data_folder("targets") / "lava_cpu" / "runner.py"
    command = [str(python.absolute()), "-B", "-E", "-s", "-W", "ignore", str(script), str(folder)]
    try:
        runner = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    except OSError as error:
        raise EngineError(f"{python} can't be started ({error.strerror}): {_remedy()}") from error
    try:
        yield runner
    finally:
        with suppress(ProcessLookupError):
            os.killpg(runner.pid, signal.SIGKILL)
        runner.wait()
        assert runner.stdin is not None
        runner.stdin.close()
        _unlink(SHARED_MEMORY.glob(f"{prefix}_*"))


def _sweep() -> None:
    """Delete the shared memory of runs whose process is gone."""
    for path in SHARED_MEMORY.glob(f"{PREFIX}*"):
        owner = re.match(rf"{PREFIX}(\d+)_", path.name)
        if owner and not _alive(int(owner[1])):
            _unlink(iter([path]))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unlink(paths: Iterator[Path]) -> None:
    for path in paths:
        with suppress(OSError):  # another user's, or gone already
            path.unlink()
