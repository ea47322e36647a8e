"""Threads of torch that have nothing to do give their core away soon, so that several runs can share a machine.

OpenMP's threads wait in a loop for the next piece of work, for milliseconds. Two runs on the same cores then wait for
each other's loops. The settings are read when torch is loaded; a user's own ones win.
"""

import os

SPIN_COUNT = "10000"
"""Rounds of the loop before a thread sleeps. 100 steps of the CNN took 3.0 and 3.2 s alone with the default of OpenMP,
and 3.3 s with this count; two runs at once took 8.3 s. With 1000, one run took 3.5 and 3.6 s, and two took 5.3 s. One
run alone matters more."""


def spin_briefly() -> None:
    """Sets it for GNU's OpenMP, which torch's wheels for Linux bring along."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
