"""The processes of the porting study: finished measurements are not repeated, failures are named."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.porting.__main__ import main
from scripts.porting.measures import XOR_PASSES
from scripts.porting.runs import measure_in_process, read


def test_a_finished_measurement_is_not_repeated(tmp_path: Path) -> None:
    results = tmp_path / "porting.json"
    results.write_text(json.dumps({"no such measurement": {"0": {}}}))
    measure_in_process("no such measurement", 0, results)  # a process would fail


def test_a_failed_measurement_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^failed: nonsense 1$"):
        measure_in_process("nonsense", 1, tmp_path / "porting.json")


def test_a_measurement_adds_its_result_to_a_file_with_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words of the new process are run here, in its folder, with a measurement that is quick."""
    from scripts.porting import measures

    run = subprocess.run

    def run_here(command: list[str], *, cwd: Path, **more: Any) -> "subprocess.CompletedProcess[bytes]":
        if command[:3] != [sys.executable, "-m", "scripts.porting"]:  # such as git, which names the commit
            return run(command, cwd=cwd, **more)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr(sys, "argv", command[2:])
            main()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scripts.porting.runs.subprocess.run", run_here)
    monkeypatch.setitem(measures.FUNCTIONS, "xor", lambda seed: {"sum": 7 + seed})
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    measure_in_process("xor", 2, Path("porting.json"))
    result = read(tmp_path / "porting.json")["xor"]["2"]
    assert result["sum"] == 9
    assert set(result) == {"sum", "seconds", "commit", "machine", "versions"}


@pytest.mark.slow  # the same in a process, with the real measurement
def test_a_measurement_in_a_process_adds_its_result_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XOR needs no data. It takes the file by a relative path, as a user types it."""
    monkeypatch.chdir(tmp_path)
    measure_in_process("xor", 0, Path("porting.json"))
    result = read(tmp_path / "porting.json")["xor"]["0"]
    assert 0 < result["sum"] < result["mean"] < XOR_PASSES
    assert set(result) == {"sum", "mean", "seconds", "commit", "machine", "versions"}
