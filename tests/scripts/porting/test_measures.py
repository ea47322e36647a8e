"""The averages of test metrics, by arithmetic."""

import numpy as np
import torch
from torch import Tensor, nn

from scripts.porting.measures import averages
from scripts.porting.training import accuracy


class TwoPixels(nn.Module):
    """The first two pixels of an image are its logits."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :2]


def test_each_way_to_average_counts_its_own_samples() -> None:
    """64 samples of the first class with logits (1, 0) are correct. One more, of the second class, is wrong."""
    images = torch.zeros(65, 28, 28, dtype=torch.uint8)
    images[:, 0, 0] = 255
    target = torch.tensor([0] * 64 + [1])
    numbers = averages(TwoPixels(), (images, target))
    assert accuracy(TwoPixels(), (images, target)) == numbers["samples"]["acc"] == 64 / 65
    assert numbers["mean_of_batches"]["acc"] == 0.5  # (1 + 0) / 2
    assert numbers["last_dropped"]["acc"] == 1.0
    low, high = np.log(1 + np.exp(-1)), np.log(1 + np.e)
    losses = [numbers[way]["loss"] for way in ("samples", "mean_of_batches", "last_dropped")]
    np.testing.assert_allclose(losses, [(64 * low + high) / 65, (low + high) / 2, low], atol=1e-6)  # float32 logits
