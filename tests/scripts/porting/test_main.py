"""The flags of `python -m scripts.porting`: mistakes are one line, and incomplete results write no page."""

import json
import sys
from pathlib import Path

import pytest

from scripts.porting.__main__ import main
from scripts.porting.runs import MEASURES

PREFIX = "python -m scripts.porting: error: "


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--only", "imdb"], "unknown measurement imdb; choose from mnist, simple, gates, steps, xor, nudged"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        ([], "set LIT_MODELS_DATA to the folder that holds MNIST/raw and the IMDB archive"),
        (
            ["--page", "--results", "nowhere.json"],
            "the page needs results of mnist, simple, gates, steps, xor, nudged",
        ),
    ],
)
def test_a_wrong_flag_is_one_line(
    flags: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["porting", *flags])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f"{PREFIX}{message}\n")


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
    assert capsys.readouterr().err.endswith(f"{PREFIX}the page needs its text in {results.with_suffix('.md')}\n")
