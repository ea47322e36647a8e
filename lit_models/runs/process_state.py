"""The state of a process according to the system: whether it runs, is stopped or has ended, and how."""

import contextlib
import os
import signal
import struct
from dataclasses import dataclass
from pathlib import Path

PIDFD_GET_INFO, EXIT = 0xC040FF0B, 1 << 3
"""The ioctl request for the exit status of any process of the user, in Linux 6.15 and newer."""


@dataclass(frozen=True)
class State:
    """The state of a process as the system sees it.

    Args:
        letter: state in /proc/PID/stat: R, S, D run or wait, T is stopped, Z has ended.
        birth: clock ticks at which it started.
        status: the status of `waitpid`, if it has ended.
    """

    letter: str
    birth: str
    status: int


def state_of(pid: int) -> State | None:
    """The state of a process; None if there is none with this id, or on a system without /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return State(fields[0], fields[19], int(fields[-1]))  # fields 1 and 2 are the process id and the name in brackets


def ending(status: int) -> str:
    """A status of `waitpid` in words."""
    code = os.waitstatus_to_exitcode(status)
    return f"was killed by signal {-code} ({_signal_name(-code)})" if code < 0 else f"ended with status {code}"


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return "unknown"


def exit_status(handle: int) -> int | None:
    """The status of a process that has ended, in the form of `waitpid`, also after its parent has read it. None before
    Linux 6.15.

    Args:
        handle: file descriptor of `os.pidfd_open`.
    """
    with contextlib.suppress(OSError, ImportError):
        import fcntl  # Windows has none

        mask, status = struct.unpack("Q52xi", fcntl.ioctl(handle, PIDFD_GET_INFO, struct.pack("Q", EXIT) + bytes(56)))
        return int(status) if mask & EXIT else None
    return None


def children_of_this() -> list[int]:
    """Child processes of this one, such as workers of a DataLoader."""
    with contextlib.suppress(OSError):
        paths = Path("/proc/self/task").glob("*/children")
        return [int(pid) for path in paths for pid in path.read_text().split()]
    return []


def kill(pid: int) -> None:
    """Kills a process, if it exists and this one has the permission."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
