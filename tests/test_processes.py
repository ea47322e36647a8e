"""Two CPU processes train, test and predict, and the numbers are those of one process."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lit_models.__main__ import main
from tests.programs import Programs

TWO = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--trainer.accelerator", "cpu"]
# 1,797 digits less 360 to test and 200 to validate are 1,237 = 6 * 206 + 1: in the last step one process has nothing.
# The config has dropout and augmentation, which draw the same for a sample in any number of processes.
# Double precision: Adam divides by the gradient's size, and so makes much of float32's rounding where that is near 0.
DIGITS = [
    *("--config", "digits_cnn", "--trainer.max_epochs", "1", "--data.batch_size", "206"),
    *("--test_weights", "last", "--trainer.precision", "64-true"),
]
COLOURS = {"red": "apple cherry rose brick fire", "blue": "sky sea ice whale jeans", "green": "grass leaf frog moss"}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))  # for the processes that Lightning starts
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV of three classes, 90 texts of 1 to 9 words; 81 = 5 * 16 + 1 train where a tenth validates."""
    rows = [
        f"{' '.join(words.split()[(i + j) % 4] for j in range(1 + i % 9))},{name}"
        for i in range(30)
        for name, words in COLOURS.items()
    ]
    (tmp_path / "table.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return tmp_path / "table.csv"


def in_two_processes(*arguments: str) -> str:
    """Runs the program; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "lit_models", *arguments, *TWO], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


def read_json(path: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(path).read_text())
    return content


def assert_same_predictions(one: str, two: str) -> None:
    """Each process predicts whole batches, so a sample has the same neighbours as with one process."""
    assert Path(one).read_bytes() == Path(two).read_bytes()


def assert_same_fit(one: str, two: str, *, tolerance: float) -> None:
    first, second = read_json(f"{one}/results.json"), read_json(f"{two}/results.json")
    assert (first["processes"], second["processes"]) == (1, 2)
    assert first["steps"] == second["steps"]
    assert first["metrics"].keys() == second["metrics"].keys()
    for name, value in first["metrics"].items():
        # The same sums in another order; accuracies are fractions of the same counts.
        assert second["metrics"][name] == pytest.approx(value, rel=tolerance), name
    columns = [list(csv.DictReader(Path(f"{f}/metrics.csv").read_text().splitlines())) for f in (one, two)]
    for a, b in zip(*columns, strict=True):
        for name, value in a.items():
            assert (value == b[name] == "") or float(b[name]) == pytest.approx(float(value), rel=tolerance), name


@pytest.mark.slow
def test_two_processes_train_and_test_as_one(empty_folder: Path) -> None:
    assert main(["fit", *DIGITS, "--experiment", "one", "--trainer.accelerator", "cpu"]) == 0
    out = in_two_processes("fit", *DIGITS, "--experiment", "two")
    assert out.count("epoch 1/1") == out.count("results in ") == 1  # one process speaks
    assert [p.name for p in (empty_folder / "runs" / "two").iterdir()] == ["version_0"]
    assert_same_fit("runs/one/version_0", "runs/two/version_0", tolerance=1e-6)  # metrics cross processes in float32
    count = 360 * read_json("runs/two/version_0/results.json")["metrics"]["test/acc"]
    assert count == pytest.approx(round(count), abs=1e-4)  # a fraction of 360: no image is counted twice


def text_fit(table: Path) -> list[str]:
    return [
        *("fit", "--config", "text_rnn", "--data.train_file", str(table), "--data.test_file", str(table)),
        *("--data.batch_size", "16", "--trainer.max_epochs", "2", "--test_weights", "last"),
        *("--trainer.precision", "64-true", "--experiment"),
    ]


def test_texts_by_length_are_predicted_in_input_order_by_two_processes(
    table: Path, empty_folder: Path, programs: Programs
) -> None:
    assert main([*text_fit(table), "one", "--trainer.accelerator", "cpu"]) == 0
    common = ["predict", "--ckpt_path", "runs/one/version_0/checkpoints/last.ckpt", "--data.inputs", str(table)]
    assert main([*common, "--output", "one.csv", "--trainer.accelerator", "cpu"]) == 0
    done = programs.run("-m", "lit_models", *common, "--output", "two.csv", *TWO, folder=empty_folder, processes=2)
    assert done.status == 0, done.err
    assert "Warning" not in done.err, done.err
    with Path("two.csv").open(newline="") as made, table.open(newline="") as given:
        assert [row["input"] for row in csv.DictReader(made)] == [row["text"] for row in csv.DictReader(given)]
    assert_same_predictions("one.csv", "two.csv")


@pytest.mark.slow
def test_texts_by_length_are_trained_by_two_processes_as_by_one(table: Path) -> None:
    assert main([*text_fit(table), "one", "--trainer.accelerator", "cpu"]) == 0
    in_two_processes(*text_fit(table), "two")
    assert_same_fit("runs/one/version_0", "runs/two/version_0", tolerance=1e-6)  # metrics cross processes in float32


@pytest.mark.slow
@pytest.mark.parametrize("command", ["validate", "test"])
def test_two_processes_measure_a_checkpoint_as_one(command: str) -> None:
    assert main(["fit", *DIGITS, "--experiment", "one", "--trainer.accelerator", "cpu"]) == 0
    in_two_processes(command, "--ckpt_path", "runs/one/version_0/checkpoints/last.ckpt")
    split = {"validate": "val/", "test": "test/"}[command]
    expected = read_json("runs/one/version_0/results.json")["metrics"]
    measured = read_json(f"runs/one/version_0/{command}.json")["metrics"]
    assert measured == pytest.approx(
        {name: value for name, value in expected.items() if name.startswith(split)}, rel=1e-5
    )  # float32 sums in another order


@pytest.mark.slow
def test_a_mistake_is_one_line_from_two_processes_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lit_models", "fit", *DIGITS, "--model.lr", "-1", *TWO],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 2
    assert done.stderr == "error: lr must be a positive number, got -1.0\n"


@pytest.mark.slow
def test_data_without_a_row_are_one_line_from_two_processes_too(table: Path) -> None:
    assert main([*text_fit(table), "one", "--trainer.accelerator", "cpu"]) == 0
    Path("empty.csv").write_text("text,label\n", encoding="utf-8")
    words = ["test", "--ckpt_path", "runs/one/version_0/checkpoints/last.ckpt", "--data.test_file", "empty.csv", *TWO]
    done = subprocess.run([sys.executable, "-m", "lit_models", *words], capture_output=True, text=True, timeout=240)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert (done.returncode, lines) == (2, ["error: empty.csv: no rows, expected at least one with text and label"])
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_processes_predict_images_as_one() -> None:
    assert main(["fit", *DIGITS, "--experiment", "one", "--trainer.accelerator", "cpu"]) == 0
    checkpoint = "runs/one/version_0/checkpoints/last.ckpt"
    assert main(["predict", "--ckpt_path", checkpoint, "--output", "one.csv", "--trainer.accelerator", "cpu"]) == 0
    out = in_two_processes("predict", "--ckpt_path", checkpoint, "--output", "two.csv")
    assert "360 predictions in two.csv" in out
    assert_same_predictions("one.csv", "two.csv")
