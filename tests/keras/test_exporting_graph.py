"""The way back: a network of any graph becomes a Keras file that equals the file it came from."""

from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import UserError
from lit_models.keras.exporting_graph import export_graph
from lit_models.keras.network import KerasNetwork
from tests.keras.beside import randomize
from tests.keras.graphs import MODELS
from tests.keras.stacks import keras_tests
from tests.keras.test_graphs import imported

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]


QUICK = ("residual", "translation", "transformer")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_an_exported_file_gives_the_probabilities_of_the_first(name: str, tmp_path: Path) -> None:
    import keras

    model, inputs = MODELS[name](keras)
    first, second = tmp_path / "first.keras", tmp_path / "second.keras"
    if name == "rows":
        model.compile("sgd", "mse")
    randomize(model).save(first)
    module, found, _ = imported(first)
    network = module.network
    assert isinstance(network, KerasNetwork)
    exported = export_graph(network, second, task=found.settings["task"])
    assert exported.difference < 1e-5
    values = list(inputs.values())
    given = values if len(values) > 1 else values[0]
    models = (keras.saving.load_model(path, compile=False) for path in (first, second))
    theirs, ours = (np.asarray(model(given, training=False)) for model in models)
    if name == "translation":  # its outputs are logits, as it names no loss
        theirs = np.exp(theirs) / np.exp(theirs).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    again, found_again, _ = imported(second)
    assert {call["kind"] for call in found_again.settings["graph"] if "kind" in call} >= {
        call["kind"] for call in found.settings["graph"] if "kind" in call
    }
    assert sum(p.numel() for p in again.parameters()) == sum(p.numel() for p in module.parameters())


def test_a_file_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    model, _ = MODELS["residual"](keras)
    randomize(model).save(tmp_path / "first.keras")
    module, _, _ = imported(tmp_path / "first.keras")
    assert isinstance(module.network, KerasNetwork)
    monkeypatch.setattr("lit_models.keras.exporting_graph.set_weights", lambda network, layers: None)
    with pytest.raises(UserError, match=r"^the outputs of the file differ on random inputs by \d.* \(allowed: 1e-05\)"):
        export_graph(module.network, tmp_path / "second.keras", task="classification")
    assert [path.name for path in tmp_path.iterdir()] == ["first.keras"]
    with pytest.raises(UserError, match=r"second.h5 does not end in .keras: give the file another name$"):
        export_graph(module.network, tmp_path / "second.h5", task="classification")
