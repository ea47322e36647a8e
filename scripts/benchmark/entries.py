"""Rivals that several workloads have."""

from collections.abc import Mapping
from typing import Any

from lit_models.startup.threads import SPIN_COUNT
from scripts.benchmark.cells import OURS, Entry, Target
from scripts.rounding import NUDGE

CHECK_STEPS = 100
"""Steps after which the losses of the fast and the plain code are compared."""
PLAIN_RUNS = 1
"""Maximum number of repetitions of the plain code; it decides no target."""
BACKENDS = {"tensorflow": ("keras", "tensorflow"), "jax": ("keras", "jax"), "torch": ("keras",)}
"""Keras' backends, and the packages that each needs."""
OUR_LOOP = "our loop without Lightning"
KERAS = tuple(f"keras-{backend}" for backend in BACKENDS)


def ours(*, work: float, plain_work: float, start: float = 5.0, **options: Any) -> tuple[Entry, ...]:
    """Our command line, the same with PyTorch's own layers, and a check of each that stops early. A third check has
    PyTorch's layers and slightly other initial weights, to show how fast rounding errors grow.

    Args:
        work: seconds of the work on two cores.
        plain_work: seconds of the work with PyTorch's layers, which is repeated `PLAIN_RUNS` times.
        start: seconds before the work.
        options: options of `rivals/ours.py`.
    """
    plain = {**options, "kernels": "plain"}
    check = {"clock": True, "steps": CHECK_STEPS}
    nudged = {**plain, **check, "nudge": NUDGE}
    return (
        Entry(OURS, "ours", options, start=start, work=work, command=True),
        Entry("ours, --kernels plain", "ours", plain, start=start, work=plain_work, most=PLAIN_RUNS, command=True),
        Entry("check", "ours", {**options, **check}, start=start, work=work / 8, command=True, check=True),
        Entry("check, plain", "ours", {**plain, **check}, start=start, work=plain_work / 8, command=True, check=True),
        Entry("check, nudged", "ours", nudged, start=start, work=plain_work / 8, command=True, check=True),
    )


def our_loop(network: str, *, work: float) -> Entry:
    """A bare loop with our network, in a process that is prepared as that of our command line.

    Args:
        network: "cnn", "simple", "lstm" or "gru".
        work: seconds of the work on two cores.
    """
    prepared = {"GOMP_SPINCOUNT": SPIN_COUNT}
    return Entry(OUR_LOOP, "our_loop", {"network": network}, start=5, work=work, environment=prepared)


def lightnings_share(bound: float) -> Target:
    """`fit` beside the bare loop with the same network."""
    text = f"Lightning's share: at most {bound:g} times our own bare loop"
    return Target(text, "share", bound, (OUR_LOOP,), reach="1.01 times")


def keras(network: str, work: Mapping[str, float], most: Mapping[str, int], *, all_backends: bool) -> tuple[Entry, ...]:
    """The original program on each backend of Keras.

    Args:
        network: "cnn", "simple", "lstm" or "gru".
        work: seconds of the work on two cores, by backend.
        most: maximum number of repetitions of the backends that are slower than another one.
        all_backends: whether torch always runs; otherwise it runs only if `--rival` names it.
    """
    return tuple(
        Entry(
            f"keras-{backend}",
            "keras_program",
            {"network": network},
            start=8.0,
            work=work[backend],
            most=most.get(backend, 1000),
            optional=backend == "torch" and not all_backends,
            packages=packages,
            environment={"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        for backend, packages in BACKENDS.items()
    )
