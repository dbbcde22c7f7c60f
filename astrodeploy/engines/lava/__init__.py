"""Lava, the second witness: a network on Lava's own fixed-point processes, in Lava's own environment.

Lava 0.10.0 asks for an old NumPy, starts a process per Lava process, and waits for ever where one of
them dies. So `targets/lava_cpu/runner.py` runs it, in an environment and a process group of its own;
here the job's folder is written (`folder.py`), the run watched over (`process.py`), and read what was
recorded. What Lava's own processes say exactly runs on them (`stock.py`): plain LIF layers, and all
connections. Every other kind runs on one generic Lava process that executes the operation lists
(`targets/lava_cpu/processes`).
"""

from astrodeploy.engines.lava.engine import lava
from astrodeploy.engines.lava.process import lava_python

__all__ = ["lava", "lava_python"]
