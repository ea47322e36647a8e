"""The page that reads drawn digits: its numbers in a browser and in numpy are the model's."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch

from datamodules import MNISTDataModule
from datamodules.errors import UserError
from lit_models import LitCNN, LitMLP, LitRNN
from lit_models.export import html
from lit_models.export.source import Source, make_source
from tests.export.browser import needs_browser, opened, results
from tests.export.sources import predicted, source_of

SEVEN = [[[0.2, 0.2], [0.8, 0.2], [0.4, 0.9]]]
SMALL: dict[str, Any] = {"image_size": 8, "filters": [4, 6], "pool_size": [2, 1], "padding": "same", "dense_sizes": [5]}
MODELS: dict[str, Callable[[], Any]] = {
    "cnn": lambda: LitCNN(filters=[4, 6], kernel_size=[3, 5], pool_size=[3, 1]),
    "8x8": lambda: LitCNN(**SMALL, activation="tanh", num_classes=2, class_names=["</script>", "b&"]),
    "mlp": lambda: LitMLP(hidden_sizes=[12], activation="sigmoid", loss="half_squared_error"),
}


def page_of(source: Source, folder: Path) -> Path:
    html.write(source, folder / "page.html")
    return folder / "page.html"


@needs_browser
@pytest.mark.parametrize("name", MODELS)
def test_the_page_computes_the_models_probabilities_in_a_browser(name: str, tmp_path: Path) -> None:
    module = MODELS[name]()
    page = page_of(source_of(module), tmp_path)
    side = 8 if name == "8x8" else 28
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, side, side), dtype=np.uint8)
    dom = opened(page, f"images={base64.b64encode(pixels.tobytes()).decode()}", tmp_path / "profile")
    images = torch.from_numpy(pixels).float() / 255
    np.testing.assert_allclose(results(dom), predicted(module, images)[0].numpy(), rtol=0, atol=1e-5)
    assert len(re.findall('<div class="row', dom)) == len(module.target.names)


@needs_browser
def test_a_drawing_is_read_as_it_is_shown(tmp_path: Path) -> None:
    """Where the drawing is on the paper, and how large, does not change what the network reads."""
    source = source_of(MODELS["cnn"]())
    page = page_of(source, tmp_path)
    small = [[[0.1 + x / 4, 0.5 + y / 4] for x, y in SEVEN[0]]]
    doms = [opened(page, f"strokes={quote(json.dumps(s))}", tmp_path / "profile") for s in (SEVEN, small)]
    first, second = map(results, doms)
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-3)  # the edges of a line are smoothed
    best = source.class_names[int(np.argmax(first[0]))]
    assert f"This looks like: {best}" in doms[0]


@pytest.mark.parametrize("name", MODELS)
def test_numpy_computes_the_models_outputs_from_the_page(name: str, tmp_path: Path) -> None:
    source = source_of(MODELS[name]())
    first, second, third, last = html.write(source, tmp_path / "page.html")
    assert first.startswith("note: real samples are not at hand")
    assert second == "compared with the model on 32 random samples, in numpy, with the layers and weights in the page"
    assert third.startswith("largest differences: probabilities ")
    assert last == "note: the JavaScript in the page was not run; the tests of lit-models run it in a browser"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 2  # that of the model and that of the program, none in a name
    assert not re.search(r"https?://|@import|src=", text)


def test_a_drawing_is_scaled_as_the_digits_of_the_data() -> None:
    data = MNISTDataModule(dataset="digits")
    style = html.drawing(make_source(LitCNN(), data), height=28, width=28)
    assert (style["rows"], style["columns"]) == (8, 8)  # scikit-learn's digits have 8 x 8 pixels, enlarged to 28 x 28
    assert style["box"] == 1.0  # they are as high as the image


def test_the_width_of_a_line_is_measured() -> None:
    image = np.zeros((28, 28))
    image[4:24, 10:13] = 1  # a line of 3 x 20 pixels
    box, line, off_mass, off_edges = html.measured(image)
    assert box == 20 / 28
    # Area 60; the outline of 46 pixels is measured along the axes, and a slanting one would be 4 / pi longer.
    assert line * 28 == pytest.approx(2 * 60 / (46 * np.pi / 4))
    assert off_mass == off_edges == pytest.approx(2.5)  # 11.5 instead of 14


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            LitCNN(num_channels=3, image_size=28),
            r"takes grey images \(1, height, width\), and LitCNN reads \(3, 28, 28\)",
        ),
        (LitRNN(vocab_size=20), "takes LitCNN and LitMLP, and the checkpoint has LitRNN"),
        (LitMLP(num_features=16, task="regression"), "takes models of classes, and LitMLP has targets for regression"),
    ],
    ids=["colour", "text", "numbers"],
)
def test_another_model_is_refused(module: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        html.write(source_of(module), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_a_page_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "_pooled", lambda x, size: x[:, :, : x.shape[2] // size, : x.shape[3] // size])
    with pytest.raises(UserError, match="the outputs of the file differ from the model's"):
        html.write(source_of(MODELS["cnn"]()), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
