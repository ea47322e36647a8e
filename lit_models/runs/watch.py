"""One process's view of the other processes of its run: looks at them, and ends the run if one cannot go on.

Each process writes a small file into a folder that all processes of the run on this machine share. A thread looks at
the others: at once when one ends, and twice a second at its state.
"""

import contextlib
import json
import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from lit_models.runs.heartbeat import Heartbeat
from lit_models.runs.process_state import State, children_of_this, ending, exit_status, kill, state_of

TICK = 0.5  # seconds between two looks
STOPPED_TICKS = 10  # looks in a row: Ctrl-Z and `fg` reach all processes, but not at the same moment
FAILED_TICKS = 20  # looks: a process may fail for the same reason as another, and a little later
MISTAKE_TICKS = 6  # looks: it may find the same mistake itself, and tidy up
MISTAKE = 2  # exit status after a mistake of the user's


@dataclass(frozen=True)
class Member:
    """What one process tells the others.

    Args:
        place: name of its file: node and process on the node.
        rank: its number among all processes.
        pid: its process id.
        birth: clock ticks at which it started, so that a later process with the same id is not taken for it.
        end: why it has failed; "finished" after its work; None while it works.
        mistake: whether it has failed because of a mistake of the user's, which it has said on one line.
    """

    place: str
    rank: int
    pid: int
    birth: str
    end: str | None = None
    mistake: bool = False

    def __str__(self) -> str:
        return f"process {self.rank} (rank {self.rank}, pid {self.pid})"


