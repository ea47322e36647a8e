"""Threads of compiled functions: errors and interruptions leave no thread behind that still writes."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from lit_models.kernels import threads


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_each_part_is_called_once() -> None:
    called: list[int] = []
    threads.run_parts(called.append, range(20))
    assert sorted(called) == list(range(20))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_waits_for_the_other_threads(error: type[BaseException]) -> None:
    caller, entered = threading.get_ident(), threading.Barrier(2)
    ended: list[int] = []

    def call(part: int) -> None:
        if part < 2:
            entered.wait(timeout=60)  # both threads have a part
            if threading.get_ident() == caller:
                raise error
            time.sleep(0.2)
        ended.append(part)

    with pytest.raises(error):
        threads.run_parts(call, range(50))
    before = list(ended)
    assert len(before) == 1, "the other thread has ended its part, and no more parts were started"
    time.sleep(0.3)
    assert ended == before
