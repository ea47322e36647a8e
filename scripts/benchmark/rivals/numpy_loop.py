"""The numpy program for XOR, with its own initial weights."""

import time
from typing import Any

from scripts.benchmark.cells import Job
from scripts.benchmark.clock import since_start
from tests.parity.originals import XOR_INPUTS, NumpyXOR


def run(job: Job) -> dict[str, Any]:
    """Trains for all passes."""
    net = NumpyXOR.drawn(job.repetition)
    net.train(passes=1)
    first = since_start()
    began = time.perf_counter()
    net.train(passes=job.settings["passes"])
    seconds = time.perf_counter() - began
    outputs = net.forward(XOR_INPUTS)[:, 0]
    return {
        "first_step": first,
        "fit": seconds,
        "parameters": sum(w.size for w in net.weights()),
        "precision": "64",
        "steps": job.settings["passes"],
        "accuracy": float(((outputs > 0.5) == [0, 1, 1, 0]).mean()),
    }
