"""Runs a Job in Lava: checks it against Lava's limits, and gives it a time limit of its own."""

import os
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory

from astrodeploy.engines.lava import folder as files
from astrodeploy.engines.lava import process
from astrodeploy.engines.lava.process import SECONDS
from astrodeploy.engines.lava.stock import conv_work, stock_synapses
from astrodeploy.engines.recording import Job, Recording
from astrodeploy.errors import EngineError
from astrodeploy.ir import Compartments, Connection, Graph
from astrodeploy.ir.wiring import Conv

# The time limit is there to end what hangs, so it lies an order of magnitude above what was measured on
# two cores: 2 s to start, and a step as said behind every constant.
START_SECONDS = 120.0
PROCESS_SECONDS = 5e-3  # a Lava process (one a population, one a connection): 0.2 to 0.4 ms
WEIGHT_SECONDS = 1e-7  # a weight of a Dense or Sparse; a delayed one of a Dense once a step of delay
LIST_SECONDS = 2e-5  # a weight of a Sparse, once: to be copied, clipped and truncated
PLANE_SECONDS = 3e-4  # one filter of a Conv on one plane: 20 microseconds
PRODUCT_SECONDS = 7e-8  # and each of its products: 4 to 7 nanoseconds
NEURON_SECONDS = 1e-5  # a neuron and its arrivals

INPUT_PORTS = 4  # of the generic process
DELAY_MAX = 64  # of Lava's DelayDense and DelaySparse, whose 0..63 arrive 1..64 steps later


def lava(job: Job) -> Recording:
    """Run a Job in Lava.

    Raises EngineError where Lava's environment is missing, where the network exceeds what the runner or
    Lava holds, and where a run dies or exceeds its time limit.
    """
    _check(job)
    python = process.lava_python()
    limit = time_limit(job)
    process.sweep()
    prefix = f"{process.PREFIX}{os.getpid()}_{secrets.token_hex(2)}"
    with TemporaryDirectory(prefix=f"{process.PREFIX}-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        files.write(job, folder, prefix)
        process.run(python, folder, prefix, limit)
        return files.read(job, folder)


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


def time_limit(job: Job) -> float:
    """Seconds that a run may take. Raises EngineError where the user's own limit is no number."""
    if chosen := os.environ.get(SECONDS):
        try:
            return float(chosen)
        except ValueError:
            raise EngineError(f"{SECONDS} must be a number of seconds, not {chosen!r}") from None
    network = job.program.network
    step = sum(PROCESS_SECONDS + p.size * NEURON_SECONDS for p in network.populations)
    start = START_SECONDS
    for connection in network.connections:
        once, always = _synapse_seconds(connection, network)
        start, step = start + once, step + PROCESS_SECONDS + always
    return start + job.rows * job.steps * step


def _synapse_seconds(connection: Connection, network: Graph) -> tuple[float, float]:
    """Seconds that the weights of a connection take, once and in every step."""
    wiring, delay = connection.wiring, connection.delay
    name = stock_synapses(connection, network[connection.source])
    if name == "conv" and isinstance(wiring, Conv):
        planes, products = conv_work(wiring)
        return 0.0, planes * (PLANE_SECONDS + products * PRODUCT_SECONDS)
    if name == "dense":
        return 0.0, wiring.synapses * delay * WEIGHT_SECONDS
    late = wiring.shape[0] * delay if delay > 1 else 0
    return wiring.synapses * LIST_SECONDS, (wiring.synapses + late) * WEIGHT_SECONDS
