"""Two processes that cannot see each other, as on two machines: the one that is stopped is noticed by its silence."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lit_models.runs.ports import free_port

ROOT = Path(__file__).parents[2]
MEMBER = """
import sys, time
import torch
from lit_models.runs import processes
from lit_models.runs.heartbeat import Heartbeat
watch = processes.join()
port, rank = int(sys.argv[1]), int(sys.argv[2])
watch.heartbeat = Heartbeat("127.0.0.1", port, rank=rank, num_processes=2)
torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
while not watch.heartbeat._seen:  # only a process that has given a sign can fall silent
    time.sleep(0.1)
print("here", flush=True)
with processes.telling():
    end = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < end:
        sum(range(10_000_000))  # a step that is slow in Python
    torch.distributed.all_reduce(torch.ones(1))
"""
Pair = Callable[[int], list["subprocess.Popen[str]"]]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Starts two processes with folders of their own, which work for some seconds and then wait for each other."""
    started: list[subprocess.Popen[str]] = []

    def call(seconds: int) -> list["subprocess.Popen[str]"]:
        port = str(free_port())
        for rank in ("0", "1"):
            own = {"LOCAL_RANK": "0", "NODE_RANK": rank, "RANK": rank, "TMPDIR": str(tmp_path / rank)}
            (tmp_path / rank).mkdir()
            environment = os.environ | own | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-c", MEMBER, port, rank, str(seconds)]
            out, err = subprocess.PIPE, subprocess.PIPE
            started.append(subprocess.Popen(command, env=environment, text=True, stdout=out, stderr=err))
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
        return started

    yield call
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_process_that_is_stopped_on_another_machine_is_named(pair: Pair, stopped: int) -> None:
    processes = pair(5)
    processes[stopped].send_signal(signal.SIGSTOP)
    other = processes[1 - stopped]
    # 20 s of silence and a sign every 2 s are 23 s; a busy machine needs longer, and the steps hold Python's lock.
    _, errors = other.communicate(timeout=90)
    assert other.returncode == 1
    line = r"error: process {0} \(rank {0}, (on another machine|at 127.0.0.1:\d+)\) (has given no|cannot be).*\n"
    ours = [row for row in errors.splitlines(keepends=True) if not row.startswith("[rank")]  # torch's own warnings
    assert re.fullmatch(line.format(stopped), "".join(ours)), errors


@pytest.mark.slow
def test_slow_steps_are_no_silence_and_both_end_well(pair: Pair) -> None:
    processes = pair(26)
    assert [(p.communicate(timeout=120)[1], p.returncode) for p in processes] == [("", 0)] * 2
