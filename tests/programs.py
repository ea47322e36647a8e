"""Runs programs in separate processes: in a new interpreter, or forked from one that has already imported torch."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from lit_models.runs.ports import free_port, settle_port

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "CUDA_VISIBLE_DEVICES": ""}
REQUESTED = ("LIT_MODELS_CACHE", "LIT_MODELS_STATE", "HF_HUB_OFFLINE")


class Result(NamedTuple):
    """Exit status, standard output and standard error of a program."""

    status: int
    out: str
    err: str


def fresh(*words: str, folder: Path) -> Result:
    """Runs `python WORDS` in a new interpreter, which takes about four seconds to import torch and Lightning."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


class Programs:
    """Runs programs in processes that are forked from one that has imported torch, Lightning and more; see `warm.py`.

    The first program starts that process.
    """

    def __init__(self) -> None:
        self.server: subprocess.Popen[str] | None = None

    def run(self, *words: str, folder: Path, processes: int = 1) -> Result:
        """Runs `python WORDS`.

        Args:
            words: `-m MODULE` or the path of a script, and its arguments.
            folder: its working folder; its output is written to files beside this folder.
            processes: number of processes of the run; each has the environment that Lightning would give to it.

        Returns:
            The first status other than 0, and the output of all processes.
        """
        paths = {name: folder.parent / f"{folder.name}.{name}" for name in ("out", "err")}
        for path in paths.values():
            path.write_bytes(b"")
        own = {name: os.environ[name] for name in REQUESTED}
        environments = [own | ranks for ranks in (launched(processes) if processes > 1 else [{}])]
        request: dict[str, object] = {"words": words, "folder": str(folder), "environments": environments}
        statuses = self._answer(request | {name: str(path) for name, path in paths.items()})
        status = next((status for status in statuses if status), 0)
        return Result(status, *(paths[name].read_text(encoding="utf-8") for name in ("out", "err")))

    def call(self, function: Callable[..., Any], *arguments: Any, folder: Path) -> Any:
        """Calls a function in a process without threads, which can be forked safely.

        Libraries that other tests use in this process, such as TensorFlow, have started threads. A process that is
        forked meanwhile can wait for ever for a lock that one of them holds.

        Args:
            function: a function in the module of a test.
            arguments: its arguments, which can be pickled, as what it returns.
            folder: where it runs, and a file is written.

        Raises:
            RuntimeError: the function raised an exception, with the same message.
        """
        file = folder / "call.pickle"
        file.write_bytes(pickle.dumps((function.__module__, function.__name__, arguments)))
        done = self.run("-m", "tests.call", str(file), folder=folder)
        assert done.status == 0, done.err
        result, error = pickle.loads(file.read_bytes())
        file.unlink()
        if error is not None:
            raise RuntimeError(error)
        return result

    def _answer(self, request: dict[str, object]) -> list[int]:
        if self.server is None:
            self.server = subprocess.Popen(
                [sys.executable, str(Path(__file__).parent / "warm.py")],
                env=os.environ | ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        cast(IO[str], self.server.stdin).write(json.dumps(request) + "\n")
        cast(IO[str], self.server.stdin).flush()
        statuses: list[int] = json.loads(cast(IO[str], self.server.stdout).readline())
        return statuses

    def close(self) -> None:
        """Ends the process by closing its input."""
        if self.server is not None:
            self.server.communicate()


def forked(processes: int) -> dict[str, Any]:
    """The Trainer's arguments for a number of forked processes, which wait at most a minute for each other."""
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.pytorch.strategies import DDPStrategy

    if processes == 1:
        return {"devices": 1}
    place = LightningEnvironment()
    settle_port(place)
    strategy = DDPStrategy(start_method="fork", timeout=timedelta(minutes=1), cluster_environment=place)
    return {"strategy": strategy, "devices": processes}


def launched(processes: int) -> list[dict[str, str]]:
    """The environment of each process of a run on one machine."""
    port = str(free_port())
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": "0", "WORLD_SIZE": str(processes)}
    return [common | {"LOCAL_RANK": str(rank)} for rank in range(processes)]
