"""Converts hyper-parameters to plain values, so that a checkpoint can be read as data."""

import argparse
from collections.abc import Mapping, Set
from enum import Enum
from pathlib import PurePath
from typing import Any

import jsonargparse
import numpy as np
import torch
from torch import Tensor

KEPT = (torch.dtype, torch.device, torch.Size)


class NotPlainError(TypeError):
    """A value that has no plain form, such as a module or a function."""


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as plain values. A path becomes a string. A member of an Enum becomes its name, or its value if the Enum
    is also a number or a string. Settings without a plain form are left out; the config of the run has their
    classes."""
    kept = {}
    for name, value in settings.items():
        try:
            kept[str(name)] = plain_value(value)
        except NotPlainError:
            continue
    return kept


def plain_value(value: Any) -> Any:
    """Converts a setting to a plain value.

    Raises:
        NotPlainError: it has no plain form.
    """
    if isinstance(value, Enum):
        return plain_value(value.value) if isinstance(value, int | float | str) else value.name
    if isinstance(value, np.generic | np.ndarray):
        return plain_value(value.tolist())
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is None or isinstance(value, KEPT) or type(value) in (bytes, Tensor):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, jsonargparse.Namespace | argparse.Namespace):
        value = vars(value)
    if isinstance(value, Mapping):
        return {plain_value(key): plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple | Set):
        values = [plain_value(each) for each in value]
        return values if isinstance(value, list) else tuple(values) if isinstance(value, tuple) else set(values)
    raise NotPlainError(type(value).__name__)
