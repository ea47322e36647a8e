"""`import-keras` as a command: a Keras file becomes a run folder that every other command accepts."""

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from datamodules.errors import MissingFileError
from lit_models import LitCNN, LitKeras, LitMLP, LitRNN
from lit_models.keras import live
from lit_models.keras.files import layers
from lit_models.keras.rules.weights import load_keras_weights
from tests.cli.commands.keras_files import CHECKPOINT, DIGITS, NO_COUNTERPART, digits, error
from tests.cli.commands.keras_files import cnn as cnn
from tests.cli.commands.keras_files import saved as saved
from tests.cli.conftest import Run
from tests.keras.beside import randomize
from tests.keras.stacks import FLAT, cell, conv, dense, embed, keras_tests, sequential, with_noise
from tests.parity.conftest import keras_backend as keras_backend

pytestmark = keras_tests

ROOT = Path(__file__).parents[3]


def test_a_file_becomes_a_run_that_tests_predicts_and_trains_on(cnn: Any, run: Run) -> None:
    status, out, err = run("import-keras", "model.keras", "--model", "LitCNN", *DIGITS)
    assert (status, err) == (0, "")
    first, difference, last = out.splitlines()
    assert first.startswith("model.keras is a LitCNN: num_channels 1, image_size 28, filters [6, 8], kernel_size 3,")
    assert difference.startswith("largest difference in probability from Keras on random inputs: ")
    assert difference.endswith(" (allowed: 1e-05)")
    assert 0 < float(difference.split(": ")[1].split()[0]) < 1e-5
    # 3 * 3 * 6 + 6, 3 * 3 * 6 * 8 + 8, 5 * 5 * 8 * 12 + 12, 12 * 10 + 10
    assert last == f"{60 + 440 + 2412 + 130:,} parameters in {CHECKPOINT}"

    images, target = digits()
    theirs = cnn.predict(images, verbose=0).argmax(axis=1)
    status, _, err = run("test", "--ckpt_path", CHECKPOINT, "--trainer.accelerator", "cpu")
    assert (status, err) == (0, "")
    results = json.loads(Path("runs/model/version_0/test.json").read_text())
    assert round(results["metrics"]["test/acc"] * 360) == (theirs == target).sum()
    assert run("predict", "--ckpt_path", CHECKPOINT, "--output", "p.csv", "--trainer.accelerator", "cpu")[0] == 0
    with Path("p.csv").open(encoding="utf-8", newline="") as file:
        assert [int(row["label"]) for row in csv.DictReader(file)] == theirs.tolist()

    status, out, err = run(
        *("fit", "--ckpt_path", CHECKPOINT, "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"),
        *("--trainer.limit_train_batches", "2", "--trainer.logger", "false"),
    )
    assert status == 0, err
    assert "epoch 1/1 " in out
    assert Path("runs/model/version_1/checkpoints/last.ckpt").is_file()


def test_a_training_goes_on_with_the_state_of_keras_optimizer(run: Run) -> None:
    import keras

    images, target = digits()
    model = with_noise(sequential((28, 28, 1), conv(4), FLAT, dense(10, "softmax", kernel_regularizer="l2")))
    model.compile(keras.optimizers.Nadam(0.01, clipnorm=1.0), "sparse_categorical_crossentropy")
    for _ in range(3):
        model.train_on_batch(images, target)
    model.save("model.keras")
    status, out, err = run("import-keras", "model.keras", "--model", "LitKeras", *DIGITS)
    assert (status, err) == (0, "")
    assert "the optimizer keras_nadam goes on after Keras' step 3" in out
    config = yaml.safe_load(Path("runs/model/version_0/config.yaml").read_text())
    settings = config["model"]["init_args"]
    assert (settings["optimizer"], settings["optimizer_settings"]) == ("keras_nadam", {"clipnorm": 1.0})
    status, _, err = run(
        *("fit", "--ckpt_path", CHECKPOINT, "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"),
        *("--trainer.limit_train_batches", "2", "--trainer.logger", "false"),
    )
    assert status == 0, err
    content = torch.load("runs/model/version_1/checkpoints/last.ckpt", weights_only=True)
    (group,) = content["optimizer_states"][0]["param_groups"]
    assert group["iterations"] == 5
    status, _, err = run(
        *("fit", "--ckpt_path", CHECKPOINT, "--model.optimizer", "keras_rmsprop", "--trainer.fast_dev_run", "true"),
        *("--model.optimizer_settings", "{}", "--trainer.accelerator", "cpu"),
    )
    assert status == 0, err  # another optimizer starts anew


