"""Memory that a step frees stays with the process, so that the next step gets it without a call of the system.

glibc gives large blocks back to the system as soon as they are free, and the system fills new ones with zeros. For a
recurrent network, that was up to half of a step's time.
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's `mallopt`."""
LARGEST = 2**25
"""Bytes of the largest block that is kept, glibc's maximum. Holes of larger blocks could fill the heap in a program
whose blocks grow: one took 6 GB where 1 GB was in use."""
KEPT = 2**31 - 1
"""Free bytes at the top of the heap that are not given back."""
GROWTH = 2**28
"""Bytes by which the heap grows beyond what is asked for. They take no memory before they are used."""


def keep_memory() -> None:
    """Tells glibc so. Other C libraries have no such settings. A user's own settings of glibc win."""
    own = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if own or not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # a C library without it, such as musl
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, KEPT)
    mallopt(M_TOP_PAD, GROWTH)
