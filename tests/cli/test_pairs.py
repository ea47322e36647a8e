"""The whole table of models and data: a pair that fits trains, tests and predicts by flags alone; another is refused in
one line before anything is read. The table comes from the catalog, so that a new model or dataset is covered: a model
with its defaults, data with the settings of `small` in their test file."""

import importlib
import json
import re
from pathlib import Path

import pytest

from lit_models.cli import registry
from tests.datamodules.image_folders import write_classes
from tests.datamodules.test_table import write as write_table

from .conftest import Run

SMALL_MODEL = {
    "LitBERT": ["--model.hidden_size", "8", "--model.num_layers", "1"],
    "LitMLP": ["--model.hidden_sizes", "[4]"],
    "LitRNN": ["--model.hidden_size", "4", "--model.embedding_size", "4"],
    "LitTransformer": ["--model.width", "8", "--model.num_layers", "1"],
}
"""Flags that make a model small; a model that is not here is small by default."""
SHORT = [
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.accelerator", "cpu"),
    *("--trainer.logger", "false"),
]
PAIRS = [(model, data) for data in registry.data() for model in registry.models()]
FITTING = [(model.name, data.name) for model, data in PAIRS if data.kinds <= model.kinds]
OTHERS = [(model.name, data.name) for model, data in PAIRS if not data.kinds <= model.kinds]


@pytest.fixture
def small_data(colours: Path, reviews: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Flags that make each dataset small."""
    table = str(write_table(tmp_path / "t.csv", rows=400))
    images = write_classes(tmp_path / "images", images=60, height=18, width=20)
    own = {entry.name: flags_of(entry, tmp_path) for entry in registry.data() if entry.name not in SAMPLES}
    return own | {
        "ImageFolderDataModule": ["--data.root", str(images)],
        "IMDBDataModule": [
            *("--data.data_dir", str(reviews), "--data.max_length", "8", "--data.num_words", "50"),
            *("--data.batch_size", "16"),  # 32 reviews train: two steps
        ],
        "MNISTDataModule": ["--data.dataset", "digits"],
        "TableDataModule": ["--data.train_file", table, "--data.drop_columns", "[tags]"],
        "TextDataModule": ["--data.train_file", str(colours), "--data.test_file", str(colours)],
        "XORDataModule": ["--data.passes", "2"],
    }


def flags_of(entry: registry.Entry, folder: Path) -> list[str]:
    """Flags with the first small settings of a dataset's test file."""
    package, _, module = entry.module.rpartition(".")
    settings = importlib.import_module(f"tests.{package}.test_{module}").small(folder)[0]
    return [word for name, value in settings.items() for word in (f"--data.{name}", str(value))]


# To test and predict: a tenth of 2 * 60 images and of 400 rows, reviews in `reviews`, digits set aside, rows of
# `colours`, rows of XOR.
SAMPLES = {
    "ImageFolderDataModule": 12,
    "IMDBDataModule": 10,
    "MNISTDataModule": 360,
    "TableDataModule": 40,
    "TextDataModule": 90,
    "XORDataModule": 4,
}


def test_every_model_and_every_dataset_stands_in_the_table() -> None:
    assert set(SMALL_MODEL) <= set(registry.model_names())
    assert set(SAMPLES) <= set(registry.data_names())
    assert {model for model, _ in FITTING} == set(registry.model_names())
    assert {data for _, data in FITTING} == set(registry.data_names())


@pytest.mark.parametrize(("model", "data"), FITTING)
def test_a_pair_that_fits_trains_tests_and_predicts(
    model: str, data: str, run: Run, small_data: dict[str, list[str]]
) -> None:
    status, out, err = run(
        "fit", "--model", model, "--data", data, *SMALL_MODEL.get(model, []), *small_data[data], *SHORT
    )
    assert status == 0, err
    folder = next(Path("runs").glob("*/version_0"))
    results = json.loads((folder / "results.json").read_text())
    assert (results["model"], results["data"]) == (model, data)
    assert results["steps"] in ([2] if data in SAMPLES else [1, 2])  # a small dataset may have one batch
    assert {"train/loss", "train/acc", "test/loss", "test/acc"} <= set(results["metrics"])
    checkpoint = str(folder / "checkpoints" / "last.ckpt")
    status, _, err = run("test", "--ckpt_path", checkpoint, "--trainer.accelerator", "cpu")
    assert status == 0, err
    again = json.loads((folder / "test.json").read_text())["metrics"]
    assert again == {name: value for name, value in results["metrics"].items() if name.startswith("test/")}
    status, out, err = run("predict", "--ckpt_path", checkpoint, "--trainer.accelerator", "cpu")
    assert status == 0, err
    assert re.match(rf"{SAMPLES.get(data, '[1-9][0-9]*')} predictions; ", out.splitlines()[-1])


@pytest.mark.parametrize(("model", "data"), OTHERS)
@pytest.mark.parametrize("command", ["fit", "predict"])
def test_another_pair_is_refused_before_anything_is_read(
    command: str, model: str, data: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = next(entry for entry in registry.data() if entry.name == data)
    made = getattr(importlib.import_module(entry.module), data)
    for method in ("prepare_data", "setup", "spec"):

        def called(*arguments: object, method: str = method, **settings: object) -> None:
            pytest.fail(f"{data}.{method} was called")

        monkeypatch.setattr(made, method, called)
    status, out, err = run(command, "--model", model, "--data", data)
    assert status == 2
    assert out == ""
    (line,) = err.splitlines()
    (kind,) = entry.kinds
    assert line.startswith(f"error: {model} reads ")
    assert line.endswith(f"but {data} gives {kind}: models that fit are {', '.join(registry.models_for(kind))}")
    assert not Path("runs").exists()
