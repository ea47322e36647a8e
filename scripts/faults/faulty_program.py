"""The command line, in which one process is killed, is stopped or runs out of memory at a chosen place.

Environment variables choose the fault: FAULT_RANK, FAULT_KIND ("kill", "stop" or "memory") and FAULT_PLACE ("start",
"training", "validation" or "saving").
"""

import functools
import os
import resource
import signal
import sys
import threading
from typing import Any, cast

from lit_models.__main__ import main

KIND, PLACE = os.environ.get("FAULT_KIND", ""), os.environ.get("FAULT_PLACE", "")
RANK = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))


def suffer() -> None:
    """Causes the fault FAULT_KIND in this process."""
    print(f"fault in {os.getpid()}", flush=True)
    if KIND == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif KIND == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, resource.RLIM_INFINITY))
        if torch := sys.modules.get("torch"):
            torch.ones(2**30)


def add_callback() -> None:
    """Gives every Trainer a callback that calls `suffer` at FAULT_PLACE, once training has begun."""
    import lightning as L

    class Fault(L.Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            if PLACE == "training" and args[-1] == 2:
                suffer()

        def on_validation_batch_start(self, *args: Any) -> None:
            if PLACE == "validation":
                suffer()

        def on_save_checkpoint(self, *args: Any) -> None:
            if PLACE == "saving":
                suffer()

    build = L.Trainer.__init__

    @functools.wraps(build)
    def build_with_fault(self: L.Trainer, *args: Any, **settings: Any) -> None:
        build(self, *args, **settings)
        cast(Any, self).callbacks.append(Fault())

    L.Trainer.__init__ = build_with_fault  # type: ignore[method-assign]


if __name__ == "__main__":
    if os.environ.get("FAULT_RANK") == RANK:
        if PLACE != "start":
            add_callback()
        elif KIND == "memory":
            suffer()  # there is not enough memory to import torch
        else:
            threading.Timer(1, suffer).start()  # while it imports torch
    sys.exit(main())
