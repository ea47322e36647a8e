"""`lit_models.load` and `lit_models.fit`: the same checks, numbers and files as the commands have."""

import csv
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.demos.boring_classes import BoringModel
from PIL import Image

import lit_models
from datamodules import MissingFileError, TableDataModule, TextDataModule, UserError, XORDataModule
from lit_models import FitResult, LabelsPrediction, LitMLP, NumbersPrediction, Prediction, Predictor

from .conftest import WORDS, Run

HERE: dict[str, Any] = {"accelerator": "cpu", "logger": False}
SENTENCES = ["sea whale", "leaf", "brick fire apple cherry", "moss, lime"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FitResult]:
    """A run of each of the digits, XOR and the colours, trained by `fit`."""
    folder = tmp_path_factory.mktemp("trained")
    rows = [f"{w.split()[i % 5]} {w.split()[(i + 1) % 5]},{name}" for i in range(30) for name, w in WORDS.items()]
    (folder / "colours.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LIT_MODELS_CACHE", str(folder / "cache"))
        place = {"runs_dir": str(folder / "runs")}
        texts = {"data.train_file": "colours.csv", "model.lr": 0.01}
        return {
            "digits": lit_models.fit(config=["digits_cnn", "smoke"], settings=place, **HERE),
            "xor": lit_models.fit("LitMLP", XORDataModule(passes=9), max_epochs=1, settings=place, **HERE),
            "text": lit_models.fit(config="text_rnn", max_epochs=2, settings=place | texts, **HERE),
        }


def command(run: Run, result: FitResult, name: str, *inputs: str) -> list[dict[str, str]]:
    """The rows that the command writes."""
    path = result.folder / "checkpoints" / name
    status, _, err = run("predict", "--ckpt_path", str(path), "--output", "out.csv", "--data.inputs", *inputs)
    assert status == 0, err
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_same(ours: list[Prediction], rows: list[dict[str, str]]) -> None:
    for prediction, row in zip(ours, rows, strict=True):
        assert isinstance(prediction, Prediction)
        assert (prediction.label, f"{prediction.probability:.8g}") == (row["label"], row["probability"])
        wanted = {name[2:-1]: value for name, value in row.items() if name.startswith("p(")}
        assert {name: f"{value:.8g}" for name, value in prediction.probabilities.items()} == wanted


def test_texts_have_the_labels_and_the_numbers_of_the_command(run: Run, runs: dict[str, FitResult]) -> None:
    model = lit_models.load(runs["text"].folder)
    assert isinstance(model, Predictor)
    assert not model.model.training
    predictions = model.predict(SENTENCES)
    assert_same(predictions, command(run, runs["text"], "best.ckpt", *SENTENCES))
    assert [p.label for p in model.predict(SENTENCES[2])] == [predictions[2].label]
    assert model.predict(np.array(SENTENCES)) == predictions
    best = model.predict(SENTENCES, top_k=2, batch_size=3)[0]
    assert list(best.probabilities) == sorted(predictions[0].probabilities, key=predictions[0].probabilities.get)[:0:-1]
    Path("lines.txt").write_text("\n".join(SENTENCES))
    assert [p.label for p in model.predict(Path("lines.txt"))] == [p.label for p in predictions]


def test_strings_are_always_texts(runs: dict[str, FitResult]) -> None:
    Path("sea.txt").write_text("leaf\nleaf\n")
    assert len(lit_models.load(runs["text"].folder).predict(["sea.txt", "and/or", "-", "none.csv", ""])) == 5


def test_images_may_be_paths_pil_images_or_arrays(run: Run, runs: dict[str, FitResult]) -> None:
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[5:23, 12:16] = 255
    image = Image.fromarray(pixels)
    image.save("one.png")
    model = lit_models.load(runs["digits"].folder / "checkpoints" / "last.ckpt")
    rows = command(run, runs["digits"], "last.ckpt", "one.png")
    for one in ("one.png", Path("one.png"), image, pixels, [pixels / 255], np.stack([pixels] * 3, axis=2)):
        assert_same(model.predict(one), rows)
    assert model.predict(np.stack([pixels] * 2)) == model.predict([image, "one.png"])
    exif = Image.Exif()
    exif[0x0112] = 6  # the orientation: it lies on its side
    image.save("lying.png", exif=exif)
    assert model.predict(Image.open("lying.png")) == model.predict("lying.png") != model.predict("one.png")


