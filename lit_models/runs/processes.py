"""Lets the processes of one run watch each other, so that none waits forever for one that was killed or has failed.

A process joins the watch before torch is imported, tells how it ends, and leaves in order.
"""

import atexit
import contextlib
import hashlib
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lit_models.runs.heartbeat import Heartbeat
from lit_models.runs.ports import settle_port
from lit_models.runs.process_state import state_of
from lit_models.runs.watch import MISTAKE, Member, Watch

ORDERLY = (None, 0, 129, 130, 143)
"""Exit statuses of a process that has done its work, or was asked to end."""


def key_of(environment: Mapping[str, str]) -> str | None:
    """A word that all processes of a run share, and no other run; None if the environment starts a single process."""
    names = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
    if not {"MASTER_PORT", "LOCAL_RANK"} <= environment.keys():
        return None
    processes = "/proc/self/ns/pid"  # containers may share a folder and have process ids of their own
    namespace = os.readlink(processes) if os.path.islink(processes) else ""
    text = "|".join([platform.node(), namespace, *(environment.get(name, "") for name in names)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_watch: Watch | None = None


def join(environment: Mapping[str, str] = os.environ, *, rank: int | None = None) -> Watch | None:
    """Starts the watch if the environment says that this process is one of several; each process has one watch. Systems
    without /proc have none.

    Args:
        environment: variables that a launcher sets, such as torchrun or Lightning.
        rank: of this process, where it is known; otherwise the environment's, or the process's number on its node.
    """
    global _watch
    key = key_of(environment)
    if _watch is not None or key is None:
        return _watch
    state = state_of(os.getpid())
    if state is None:
        return None
    own = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"lit-models-{own}-{key}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != own or not stat.S_ISDIR(facts.st_mode):
        return None
    node = environment.get("GROUP_RANK") or environment.get("NODE_RANK") or "0"
    local = environment["LOCAL_RANK"]
    number = rank if rank is not None else int(environment.get("RANK", local))
    _watch = Watch(folder, Member(f"{node}-{local}", number, os.getpid(), state.birth))
    if "TORCHELASTIC_RUN_ID" in environment or int(local) > 0:
        _watch.launcher = os.getppid()
    atexit.register(_leave_in_order)
    _watch.start()
    return _watch


def attend(trainer: Any) -> None:
    """Watches the processes of a Trainer. Called before they are started."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.world_size < 2 or environment is None:
        return
    settle_port(environment)
    address = {"MASTER_ADDR": environment.main_address, "MASTER_PORT": str(environment.main_port)}
    own = {"LOCAL_RANK": str(trainer.local_rank), "NODE_RANK": str(trainer.node_rank)}
    watch = join({**os.environ, **address, **own}, rank=trainer.global_rank)
    if watch is not None:
        watch.set_rank(trainer.global_rank)
        watch.launches = trainer.strategy.launcher
        if trainer.num_nodes > 1:
            place = (environment.main_address, environment.main_port)
            watch.heartbeat = Heartbeat(*place, rank=trainer.global_rank, num_processes=trainer.world_size)


@contextlib.contextmanager
def telling(is_mistake: Callable[[BaseException], bool] = lambda error: False) -> Iterator[None]:
    """Tells the other processes about an error in this one. If another process is the reason, this one ends here.

    Args:
        is_mistake: whether an error is a mistake of the user's. The other processes then end with status 2 too.
    """
    try:
        yield
    except BaseException as error:
        if _watch is not None:
            _tell(_watch, error, is_mistake)
        raise


def speaks_first() -> bool:
    """Whether this process is the first of its run on this machine to ask; in a run of one process, it is."""
    if _watch is None:
        return True
    try:
        (_watch.folder / "said").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # the folder is gone when all others have left
        return _watch.member.rank == 0
    return True


def _tell(watch: Watch, error: BaseException, is_mistake: Callable[[BaseException], bool]) -> None:
    code = error.code if isinstance(error, SystemExit) else getattr(error, "exit_status", 1)  # of Stopped
    if isinstance(error, KeyboardInterrupt) or code in ORDERLY:
        watch.leave("finished")
        return
    if isinstance(error, RuntimeError):  # torch raises it where another process has gone
        watch.explain()
    if is_mistake(error) or code == MISTAKE:
        watch.leave("found a mistake of the user's", mistake=True)
        return
    text = " ".join(str(error).split())[:300]
    exits = isinstance(error, SystemExit)
    watch.leave(f"ended with status {code}" if exits else f"failed with {type(error).__name__}: {text}")


def _leave_in_order() -> None:
    """Closes the connections between the processes once all have done their work, and says that this one has. torch
    otherwise closes them while the interpreter ends, and aborts now and then."""
    assert _watch is not None, "registered by join"
    uncaught = getattr(sys, "last_type", None)
    if uncaught is not None:
        _watch.leave(f"failed with {uncaught.__name__}")
    worked = _watch.member.end is None
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        if worked and distributed.get_backend() == "gloo":
            from datetime import timedelta

            with contextlib.suppress(RuntimeError):  # another process has ended in another way, and says so
                distributed.monitored_barrier(timeout=timedelta(seconds=60))
        distributed.destroy_process_group()
    _watch.leave("finished")
