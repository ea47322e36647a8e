"""docs/keras.md: it is what its results give, and has every layer of the installed Keras."""

import inspect
import json

from lit_models.keras.layers import LAYERS
from lit_models.keras.layers.refused import REFUSED
from scripts.keras_layers.__main__ import PAGE, RESULTS
from scripts.keras_layers.page import LIMITS, page
from scripts.processes import ROOT
from tests.keras.examples import EXAMPLES
from tests.keras.stacks import keras_tests

CONTENT = json.loads(RESULTS.read_text())


def test_the_page_is_what_its_results_give() -> None:
    assert page(CONTENT) == PAGE.read_text()
    CONTENT["layers"]["Dense"]["differences"][0] += 1.0
    assert page(CONTENT) != PAGE.read_text()
    CONTENT["layers"]["Dense"]["differences"][0] -= 1.0


def test_every_example_has_its_place() -> None:
    assert [entry["name"] for entry in CONTENT["examples"]] == list(EXAMPLES)


def test_links_lead_to_files_and_differences_are_of_rounding() -> None:
    for name, entry in CONTENT["layers"].items():
        assert (ROOT / entry["file"]).is_file()
        assert max(entry["differences"]) < (1e-5 if name.endswith("Pooling3D") else 1e-6)
    assert set(LIMITS) <= set(CONTENT["layers"])


class TestKeras:
    pytestmark = keras_tests

    def test_every_layer_of_keras_is_on_the_page(self) -> None:
        import keras

        public = {name for name, kind in vars(keras.layers).items() if inspect.isclass(kind)}
        assert public & set(LAYERS) == set(CONTENT["layers"])
        text = PAGE.read_text()
        for name in set(CONTENT["layers"]) | set(REFUSED):
            assert f"| {name} |" in text
