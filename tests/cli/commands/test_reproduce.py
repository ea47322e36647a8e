"""`reproduce`: a run gives the same numbers again; and a run's config works in any folder."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.cli.conftest import Run

XOR = ("fit", "--config", "xor_mlp", "--data.passes", "20", "--trainer.max_epochs", "2", "--trainer.callbacks", "[]")
OWN_MODEL = '''"""A network of a user's."""

from torch import nn
from lit_models import LitTask

class Mine(nn.Module):
    """One layer.

    Args:
        num_features: numbers in a sample.
        num_outputs: outputs.
    """

    def __init__(self, num_features: int = 2, num_outputs: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(num_features, num_outputs)

    def forward(self, inputs):
        return self.layer(inputs)

class LitMine(LitTask, network=Mine):
    """One layer."""
'''


def results(folder: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    return content


def test_a_run_gives_identical_numbers_in_a_new_folder_also_from_another_folder(
    run: Run, tmp_path: Path, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*XOR, "--seed_everything", "7", "--experiment", "mine")[0] == 0
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    status, out, err = run("reproduce", "work/runs/mine/version_0")
    assert (status, err) == (0, "")
    assert out.splitlines()[-2:] == [
        f"work/runs/mine/version_0 was run again in {empty_folder}/runs/mine/version_1",
        "identical: 4 metrics, metrics.csv, the weights",
    ]
    assert all((empty_folder / path).read_bytes() == content for path, content in before.items())


def test_other_numbers_end_with_status_1_and_are_named(run: Run) -> None:
    assert run(*XOR)[0] == 0
    path = Path("runs/xor_mlp/version_0/results.json")
    content = json.loads(path.read_text())
    loss = content["metrics"]["test/loss"]
    content["metrics"]["test/loss"], content["versions"]["torch"] = 2 * loss, "1.0"
    path.write_text(json.dumps(content))
    status, out, _ = run("reproduce", "runs/xor_mlp/version_0", "--runs_dir", "elsewhere")
    assert status == 1
    assert "different: 1 of 4 metrics\n" in out
    assert f"  test/loss: was {2 * loss}, is {loss} (relative difference 5.0e-01)\n" in out
    assert f"note: torch is {torch.__version__.partition('+')[0]}" in out
    assert Path("elsewhere/xor_mlp/version_0/results.json").is_file()


def test_a_run_uses_the_threads_of_the_first_one(run: Run) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert run(*XOR)[0] == 0
        torch.set_num_threads(1)
        assert run("reproduce", "runs/xor_mlp/version_0")[0] == 0
    finally:
        torch.set_num_threads(threads)
    assert results("runs/xor_mlp/version_1")["threads"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "error: reproduce: not given: RUN"),
        (("nowhere",), "error: no run folder nowhere: name one such as runs/digits_cnn/version_0"),
        (("unfinished",), "error: unfinished has no results.json: only a finished run of fit can be compared"),
        (("bare",), "error: bare has no config.yaml: the run cannot be started again without it"),
        (("bare", "--run_dir", "x"), "error: unknown flag --run_dir, did you mean --runs_dir?"),
    ],
)
def test_what_cannot_be_reproduced_is_one_line(run: Run, words: tuple[str, ...], message: str) -> None:
    Path("unfinished").mkdir()
    Path("bare").mkdir()
    Path("bare/results.json").write_text('{"command": "fit", "metrics": {}}')
    assert run("reproduce", *words) == (2, "", f"{message}\n")


def test_missing_data_are_one_line(run: Run, colours: Path) -> None:
    common = ("--trainer.max_epochs", "1", "--data.batch_size", "16")
    assert run("fit", "--config", "text_rnn", "--data.train_file", str(colours), *common)[0] == 0
    colours.unlink()
    status, _, err = run("reproduce", "runs/text_rnn/version_0")
    assert status == 2
    assert err.startswith("error: ")
    assert str(colours) in err
    assert err.count("\n") == 1
    assert not Path("runs/text_rnn/version_1").exists()


def test_the_config_of_a_run_with_relative_files_works_in_another_folder(
    run: Run, colours: Path, empty_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "mine.csv").write_bytes(colours.read_bytes())
    common = ("--trainer.max_epochs", "1", "--data.batch_size", "16")
    assert run("fit", "--config", "text_rnn", "--data.train_file", "mine.csv", *common)[0] == 0
    stored = yaml.safe_load(Path("runs/text_rnn/version_0/config.yaml").read_text())
    assert stored["data"]["init_args"]["train_file"] == f"{empty_folder}/mine.csv"
    monkeypatch.chdir(tmp_path)
    status, _, err = run("fit", "--config", "work/runs/text_rnn/version_0/config.yaml")
    assert status == 0, err
    first, second = results("work/runs/text_rnn/version_0"), results("runs/text_rnn/version_0")
    assert first["weights_sha256"] == second["weights_sha256"]


def test_a_vocabulary_may_be_named_by_its_relative_path_again(run: Run, colours: Path, empty_folder: Path) -> None:
    (empty_folder / "words.txt").write_text("<unk>\n<pad>\napple\nsky\ngrass\n")
    words = ("--data.train_file", str(colours), "--data.vocab_file", "words.txt")
    fit = run("fit", "--config", "text_rnn", *words, "--trainer.max_epochs", "1")
    assert fit[0] == 0, fit[2]
    checkpoint = "runs/text_rnn/version_0/checkpoints/last.ckpt"
    tested = ("test", "--ckpt_path", checkpoint, "--data.test_file", str(colours), "--data.vocab_file", "words.txt")
    status, out, err = run(*tested)
    assert status == 0, err
    assert "vocab_file" not in out


def test_a_runs_config_finds_the_users_module_where_the_run_was_started(
    run: Run, empty_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "model_of_the_reproduce_test"
    (empty_folder / f"{name}.py").write_text(OWN_MODEL)
    fit = ("fit", "--model", f"{name}.LitMine", "--data", "XORDataModule", "--data.passes", "5")
    with monkeypatch.context() as started_here:
        started_here.syspath_prepend(str(empty_folder))
        first = run(*fit, "--trainer.max_epochs", "1", "--experiment", "own")
    assert first[0] == 0, first[2]
    del sys.modules[name]
    monkeypatch.chdir(tmp_path)
    status, _, err = run("fit", "--config", "work/runs/own/version_0/config.yaml")
    assert status == 0, err


def test_the_help_has_the_flags(run: Run) -> None:
    status, out, _ = run("reproduce", "--help")
    assert status == 0
    assert "usage: python -m lit_models reproduce RUN [options]" in out
    assert "--runs_dir DIR" in out
    assert "reproduce  " in run("--help")[1]
