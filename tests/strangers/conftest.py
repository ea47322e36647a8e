"""An empty folder with a stranger's files in it, and the real command in that folder."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from tests.programs import Programs, Result, fresh

HERE = Path(__file__).parent


class Stranger:
    """A person in a folder of their own, who calls `python -m lit_models`.

    Args:
        folder: where the commands run.
        programs: runs the commands.
    """

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.folder, self.programs = folder, programs

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
        """Runs `python -m lit_models WORDS` in a new interpreter."""
        return fresh("-m", "lit_models", *words, folder=self.folder)

    def runs(self, *words: str, processes: int = 1) -> Result:
        """Runs `python -m lit_models WORDS` in processes of their own that have imported torch already."""
        return self.programs.run("-m", "lit_models", *words, folder=self.folder, processes=processes)

    def python(self, *words: str) -> Result:
        """Runs `python WORDS`, such as a script, in a process of its own that has imported torch already."""
        return self.programs.run(*words, folder=self.folder)

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


def epoch_rows(out: str) -> list[dict[str, str]]:
    """The metrics of each epoch on the screen, by name: those in the columns, and those below the line."""
    rows: list[dict[str, str]] = []
    names: list[str] = []
    for line in out.splitlines():
        words = line.split()
        if words[:1] == ["epoch"]:
            rows.append(dict(zip(names, words[2:], strict=False)))
        elif words[-1:] == ["left"]:
            names = words[:-2]  # without time and left
        elif rows and line.startswith(" ") and len(words) % 2 == 0:
            rows[-1] |= dict(zip(words[::2], words[1::2], strict=True))
        elif not line:
            break
    return rows


@pytest.fixture
def stranger(tmp_path: Path, programs: Programs) -> Stranger:
    """A person in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Stranger(folder, programs)
