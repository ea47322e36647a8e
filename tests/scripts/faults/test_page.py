"""The figures of docs/reliability.md: parts that were tried before are kept, and rows are counted by kind."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.faults import __main__ as faults


def test_rows_of_processes_are_counted_by_kind() -> None:
    rows = [
        {"tried": "SIGKILL, rank 0, start, torchrun", "times": 1, "good": 1},
        {"tried": "SIGKILL, rank 1, saving, torchrun", "times": 2, "good": 1},
        {"tried": "no memory, rank 1, saving, torchrun", "times": 1, "good": 1},
        {"tried": "no fault, torchrun", "times": 50, "good": 50},
    ]
    assert [(row["fault"], row["tried"], row["kept"]) for row in faults.by_kind(rows, "torchrun")] == [
        ("SIGKILL of one of 2 processes, at four places, torchrun", 3, 2),
        ("no memory in one of 2 processes, at four places, torchrun", 1, 1),
        ("runs without a fault, torchrun", 50, 50),
    ]


def test_a_part_is_tried_again_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tested(path: str) -> tuple[int, list[dict[str, Any]]]:
        return 0, [{"promise": "P", "fault": path, "tried": 4, "kept": 4}]

    page, kept = tmp_path / "page.md", tmp_path / "cache" / "faults.json"
    page.write_text("a\n<!-- figures -->\nold\n<!-- end of figures -->\nb\n", encoding="utf-8")
    for name, value in (("PAGE", page), ("KEPT", kept), ("tested", tested)):
        monkeypatch.setattr(faults, name, value)
    monkeypatch.setattr(sys, "argv", ["faults", "--only", "resume"])
    assert faults.main() == 0
    assert "old" in page.read_text(encoding="utf-8")  # the other parts were never tried
    others = {part: [{"promise": "Q", "fault": part, "tried": 2, "kept": 1}] for part in faults.PARTS}
    kept.write_text(json.dumps(others), encoding="utf-8")
    assert faults.main() == 0
    lines = page.read_text(encoding="utf-8").splitlines()
    assert "| tests/faults/test_resume.py | 4 | 4 | 0 |" in lines
    assert "| torchrun | 2 | 1 | 1 |" in lines
    assert "old" not in lines