def test_rows_are_lists_arrays_or_strings(runs: dict[str, FitResult]) -> None:
    model = lit_models.load(runs["xor"].folder)
    predictions = model.predict(["0,1", [1, 0], np.array([1.0, 1.0])])
    with torch.no_grad():
        rows = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        positive = runs["xor"].model.cpu()(rows).sigmoid()[:, 0].tolist()
    assert [p.probabilities["1"] for p in predictions] == pytest.approx(positive, abs=1e-6)  # float32
    for batch in (np.array([[0, 1], [1, 0], [1, 1]]), torch.tensor([[0, 1], [1, 0], [1, 1]])):
        assert model.predict(batch) == model.predict(batch.tolist()) == predictions


@pytest.mark.parametrize(
    ("name", "inputs", "settings", "message"),
    [
        ("digits", ["none.png"], {}, "no image or folder none.png"),
        ("digits", "cut.png", {}, "cut.png cannot be read as an image: "),
        ("text", [3], {}, "an input is of type int, expected a text or the path of a file"),
        ("text", [Path("none.csv")], {}, "none.csv: no such file"),
        ("text", [], {}, "inputs contain no text: give "),
        ("xor", ["a,b"], {}, "a row has 2 numbers with commas, such as 0,1; got 'a,b'"),
        ("xor", ["0,1"], {"top_k": 0}, "top_k must be at least 1, got 0"),
        ("xor", ["0,1"], {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_an_input_that_cannot_be_read_is_an_error(
    runs: dict[str, FitResult], name: str, inputs: Any, settings: dict[str, int], message: str
) -> None:
    Path("cut.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError) as caught:
        lit_models.load(runs[name].folder).predict(inputs, **settings)
    assert str(caught.value).startswith(message)


def test_a_file_is_checked_as_the_command_checks_it(runs: dict[str, FitResult], tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"^no checkpoint none\.ckpt$"):
        lit_models.load("none.ckpt")
    with pytest.raises(MissingFileError, match=r"^no best\.ckpt or last\.ckpt in .*: give a run folder or a"):
        lit_models.load(tmp_path)
    damaged = tmp_path / "damaged.ckpt"
    content = bytearray((runs["xor"].folder / "checkpoints" / "last.ckpt").read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        lit_models.load(damaged)
    foreign = torch.load(runs["xor"].folder / "checkpoints" / "last.ckpt", weights_only=True)
    foreign["config"] = foreign["config"].replace("lit_models.LitMLP", "stolen.LitMLP")
    torch.save(foreign, tmp_path / "foreign.ckpt")
    with pytest.raises(UserError, match=r"names stolen\.LitMLP, which you have not run here before"):
        lit_models.load(tmp_path / "foreign.ckpt")


class Counting(Callback):
    """Counts the epochs."""

    epochs = 0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epochs += 1


def test_fit_gives_the_results_of_the_command(run: Run) -> None:
    words = ("--model", "LitMLP", "--data", "XORDataModule", "--trainer.max_epochs", "2", "--data.passes", "5")
    assert run("fit", *words, "--trainer.accelerator", "cpu", "--trainer.logger", "false")[0] == 0
    wanted = json.loads(Path("runs/LitMLP-XOR/version_0/results.json").read_text())["metrics"]
    counting = Counting()
    classes = (LitMLP, XORDataModule)
    result = lit_models.fit(*classes, max_epochs=2, callbacks=[counting], settings={"data.passes": 5}, **HERE)
    assert (result.metrics, result.folder) == (wanted, Path("runs/LitMLP-XOR/version_1"))
    assert counting.epochs == 2
    assert isinstance(result.model, LitMLP)


def test_an_object_is_trained_itself_and_its_run_can_be_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    module = LitMLP(num_features=3, num_classes=2, hidden_sizes=[5])
    before = [weight.clone() for weight in module.parameters()]
    data = XORDataModule(num_bits=3, passes=4)
    result = lit_models.fit(module, data, max_epochs=1, settings={"experiment": "mine"}, **HERE)
    assert result.model is module
    assert not all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert capsys.readouterr().out.count("epoch 1/1") == 1
    shutil.move("runs/mine", "moved")
    loaded = lit_models.load("moved/version_0")
    assert isinstance(loaded.data, XORDataModule)
    assert (loaded.data.num_bits, loaded.data.passes) == (3, 4)
    assert [p.label in "01" for p in loaded.predict(["0,1,1"])] == [True]


def test_the_run_of_an_object_is_reproduced_by_its_config(run: Run) -> None:
    Path("t.csv").write_text("\n".join(["a,b,label", *(f"{i % 7},{i % 5},{'yn'[i % 2]}" for i in range(40))]) + "\n")
    data = TableDataModule(train_file=Path("t.csv"))  # type: ignore[arg-type]
    result = lit_models.fit("LitMLP", data, max_epochs=2, settings={"seed_everything": 3}, **HERE)
    config = (result.folder / "config.yaml").read_text()
    assert f"train_file: {Path('t.csv').absolute()}" in config
    assert "    seed: 0\n" in config  # the object's own
    status, out, err = run("reproduce", str(result.folder))
    assert status == 0, f"{out}{err}"
    assert run("test", "--ckpt_path", str(result.folder / "checkpoints/last.ckpt"))[0] == 0


def test_sets_of_labels_and_numbers_have_their_own_form() -> None:
    rows = [f"{'sea ice' if i % 2 else 'leaf moss'} {i},{'blue;cold' if i % 2 else 'green'}" for i in range(20)]
    Path("tags.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    data = TextDataModule(train_file="tags.csv", label_separator=";")
    model = lit_models.load(lit_models.fit("LitRNN", data, max_epochs=1, **HERE).folder)
    (labels,) = model.predict("sea ice")
    assert isinstance(labels, LabelsPrediction)
    assert labels.labels == [name for name, p in labels.probabilities.items() if p > 0.5]
    assert list(labels.probabilities) == ["blue", "cold", "green"]
    assert len(model.predict("sea ice", top_k=1)[0].probabilities) == 1

    numbers = Predictor(LitMLP(num_features=2, task="regression"), XORDataModule(), model._trainer, None)
    (value,) = numbers.predict("0,1")
    assert isinstance(value, NumbersPrediction)
    assert list(value.values) == ["value"]
    with pytest.raises(UserError, match=r"^top_k is for classes and labels, and the model predicts numbers"):
        numbers.predict("0,1", top_k=1)
    with pytest.raises(UserError, match=r"^a module without data takes no inputs to predict: call `model` with"):
        Predictor(BoringModel(), None, model._trainer, None).predict("0,1")


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("LitMPL", "XORDataModule"), {}, "model: no class 'LitMPL', did you mean LitMLP?"),
        (("LitMLP", 3), {}, "data is 3, expected a name, or a LightningDataModule or its class"),
        (("LitMLP", "XORDataModule"), {"max_epoch": 3}, "unknown flag --trainer.max_epoch, did you mean "),
        (("LitMLP", "XORDataModule"), {"precision": torch.float32}, "trainer.precision is a dtype, expected a plain"),
        ((LitMLP(num_features=3, num_classes=2), "XORDataModule"), {}, "model.num_features is 3, but the data say 2: "),
        ((None, None), {"config": "mnist_cn"}, "no config file 'mnist_cn'"),
    ],
)
def test_a_mistake_is_an_error_with_the_message_of_the_command(
    arguments: tuple[Any, ...], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        lit_models.fit(*arguments, **settings)
    assert str(caught.value).startswith(message)
    assert not Path("runs").exists()


def test_a_class_inside_a_function_is_refused() -> None:
    class Inner(LitMLP):
        pass

    with pytest.raises(UserError, match=r"^model: Inner is defined inside a function: define it in a file or a cell$"):
        lit_models.fit(Inner, "XORDataModule")


def test_a_training_that_is_interrupted_is_a_keyboard_interrupt() -> None:
    class Interrupting(Callback):
        def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start tests with the signal ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            lit_models.fit("LitMLP", "XORDataModule", max_epochs=1, callbacks=[Interrupting()], **HERE)
    finally:
        signal.signal(signal.SIGINT, before)