def test_the_run_folder_says_what_was_imported_and_builds_it_again(cnn: Any, run: Run) -> None:
    assert run("import-keras", "model.keras", *DIGITS)[0] == 0
    folder = Path("runs/model/version_0")
    assert sorted(p.name for p in folder.rglob("*")) == ["checkpoints", "config.yaml", "import-keras.json", "last.ckpt"]
    content = torch.load(CHECKPOINT, weights_only=True)
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    assert content["config"] == text
    config = yaml.safe_load(text)
    assert config["model"]["class_path"] == "lit_models.LitCNN"
    wanted = {
        "filters": [6, 8],
        "pool_size": 2,
        "dense_sizes": [12],
        "dropout": 0.5,
        "optimizer": "keras_adam",
        "lr": 1e-3,
    }
    assert config["model"]["init_args"] | wanted == config["model"]["init_args"]
    assert config["data"]["init_args"]["dataset"] == "digits"
    source = json.loads((folder / "import-keras.json").read_text())
    assert (source["file"], source["model"], source["parameters"]) == ("model.keras", "LitCNN", 3042)
    module = LitCNN.load_from_checkpoint(CHECKPOINT, weights_only=True).eval()
    assert module.hparams["class_names"] == [str(i) for i in range(10)]
    images, _ = digits()
    with torch.no_grad():
        ours = module.predictions(module(torch.from_numpy(images).permute(0, 3, 1, 2))).numpy()
    # float32 sums of at most 200 terms of order 1 in another order
    np.testing.assert_allclose(ours, cnn.predict(images, verbose=0), rtol=0, atol=1e-5)
    assert run("fit", "--config", str(folder / "config.yaml"), "--trainer.fast_dev_run", "true")[0] == 0


def test_without_data_the_data_are_named_later(cnn: Any, run: Run) -> None:
    assert run("import-keras", "model.keras")[0] == 0
    config = yaml.safe_load(Path("runs/model/version_0/config.yaml").read_text())
    assert (config["model"]["class_path"], config["experiment"]) == ("lit_models.LitCNN", "model")
    assert "data" not in config
    assert run("test", "--ckpt_path", CHECKPOINT)[0] == 2
    status, _, err = run("test", "--ckpt_path", CHECKPOINT, *DIGITS, "--trainer.accelerator", "cpu")
    assert (status, err) == (0, "")


def test_an_import_never_writes_into_another_ones_folder(saved: Any, run: Run) -> None:
    for i in range(2):
        assert run("import-keras", "model.keras")[0] == 0
        assert Path(f"runs/model/version_{i}/checkpoints/last.ckpt").is_file()
    assert run("import-keras", "model.keras", "--experiment", "mine", "--runs_dir", "elsewhere")[0] == 0
    assert Path("elsewhere/mine/version_0/config.yaml").is_file()
    config = yaml.safe_load(Path("elsewhere/mine/version_0/config.yaml").read_text())
    assert config["experiment"] == "mine"


def test_a_text_model_reads_reviews(run: Run, reviews: Path) -> None:
    model = with_noise(sequential((8,), embed(mask_zero=True), cell("LSTM", 4), dense(1, "sigmoid")))
    model.save("model.h5")
    data = (
        "--data",
        "IMDBDataModule",
        "--data.data_dir",
        str(reviews),
        "--data.num_words=30",
        "--data.max_length",
        "8",
    )
    status, out, err = run("import-keras", "model.h5", *data)
    assert (status, err) == (0, "")
    assert "model.h5 is a LitRNN: vocab_size 30, cell lstm" in out
    status, out, err = run("test", "--ckpt_path", CHECKPOINT, "--trainer.accelerator", "cpu")
    assert status == 0, out
    assert err.startswith("note: ")
    assert "aclImdb is a folder, so its reviews may be others; results.json has the checksum" in err
    module = LitRNN.load_from_checkpoint(CHECKPOINT, weights_only=True)
    assert module.hparams["class_names"] == ["negative", "positive"]


