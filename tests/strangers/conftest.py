"""An empty folder with a stranger's files in it, and the real command in that folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "CUDA_VISIBLE_DEVICES": ""}
REQUESTED = ("LIT_MODELS_CACHE", "LIT_MODELS_STATE", "HF_HUB_OFFLINE")


class Result(NamedTuple):
    """What a program has left: exit status, standard output and standard error."""

    status: int
    out: str
    err: str


class Stranger:
    """A person in a folder of their own, who calls `python -m lit_models`.

    Args:
        folder: where the commands run.
        server: the process that forks a process for each command; see `warm.py`.
    """

    def __init__(self, folder: Path, server: "subprocess.Popen[str]") -> None:
        self.folder, self.server = folder, server

    def has(self, *names: str | Path) -> None:
        """Copies files, by their names in `tests/strangers/files` or by their paths, into the folder."""
        for name in names:
            shutil.copy(name if isinstance(name, Path) else HERE / "files" / name, self.folder)

    def writes(self, name: str, text: str) -> Path:
        """Writes a file in the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def fresh(self, *words: str) -> Result:
        """Runs `python -m lit_models WORDS` in a new interpreter, which takes some six seconds to import torch."""
        command = [sys.executable, "-m", "lit_models", *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def runs(self, *words: str) -> Result:
        """Runs `python -m lit_models WORDS` in a process of its own that has imported torch already."""
        return self.python("-m", "lit_models", *words)

    def python(self, *words: str) -> Result:
        """Runs `python WORDS`, such as a script, in a process of its own that has imported torch already."""
        out, err = self.folder.parent / "out", self.folder.parent / "err"
        request: dict[str, Any] = {"words": words, "folder": str(self.folder), "out": str(out), "err": str(err)}
        request["environment"] = {name: os.environ[name] for name in REQUESTED}
        cast(IO[str], self.server.stdin).write(json.dumps(request) + "\n")
        cast(IO[str], self.server.stdin).flush()
        status = int(cast(IO[str], self.server.stdout).readline())
        return Result(status, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))

    def succeeds(self, *words: str) -> str:
        """Runs a command that must end well and say nothing on standard error; returns its output."""
        done = self.runs(*words)
        assert (done.status, done.err) == (0, ""), done.err
        return done.out

    def refused(self, *words: str) -> str:
        """Runs a command that must end with one line on standard error and status 2; returns the line."""
        done = self.runs(*words)
        lines = done.err.splitlines()
        assert done.status == 2, done.err or done.out
        assert len(lines) == 1, done.err
        return lines[0]

    def results(self, experiment: str, name: str = "results.json", *, version: int = 0) -> dict[str, Any]:
        """A file of results of a run."""
        path = self.folder / "runs" / experiment / f"version_{version}" / name
        return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def server() -> Iterator["subprocess.Popen[str]"]:
    """The process that runs programs for `Stranger.python`."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "warm.py")],
        env=os.environ | ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:  # at its end, its input is closed, which ends it
        yield process


@pytest.fixture
def stranger(tmp_path: Path, server: "subprocess.Popen[str]") -> Stranger:
    """A person in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Stranger(folder, server)
