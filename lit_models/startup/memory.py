"""Keeps freed memory in the process, so that the next step gets it without a system call.

By default, glibc returns large blocks to the system as soon as they are freed, and the system fills new blocks with
zeros. For a recurrent network, this took up to half of a step's time.
"""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's `mallopt`."""
LARGEST = 2**25
"""Size of the largest block that is kept, in bytes: glibc's maximum. If larger blocks were kept, a program whose blocks
grow could fragment the heap: one took 6 GB although 1 GB was in use."""
KEPT = 2**31 - 1
"""Free bytes at the top of the heap that are kept."""
GROWTH = 2**28
"""Additional bytes by which the heap grows. They take no memory before they are used."""


def keep_memory() -> None:
    """Applies these settings to glibc, unless the user has set their own. Other C libraries have no such settings."""
    own = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if own or not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # a C library without `mallopt`, such as musl
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, KEPT)
    mallopt(M_TOP_PAD, GROWTH)
