"""Hyper-parameters as plain values: each has one form, which torch reads back as data alone, or is left out."""

import argparse
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import Namespace
from torch import nn

from lit_models.runs.plain_values import plain_settings


class Color(Enum):
    """Named colors."""

    RED = "r"


class Text(StrEnum):
    """Texts with names."""

    A = "a"


class Number(IntEnum):
    """Numbers with names."""

    ONE = 1


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (True, True),
        (None, None),
        (b"x", b"x"),
        (Path("a") / "b", "a/b"),
        (Color.RED, "RED"),
        (Text.A, "a"),
        (Number.ONE, 1),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.arange(3), [0, 1, 2]),
        ((1, [Path("a")]), (1, ["a"])),
        ({1, 2}, {1, 2}),
        (frozenset({"a"}), {"a"}),
        ({"a": {"b": Color.RED}}, {"a": {"b": "RED"}}),
        (Namespace(a=Path("b")), {"a": "b"}),  # type: ignore[no-untyped-call]
        (argparse.Namespace(a=1), {"a": 1}),
        (torch.float32, torch.float32),
        (torch.Size([2]), torch.Size([2])),
    ],
    ids=repr,
)
def test_a_setting_has_a_plain_form_that_torch_reads(value: Any, plain: Any, tmp_path: Path) -> None:
    settings = plain_settings({"name": value})
    assert settings == {"name": plain}
    assert type(settings["name"]) is type(plain)
    torch.save(settings, tmp_path / "settings.pt")
    assert torch.load(tmp_path / "settings.pt", weights_only=True) == settings


@pytest.mark.parametrize(
    "value",
    [nn.Linear(1, 1), lambda: None, object(), [print], {"a": Color}, 1j],
    ids=lambda value: type(value).__name__,
)
def test_a_setting_without_a_plain_form_is_left_out_as_a_whole(value: Any) -> None:
    assert plain_settings({"kept": 1, "left": value}) == {"kept": 1}
