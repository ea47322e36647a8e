"""What is seen of a command, in a log and on a terminal: 80 columns, quiet if asked for, and commands that run."""

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from .conftest import Run

ROOT = Path(__file__).parents[2]
DIGITS = ("fit", "--config", "digits_cnn", "--trainer.limit_train_batches", "3", "--trainer.limit_val_batches", "2")
BEST = "runs/digits_cnn/version_0/checkpoints/best.ckpt"


def next_commands(out: str) -> list[list[str]]:
    """The words of the commands below "next"."""
    text = out.partition("\nnext\n")[2].replace("\\\n", "")
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]


def test_the_next_commands_run_as_they_are_printed(run: Run) -> None:
    """The command of TensorBoard starts a server, so its check of the folder runs instead."""
    _, out, _ = run(*DIGITS, "--trainer.max_epochs", "1")
    *ours, board = next_commands(out)
    assert [words[3] for words in ours] == ["test", "predict", "fit", "report"]
    for words in ours:
        assert words[:3] == ["python", "-m", "lit_models"]
        status, _, err = run(*words[3:])
        assert status == 0, err
    assert json.loads(Path("runs/digits_cnn/version_0/results_2.json").read_text())["epochs"] == 2
    assert board == ["tensorboard", "--logdir", "runs/digits_cnn"]
    found = EventAccumulator(str(Path(board[2]) / "version_0")).Reload().Tags()["scalars"]
    assert {"train/loss", "val/acc"} <= set(found)


def test_texts_without_a_test_part_have_a_command_that_predicts(run: Run, colours: Path) -> None:
    fit = ("fit", "--config", "text_rnn", "--trainer.max_epochs", "1", "--kernels", "plain", "--report", "none")
    _, out, _ = run(*fit, "--data.train_file", str(colours))
    (predict,) = [words for words in next_commands(out) if "predict" in words]
    assert predict[-2:] == ["--inputs", "a text of your own"]
    status, out, err = run(*predict[3:])
    assert (status, err, out.count("a text of your own")) == (0, "", 1)


