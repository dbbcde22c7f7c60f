"""What was measured, as it was published, and whether anything of ours was set by it."""

from dataclasses import dataclass

QUARTZ = "Quartz, arXiv:2309.16795, and its Loihi notebooks"
KEYWORDS = "Blouw et al., arXiv:1812.01739, and its logs"
BRAILLE = "Quartz-on-Loihi, spytorch2loihi_import_energy-delay.ipynb"
GESTURES = "SANA-FE, examples/dvs_challenge.npz, axes of its plots"
NETX = "lava-dl, pilotnet_snn/benchmark.ipynb"

NO = "no"
RULE = "for a rule"  # no constant is from it, but it decided which neurons count as active
BOUND = "for a high end"  # of the energy of a step and core, or of the time of clearing a core
YES = "yes"

CLEARING = (
    "the time of clearing a core: 0.71 us if all are written at once, 326 one after another, 409 at most"
)
MANAGEMENT = (
    "the embedded processors' part of a step (spikes from the host, management phase): 5.8 us at least in Frady "
    "2020, against a bare barrier of 0.1 to 1.8 us"
)
VERSION = "another version of the network: how many compartments it had is not public, 5,410 are taken"
RATE = "the rate: 2 to 50 % is a factor of 25"


@dataclass(frozen=True)
class Measurement:
    """One number of a published measurement.

    low, high  the same unless only a plot's axes are public
    used       NO, RULE, BOUND or YES: whether a number of ours came from it
    lacks      the physical term that an estimate of it does not hold; "" where none is known
    wide       the constant that makes a range wider than the goal; "" where none is expected to
    counted    whether it counts for the goal
    """

    key: str
    chip: str
    quantity: str
    unit: str
    low: float
    high: float
    source: str
    used: str = NO
    lacks: str = ""
    wide: str = ""
    counted: bool = True

    @property
    def middle(self):
        """The value; of a range its middle."""
        return (self.low + self.high) / 2


def quartz(t_max, steps, microjoules, milliseconds):
    """A point of the step sweep: energy of the cores, and latency, which counts where the host does not set it."""
    name = f"Quartz MNIST, t_max {t_max} ({steps} steps)"
    used = {8: BOUND, 32: YES}.get(t_max, NO)
    more = {"used": used, "wide": CLEARING, "counted": steps >= HOST_BELOW}
    return [
        _exact(name, "loihi1", "core energy", "uJ", microjoules, QUARTZ, used=RULE),
        _exact(name, "loihi1", "latency", "ms", milliseconds, QUARTZ, **more),
    ]


def _exact(key, chip, quantity, unit, value, source, **more):
    return Measurement(key, chip, quantity, unit, value, value, source, **more)


HOST_BELOW = 200  # steps: the host may set how long fewer of them take
QUARTZ_CORES, EARLIER_CORES = 11, 18
SWEEP = ((8, 51, 33.8, 4.90), (32, 171, 85.8, 4.93), (128, 651, 290.0, 8.66))  # t_max, steps, uJ, ms
_SLOPE = "Quartz MNIST, t_max 32 to 128"
EARLIER = (  # steps, us a step, mW of the cores: the same notebooks' earlier network, on 18 cores
    (50, 120.232, 6.3148),
    (90, 70.239, 8.3812),
    (170, 40.750, 11.5286),
    (330, 24.665, 16.9911),
    (650, 16.291, 26.9833),
)


def earlier(steps, microseconds, milliwatts):
    """A point of the earlier network's sweep."""
    name = f"Quartz MNIST, earlier, {steps} steps"
    milliseconds = steps * microseconds * 1e-3
    more = {"source": f"{QUARTZ}: CNN/mnist-EDP-plot.ipynb", "counted": False}
    return [
        _exact(name, "loihi1", "core energy", "uJ", milliseconds * milliwatts, lacks=VERSION, **more),
        _exact(name, "loihi1", "latency", "ms", milliseconds, lacks=VERSION, wide=CLEARING, **more),
    ]


EARLIER_POINTS = [earlier(*point) for point in EARLIER]
QUARTZ_POINTS = [quartz(*point) for point in SWEEP]
QUARTZ_SLOPES = [
    _exact(_SLOPE, "loihi1", "core energy of a step more", "uJ", (290.0 - 85.8) / 480, QUARTZ, used=RULE),
    _exact(_SLOPE, "loihi1", "time of a step more", "us", (8.66 - 4.93) / 480 * 1e3, QUARTZ),
]
KEYWORD_SLOPE = Measurement(
    "Keyword copies, 1 to 10", "loihi1", "energy of a copy more", "uJ", 148 / 9, 155 / 9, KEYWORDS, wide=RATE
)
KEYWORD_WHOLE = _exact(
    "Keyword spotting",
    "loihi1",
    "all energy of an inference",
    "uJ",
    270.0,
    KEYWORDS,
    counted=False,
    lacks="the host: 337 us a step for input and output, against which the chip waits; not comparable",
    wide=f"{RATE}; and static power, of which 29 to 178 mW a chip are published",
)


def braille(inputs, counted):
    """With so many inputs: whether there were 48 or 192 is not public."""
    name = f"Braille, {inputs} inputs"
    return [
        _exact(
            name, "loihi1", "dynamic energy", "uJ", 132.4, BRAILLE, wide=RATE, used=BOUND, counted=counted
        ),
        _exact(
            name,
            "loihi1",
            "time of a step",
            "us",
            6.64,
            BRAILLE,
            lacks=MANAGEMENT,
            wide=RATE,
            counted=counted,
        ),
    ]


BRAILLE_NUMBERS = {192: braille(192, True), 48: braille(48, False)}
GESTURE_AXES = [
    Measurement("DVS gesture", "loihi1", "energy of a step", "uJ", 1.0, 4.0, GESTURES, counted=False),
    Measurement("DVS gesture", "loihi1", "time of a step", "us", 10.0, 30.0, GESTURES, counted=False),
]
PILOTNET_NUMBERS = [
    _exact("PilotNet-LIF", "loihi2", "dynamic energy", "mJ", 1.094, NETX, used=YES),
    _exact(
        "PilotNet-LIF",
        "loihi2",
        "all energy",
        "mJ",
        1.661,
        NETX,
        used=YES,
        wide="the power of the embedded processors",
    ),
    _exact("PilotNet-LIF", "loihi2", "time of a step", "us", 152.8, NETX, used=YES),
]