def test_a_float64_model_stays_one(run: Run) -> None:
    layers = [dense(4, "sigmoid", dtype="float64"), dense(1, "sigmoid", dtype="float64")]
    with_noise(model := sequential((2,), *layers, dtype="float64")).save("model.keras")
    assert run("import-keras", "model.keras", "--data", "XORDataModule")[0] == 0
    module = LitMLP.load_from_checkpoint(CHECKPOINT, weights_only=True)
    for ours, theirs in zip(module.parameters(), model.get_weights(), strict=True):
        assert torch.equal(ours.detach(), torch.from_numpy(theirs.T))
    assert yaml.safe_load(Path("runs/model/version_0/config.yaml").read_text())["trainer"]["precision"] == "64-true"
    assert run("test", "--ckpt_path", CHECKPOINT)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "import-keras: not given: FILE"),
        (["nothing.keras"], "no file nothing.keras"),
        (["model.keras", "more"], "import-keras: unexpected argument 'more'"),
        (["model.keras", "--modl", "LitCNN"], "unknown flag --modl, did you mean --model?"),
        (["model.keras", "--ckpt_path=x"], "unknown flag --ckpt_path"),
        (["model.keras", "--model"], "import-keras: --model: expected one argument"),
        (
            ["model.keras", "--model", "LitCN"],
            "--model: no network 'LitCN', did you mean LitCNN? (known: LitRNN, LitCNN, LitMLP, LitKeras)",
        ),
        (["model.keras", "--model", "LitBERT"], f"LitBERT {NO_COUNTERPART}"),
        (
            ["model.keras", "--model", "LitCNN"],
            "model.keras: the model has a layer of class Dense, so it is a LitMLP, not a LitCNN",
        ),
        (["model.keras", "--dropout", "1"], "--dropout must be 0 to below 1, got 1.0"),
        (["model.keras", "--dropout", "-0.1"], "--dropout must be 0 to below 1, got -0.1"),
        (["model.keras", "--dropout", "x"], "import-keras: --dropout: invalid float value: 'x'"),
        (["model.keras", "--experiment", "a/b"], "--experiment must be the name of one folder, not a path: 'a/b'"),
        (["model.keras", "--experiment", ""], "--experiment must be the name of one folder, not a path: ''"),
        (["model.keras", "--data.num_bits", "3"], "--data.num_bits needs --data CLASS"),
        (
            ["model.keras", "--data", "XORDataModul"],
            "data: no class 'XORDataModul', did you mean XORDataModule?",
        ),
        (
            ["model.keras", "--data", "IMDBDataModule"],
            "LitMLP reads features or images, but IMDBDataModule gives tokens: models that fit are LitBERT, LitRNN, ",
        ),
        (
            ["model.keras", "--data", "XORDataModule"],
            "model.keras: model.num_features is 3, but the data say 2: use data that fit",
        ),
        (
            ["model.keras", "--data", "XORDataModule", "--data.num_bit", "3"],
            "XORDataModule has no setting 'num_bit', did",
        ),
        (["model.keras", "--data", "XORDataModule", "--data.num_bits", "0"], "num_bits must be"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], text: str, saved: Any, run: Run) -> None:
    assert error(run, "import-keras", *arguments).startswith(text)


def test_data_of_the_right_size_are_taken(saved: Any, run: Run) -> None:
    assert run("import-keras", "model.keras", "--data", "XORDataModule", "--data.num_bits", "3")[0] == 0


def test_debug_shows_the_traceback_of_a_mistake(run: Run) -> None:
    with pytest.raises(MissingFileError, match=r"^no file nothing\.keras$"):
        run("import-keras", "nothing.keras", "--debug")