class Watch:
    """One process's view of the run.

    Args:
        folder: shared by the processes on this machine.
        member: this process.
    """

    def __init__(self, folder: Path, member: Member) -> None:
        self.folder, self.member = folder, member
        self.launches: Any = None
        self.heartbeat: Heartbeat | None = None
        self.launcher: int | None = None
        self._known: dict[str, Member] = {}
        self._counts: dict[str, int] = {}
        self._handles: dict[int, int] = {}
        self._birth_time = time.time()
        self._explained_from: float | None = None
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="process-watch", daemon=True)

    @property
    def children(self) -> "Sequence[subprocess.Popen[bytes]]":
        """The processes that Lightning has started from this one."""
        return getattr(self.launches, "procs", None) or []

    def start(self) -> None:
        """Writes this process's file and starts the thread."""
        self._write()
        self._thread.start()

    def set_rank(self, rank: int) -> None:
        """Corrects the rank, once it is known."""
        with self._lock:
            if rank != self.member.rank:
                self.member = replace(self.member, rank=rank)
                self._write()

    def leave(self, end: str, *, mistake: bool = False) -> None:
        """Says how this process ends; what was said first counts. After its work, the thread stops."""
        with self._lock:
            if self.member.end is None:
                self.member = replace(self.member, end=end, mistake=mistake)
                self._write()
        if end == "finished":
            self._ended.set()
            if self.heartbeat is not None:
                self.heartbeat.stop()
            if threading.current_thread() is not self._thread:
                self._thread.join(timeout=5)
            if all(m.end is not None or not self._lives(m) for m in self._members().values()):
                shutil.rmtree(self.folder, ignore_errors=True)

    def explain(self) -> None:
        """Gives the watch a moment to find out whether another process is the reason for an error in this one; if so,
        this process ends here.

        Raises:
            SystemExit: another process has found a mistake of the user's.
        """
        self._explained_from = time.time()
        while time.time() < self._explained_from + 3:
            with self._lock:
                self._look()
                mistaken = any(member.mistake for member in self._known.values())
            if mistaken:
                self.leave("another process has found a mistake", mistake=True)
                raise SystemExit(MISTAKE)
            time.sleep(0.1)
        self._explained_from = None

    def _write(self) -> None:
        part = self.folder / f"{self.member.place}.part"
        with contextlib.suppress(OSError):  # the folder is gone when all others have left
            part.write_text(json.dumps(asdict(self.member)), encoding="utf-8")
            part.replace(self.folder / f"{self.member.place}.json")

    def _members(self) -> dict[str, Member]:
        """The other processes that have told of themselves, by file."""
        members = {}
        for path in self.folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, TypeError):
                member = Member(**json.loads(path.read_text(encoding="utf-8")))
                old = path.stat().st_mtime < self._birth_time - TICK and member.place not in self._known
                if member.place != self.member.place and not (old and not self._lives(member)):
                    members[member.place] = member  # what a run that was killed has left is not counted
        return members

    @staticmethod
    def _lives(member: Member) -> bool:
        state = state_of(member.pid)
        return state is not None and state.birth == member.birth and state.letter not in "ZX"

    def _look_on(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                if not self._ended.is_set():
                    self._look()
            if self.heartbeat is not None and (problem := self.heartbeat.problem(self._local_ranks())):
                with self._lock:
                    self._end_all(None, problem)
            self._wait()

    def _local_ranks(self) -> set[int]:
        return {self.member.rank, *(member.rank for member in self._known.values())}

    def _wait(self) -> None:
        """Sleeps for a tick, or until another process ends."""
        poll = select.poll()
        for member in self._known.values():
            if member.end is None and member.pid not in self._handles and hasattr(os, "pidfd_open"):
                with contextlib.suppress(OSError):
                    self._handles[member.pid] = os.pidfd_open(member.pid)
            if member.end is None and member.pid in self._handles:
                poll.register(self._handles[member.pid], select.POLLIN)
        if poll.poll(TICK * 1000) and not self._ended.is_set():
            time.sleep(0.01)

    def _look(self) -> None:
        """Looks at each other process once, and ends the run if one of them cannot go on."""
        self._known |= self._members()
        self._add_children()
        for member in list(self._known.values()):
            if problem := self._problem(member):
                self._end_all(member, problem)
        mistaken = any(member.mistake for member in self._known.values())
        if self.launcher is not None and os.getppid() != self.launcher and not mistaken:
            self._end_all(None, f"the process that started this one (pid {self.launcher}) has ended")

    def _add_children(self) -> None:
        """Counts the processes in that Lightning has started and that have not told of themselves yet."""
        for rank, child in enumerate(self.children, start=self.member.rank + 1):
            place = f"child-{child.pid}"
            if any(m.pid == child.pid for name, m in self._known.items() if name != place):
                self._known.pop(place, None)
            elif place not in self._known and (state := state_of(child.pid)):
                self._known[place] = Member(place, rank, child.pid, state.birth)
        if self.children:
            for thread in threading.enumerate():
                if thread.name == "child-process-observer":  # Lightning's own kills without a word
                    cast(Any, thread)._run = lambda: True

    def _problem(self, member: Member) -> str | None:
        """Why a process cannot go on; None if it can, or if that is not certain yet."""
        if member.end == "finished":
            return None
        state = state_of(member.pid)
        if member.mistake:
            if self._explained_from is None and self._count(member, limit=MISTAKE_TICKS):
                self._end_after_mistake()
            return None
        if member.end is not None:
            return member.end if self._is_the_reason(member) or self._count(member, limit=FAILED_TICKS) else None
        if state is None or state.birth != member.birth or state.letter in "ZX":
            child = next((c for c in self.children if c.pid == member.pid), None)
            if child is not None and child.poll() == 0:
                return None
            self._known |= self._members()  # it may have told how it ends since
            if self._known[member.place].end is not None:
                return None
            return self._how(member, child, state if state and state.birth == member.birth else None)
        stopped = state.letter == "T"
        if not stopped:
            self._counts.pop(member.place, None)
        return "is stopped" if stopped and self._count(member, limit=STOPPED_TICKS) else None

    def _is_the_reason(self, member: Member) -> bool:
        """Whether a process had failed before the error here that is to be explained."""
        if self._explained_from is None:
            return False
        with contextlib.suppress(OSError):
            return (self.folder / f"{member.place}.json").stat().st_mtime < self._explained_from
        return True

    def _how(self, member: Member, child: "subprocess.Popen[bytes] | None", state: State | None) -> str:
        """How a process has ended, as far as this one can know."""
        if child is not None and child.returncode is not None:
            code = child.returncode
            return ending(-code if code < 0 else code << 8)
        if state is not None:
            return ending(state.status)
        if member.pid in self._handles and (status := exit_status(self._handles[member.pid])) is not None:
            return ending(status)
        return "has ended before its work was done"

    def _count(self, member: Member, *, limit: int) -> bool:
        self._counts[member.place] = self._counts.get(member.place, 0) + 1
        return self._counts[member.place] >= limit

    def _end_after_mistake(self) -> None:
        """Ends this process, which waits for one that has found a mistake of the user's."""
        self.leave("another process has found a mistake", mistake=True)
        for pid in children_of_this():
            kill(pid)
        os._exit(MISTAKE)

    def _end_all(self, culprit: Member | None, problem: str) -> None:
        """Ends all processes of the run. The first that gets here names the culprit on standard error."""
        first = True
        try:
            (self.folder / "ended").touch(exist_ok=False)
        except (FileExistsError, FileNotFoundError):
            first = False
        except OSError:
            pass
        if first:
            who = f"{culprit} " if culprit else ""
            text = f"error: {who}{problem}; the other processes of the run were ended\n"
            os.write(2, text.encode())
            end = time.monotonic() + 2
            while culprit and culprit.end and self._lives(culprit) and time.monotonic() < end:
                time.sleep(0.05)  # it prints its own error
            for member in [culprit, *self._known.values()]:
                if member is not None and (state := state_of(member.pid)) and state.birth == member.birth:
                    kill(member.pid)
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            time.sleep(1)
        for pid in children_of_this():
            kill(pid)
        os._exit(1)
