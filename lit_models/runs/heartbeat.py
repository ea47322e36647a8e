"""Signs of life between machines: a process that is stopped on another machine cannot be seen from here.

Each process counts in the store that torch.distributed has at the main address, from a thread: a slow step does not
stop it, and a stopped process does. Each one looks at the count of the next process.
"""

import sys
import threading
import time
from datetime import timedelta
from typing import Any

PERIOD = 2.0  # seconds between two signs
SILENCE = 20.0  # seconds; a library that keeps Python's lock for as long would look stopped
UNREACHABLE = 10.0  # seconds without the store, which the first process has


class Heartbeat:
    """The signs of one process.

    Args:
        address: of the store.
        port: of the store.
        rank: of this process.
        num_processes: on all machines.
    """

    def __init__(self, address: str, port: int, *, rank: int, num_processes: int) -> None:
        self.address, self.port = address, port
        self.rank, self.next_rank = rank, (rank + 1) % num_processes
        self._watches = False
        self._seen = b""
        self._looked = self._changed = self._reached = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def problem(self, local_ranks: set[int]) -> str | None:
        """What is wrong with the next process, if it is on another machine, or with the store. Called some times a
        second.

        Args:
            local_ranks: of the processes on this machine.

        Returns:
            A sentence about a process that is silent; None if all is well.
        """
        now = time.monotonic()
        distributed = sys.modules.get("torch.distributed")
        started = self._thread.ident is not None
        if not started or now > self._looked + UNREACHABLE:  # in the second case, this process was stopped itself
            self._changed = self._reached = now
        self._looked, self._watches = now, self.next_rank not in local_ranks
        if not started and distributed is not None and distributed.is_initialized():
            self._thread.start()
        if self._reached < now - UNREACHABLE:
            return f"process 0 (rank 0, at {self.address}:{self.port}) cannot be reached"
        if self._watches and self._seen and self._changed < now - SILENCE:
            rank = self.next_rank
            return f"process {rank} (rank {rank}, on another machine) has given no sign of life for {SILENCE:.0f} s"
        return None

    def stop(self) -> None:
        """Gives no more signs."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=PERIOD)

    def _beat(self) -> None:
        """Gives a sign of life every two seconds. A call waits without end if the process with the store is stopped."""
        store, count, key = None, 0, f"lit-models/{self.next_rank}"
        while not self._ended.wait(PERIOD):
            try:
                store = store or self._connect()
                count += 1
                store.set(f"lit-models/{self.rank}", str(count))
                value = store.get(key) if self._watches and store.check([key]) else b""
            except (RuntimeError, ValueError, OSError):
                store = None
                continue
            self._reached = time.monotonic()
            if value != self._seen:
                self._seen, self._changed = value, self._reached

    def _connect(self) -> Any:
        distributed: Any = sys.modules["torch.distributed"]
        settings = {"is_master": False, "wait_for_workers": False, "timeout": timedelta(seconds=5)}
        return distributed.TCPStore(self.address, self.port, **settings)
