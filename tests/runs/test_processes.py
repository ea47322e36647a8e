"""Real processes that watch each other: one is killed, is stopped, fails or finishes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lit_models.runs.process_state import ending, state_of
from lit_models.runs.processes import key_of

ROOT = Path(__file__).parents[2]
MEMBER = """
import sys, time
from datamodules.errors import UserError
from lit_models.cli.messages import is_users, one_line
from lit_models.runs import processes
processes.join()
print("here", flush=True)
try:
    with processes.telling(is_users):
        exec(sys.stdin.readline())
except UserError as error:  # as plain_errors, which takes seconds to import
    if processes.speaks_first():
        print(one_line(error), file=sys.stderr)
    sys.exit(2)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process of a run; what it runs is written to its standard input."""
    started: list[subprocess.Popen[str]] = []

    def call(rank: int, **more: str) -> "subprocess.Popen[str]":
        places = {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
        environment = os.environ | places | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)} | more
        command = [sys.executable, "-c", MEMBER]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, env=environment, text=True, **pipes)  # type: ignore[call-overload]
        started.append(process)
        assert process.stdout.readline() == "here\n"
        return process  # type: ignore[no-any-return]

    yield call
    for process in started:
        process.kill()
        process.communicate()


def runs(process: "subprocess.Popen[str]", code: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{code}\n")
    process.stdin.flush()


def end_of(process: "subprocess.Popen[str]", *, seconds: float) -> tuple[int, str]:
    """Exit status and standard error of a process that ends in time."""
    process.wait(timeout=seconds)  # its standard input stays open meanwhile: it waits for a line
    return process.returncode, process.communicate()[1]


def error(process: "subprocess.Popen[str]", rank: int, how: str) -> str:
    named = f"process {rank} (rank {rank}, pid {process.pid})"
    return f"error: {named} {how}; the other processes of the run were ended\n"


def test_a_killed_process_ends_the_others_at_once_and_one_names_it(start: Start, tmp_path: Path) -> None:
    processes = [start(rank) for rank in range(3)]
    time.sleep(1)  # each has seen the others
    processes[1].kill()
    processes[1].wait()  # its parent reads its status, as torchrun does
    ends = [end_of(processes[rank], seconds=3) for rank in (0, 2)]
    assert all(status for status, _ in ends)
    pattern = re.escape(error(processes[1], 1, "HOW")).replace("HOW", "(was killed by signal 9 .*|has ended .*)")
    assert re.fullmatch(pattern, "".join(errors for _, errors in ends))
    assert not list(tmp_path.iterdir())


def test_a_stopped_process_ends_all_and_is_killed(start: Start) -> None:
    first, second = start(0), start(1)
    second.send_signal(signal.SIGSTOP)
    assert end_of(first, seconds=15) == (1, error(second, 1, "is stopped"))
    assert second.wait(timeout=1) == -signal.SIGKILL


@pytest.mark.slow
def test_all_processes_may_be_stopped_together_and_go_on(start: Start) -> None:
    processes = [start(rank) for rank in range(2)]
    for number, seconds in ((signal.SIGSTOP, 7.0), (signal.SIGCONT, 2.0)):
        for process in processes:
            process.send_signal(number)
        time.sleep(seconds)
    for process in processes:
        runs(process, "pass")
    assert [end_of(process, seconds=5) for process in processes] == [(0, "")] * 2


def test_processes_that_finish_one_after_the_other_end_well_and_leave_nothing(start: Start, tmp_path: Path) -> None:
    processes = [start(rank) for rank in range(3)]
    for process in processes:
        runs(process, "pass")
        time.sleep(1)
    assert [end_of(process, seconds=5) for process in processes] == [(0, "")] * 3
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_error_in_one_process_ends_the_others_which_name_it(start: Start) -> None:
    first, second = start(0), start(1)
    runs(second, "raise MemoryError('no room\\nleft')")
    status, errors = end_of(first, seconds=20)
    assert (status, errors) == (1, error(second, 1, "failed with MemoryError: no room left"))


def test_a_mistake_in_one_process_ends_all_with_status_2_and_is_said_once(start: Start) -> None:
    processes = [start(rank) for rank in range(3)]
    runs(processes[1], "raise UserError('wrong')")
    time.sleep(1)
    runs(processes[2], "raise RuntimeError('Connection closed by peer')")
    ends = [end_of(process, seconds=10) for process in processes]  # the first one waits in vain
    assert ends == [(2, ""), (2, "error: wrong\n"), (2, "")]


def test_the_same_mistake_in_all_processes_is_said_once(start: Start, tmp_path: Path) -> None:
    processes = [start(rank) for rank in range(3)]
    for process in processes:
        runs(process, "raise UserError('wrong')")
    ends = [end_of(process, seconds=10) for process in processes]
    assert [status for status, _ in ends] == [2, 2, 2]
    assert "".join(errors for _, errors in ends) == "error: wrong\n"
    assert not list(tmp_path.iterdir())


def test_an_error_that_another_process_has_caused_gives_way_to_the_cause(start: Start) -> None:
    first, second = start(0), start(1)
    runs(first, "time.sleep(2); raise RuntimeError('Connection closed by peer')")
    runs(second, "raise ValueError('cause')")
    assert end_of(first, seconds=6) == (1, error(second, 1, "failed with ValueError: cause"))


def test_a_process_that_fails_prints_its_own_error_before_it_is_ended(start: Start) -> None:
    first, second = start(0), start(1)
    runs(second, "time.sleep(2); raise RuntimeError('Connection closed by peer')")
    runs(first, "raise ValueError('cause')")
    assert end_of(second, seconds=6) == (1, error(first, 0, "failed with ValueError: cause"))
    status, errors = end_of(first, seconds=1)
    assert status
    assert errors.endswith("ValueError: cause\n")


def test_the_same_mistake_in_all_processes_keeps_each_ones_own_status(start: Start) -> None:
    processes = [start(rank) for rank in range(2)]
    for process in processes:
        runs(process, "time.sleep(1); raise SystemExit(2)")
    assert [end_of(process, seconds=5) for process in processes] == [(2, "")] * 2


def test_a_process_that_was_asked_to_end_is_no_fault(start: Start) -> None:
    first, second = start(0), start(1)
    runs(second, "raise SystemExit(143)")
    assert end_of(second, seconds=5) == (143, "")
    time.sleep(2)
    runs(first, "pass")
    assert end_of(first, seconds=5) == (0, "")


def test_what_a_killed_run_has_left_does_not_end_the_next_one(start: Start, tmp_path: Path) -> None:
    killed = [start(rank) for rank in range(2)]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that neither sees the other's end
        for process in killed:
            process.send_signal(number)
    for process in killed:
        process.wait()
    assert list(tmp_path.glob("*/*.json"))
    time.sleep(1)
    processes = [start(rank) for rank in (1, 0)]
    time.sleep(2)
    for process in processes:
        runs(process, "pass")
    assert [end_of(process, seconds=5) for process in processes] == [(0, "")] * 2


def test_runs_with_other_ports_do_not_meet(start: Start) -> None:
    first, second = start(0), start(1, MASTER_PORT="2")
    second.kill()
    time.sleep(1)
    runs(first, "pass")
    assert end_of(first, seconds=5) == (0, "")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (9, "was killed by signal 9 (SIGKILL)"),
        (128 + 6, "was killed by signal 6 (SIGABRT)"),  # with a core file
        (1 << 8, "ended with status 1"),
    ],
)
def test_how_a_process_has_ended_is_said_in_words(status: int, words: str) -> None:
    assert ending(status) == words


def test_a_process_that_no_launcher_has_started_has_no_key() -> None:
    assert key_of({"MASTER_PORT": "1"}) is None
    assert key_of({"LOCAL_RANK": "0"}) is None
    assert key_of({"LOCAL_RANK": "0", "MASTER_PORT": "1"}) == key_of({"LOCAL_RANK": "1", "MASTER_PORT": "1"})


def test_the_state_of_a_process_is_read_and_of_none_there_is_none() -> None:
    own = state_of(os.getpid())
    assert own is not None
    assert own.letter in "RS"
    assert state_of(2**22 + 1) is None  # above the largest process id
