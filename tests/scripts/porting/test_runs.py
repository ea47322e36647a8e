"""The processes of the porting study: finished measurements are not repeated, failures are named."""

import json
from pathlib import Path

import pytest

from scripts.porting.measures import XOR_PASSES
from scripts.porting.runs import measure_in_process, read


def test_a_finished_measurement_is_not_repeated(tmp_path: Path) -> None:
    results = tmp_path / "porting.json"
    results.write_text(json.dumps({"no such measurement": {"0": {}}}))
    measure_in_process("no such measurement", 0, results)  # a process would fail


def test_a_failed_measurement_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^failed: nonsense 1$"):
        measure_in_process("nonsense", 1, tmp_path / "porting.json")


def test_a_measurement_in_a_process_adds_its_result_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XOR needs no data. It takes the file by a relative path, as a user types it."""
    monkeypatch.chdir(tmp_path)
    measure_in_process("xor", 0, Path("porting.json"))
    result = read(tmp_path / "porting.json")["xor"]["0"]
    assert 0 < result["sum"] < result["mean"] < XOR_PASSES
    assert set(result) == {"sum", "mean", "seconds", "commit", "machine", "versions"}