def test_a_broken_file_is_one_line(saved: Any, run: Run) -> None:
    whole = Path("model.keras").read_bytes()
    Path("cut.keras").write_bytes(whole[: len(whole) // 2])
    assert error(run, "import-keras", "cut.keras") == "cut.keras: the file is damaged, cut off, or not a Keras model"
    Path("text.keras").write_text("no model")
    text = "text.keras: not a Keras file: it is neither a zip archive (.keras) nor HDF5 (.h5)"
    assert error(run, "import-keras", "text.keras") == text


def test_a_layer_without_a_counterpart_is_one_line(run: Run) -> None:
    sequential((4,), dense(3, "relu"), ("LayerNormalization", {"name": "norm"}), dense(2)).save("model.keras")
    line = error(run, "import-keras", "model.keras", "--model", "LitMLP")
    assert line.startswith("model.keras: layer 'norm' (LayerNormalization) is not supported; LitMLP consists of ")
    sequential((4,), ("Hashing", {"num_bins": 3, "name": "hash"}), dense(2)).save("model.keras")
    reason = "tables become numbers in the data here; save the model without it, and use TableDataModule"
    line = error(run, "import-keras", "model.keras")
    assert line == f"model.keras: layer 'hash' (Hashing) is not supported: {reason}"
    line = error(run, "import-keras", "model.keras", "--dropout", "0.1", "--model", "LitKeras")
    assert line == "model.keras: --dropout does not apply to LitKeras, which keeps the rates of the file"


def test_an_import_whose_outputs_differ_a_little_more_than_rounding_is_refused(
    saved: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shift of the logit by 0.001 moves a probability by up to 0.001 / 4 = 2.5e-4, and a shift of 1e-6 by 2.5e-7."""
    for shift, refused in ((1e-3, True), (1e-6, False)):

        def nudged(network: Any, weights: Any, shift: float = shift) -> None:
            load_keras_weights(network, [*weights[:-1], weights[-1] + np.float32(shift)])

        monkeypatch.setattr("lit_models.keras.importing.load_keras_weights", nudged)
        if refused:
            line = error(run, "import-keras", "model.keras")
            assert line.startswith("the outputs differ from Keras' on random inputs: probabilities by 0.000")
        else:
            assert run("import-keras", "model.keras")[0] == 0


def test_weights_that_compute_something_else_are_refused(saved: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrongly(network: Any, weights: Any) -> None:
        load_keras_weights(network, [weights[0][::-1].copy(), *weights[1:]])

    monkeypatch.setattr("lit_models.keras.importing.load_keras_weights", wrongly)
    line = error(run, "import-keras", "model.keras")
    assert line.startswith("the outputs differ from Keras' on random inputs: probabilities by 0.")


def test_a_layer_that_was_misread_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras builds its model from the settings in the file, so that a misreading cannot confirm itself."""
    with_noise(sequential((3,), dense(4, "tanh"), dense(1, "sigmoid"))).save("model.keras")
    assert run("import-keras", "model.keras")[0] == 0
    misread = {**layers.READERS["Dense"], "activation": lambda value: "relu" if value == "tanh" else value}
    monkeypatch.setitem(layers.READERS, "Dense", misread)
    line = error(run, "import-keras", "model.keras")
    assert line.startswith("the outputs differ from Keras' on random inputs: probabilities by 0.")


def with_settings(place: int, **settings: Any) -> None:
    """Changes settings of the layer with index `place` in the JSON of `model.keras`."""
    with zipfile.ZipFile("model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][place]["config"] |= settings
    with zipfile.ZipFile("model.keras", "w") as archive:
        for name, content in (members | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, content)


def test_settings_for_training_alone_do_not_reach_keras(cnn: Any, run: Run) -> None:
    """Keras 2 wrote only the name of a function, and allowed a slash in a layer's name; Keras 3 refuses both."""
    with_settings(1, kernel_regularizer="my_regularizer", kernel_initializer="my_initializer")
    with_settings(2, name="block/pool")
    with_settings(7, seed="today")
    status, out, err = run("import-keras", "model.keras")
    assert (status, err) == (0, "")
    assert "largest difference" in out


@pytest.mark.parametrize(
    ("place", "settings", "text"),
    [
        (1, {"groups": [1]}, "(Conv2D) has groups [1]; a whole number is supported"),
        (1, {"strides": [1]}, "(Conv2D): needs one number, or 2 numbers, got [1]"),
        (
            1,
            {"data_format": ["channels_last"]},
            "(Conv2D) has data_format ['channels_last']; a name or null is supported",
        ),
        (6, {"use_bias": {"class_name": "mine"}}, "(Dense) has use_bias 'mine', an object; true or false is supported"),
    ],
)
def test_a_setting_in_another_form_is_one_line(
    place: int, settings: dict[str, Any], text: str, cnn: Any, run: Run
) -> None:
    with_settings(place, **settings)
    assert text in error(run, "import-keras", "model.keras")


def test_saturated_outputs_hide_no_difference(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All probabilities are 0 or 1 here, whatever the first layer computes; only the logits differ."""
    model = with_noise(sequential((3,), dense(4, "relu"), dense(1, "sigmoid")))
    *first, kernel, bias = model.get_weights()
    model.set_weights([*first, kernel, bias + 1000])
    model.save("model.keras")
    assert run("import-keras", "model.keras")[0] == 0
    monkeypatch.setattr(
        "lit_models.keras.importing.load_keras_weights",
        lambda network, weights: load_keras_weights(network, [-weights[0], *weights[1:]]),
    )
    status, _, err = run("import-keras", "model.keras")
    assert status == 2
    assert err.startswith("error: the outputs differ from Keras' on random inputs: probabilities by 0 (allowed: 1e-05)")


def test_without_keras_both_commands_say_how_to_install_it(
    saved: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("import-keras", "model.keras")[0] == 0
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(live, "find_spec", lambda name: None if name == "keras" else find_spec(name))
    how = "needs keras: pip install 'lit-models[keras]'"
    assert error(run, "import-keras", "model.keras") == f"import-keras {how}"
    assert error(run, "export", "--format", "keras", "--ckpt_path", CHECKPOINT) == f"export --format keras {how}"
    monkeypatch.setattr(live, "find_spec", find_spec)
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflo")
    text = "KERAS_BACKEND is tensorflo, which is not installed; unset it to compute with torch"
    assert error(run, "import-keras", "model.keras") == text


@pytest.mark.slow
def test_a_process_without_a_backend_of_its_own_computes_with_torch_and_leaves_nothing_at_home(tmp_path: Path) -> None:
    """Keras alone would choose TensorFlow, which its Rescaling needs, and write ~/.keras/keras.json."""
    rescaling = ("Rescaling", {"scale": 1 / 255})
    with_noise(sequential((6, 6, 1), rescaling, conv(3), FLAT, dense(3, "softmax"))).save("model.keras")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from lit_models.__main__ import main; status = main(['import-keras', 'model.keras']);"
        "import keras; print(keras.backend.backend(), 'tensorflow' in sys.modules); sys.exit(status)"
    )
    unset = ("KERAS_BACKEND", "KERAS_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in unset} | {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "torch False"
    assert done.stderr == ""
    assert not [p for p in home.rglob("*") if "keras" in p.name]


def test_a_graph_becomes_a_run_that_trains_resumes_tests_and_predicts(run: Run) -> None:
    import keras

    k = keras.layers
    x = inputs = keras.Input((28, 28, 1))
    x = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, strides=2, padding="same")(x)))
    x = k.GlobalAveragePooling2D()(k.Add()([x, k.SeparableConv2D(8, 3, padding="same")(x)]))
    randomize(keras.Model(inputs, k.Dense(10, activation="softmax")(x))).save("model.keras")
    status, out, err = run("import-keras", "model.keras", *DIGITS)
    assert (status, err) == (0, "")
    assert out.startswith("model.keras is a LitKeras: Conv2D, BatchNormalization, ReLU, SeparableConv2D, Add, ")
    assert "7 layers compared; the largest difference is " in out
    assert run("report", "runs/model/version_0")[0] == 0
    page = Path("runs/model/version_0/report.html").read_text()
    assert "<h2>Compared with Keras</h2>" in page
    assert page.count("<td>Conv2D</td><td>(14, 14, 8)</td><td>80</td>") == 1
    few = ("--trainer.limit_train_batches", "2", "--trainer.accelerator", "cpu", "--trainer.logger", "false")
    status, _, err = run("fit", "--ckpt_path", CHECKPOINT, "--trainer.max_epochs", "1", *few)
    assert status == 0, err
    trained = "runs/model/version_1"
    status, out, err = run("fit", "--resume", trained, "--trainer.max_epochs", "2")
    assert status == 0, err
    assert "epoch 2/2" in out
    assert "epoch 1/2" not in out
    shown = re.search(r"^test +(\S+) +(\S+)$", out, flags=re.MULTILINE)
    assert shown is not None
    last = f"{trained}/checkpoints/last.ckpt"
    assert run("test", "--ckpt_path", last, "--trainer.accelerator", "cpu")[0] == 0
    again = json.loads(Path(trained, "test.json").read_text())["metrics"]
    assert shown.groups() == (f"{again['test/loss']:.4f}", f"{again['test/acc']:.4f}")
    assert run("predict", "--ckpt_path", last, "--output", "p.csv", "--trainer.accelerator", "cpu")[0] == 0
    assert len(Path("p.csv").read_text().splitlines()) == 361
    status, out, err = run("export", "--format", "keras", "--ckpt_path", last)
    assert (status, err) == (0, "")
    images = np.random.default_rng(0).random((5, 28, 28, 1), dtype=np.float32)
    theirs = np.asarray(keras.saving.load_model(f"{trained}/model.keras")(images))
    module = LitKeras.load_from_checkpoint(last, weights_only=True).eval()
    with torch.no_grad():
        ours = module(torch.from_numpy(images).movedim(-1, 1)).softmax(-1)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)
    status, out, err = run("export", "--format", "torch", "--ckpt_path", last)
    assert (status, err) == (0, "")
    assert "batches of other sizes" in out
