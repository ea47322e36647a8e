"""Progress: a bar on a terminal, two lines in a log."""

import sys
import time

import pytest

from datamodules.storage.progress import progress


def test_progress_in_a_log_is_two_lines_and_none_for_a_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(progress([1, 2], doing="tokenizing", unit="texts", total=2)) == [1, 2]
    assert capsys.readouterr().err == ""
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert list(progress(range(50_000), doing="tokenizing", unit="texts", total=50_000)) == list(range(50_000))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "tokenizing 50,000 texts …"
    assert last.startswith("tokenizing 50,000 texts took ")


def test_progress_on_a_terminal_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress([1, 2], doing="tokenizing", unit="texts", total=2)) == [1, 2]
    assert "tokenizing" in capsys.readouterr().err
