"""`verify`: the predictions of a model beside those of the Keras file, on samples of the data."""

import re

import numpy as np
import pytest
import torch

from lit_models import LitKeras, LitMLP
from lit_models.keras.verifying import Verification
from tests.cli.commands.keras_files import DIGITS
from tests.cli.conftest import Run
from tests.keras.beside import randomize
from tests.keras.stacks import keras_tests
from tests.parity.conftest import keras_backend as keras_backend

pytestmark = keras_tests
RUN = "runs/model/version_0"


@pytest.mark.parametrize("units", [10, pytest.param(0, marks=pytest.mark.slow)])
def test_an_imported_model_gives_the_answers_of_its_file(run: Run, units: int) -> None:
    import keras

    k = keras.layers
    x = inputs = keras.Input((28, 28, 1))
    x = k.Flatten()(k.AveragePooling2D(4)(x)) if units else k.GlobalAveragePooling2D()(k.Conv2D(4, 3)(x))
    model = randomize(keras.Model(inputs, k.Dense(10, activation="softmax")(x)))
    model.save("model.keras")
    assert run("import-keras", "model.keras", *DIGITS, "--model", "LitKeras")[0] == 0
    status, out, err = run("verify", RUN, "model.keras")
    assert (status, err) == (0, "")
    first, second, third, *worst = out.splitlines()
    assert first == "360 of 360 answers on the test part are equal"
    correct = re.fullmatch(r"correct: (\d+) here, (\d+) in Keras", second)
    assert correct is not None
    assert correct[1] == correct[2]
    assert third == "largest differences of probabilities:"
    assert len(worst) == 5
    assert all(re.fullmatch(r"  \d\.\de-0[6-9]  test\[\d+\]", line) for line in worst)

    path = f"{RUN}/checkpoints/last.ckpt"  # other weights give other answers
    content = torch.load(path, weights_only=True)
    module = LitKeras.load_from_checkpoint(path, weights_only=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.neg_()
    torch.save(content | {"state_dict": module.state_dict()}, "other.ckpt")
    status, out, _ = run("verify", "other.ckpt", "model.keras")
    assert status == 1
    assert int(out.split()[0]) < 300
    assert run("verify", RUN, "model.keras", "--split", "val")[::2] == (
        2,
        "error: MNISTDataModule has no val part here: choose another --split\n",
    )


def test_what_cannot_be_compared_is_one_line(run: Run) -> None:
    import keras

    k = keras.layers
    for name, size in (("one", 10), ("two", 3)):
        inputs = keras.Input((28, 28, 1))
        output = k.Dense(size, activation="softmax")(k.Flatten()(k.AveragePooling2D(4)(inputs)))
        keras.Model(inputs, output).save(f"{name}.keras")
    assert run("import-keras", "one.keras", "--model", "LitKeras")[0] == 0
    run_folder = "runs/one/version_0"
    line = f"error: {run_folder}/checkpoints/last.ckpt has no data of this program: add --data CLASS\n"
    assert run("verify", run_folder, "one.keras")[::2] == (2, line)
    line = "error: the model and two.keras give 10 and 3 numbers for a sample: they cannot be compared\n"
    assert run("verify", run_folder, "two.keras", *DIGITS)[::2] == (2, line)
    assert run("verify", run_folder, "three.keras", *DIGITS)[::2] == (2, "error: no file three.keras\n")
    line = "error: runs has no checkpoint: name a run folder such as runs/model/version_0\n"
    assert run("verify", "runs", "one.keras")[::2] == (2, line)
    assert run("verify", run_folder)[0] == 2
    assert LitMLP.__name__ in run("import-keras", "one.keras", "--model", "LitMLP")[2]


def test_answers_are_equal_or_not() -> None:
    ours, theirs = np.array([[0.4, 0.6], [0.9, 0.1]]), np.array([[0.6, 0.4], [0.8, 0.2]])
    found = Verification(ours, theirs, np.array([1, 0]), np.array([7, 3]), "classification")
    assert found.equal.tolist() == [False, True]
    assert (found.correct(ours), found.correct(theirs)) == (2, 1)
    assert [place for place, _ in found.worst()] == [7, 3]
    labels = Verification(ours, theirs, np.zeros((2, 2)), np.arange(2), "multilabel")
    assert labels.equal.tolist() == [False, True]
    assert labels.correct(ours) is None
    numbers = Verification(ours, ours + 1e-6, ours, np.arange(2), "regression")
    assert numbers.equal.all()
    assert not Verification(ours, theirs, ours, np.arange(2), "regression").equal.any()
    unknown = Verification(ours, theirs, np.array([-1, 0]), np.arange(2), "classification")
    assert unknown.correct(ours) is None
