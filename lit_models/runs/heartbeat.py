"""Heartbeats between machines, to detect that a process on another machine was stopped.

A thread of each process increases a counter in the store of torch.distributed at the main address. A slow step does not
delay the thread, but a stopped process does. Each process checks the counter of the next one.
"""

import sys
import threading
import time
from datetime import timedelta
from typing import Any

PERIOD = 2.0  # seconds between two heartbeats
SILENCE = 20.0  # seconds; a library that holds Python's global lock for longer looks like a stopped process
UNREACHABLE = 10.0  # seconds without a connection to the store, which is in the first process


class Heartbeat:
    """The heartbeat of one process.

    Args:
        address: address of the store.
        port: port of the store.
        rank: number of this process.
        num_processes: number of processes on all machines.
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
        """Checks the next process, if it is on another machine, and the store. It is called several times per second.

        Args:
            local_ranks: numbers of the processes on this machine.

        Returns:
            A sentence about a process that gives no heartbeat; None if there is none.
        """
        now = time.monotonic()
        distributed = sys.modules.get("torch.distributed")
        started = self._thread.ident is not None
        if not started or now > self._looked + UNREACHABLE:  # in the second case, this process itself was stopped
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
        """Stops the heartbeat."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=PERIOD)

    def _beat(self) -> None:
        """Sends a heartbeat every two seconds. A call waits forever if the process with the store is stopped."""
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
