"""Models whose JSON was changed at random are read or refused in one line; no other error comes out."""

import json
import os
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.importing import import_any
from tests.keras.graphs import MODELS
from tests.keras.stacks import keras_tests

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials"), pytest.mark.fuzz]

EXAMPLES = int(os.environ.get("LIT_MODELS_FUZZ", "200")) // len(MODELS)
VALUES: list[Any] = [
    None,
    0,
    -1,
    1,
    10**9,
    10**30,
    1.5,
    1e308,
    "x",
    "",
    "softmax",
    [],
    [0],
    [[1]],
    ["a", "b"],
    {},
    True,
    False,
]
VALUES.append({"class_name": "__keras_tensor__"})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all parts of JSON."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def changed(content: Any, draw: random.Random) -> None:
    """Deletes or replaces one part."""
    *path, last = draw.choice(list(places(content)))
    for key in path:
        content = content[key]
    if isinstance(content, dict) and draw.random() < 0.2:
        del content[last]
    else:
        content[last] = draw.choice(VALUES)


@pytest.mark.parametrize("name", MODELS)
def test_a_changed_architecture_is_read_or_refused(name: str, tmp_path: Path) -> None:
    import keras

    MODELS[name](keras).model.save(whole := tmp_path / "whole.keras")
    with zipfile.ZipFile(whole) as archive:
        config, weights = archive.read("config.json"), archive.read("model.weights.h5")
    draw, messages = random.Random(name), []
    for _ in range(EXAMPLES):
        content = json.loads(config)
        changed(content, draw)
        with zipfile.ZipFile(path := tmp_path / "changed.keras", "w") as archive:
            archive.writestr("config.json", json.dumps(content))
            archive.writestr("model.weights.h5", weights)
        try:
            import_any(path)
        except KerasFileError as error:
            messages.append(str(error))
    assert 0 < len(messages) < EXAMPLES
    assert all(message.startswith(str(path)) for message in messages)
