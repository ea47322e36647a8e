"""`export --format keras` as a command: a checkpoint becomes a Keras file, and comes back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_models import LitRNN
from lit_models.keras.files.reading import read_weights
from lit_models.testing.examples import quiet_trainer
from tests.cli.commands.keras_files import CHECKPOINT, DIGITS, NO_COUNTERPART, digits, error
from tests.cli.commands.keras_files import cnn as cnn
from tests.cli.commands.keras_files import saved as saved
from tests.cli.conftest import Run
from tests.keras.stacks import FLAT, dense, keras_tests, sequential
from tests.parity.conftest import keras_backend as keras_backend

pytestmark = keras_tests


def test_an_exported_file_is_a_keras_model_with_the_same_bits_and_outputs(cnn: Any, run: Run) -> None:
    import keras

    assert run("import-keras", "model.keras", *DIGITS)[0] == 0
    export = ("export", "--format", "keras", "--ckpt_path", CHECKPOINT)
    status, out, err = run(*export)
    assert (status, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith("largest difference in probability on random inputs: ")
    assert second == "LitCNN in runs/model/version_0/model.keras"
    again = keras.saving.load_model("runs/model/version_0/model.keras")
    for ours, theirs in zip(again.get_weights(), cnn.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    images, _ = digits()
    np.testing.assert_array_equal(again.predict(images, verbose=0), cnn.predict(images, verbose=0))
    assert run(*export)[1].splitlines()[-1] == "LitCNN in runs/model/version_0/model_2.keras"
    assert run(*export, "--output", "mine.keras")[1].splitlines()[-1] == "LitCNN in mine.keras"
    assert error(run, *export, "--output", "mine.keras") == (
        "mine.keras exists already and is not overwritten; give --output another name"
    )
    assert error(run, *export, "--output", "mine.h5") == "mine.h5 does not end in .keras: give the file another name"
    line = error(run, *export, "--output", "no/mine.keras")
    assert line == "no folder no for mine.keras; create it, or give --output another path"


def test_a_trained_run_is_exported_and_comes_back(run: Run) -> None:
    fit = ("fit", "--config", "xor_mlp", "--trainer.max_epochs", "1", "--data.passes", "5", "--trainer.logger", "false")
    assert run(*fit)[0] == 0
    ours = "runs/xor_mlp/version_0/checkpoints/last.ckpt"
    status, _, err = run("export", "--format", "keras", "--ckpt_path", ours)
    assert (status, err) == (0, "")
    assert run("import-keras", "runs/xor_mlp/version_0/model.keras")[0] == 0
    before, after = (torch.load(path, weights_only=True)["state_dict"] for path in (ours, CHECKPOINT))
    assert before.keys() == after.keys()
    for name, weight in before.items():
        assert weight.dtype == after[name].dtype == torch.float64 or not weight.is_floating_point()
        assert torch.equal(weight, after[name]), name


def test_a_perceptron_says_in_which_order_its_file_reads_images(run: Run) -> None:
    sequential((4, 4, 3), FLAT, dense(5, "relu"), dense(3, "softmax")).save("model.keras")
    assert run("import-keras", "model.keras")[0] == 0
    lines = run("export", "--format", "keras", "--ckpt_path", CHECKPOINT)[1].splitlines()
    rows = "note: the model reads rows of 48 numbers"
    assert lines[1] == f"{rows}; flatten an image of several channels in the order channel, height, width"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"hyper_parameters": 5}, "odd.ckpt is a checkpoint of another program: its hyper_parameters is of type int"),
        ({"config": "model: ["}, "odd.ckpt: its config cannot be read: expected the node content"),
        ({"config": "model: 5"}, "odd.ckpt: model in its config is of type int, expected a mapping"),
        ({"config": "- a"}, "odd.ckpt: its config is a list, expected a mapping"),
    ],
    ids=str,
)
def test_an_odd_checkpoint_is_one_line(changed: dict[str, Any], text: str, saved: Any, run: Run) -> None:
    assert run("import-keras", "model.keras")[0] == 0
    torch.save(torch.load(CHECKPOINT, weights_only=True) | changed, "odd.ckpt")
    assert error(run, "export", "--format", "keras", "--ckpt_path", "odd.ckpt").startswith(text)


def test_a_folder_that_cannot_be_written_is_one_line(saved: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raised by hand, since root may write anywhere."""
    assert run("import-keras", "model.keras")[0] == 0

    def full(*arguments: Any, **settings: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lit_models.keras.exporting.save_keras", full)
    line = error(run, "export", "--format", "keras", "--ckpt_path", CHECKPOINT, "--output", "mine.keras")
    assert line == "mine.keras cannot be written: Permission denied"


def test_weights_that_keras_does_not_keep_are_not_exported(
    saved: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAX changes float64 weights; here the reader pretends that the backend did."""
    assert run("import-keras", "model.keras")[0] == 0

    def rounded(path: Path, layers: Any) -> Any:
        return [[array.astype(np.float16) for array in arrays] for arrays in read_weights(path, layers)]

    monkeypatch.setattr("lit_models.keras.live.read_weights", rounded)
    line = error(run, "export", "--format", "keras", "--ckpt_path", CHECKPOINT)
    assert line.startswith("Keras does not keep float32 weights with the backend ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "export: not given: --format, --ckpt_path"),
        (
            ["--format", "kears", "--ckpt_path", "x"],
            "export: --format: no format 'kears', did you mean keras?",
        ),
        (["--formt", "keras"], "unknown flag --formt, did you mean --format?"),
        (["--format", "keras", "--ckpt_path", "x.ckpt"], "no checkpoint x.ckpt"),
        (
            ["--format", "keras", "--ckpt_path", "model.keras"],
            "model.keras is damaged, or not a checkpoint that",
        ),
    ],
)
def test_a_mistake_of_an_export_is_one_line(arguments: list[str], text: str, saved: Any, run: Run) -> None:
    assert error(run, "export", *arguments).startswith(text)


def test_a_checkpoint_of_another_kind_is_not_exported(colours: Path, run: Run) -> None:
    train = ("--data", "TextDataModule", "--data.train_file", str(colours), "--trainer.fast_dev_run", "false")
    small = ("--model.width", "8", "--model.num_heads", "2", "--trainer.max_epochs", "1", "--trainer.logger", "false")
    assert run("fit", "--model", "LitTransformer", *train, *small, "--experiment", "words")[0] == 0
    path = "runs/words/version_0/checkpoints/last.ckpt"
    line = error(run, "export", "--format", "keras", "--ckpt_path", path)
    assert line == f"LitTransformer {NO_COUNTERPART}"

    content = torch.load(path, weights_only=True)
    for config, says in (
        ("model:\n  class_path: my_model.LitMine\n", "other.ckpt names my_model.LitMine, which you have not run here"),
        ("", "other.ckpt does not say which model it is of: add --model CLASS"),
    ):
        torch.save(content | {"config": config}, "other.ckpt")
        assert error(run, "export", "--format", "keras", "--ckpt_path", "other.ckpt").startswith(says)


def test_a_second_bias_that_keras_does_not_have_is_said(run: Run) -> None:
    settings: dict[str, Any] = {"vocab_size": 9, "embedding_size": 3, "hidden_size": 2}
    module = LitRNN(**settings)
    with torch.no_grad():
        module.network.cells.bias_hh_l0.fill_(0.1)  # type: ignore[union-attr, operator]
    trainer = quiet_trainer()
    trainer.strategy.connect(module)
    trainer.save_checkpoint("rnn.ckpt")
    content = torch.load("rnn.ckpt", weights_only=True)
    torch.save(content | {"config": f"model:\n  class_path: LitRNN\n  init_args: {settings}\n"}, "rnn.ckpt")
    text = "a recurrent layer's second bias is not zero; Keras' SimpleRNN and LSTM have only one bias"
    assert error(run, "export", "--format", "keras", "--ckpt_path", "rnn.ckpt") == text
