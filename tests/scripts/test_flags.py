"""The flags of `python -m scripts.parity`, `scripts.porting` and `scripts.benchmark`: a mistake is one line."""

import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("study", "flags", "message"),
    [
        (
            "parity",
            ["--only", "mnist"],
            "unknown program mnist; choose from xor_mlp, mnist_cnn, imdb_rnn, imdb_lstm, imdb_gru",
        ),
        ("parity", ["--jobs", "0"], "--jobs and --seeds must be at least 1"),
        ("parity", ["--seeds", "0"], "--jobs and --seeds must be at least 1"),
        ("parity", [], "set LIT_MODELS_DATA to the folder that holds MNIST/raw and the IMDB archive"),
        (
            "parity",
            ["--page", "--results", "nowhere.jsonl"],
            "--page needs results, but there is no file nowhere.jsonl",
        ),
        (
            "porting",
            ["--only", "imdb"],
            "unknown measurement imdb; choose from mnist, simple, gates, steps, xor, nudged",
        ),
        ("porting", ["--seeds", "0"], "--seeds must be at least 1"),
        ("porting", [], "set LIT_MODELS_DATA to the folder that holds MNIST/raw and the IMDB archive"),
        (
            "porting",
            ["--page", "--results", "nowhere.json"],
            "the page needs results of mnist, simple, gates, steps, xor, nudged",
        ),
        (
            "benchmark",
            ["--workload", "gru"],
            "unknown workload gru; choose from machine, cnn, cnn-bf16, rnn-simple, rnn-lstm, rnn-gru, padding, xor, "
            "start, shared-machine, memory, encoder-train, encoder-predict",
        ),
        (
            "benchmark",
            ["--page", "--results", "nowhere.jsonl"],
            "--page needs results, but there is no file nowhere.jsonl",
        ),
    ],
)
def test_a_wrong_flag_is_one_line(
    study: str, flags: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", [study, *flags])
    with pytest.raises(SystemExit) as stop:
        import_module(f"scripts.{study}.__main__").main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f"python -m scripts.{study}: error: {message}\n")
