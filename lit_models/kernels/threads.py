"""Threads for compiled functions that release Python's global lock. They wait without using a core.

The parts of a job do not depend on the number of threads, so the results do not either.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

_pool: ThreadPoolExecutor | None = None


def forget_pool() -> None:
    """Drops the pool in a forked process, which does not have the threads of its parent."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=forget_pool)


def run_parts(call: Callable[[int], None], parts: Sequence[int]) -> None:
    """Calls `call` with each part, in up to `torch.get_num_threads()` threads, and waits for all of them."""
    global _pool
    left = deque(parts)

    def work() -> None:
        while True:
            try:
                part = left.popleft()
            except IndexError:
                return
            call(part)

    helpers = min(torch.get_num_threads(), len(parts)) - 1
    if helpers > 0 and _pool is None:
        _pool = ThreadPoolExecutor(max_workers=64, thread_name_prefix="lit-models-kernels")
    futures = [_pool.submit(work) for _ in range(helpers)] if _pool else []
    try:
        work()
    finally:
        left.clear()  # after an error, no more parts are started
        finish(futures)


def finish(futures: Sequence[Future[None]]) -> None:
    """Waits for all, even if a signal interrupts, because they write into the caller's memory. Raises their errors."""
    interruption: BaseException | None = None
    while not all(future.done() for future in futures):
        try:
            wait(futures)
        except BaseException as error:  # a handler of a signal has raised it
            interruption = error
    if interruption is not None:
        raise interruption
    for future in futures:
        future.result()
