"""Keras' regularizers and constraints beside the live ones, in float32: some of Keras' do not take float64."""

from typing import Any

import numpy as np
import pytest
import torch

from lit_models.keras.files.limits import plain_limit
from lit_models.keras.rules.limits import CONSTRAINTS, REGULARIZERS, applied, takes
from tests.keras.stacks import keras_tests

pytestmark = keras_tests

PENALTIES: list[tuple[str, dict[str, Any]]] = [
    ("L1", {}),
    ("L1", {"l1": 0.25}),
    ("L2", {}),
    ("L2", {"l2": 0.25}),
    ("L1L2", {"l1": 0.25, "l2": 0.5}),
    ("L1L2", {}),
    ("OrthogonalRegularizer", {"factor": 0.25}),
    ("OrthogonalRegularizer", {"mode": "columns"}),
]
LIMITS: list[tuple[str, dict[str, Any]]] = [
    ("NonNeg", {}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": 1}),
    ("MaxNorm", {"max_value": 0.5, "axis": [0, 1]}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0, "rate": 0.25, "axis": 1}),
]


def weight() -> Any:
    """Rows and columns of small and large norms, and one row of zeros."""
    values = np.random.default_rng(0).standard_normal((6, 4)) * np.logspace(-1, 1, 4)
    values[2] = 0
    return values.astype("float32")


@pytest.mark.parametrize(("kind", "settings"), PENALTIES)
def test_penalties_are_those_of_keras(kind: str, settings: dict[str, Any]) -> None:
    import keras

    live = getattr(keras.regularizers, kind)(**settings)
    given = plain_limit(keras.regularizers.serialize(live))
    assert given is not None
    assert takes(REGULARIZERS, given)
    ours = applied(REGULARIZERS, given, torch.from_numpy(weight())).item()
    assert ours == pytest.approx(float(live(keras.ops.convert_to_tensor(weight()))), rel=1e-6)  # float32


@pytest.mark.parametrize(("kind", "settings"), LIMITS)
def test_constraints_are_those_of_keras(kind: str, settings: dict[str, Any]) -> None:
    import keras

    live = getattr(keras.constraints, kind)(**settings)
    given = plain_limit(keras.constraints.serialize(live))
    assert given is not None
    assert takes(CONSTRAINTS, given)
    theirs = keras.ops.convert_to_numpy(live(weight()))
    assert not np.array_equal(theirs, weight())
    ours = applied(CONSTRAINTS, given, torch.from_numpy(weight())).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)  # float32


@pytest.mark.parametrize(
    "value",
    [
        {"class_name": "L2", "registered_name": "mine>L2", "config": {"l2": 0.1}},
        {"class_name": "L2", "module": "mine", "config": {"l2": 0.1}},
        {"class_name": "L2", "config": {"l2": {"class_name": "Lambda"}}},
        {"class_name": "L2", "config": {"power": 3}},
        {"class_name": "L3", "config": {}},
        "my_penalty",
        ["l2"],
    ],
)
def test_anything_else_is_not_taken(value: Any) -> None:
    given = plain_limit(value)
    assert given is None or not takes(REGULARIZERS, given)


@pytest.mark.parametrize("name", ["l1", "l2", "orthogonal_regularizer"])
def test_a_name_alone_means_keras_defaults(name: str) -> None:
    import keras

    given = plain_limit(name)
    assert given is not None
    theirs = float(keras.regularizers.get(name)(keras.ops.convert_to_tensor(weight())))
    assert applied(REGULARIZERS, given, torch.from_numpy(weight())).item() == pytest.approx(theirs, rel=1e-6)
