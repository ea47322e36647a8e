"""Layers that change images, in training: beside Keras where the range of the random numbers is one number."""

from typing import Any

import numpy as np
import pytest
import torch

from lit_models.keras.layers import LAYERS, build_layer
from lit_models.keras.layers.augmentation import FILL_MODES
from lit_models.keras.layers.refused import REFUSED
from tests.keras.stacks import keras_tests

pytestmark = keras_tests

MOVES: list[tuple[str, dict[str, Any]]] = [
    ("RandomRotation", {"factor": [0.11, 0.11]}),
    ("RandomZoom", {"height_factor": [0.3, 0.3]}),
    ("RandomZoom", {"height_factor": [-0.4, -0.4], "width_factor": [0.2, 0.2]}),
    ("RandomTranslation", {"height_factor": [0.17, 0.17], "width_factor": [-0.31, -0.31]}),
]
FILLED = [(kind, {**given, "fill_mode": mode}) for kind, given in MOVES for mode in FILL_MODES if mode != "wrap"]
ALL = [
    *FILLED,
    ("RandomTranslation", {"height_factor": [0.25, 0.25], "width_factor": [0.5, 0.5], "fill_mode": "wrap"}),
    ("RandomRotation", {"factor": [0.11, 0.11], "interpolation": "nearest", "fill_value": 3.0}),
    ("RandomContrast", {"factor": [0.0, 0.0]}),
    ("RandomBrightness", {"factor": [0.3, 0.3]}),
    ("RandomBrightness", {"factor": [-0.3, -0.3], "value_range": [0.0, 200.0]}),
]


@pytest.mark.parametrize(("kind", "settings"), ALL)
def test_images_are_changed_as_by_keras(kind: str, settings: dict[str, Any]) -> None:
    import keras

    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 12, 3)).astype("float32")
    theirs = np.asarray(getattr(keras.layers, kind)(**settings)(images, training=True))
    ours = build_layer({"kind": kind, "settings": settings}, (8, 12, 3)).train()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(ours, theirs, atol=0.02)  # of 255; places are computed in float32


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
def test_half_of_the_images_are_mirrored(mode: str) -> None:
    images = torch.rand(2000, 2, 3, 1)
    dims = [dim for dim, name in ((2, "horizontal"), (1, "vertical")) if name in mode]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        changed = build_layer({"kind": "RandomFlip", "settings": {"mode": mode}}, (2, 3, 1)).train()(images)
    mirrored = (changed == images.flip(dims)).flatten(1).all(1)
    kept = (changed == images).flatten(1).all(1)
    assert bool((mirrored ^ kept).all())
    assert 0.45 < mirrored.float().mean() < 0.55  # 4 standard deviations


def test_each_image_is_changed_by_a_number_of_its_own() -> None:
    import keras

    images = np.full((4000, 2, 2, 1), 100.0, "float32")
    images[:, 0] = 120
    for kind in ("RandomBrightness", "RandomContrast"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layer = build_layer({"kind": kind, "settings": {"factor": 0.3}}, (2, 2, 1)).train()
            ours = layer(torch.from_numpy(images)).numpy()[:, 0, 0, 0]
        theirs = np.asarray(getattr(keras.layers, kind)(0.3, seed=1)(images, training=True))[:, 0, 0, 0]
        assert ours.mean() == pytest.approx(theirs.mean(), abs=0.06 * 76)  # 4 standard errors of the widest range
        assert ours.std() == pytest.approx(theirs.std(), rel=0.05)
        assert [ours.min(), ours.max()] == pytest.approx([theirs.min(), theirs.max()], abs=0.3)


def test_a_crop_larger_than_the_image_is_refused() -> None:
    from datamodules.errors import UserError
    from lit_models.keras.network import KerasNetwork

    crop = {"name": "crop", "kind": "CenterCrop", "settings": {"height": 9, "width": 4}, "reads": ["x"]}
    graph = [{"name": "x", "kind": "InputLayer", "settings": {"shape": [8, 8, 1]}}, crop]
    with pytest.raises(UserError, match="layer 'crop' cannot read its inputs"):
        KerasNetwork(graph, outputs="crop")


def test_every_public_layer_is_here_or_has_a_reason() -> None:
    import inspect

    import keras

    public: dict[type, set[str]] = {}  # some classes have several names
    for name, kind in vars(keras.layers).items():
        if inspect.isclass(kind):
            public.setdefault(kind, set()).add(name)
    missing = [names for names in public.values() if not names & {"InputLayer", *LAYERS}]
    assert set().union(*missing) == set(REFUSED)
