"""A model that Keras has trained goes on here as there: weights after twenty further steps, through the file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import lit_models
from lit_models.cli.keras_import import optimizer_of, write_run
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.importing import Imported, import_any
from lit_models.keras.network import KerasNetwork
from lit_models.keras.rules.weights import to_keras_weights
from lit_models.tasks.keras_graph import LitKeras
from lit_models.testing.examples import quiet_trainer
from tests.keras.beside import named_layers
from tests.keras.optimizers import OPTIMIZERS, SCHEDULES, exact_numbers, live_optimizer
from tests.keras.stacks import keras_tests
from tests.parity.keras_runs import float64

pytestmark = [
    *keras_tests,
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),  # lists of whole batches
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
]

BEFORE, AFTER = 7, 20
"""Steps that Keras takes before the file is saved, and that both take after it."""
QUICK = {"centered", "restarts", "accumulation"}
"""Cases of the default tests; the rules and schedules have tests of their own."""


class Trained(NamedTuple):
    """A file of a model that was trained, its data, and the arrays of each layer after twenty further steps."""

    path: Path
    inputs: Any
    target: Any
    arrays: list[Any]


def limited(keras: Any) -> Any:
    """A model whose layers have all kinds of penalties and constraints, and one that is frozen."""
    k, r, c = keras.layers, keras.regularizers, keras.constraints
    dense = k.Dense(
        4,
        activation="tanh",
        kernel_regularizer=r.L2(0.0078125),
        bias_regularizer=r.L1(0.0625),
        activity_regularizer=r.L1L2(0.25, 0.125),
        kernel_constraint=c.MaxNorm(0.5),
    )
    layers = [
        k.Bidirectional(k.GRU(3, recurrent_regularizer=r.L2(0.0625), kernel_constraint="unit_norm")),
        dense,
        k.BatchNormalization(gamma_constraint="non_neg"),
        k.Dense(4, trainable=False, kernel_regularizer=r.L2(0.5)),
        k.Dense(3, activation="softmax", kernel_constraint=c.MinMaxNorm(0.25, 1.0, 0.5)),
    ]
    return keras.Sequential([keras.Input((5, 3), name="x"), *layers])


def train(model: Any, optimizer: Any, path: Path, *, shape: tuple[int, ...] = (5, 3), classes: int = 3) -> Trained:
    """Trains a model in Keras, saves it, and trains it further."""
    rng = np.random.default_rng(0)
    inputs, target = rng.standard_normal((8, *shape)), rng.integers(0, classes, 8)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    for _ in range(BEFORE):
        model.train_on_batch(inputs, target)
    model.save(path)
    for _ in range(AFTER):
        model.train_on_batch(inputs, target)
    return Trained(path, inputs, target, [np.asarray(w) for w in model.weights if "float" in str(w.dtype)])


def go_on(trained: Trained, imported: Imported, folder: Path) -> Any:
    """Trains with a Trainer from the checkpoint that an import writes."""
    module = getattr(lit_models, imported.name)(**imported.settings)
    imported.transfer(module.network)
    checkpoint = write_run(folder, module, "", optimizer_of(imported, module))
    again = type(module).load_from_checkpoint(checkpoint, weights_only=True)
    inputs, target = torch.from_numpy(trained.inputs), torch.from_numpy(trained.target)
    inputs = inputs if inputs.dim() < 4 else inputs.movedim(-1, 1)
    trainer = quiet_trainer(max_epochs=AFTER, precision="64-true")
    trainer.fit(again, DataLoader([(inputs, target)], batch_size=None), ckpt_path=checkpoint, weights_only=False)  # type: ignore[arg-type]
    assert trainer.global_step == AFTER
    return again


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        pytest.param(*case, marks=() if QUICK & set(case) else pytest.mark.slow, id=str(case[1] or case[0]))
        for case in [*((name, None) for name in OPTIMIZERS), *(("momentum", name) for name in SCHEDULES)]
    ],
)
def test_further_steps_are_those_of_keras(optimizer: str, schedule: str | None, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    with float64(), exact_numbers():
        trained = train(limited(keras), live_optimizer(keras, optimizer, schedule), tmp_path / "model.keras")
        imported = import_any(trained.path)
        assert imported.steps == BEFORE
        assert [note for note in imported.notes if "averages" not in note] == []
        module = go_on(trained, imported, tmp_path)
    assert isinstance(module, LitKeras)
    assert isinstance(module.network, KerasNetwork)
    for (layer, array), other in zip(module.network.arrays(), trained.arrays, strict=True):
        one = array.read().detach().numpy()
        assert np.abs(one - other).max() <= 1e-9 * np.abs(other).max(), (layer, array.name)


@pytest.mark.parametrize(("suffix", "name"), [(".keras", "adam"), (".h5", "nesterov")])
def test_our_own_networks_go_on_as_well(suffix: str, name: str, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    k = keras.layers
    with float64(), exact_numbers():
        layers = [k.Conv2D(4, 3, activation="relu"), k.MaxPooling2D(), k.Flatten(), k.Dense(3, activation="softmax")]
        model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
        trained = train(model, live_optimizer(keras, name), tmp_path / f"model{suffix}", shape=(8, 8, 1))
        imported = import_any(trained.path)
        assert (imported.name, imported.steps, imported.notes) == ("LitCNN", BEFORE, [])
        module = go_on(trained, imported, tmp_path)
    for one, other in zip(to_keras_weights(module.network), trained.arrays, strict=True):
        assert np.abs(one - other).max() <= 1e-9 * np.abs(other).max()


def small(keras: Any, *, units: int = 3) -> Any:
    dense = keras.layers.Dense(4, activation="relu")
    return keras.Sequential([keras.Input((5,)), dense, keras.layers.Dense(units, activation="softmax")])


def test_a_state_that_cannot_go_on_is_one_line(tmp_path: Path) -> None:
    import keras

    path, dropped = tmp_path / "model.keras", "the state of the file's optimizer is dropped: "
    train(small(keras, units=2), "adam", path, shape=(5,), classes=2)
    imported = import_any(path)
    assert (imported.steps, imported.notes[-1]) == (0, f"{dropped}the two outputs become one here")
    model = small(keras)
    train(model, "adam", path, shape=(5,))
    model.layers[0].trainable = False  # Keras notices this when the model is compiled again
    model.save(path)
    imported = import_any(path, model="LitKeras")
    note = f"{dropped}it does not fit the trained weights of the model"
    assert (imported.steps, imported.notes) == (0, [note])


def test_an_optimizer_that_is_replaced_leaves_no_state(tmp_path: Path) -> None:
    import keras

    train(small(keras), keras.optimizers.Adafactor(0.01), tmp_path / "model.keras", shape=(5,))
    imported = import_any(tmp_path / "model.keras")
    note = "the file's optimizer 'adafactor' is replaced by keras_adam, lr 0.001"
    assert (imported.steps, imported.notes) == (0, [note])


def test_a_count_of_steps_that_is_no_number_is_refused(tmp_path: Path) -> None:
    import h5py
    import keras

    train(small(keras), "adam", path := tmp_path / "model.h5", shape=(5,))
    with h5py.File(path, "r+") as file:
        name = file["optimizer_weights"].attrs["weight_names"][0]
        del file["optimizer_weights"][name]
        file["optimizer_weights"][name] = np.ones(3)
    with pytest.raises(KerasFileError, match=r"the optimizer's count of steps is not a whole number$"):
        import_any(path)


def test_penalties_that_do_not_exist_here_are_one_line(tmp_path: Path) -> None:
    import json
    import zipfile

    import keras

    model = small(keras)
    model.layers[0].kernel_regularizer = keras.regularizers.L2(0.1)
    model.save(path := tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(files["config.json"])
    config = content["config"]["layers"][1]["config"]
    config["kernel_regularizer"]["registered_name"] = "mine>Penalty"
    config["bias_constraint"] = "my_limit"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (files | {"config.json": json.dumps(content).encode()}).items():
            archive.writestr(name, text)
    (layer,) = (name for name in named_layers(keras, model) if name == config["name"])
    note = (
        f"regularizers and constraints are dropped: {layer!r} kernel_regularizer L2, {layer!r} bias_constraint my_limit"
    )
    assert note in import_any(path, model="LitKeras").notes
