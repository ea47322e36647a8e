"""Memory that a step frees stays with the process, so that the next step gets it without a call of the system.

glibc gives large blocks back to the system as soon as they are free, and the system fills new ones with zeros: for a
recurrent network, that was half of a step's time.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Parameters of glibc's `mallopt`."""
KEPT = 2**31 - 1
"""Free bytes at the top of the heap that are not given back."""
GROWTH = 2**28
"""Bytes by which the heap grows beyond what is asked for. They take no memory before they are used."""


def keep_memory() -> None:
    """Tells glibc so. Other C libraries have no such settings and are left as they are."""
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # a C library without it, such as musl
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, KEPT)
    mallopt(M_TOP_PAD, GROWTH)