@pytest.mark.slow
def test_the_command_of_tensorboard_runs_as_it_is_printed(run: Run) -> None:
    _, out, _ = run(*DIGITS, "--trainer.max_epochs", "1")
    board = next_commands(out)[-1]
    program = Path(sys.executable).with_name(board[0])
    done = subprocess.run([program, *board[1:], "--inspect"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train/loss" in done.stdout


def test_without_checkpoints_and_loggers_there_are_fewer_next_commands(run: Run) -> None:
    flags = ("--save", "none", "--trainer.logger", "false", "--test_weights", "none", "--trainer.max_epochs", "1")
    _, out, _ = run(*DIGITS, *flags)
    assert [words[3:] for words in next_commands(out)] == [["report", "runs/digits_cnn/version_0"]]


def test_every_line_of_a_log_fits_80_columns(run: Run) -> None:
    metrics = "[f1,auroc,recall_per_class,matthews]"
    status, out, err = run(*DIGITS, "--trainer.max_epochs", "1", "--model.metrics", metrics)
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    of_classes = out.partition("test, by class\n")[2].splitlines()[0]
    assert of_classes.split() == ["precision", "recall", "f1", "count"]  # the recall that was asked for is there once
    rows = [line.split() for line in out.partition("test, by class\n")[2].splitlines()[1:11]]
    assert [row[0] for row in rows] == [str(i) for i in range(10)]
    assert sum(int(row[-1]) for row in rows) == 360
    assert "val, by class" in run("validate", "--ckpt_path", BEST)[1]


def test_a_quiet_command_prints_its_result_alone(run: Run) -> None:
    status, out, err = run(*DIGITS, "--trainer.max_epochs", "1", "--quiet")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["loss", "acc"]
    assert lines[-1] == "results in runs/digits_cnn/version_0/results.json"
    assert "\nquiet:" not in Path("runs/digits_cnn/version_0/config.yaml").read_text()
    status, out, err = run("test", "--ckpt_path", BEST, "--quiet")
    assert (status, err, out.splitlines()[-1]) == (0, "", "results in runs/digits_cnn/version_0/test.json")
    status, out, err = run("predict", "--ckpt_path", BEST, "--quiet", "--trainer.limit_predict_batches", "1")
    assert (status, err) == (0, "")
    assert [re.fullmatch(rf"\d 0\.\d+  test\[{i}\]", line) is not None for i, line in enumerate(out.splitlines())]
    assert len(out.splitlines()) == 32
    assert "epoch 2/2" in run("fit", "--resume", "runs/digits_cnn/version_0", "--trainer.max_epochs", "2")[1]


def test_a_quiet_command_says_its_warnings_and_errors_on_standard_error(run: Run) -> None:
    _, out, err = run("test", "--config", "digits_cnn", "--quiet")
    assert err.startswith("warning: LitCNN is untrained")
    assert "untrained" not in out
    assert run("test", "--config", "digits", "--quiet")[:2] == (2, "")
    Path("my.csv").write_text("text;label\n" + "good day;yes\nbad day;no\n" * 10, encoding="utf-8")
    Path("his.csv").write_text("text;label\n" + "good day;yes\nbad day;no\n" * 10, encoding="utf-8")
    fit = ("fit", "--config", "text_rnn", "--trainer.max_epochs", "1", "--kernels", "plain", "--data.train_file")
    assert run(*fit, "my.csv", "--quiet")[::2] == (0, "")
    assert "note: his.csv has semicolons" in run(*fit, "his.csv")[2]


def test_early_stopping_is_the_callback_also_after_a_resume(run: Run) -> None:
    """The last epoch, the weights and the state are those of Lightning's callback with the same settings."""
    common = (*DIGITS, "--trainer.max_epochs", "9", "--model.lr", "1e-9")
    callback = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "val/acc")
    more = ("--trainer.callbacks.patience", "3", "--trainer.callbacks.mode", "max")
    run(*common, *callback, *more, "--experiment", "callback")
    _, out, _ = run(*common, "--early_stopping", "val/acc:3", "--experiment", "flag")
    assert "stopped early: val/acc has not improved for 3 epochs; the best was 0." in out
    assert "fit --resume runs/flag/version_0 --early_stopping val/acc:6\n" in out.replace(" \\\n     ", "")
    run(*common, "--early_stopping", "val/acc:3", "--experiment", "parts", "--trainer.max_epochs", "2")
    status, _, err = run("fit", "--resume", "runs/parts/version_0", "--trainer.max_epochs", "9")
    assert status == 0, err
    folders = [Path("runs") / name / "version_0" for name in ("callback", "flag", "parts")]
    results = [json.loads(max(folder.glob("results*.json")).read_text()) for folder in folders]
    assert {result["epochs"] for result in results} == {4}
    assert len({result["weights_sha256"] for result in results}) == 1
    _, out, err = run("fit", "--resume", "runs/flag/version_0", "--early_stopping", "val/acc:4")
    assert "stopped early: val/acc has not improved for 4 epochs; the best was 0." in out, err
    assert json.loads((folders[1] / "results_2.json").read_text())["epochs"] == 5


def test_a_wrong_metric_to_stop_at_is_refused_before_training(run: Run) -> None:
    status, _, err = run(*DIGITS, "--early_stopping", "val/los:3")
    logged = "train/loss, train/acc, val/loss, val/acc"
    assert (status, err) == (2, f"error: early_stopping: 'val/los' is not logged; logged are {logged}\n")
    status, _, err = run("fit", "--config", "mnist_cnn", "--data.dataset", "digits", "--early_stopping", "val/loss:3")
    text = "early_stopping val/loss needs a validation part: set data.num_val or data.val_fraction"
    assert (status, err) == (2, f"error: {text}\n")
    assert not Path("runs").exists()


@pytest.mark.slow
def test_the_bar_on_a_terminal_has_rate_time_left_and_metrics(tmp_path: Path) -> None:
    """In a new interpreter with a terminal of 80 columns."""
    words = (*DIGITS, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "20", "--kernels", "plain")
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))  # rows and columns
        os.chdir(tmp_path)
        settings = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
        os.execve(sys.executable, [sys.executable, "-m", "lit_models", *words], settings)
    shown = b""
    with suppress(OSError):  # the terminal closes with the process
        while part := os.read(terminal, 65536):
            shown += part
    _, status = os.waitpid(pid, 0)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[A-Z]", "", shown.decode()))
    assert os.waitstatus_to_exitcode(status) == 0, lines
    bar = r"epoch 1/1: +\d+%\|.+\| \d+/20 \[\d+:\d+<\d+:\d+, .*it/s, loss=\d\.\d+, acc=0\.\d+\]"
    assert any(re.fullmatch(bar, line) for line in lines), shown.decode()[:3000]
    assert max(map(len, lines)) <= 80
