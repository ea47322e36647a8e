"""`python -m scripts.porting` writes no page from incomplete results."""

import json
import sys
from pathlib import Path

import pytest

from scripts.porting.__main__ import main
from scripts.porting.runs import MEASURES


def test_incomplete_results_write_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "porting.json"
    results.write_text(json.dumps({"xor": {"0": {}}}))
    monkeypatch.setenv("LIT_MODELS_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["porting", "--only", "xor", "--seeds", "1", "--results", str(results)])
    main()
    assert capsys.readouterr().out == "no page written: it needs results of mnist, simple, gates, steps, nudged\n"


def test_results_without_a_page_beside_them_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "porting.json"
    results.write_text(json.dumps({name: {} for name in MEASURES}))
    monkeypatch.setattr(sys, "argv", ["porting", "--page", "--results", str(results)])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.endswith(f"error: the page needs its text in {results.with_suffix('.md')}\n")
