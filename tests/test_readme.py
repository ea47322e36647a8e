"""The examples of README.md run as written: its files, and its commands on little data, in a folder of a user's own."""

import json
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sklearn.datasets
import torch

from lit_models.__main__ import main
from lit_models.cli.commands import load
from tests.datamodules.image_folders import write_classes
from tests.programs import Programs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHORT = [f"--trainer.limit_{split}_batches=2" for split in ("train", "val", "test")]
DOWNLOADS = ("imdb_rnn", "imdb_transformer", "text_bert")  # commands with these words are parsed and not run

pytestmark = pytest.mark.usefixtures("folder")


def files() -> dict[str, str]:
    """The examples that are whole files: each block with a language, under the last file name before it."""
    found = {}
    for block in FENCE.finditer(README):
        if block[1]:
            found[re.findall(r"`(\w+\.(?:py|yaml|csv))`", README[: block.start()])[-1]] = block[2]
    return found


def commands() -> list[list[str]]:
    """The words of each command, without `python -m lit_models`."""
    text = "\n".join(block[2] for block in FENCE.finditer(README) if not block[1]).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words[3:] for words in lines if words[:3] == ["python", "-m", "lit_models"]]


FILES, COMMANDS = files(), commands()


def shortened(words: list[str]) -> list[str]:
    """A command on little data: two batches, one epoch, and the digits in place of MNIST."""
    if any(name in word for word in words for name in DOWNLOADS):
        return [*words, "--print_config"]
    if words[0] != "fit" or "--help" in words:
        return words
    epochs = "2" if "--ckpt_path" in words else "1"
    digits = ["--data.dataset=digits"] if "mnist_cnn" in words else []
    return [*words, *digits, *SHORT, f"--trainer.max_epochs={epochs}", "--trainer.accelerator=cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of README, and what its commands expect to be there."""
    folder = tmp_path_factory.mktemp("readme")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    rows = [f"a {word} film,{word},{word} again,{stars}" for stars, word in enumerate(("dull", "good") * 6)]
    wine = sklearn.datasets.load_wine()
    table = [",".join([*wine.feature_names, "cultivar"])]
    table += [",".join([*map(str, row), f"wine{target}"]) for row, target in zip(wine.data, wine.target, strict=True)]
    (folder / "wine.csv").write_text("\n".join(table), encoding="utf-8")
    write_classes(folder / "shapes", images=10, classes=("circle", "square"), height=20, width=18)
    (folder / "my.csv").write_text("\n".join(["text,label,review,stars", *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the examples as the current one; their modules are forgotten at the end."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*sys.path, str(place)])
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    yield place
    for name in FILES:
        sys.modules.pop(name.partition(".")[0], None)


def results(name: str, folder: Path) -> dict[str, float]:
    """The metrics of the newest run of an experiment."""
    newest = max((folder / "runs" / name).glob("version_*/results.json"), key=lambda path: path.stat().st_mtime_ns)
    metrics: dict[str, float] = json.loads(newest.read_text())["metrics"]
    return metrics


def test_the_examples_are_these_files() -> None:
    assert sorted(FILES) == [
        *("autoencoder.py", "films.csv", "houses.csv", "my_callbacks.yaml", "my_cli.py", "my_metric.py"),
        *("my_model.py", "my_model.yaml", "my_numbers.py", "my_predictions.py", "my_run.py", "test_mine.py"),
    ]


def test_the_commands_are_all_found() -> None:
    assert len(COMMANDS) == README.count("\npython -m lit_models")


def test_the_commands_work_one_after_the_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one test, as a command needs the checkpoints of the commands before it."""
    failed = {}
    for words in COMMANDS:
        if words[0] in ("import-keras", "reproduce") or "keras" in words:  # tests/cli runs them with what they need
            load(words[0]).parser().read(words[1:])
            continue
        make_checkpoint(words, folder)
        status = main(shortened(words))
        out, err = capsys.readouterr()
        if status != 0 or not out:
            failed[" ".join(words)] = err
    assert not failed


def make_checkpoint(words: list[str], folder: Path) -> None:
    """A checkpoint where the command expects one, if that of an earlier command is for data that are not here."""
    path = folder / words[words.index("--ckpt_path") + 1] if "--ckpt_path" in words else None
    if path is None or path.exists():
        return
    experiment = path.relative_to(folder / "runs").parts[0]
    source = {"imdb_lstm": "text_rnn", "model": "digits_cnn"}[experiment]
    if not (folder / "runs" / source).exists():
        data = ["--data.train_file", "my.csv"] if source == "text_rnn" else []
        assert main(shortened(["fit", "--config", source, *data])) == 0
    shutil.copytree(folder / "runs" / source / "version_0", path.parent.parent)


def test_early_stopping_ends_the_run(folder: Path) -> None:
    flags = ["--trainer.callbacks.patience", "1", "--model.lr", "1e-9", "--experiment", "stopped"]
    callbacks = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "val/loss"]
    assert main(["fit", "--config", "digits_cnn", *SHORT, *callbacks, *flags, "--trainer.max_epochs", "9"]) == 0
    (path,) = (folder / "runs" / "stopped").glob("version_0/results.json")
    assert json.loads(path.read_text())["epochs"] < 9


def test_a_metric_of_ones_own_is_in_the_results(folder: Path) -> None:
    assert main(shortened(["fit", *command_with("my_metric.LitConfident")])) == 0
    assert 0.1 <= results("my_model", folder)["val/confidence"] <= 1  # the largest of ten probabilities


def test_labels_and_numbers_have_their_metrics(folder: Path) -> None:
    assert main(shortened(["fit", *command_with("films.csv")])) == 0
    assert {"val/f1_macro", "val/exact_match"} <= results("LitRNN-Text", folder).keys()
    assert main(shortened(["fit", *command_with("houses.csv")])) == 0
    assert {"val/mae", "test/rmse"} <= results("LitMLP-Numbers", folder).keys()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file wrong.csv: set --data.file"),
        ("a,b\n1,x\n", "wrong.csv is not a table of numbers with a header: could not convert string to float: 'x'"),
        ("a,b\n1,2\n1\n", "wrong.csv is not a table of numbers with a header: expected sequence of length 2"),
        ("", "wrong.csv is not a table of numbers with a header: not enough values"),
        ("a,b\n1,2\n", "wrong.csv needs at least two columns and five rows of numbers"),
    ],
)
def test_a_wrong_file_of_numbers_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    path = folder / "wrong.csv"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
    words = ["fit", "--model", "LitMLP", "--data", "my_numbers.NumbersDataModule", "--data.file", "wrong.csv"]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_the_autoencoders_predictions_are_kept(folder: Path) -> None:
    assert main(shortened(["fit", *command_with("autoencoder.Waves"), "--experiment", "waves"])) == 0
    assert results("waves", folder).keys() == {"train_loss", "val_loss", "test_loss"}
    assert main(["predict", "--ckpt_path", "runs/waves/version_0/checkpoints/best.ckpt"]) == 0
    content = torch.load("runs/waves/version_0/predictions.pt", weights_only=True)
    assert {name: value.shape for name, value in content.items()} == {"code": (500, 2), "output": (500, 8)}


def command_with(word: str) -> list[str]:
    """The first command that has a word, without its name."""
    return next(words[1:] for words in COMMANDS if word in words)


def test_a_command_line_of_ones_own_links_two_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = next(shlex.split(line) for line in README.splitlines() if line.startswith("python my_cli.py"))
    monkeypatch.setattr(sys, "argv", [*words[1:], *SHORT, "--trainer.max_epochs=1", "--experiment=linked"])
    runpy.run_path("my_cli.py", run_name="__main__")
    checkpoint = torch.load("runs/linked/version_0/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"]["width"] == 16


def test_a_config_is_trained_from_python(folder: Path, programs: Programs) -> None:
    """In a process of its own."""
    done = programs.run("my_run.py", folder=folder)
    assert done.status == 0, done.err
    (accuracy,) = re.findall(r"tensor\((0\.\d+)", done.out)
    assert float(accuracy) > 0.5  # of ten classes, after three epochs


def test_a_model_is_trained_and_predicts_from_python(folder: Path, programs: Programs) -> None:
    done = programs.run("my_predictions.py", folder=folder)
    assert done.status == 0, done.err
    *_, trained, predicted = done.out.splitlines()
    assert re.fullmatch(r"0\.\d+ runs/digits_cnn/version_\d+", trained)
    assert re.fullmatch(r"(\d) (0\.\d+) \{'\1': \2, '\d': 0\.\d+, '\d': 0\.\d+\}", predicted)


def test_the_checks_pass_on_the_examples(folder: Path) -> None:
    checks = runpy.run_path("test_mine.py")
    names = [name for name in checks if name.startswith("test_")]
    assert names == ["test_my_model", "test_my_data"]
    for name in names:
        checks[name]()


def prose(text: str) -> list[str]:
    """The sentences of a document outside tables and code; a piece of code counts as one word."""
    text = FENCE.sub("", text)
    lines = ["" if line.lstrip().startswith(("|", "#", "![")) else line for line in text.splitlines()]
    parts = re.split(r"\n\s*\n|\n(?=\s*- )", re.sub(r"`[^`]*`", "CODE", "\n".join(lines)))
    return [s for part in parts for s in re.split(r"(?<=[.?!])\s+", " ".join(part.split())) if s]


def test_sentences_are_found_outside_code_and_tables() -> None:
    text = "# Title\n\nOne `a. b` two. Three\nfour.\n\n```\ncode. here\n```\n\n- five\n- six.\n\n| a. | b |\n"
    assert prose(text) == ["One CODE two.", "Three four.", "- five", "- six."]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_sentence_has_more_than_thirty_words(name: str) -> None:
    sentences = prose((ROOT / name).read_text(encoding="utf-8"))
    assert len(sentences) > 20
    assert not [s for s in sentences if len(s.split()) > 30]
