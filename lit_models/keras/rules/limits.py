"""Keras' regularizers and constraints, on a weight in Keras' layout.

Source: `keras/src/regularizers/regularizers.py` and `keras/src/constraints/constraints.py` in Keras 3.15.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-7
"""Keras' `epsilon()`, which it adds to a norm before it divides."""
UNIT_EPSILON = 1e-12
"""What `keras.ops.normalize` takes at least for a squared norm."""
Axes = int | list[int] | None


def l1(x: Tensor, *, l1: float = 0.01) -> Tensor:
    return l1 * x.abs().sum()


def l2(x: Tensor, *, l2: float = 0.01) -> Tensor:
    return l2 * x.square().sum()


def l1_l2(x: Tensor, *, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    return l1 * x.abs().sum() + l2 * x.square().sum()


def orthogonal(x: Tensor, *, factor: float = 0.01, mode: str = "rows") -> Tensor:
    """The mean of the absolute cosines of all pairs of rows or columns of a matrix."""
    rows = x if mode == "rows" else x.T
    rows = rows * rows.square().sum(1, keepdim=True).clamp(min=UNIT_EPSILON).rsqrt()
    cosines = rows @ rows.T
    pairs = len(rows) * (len(rows) - 1) / 2
    return factor * 0.5 * (cosines - torch.diag(cosines.diag())).abs().sum() / pairs


def non_neg(x: Tensor) -> Tensor:
    return x.clamp(min=0)


def max_norm(x: Tensor, *, max_value: float = 2, axis: Axes = 0) -> Tensor:
    norms = lengths(x, axis)
    return x * (norms.clamp(max=max_value) / (EPSILON + norms))


def unit_norm(x: Tensor, *, axis: Axes = 0) -> Tensor:
    return x / (EPSILON + lengths(x, axis))


def min_max_norm(
    x: Tensor, *, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axes = 0
) -> Tensor:
    norms = lengths(x, axis)
    wanted = rate * norms.clamp(min_value, max_value) + (1 - rate) * norms
    return x * (wanted / (EPSILON + norms))


def lengths(x: Tensor, axis: Axes) -> Tensor:
    """The norms along some axes."""
    axes = list(range(x.dim())) if axis is None else axis
    return x.square().sum(axes, keepdim=True).sqrt()


Limit = Callable[..., Tensor]
REGULARIZERS: dict[str, Limit] = {"L1": l1, "L2": l2, "L1L2": l1_l2, "OrthogonalRegularizer": orthogonal}
CONSTRAINTS: dict[str, Limit] = {
    "NonNeg": non_neg,
    "MaxNorm": max_norm,
    "UnitNorm": unit_norm,
    "MinMaxNorm": min_max_norm,
}
SHORT_NAMES = {
    "l1": "L1",
    "l2": "L2",
    "l1_l2": "L1L2",
    "orthogonal_regularizer": "OrthogonalRegularizer",
    "non_neg": "NonNeg",
    "max_norm": "MaxNorm",
    "unit_norm": "UnitNorm",
    "min_max_norm": "MinMaxNorm",
}
"""Keras' other names of them, in a file that has a name alone."""


def applied(kinds: Mapping[str, Limit], given: Mapping[str, Any], x: Tensor) -> Tensor:
    """A penalty, or a weight inside its limits.

    Args:
        kinds: `REGULARIZERS` or `CONSTRAINTS`.
        given: `kind`, a name in `kinds`, and its settings.
        x: a weight in Keras' layout.
    """
    return kinds[given["kind"]](x, **{name: value for name, value in given.items() if name != "kind"})


def takes(kinds: Mapping[str, Limit], given: Mapping[str, Any]) -> bool:
    """Whether a regularizer or constraint exists here with these settings."""
    if given.get("kind") not in kinds:
        return False
    taken = signature(kinds[given["kind"]]).parameters
    return all(
        name == "kind" or (name in taken and (name in ("mode", "axis") or isinstance(value, int | float)))
        for name, value in given.items()
    )
