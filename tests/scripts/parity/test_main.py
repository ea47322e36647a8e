"""The flags of `python -m scripts.parity`: mistakes are one line."""

import sys

import pytest

from scripts.parity.__main__ import main


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--only", "mnist"], "unknown program mnist; choose from xor_mlp, mnist_cnn, imdb_rnn, imdb_lstm, imdb_gru"),
        (["--jobs", "0"], "--jobs and --seeds must be at least 1"),
        (["--seeds", "0"], "--jobs and --seeds must be at least 1"),
        ([], "set LIT_MODELS_DATA to the folder that holds MNIST/raw and the IMDB archive"),
        (["--page", "--results", "nowhere.jsonl"], "--page needs results, but there is no file nowhere.jsonl"),
    ],
)
def test_a_wrong_flag_is_one_line(
    flags: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["parity", *flags])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f"python -m scripts.parity: error: {message}\n")
