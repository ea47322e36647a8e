"""Prepares a process before it loads torch: settings for threads and memory, and fewer imports."""

import atexit
import gc
import sys

from lit_models.startup.imports import import_lightning
from lit_models.startup.memory import keep_memory
from lit_models.startup.threads import spin_briefly

is_program = False
"""Whether this process runs a command of ours and nothing else."""


def begin() -> None:
    """Prepares the process and imports Lightning. A second call changes nothing."""
    spin_briefly()
    keep_memory()
    enabled = gc.isenabled()
    gc.disable()  # the objects of the imports are never freed, so collecting them would only take time
    try:
        import_lightning()
        if is_program:
            gc.freeze()  # a later collection would visit a million objects, which takes 0.1 s
            atexit.register(end)
    finally:
        if enabled:
            gc.enable()


def end() -> None:
    """Lets Python free the objects of the imports, if there is Triton, which warns if some of its objects are left.
    Without it, the process ends faster."""
    if "triton" in sys.modules:
        gc.unfreeze()
