"""Prepares a process before it loads torch: settings for threads and memory, and fewer imports."""

import gc

from lit_models.startup.imports import import_lightning
from lit_models.startup.memory import keep_memory
from lit_models.startup.threads import spin_briefly


def begin() -> None:
    """Prepares the process and imports Lightning. A second call changes nothing."""
    spin_briefly()
    keep_memory()
    enabled = gc.isenabled()
    gc.disable()  # the objects of the imports are never freed, so collecting them would only take time
    try:
        import_lightning()
    finally:
        if enabled:
            gc.enable()
