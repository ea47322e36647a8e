"""The hash of the weights: equal for equal weights, and for no others."""

import pytest
import torch
from torch import nn

from lit_models.runs.results import weights_sha256


def test_equal_weights_have_equal_hashes_whatever_their_layout_in_memory() -> None:
    weight = torch.randn(3, 4, 5, 6)
    other = weight.clone().contiguous(memory_format=torch.channels_last)
    assert weights_sha256({"w": weight}) == weights_sha256({"w": other})


@pytest.mark.parametrize(
    "other",
    [
        {"v": torch.zeros(2, 3)},  # another name
        {"w": torch.zeros(3, 2)},  # another shape
        {"w": torch.zeros(2, 3, dtype=torch.int32)},  # another dtype of as many bytes
        {"w": torch.tensor([[0.0, 0, 0], [0, 0, -0.0]])},  # one bit
        {"w": torch.zeros(2, 3), "b": torch.zeros(0)},  # one more
    ],
)
def test_other_weights_have_another_hash(other: dict[str, torch.Tensor]) -> None:
    assert weights_sha256({"w": torch.zeros(2, 3)}) != weights_sha256(other)


def test_every_kind_of_weight_has_a_hash() -> None:
    layers = nn.ModuleList([nn.BatchNorm2d(2), nn.Linear(2, 2).bfloat16(), nn.LazyLinear(3)])
    assert len(weights_sha256(layers.state_dict())) == 64
