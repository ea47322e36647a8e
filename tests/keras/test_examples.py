"""The examples of keras.io and of TensorFlow's tutorials come over from a file, or are refused with the reason."""

from pathlib import Path

import pytest

from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.importing_graph import import_graph
from lit_models.tasks.keras_graph import LitKeras
from tests.keras.beside import randomize
from tests.keras.examples import EXAMPLES
from tests.keras.stacks import keras_tests

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials")]

REFUSALS = {
    "vision_transformer": r"is of class Patches, which is not one of Keras' own",
    "text_transformer": r"is of class TokenAndPositionEmbedding, which is not",
    "autoencoder": r"the output has shape \(28, 28\)",
    "word_embeddings": r"\(TextVectorization\) is not supported: texts become numbers in the data here",
    "structured": r"\(CategoryEncoding\) is not supported: tables become numbers in the data here",
    "steps": r"the output has shape \(24, 1\)",
}


@pytest.mark.parametrize(
    "name", [name if one.quick else pytest.param(name, marks=pytest.mark.slow) for name, one in EXAMPLES.items()]
)
def test_an_example_comes_over_or_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    import keras

    randomize(EXAMPLES[name].build(keras)).save(path := tmp_path / "model.keras")
    if name in REFUSALS:
        with pytest.raises(KerasFileError, match=REFUSALS[name]):
            import_graph(path)
        return
    found = import_graph(path)
    # A larger difference than 1e-4 of the largest output is an error by itself.
    assert found.transfer(LitKeras(**found.settings).network) >= 0
