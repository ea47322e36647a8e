"""How closely a network and the live Keras model must agree, and on which inputs they are compared."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.errors import UserError
from lit_models import LitClassifier
from lit_models.keras import exporting
from lit_models.keras.comparison import compare_outputs, random_inputs
from lit_models.keras.files.layers import Layer
from lit_models.keras.importing import ImportedModel, check_outputs, import_model
from lit_models.keras.rules.weights import to_keras_weights
from tests.keras.stacks import dense, keras_tests, network_of, sequential, with_noise

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]

Check = Callable[[ImportedModel, LitClassifier, float], float]


def imported_perceptron(folder: Path, *, bias: float) -> ImportedModel:
    """A Keras perceptron with one sigmoid output, whose logits are near `bias`, after import."""
    model = with_noise(sequential((3,), dense(4, "tanh"), dense(1, "sigmoid")))
    *weights, kernel, _ = model.get_weights()
    model.set_weights([*weights, kernel / 100, np.array([bias], dtype=np.float32)])
    model.save(path := folder / "model.keras")
    return import_model(path)


def importing(imported: ImportedModel, module: LitClassifier, shift: float) -> float:
    """Compares after a shift of the network's logits, as an import does."""
    with torch.no_grad():
        module.network.get_parameter("output.bias").add_(shift)
    return check_outputs(imported, module.network)


def exporting_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Exports after a shift of the logits in the Keras model; the file must not exist if that is refused."""

    def check(imported: ImportedModel, module: LitClassifier, shift: float) -> float:
        def shifted(network: torch.nn.Module) -> list[np.ndarray]:
            *weights, bias = to_keras_weights(network)
            return [*weights, bias + np.float32(shift)]

        monkeypatch.setattr(exporting, "to_keras_weights", shifted)
        path = folder / "exported.keras"
        try:
            settings = dict(module.hparams)
            return exporting.export_model(module.network, path, model="LitMLP", settings=settings).difference
        except UserError:
            assert not path.exists()
            raise

    return check


@pytest.fixture(params=["import", "export"])
def check(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    return importing if request.param == "import" else exporting_to(tmp_path, monkeypatch)


# At a logit of 0, a probability changes by a quarter of the change of its logit. The float32 rounding of a sum of four
# terms below 1 is near 1e-7.
@pytest.mark.parametrize("shift", [4.4e-5, -4.4e-5])
def test_a_probability_that_differs_by_more_than_1e_5_is_refused(shift: float, check: Check, tmp_path: Path) -> None:
    """4.4e-5 / 4 = 1.1e-5; the logits alone would pass."""
    imported = imported_perceptron(tmp_path, bias=0.0)
    text = r"^the outputs differ from Keras' on random inputs: probabilities by (\S+) \(allowed: 1e-05\), logits by "
    with pytest.raises(UserError, match=text) as caught:
        check(imported, network_of(imported), shift)
    difference = re.match(text, str(caught.value))
    assert difference is not None
    assert float(difference[1]) == pytest.approx(1.1e-5, rel=0.05)


@pytest.mark.parametrize("shift", [3.6e-5, -3.6e-5])
def test_a_probability_that_differs_by_less_than_1e_5_passes(shift: float, check: Check, tmp_path: Path) -> None:
    """3.6e-5 / 4 = 9e-6."""
    imported = imported_perceptron(tmp_path, bias=0.0)
    assert check(imported, network_of(imported), shift) == pytest.approx(9e-6, rel=0.05)


# At a logit of 1000, each probability is exactly 1, and neighbouring float32 numbers differ by 6e-5.
def test_a_logit_that_differs_by_more_than_1e_4_of_its_size_is_refused(check: Check, tmp_path: Path) -> None:
    """0.11 of 1000 is 1.1e-4."""
    imported = imported_perceptron(tmp_path, bias=1000.0)
    text = r"probabilities by 0 \(allowed: 1e-05\), logits by 0\.11 \(allowed: 1e-01\)$"
    with pytest.raises(UserError, match=text):
        check(imported, network_of(imported), 0.11)


def test_a_logit_that_differs_by_less_than_1e_4_of_its_size_passes(check: Check, tmp_path: Path) -> None:
    """0.09 of 1000 is 9e-5."""
    imported = imported_perceptron(tmp_path, bias=1000.0)
    assert check(imported, network_of(imported), 0.09) == 0


def test_outputs_that_are_nan_are_refused(check: Check, tmp_path: Path) -> None:
    imported = imported_perceptron(tmp_path, bias=0.0)
    with pytest.raises(UserError, match="probabilities by nan"):
        check(imported, network_of(imported), float("nan"))


@pytest.mark.parametrize("training", [True, False])
def test_a_network_in_training_mode_is_compared_without_dropout(training: bool, tmp_path: Path) -> None:
    model = with_noise(sequential((3,), dense(40, "tanh"), ("Dropout", {"rate": 0.5}), dense(1, "sigmoid")))
    model.save(path := tmp_path / "model.keras")
    imported = import_model(path)
    network = network_of(imported).network.train(training)
    difference = compare_outputs(imported.layers, imported.arrays, network, dtype="float32", saved=imported.saved)
    assert difference <= 1e-6  # float32 sums of 40 terms below 1


@pytest.mark.parametrize(("shape", "samples"), [((5,), 32), ((1024, 2048, 1), 8), ((4096, 4096), 1)])
def test_large_inputs_are_compared_on_fewer_samples(shape: tuple[int, ...], samples: int) -> None:
    """2**24 numbers at most: 2**24 / 2**21 = 8, 2**24 / 2**24 = 1."""
    inputs = [Layer("InputLayer", {"batch_shape": (None, *shape)})]
    assert random_inputs(inputs, "float32").shape == (samples, *shape)


def test_inputs_as_large_as_memory_are_refused() -> None:
    text = "^inputs of 400,000,000 numbers are too large to compare outputs; at most 16,777,216 are supported$"
    with pytest.raises(UserError, match=text):
        random_inputs([Layer("InputLayer", {"batch_shape": (None, 20000, 20000, 1)})], "float32")
