"""Times of a process: from its start to the end of the first step, and of each measured epoch."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

STARTED = "BENCHMARK_STARTED"
"""Environment variable: start time of the process, in seconds of `time.time`."""
STEP_CLOCK = "BENCHMARK_CLOCK"
"""Environment variable: the file that gets the numbers of a `StepClock`."""
CLOCK_FILE = "clock.json"
"""Name of this file in the folder of a job."""


class Clock:
    """Times in seconds."""

    def __init__(self) -> None:
        self.first_step: float | None = None
        self.epochs: list[float] = []

    def step(self) -> None:
        """Records the end of a step; only the first call has an effect."""
        if self.first_step is None:
            self.first_step = since_start()

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """Measures the epoch that runs in the block."""
        began = time.perf_counter()
        yield
        self.epochs.append(time.perf_counter() - began)


def since_start() -> float:
    """Seconds since the process was started."""
    return time.time() - float(os.environ[STARTED])
