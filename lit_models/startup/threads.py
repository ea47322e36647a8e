"""Lets torch's idle threads sleep early, so that several runs can share a machine.

OpenMP's threads wait for work in a busy loop, for milliseconds. Two runs on the same cores then slow each other down.
The settings are read when torch is loaded, and do not replace the user's own.
"""

import os

SPIN_COUNT = "2500"
"""Iterations of the busy loop before a thread sleeps. A step of the CNN took 15 ms alone on two cores, with 2,500 and
with 10,000 iterations, and 24 ms with 100,000. Beside a second run, it took 28 ms with 2,500, and 43 ms with 10,000."""


def spin_briefly() -> None:
    """Sets the number for GNU's OpenMP, which torch's wheels for Linux contain."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
