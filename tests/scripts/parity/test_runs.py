"""The runs of the parity study: which are planned, that only missing ones run, and each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.parity import runs
from scripts.parity.programs import PROGRAMS
from scripts.parity.runs import Run, planned, read, run_missing, run_one

ROOT = Path(__file__).parents[3]
RECORD = json.dumps({"program": "xor_mlp", "side": "ours", "seed": 0}) + "\n"


def test_every_program_and_side_is_planned_and_the_nudged_runs_are_last() -> None:
    wanted = planned()
    nudged = [name for name, p in PROGRAMS.items() if p.nudged]
    assert len(wanted) == len(set(wanted)) == sum(3 * p.seeds for p in PROGRAMS.values()) + len(nudged)
    assert {run[:2] for run in wanted[: -len(nudged)]} == {
        (name, side) for name in PROGRAMS for side in ("ours", "paired", "original")
    }
    assert wanted[-len(nudged) :] == [(name, "nudged", 0) for name in nudged]
    assert planned(["imdb_gru"], 1) == [("imdb_gru", side, 0) for side in ("ours", "paired", "original")]


def test_an_incomplete_line_is_skipped_and_the_next_result_is_still_readable(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text(RECORD + '{"program": "xor_m')
    assert [r["side"] for r in read(results)] == ["ours"]
    run_one("xor_mlp", "original", 0, results)
    assert [r["side"] for r in read(results)] == ["ours", "original"]
    assert [r.get("computed_by") for r in read(results)] == [None, "numpy"]
    assert set(read(results)[1]["versions"]) >= {"python", "torch", "numpy"}


def test_only_missing_runs_are_started_and_failures_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text(RECORD)
    started = []

    def run_in_process(run: Run, path: Path, *, core: int) -> bool:
        started.append(run)
        return run[1] != "original"

    monkeypatch.setattr(runs, "run_in_process", run_in_process)
    wanted = [("xor_mlp", side, 0) for side in ("ours", "paired", "original")]
    with pytest.raises(SystemExit, match=r"^failed: xor_mlp original 0$"):
        run_missing(wanted, results, jobs=1)
    assert started == wanted[1:]
    assert "3 runs, 1 of them done" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_runs_xor_in_processes_and_the_paired_weights_are_equal(tmp_path: Path) -> None:
    """The whole command with 10,000 passes. The second call has nothing left to run. It needs no data."""
    results = tmp_path / "new" / "parity.jsonl"
    command = [sys.executable, "-m", "scripts.parity", "--results", str(results), "--only", "xor_mlp", "--seeds", "1"]
    environment = {k: v for k, v in os.environ.items() if k != "LIT_MODELS_DATA"}
    first, second = (
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=280)
        for _ in range(2)
    )
    assert first.stdout.startswith("4 runs, 0 of them done\n")
    assert "4/4 ended after" in first.stdout
    assert second.stdout == f"4 runs, 4 of them done\nwritten: {results.with_suffix('.md')}\n"
    by_side = {run["side"]: run for run in read(results)}
    assert by_side.keys() == {"ours", "paired", "original", "nudged"}
    ours, theirs, nudged = by_side["ours"], by_side["paired"], by_side["nudged"]
    # In float64, 10,000 passes leave about 1e-15 of rounding. Other initial weights differ by more than this bound.
    assert np.abs(np.subtract(ours["weights"], theirs["weights"])).max() < 1e-9
    assert np.abs(np.subtract(ours["steps"], theirs["steps"])).max() < 1e-9
    assert np.abs(np.subtract(ours["weights"], nudged["weights"])).max() > 1e-9, "the bound must see a nudge of 1e-7"
    assert len(ours["epochs"]) == len(theirs["epochs"]) == 10
    assert "1 of 1 of ours, 1 of 1 of numpy" in results.with_suffix(".md").read_text()


def test_a_process_stays_on_one_core() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system cannot bind a process to a core")
    cores = sorted(os.sched_getaffinity(0))
    for index in range(len(cores) + 1):
        code = f"import os; from scripts.parity.runs import stay_on; stay_on({index}); print(os.sched_getaffinity(0))"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout == f"{{{cores[index % len(cores)]}}}\n"
