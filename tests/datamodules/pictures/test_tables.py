"""Tables of images: whole batches in 0 to 1, from memory and from files, and random changes."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.pictures.tables import Augmentation, ImageFiles, PictureTable
from datamodules.storage.image_files import Form
from tests.datamodules.image_folders import noise, write

CLASSES = torch.arange(12) % 2


def pixels(channels: int = 3) -> Tensor:
    return torch.randint(256, (12, channels, 9, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_batch_is_in_0_to_1_with_its_targets() -> None:
    images, target = PictureTable(pixels(), CLASSES)[torch.tensor([3, 0])]
    assert torch.equal(images, pixels()[[3, 0]] / 255)
    assert target.tolist() == [1, 0]


def test_files_are_decoded_when_they_are_needed(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.png", noise(i, height=9, width=8)) for i in range(3)]
    files = ImageFiles(paths, Form(9, 8, 3))
    wanted = np.stack([np.asarray(noise(i, height=9, width=8)) for i in (2, 0)]).transpose(0, 3, 1, 2)
    assert np.array_equal(files[torch.tensor([2, 0])].numpy(), wanted)
    assert files[torch.tensor([], dtype=torch.int64)].shape == (0, 3, 9, 8)
    paths[1].unlink()
    assert len(files) == 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", get_args(Augmentation))
def test_each_change_draws_anew_for_each_batch_and_keeps_form_and_generator(name: Augmentation, channels: int) -> None:
    table = PictureTable(pixels(channels), CLASSES, augment=[name], seed=1)
    before = torch.default_generator.get_state()
    first, again, other = (table[torch.tensor(batch)][0] for batch in ([1, 2, 3, 4], [1, 2, 3, 4], [4, 3, 2, 1]))
    assert torch.equal(torch.default_generator.get_state(), before)
    assert first.shape == (4, channels, 9, 8)
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other.flip(0))
    assert not torch.equal(
        first, PictureTable(pixels(channels), CLASSES, augment=[name], seed=2)[torch.arange(1, 5)][0]
    )


def test_flip_turns_about_half_of_the_images() -> None:
    table = PictureTable(pixels()[:1].expand(400, -1, -1, -1), torch.zeros(400).long(), augment=["flip"])
    images, _ = table[torch.arange(400)]
    plain = pixels()[0] / 255
    flipped = sum(torch.equal(image, plain.flip(2)) for image in images)
    assert flipped + sum(torch.equal(image, plain) for image in images) == 400
    assert abs(flipped - 200) < 50  # 5 standard deviations of 10


def test_processes_share_a_batch_with_the_same_changes() -> None:
    table = PictureTable(pixels(), CLASSES, augment=["flip", "crop", "zoom", "rotate", "jitter"])
    batch = torch.tensor([7, 1, 5, 2, 9])
    whole, target = table[batch]
    for processes in (2, 3, 6):
        for rank in range(processes):
            images, own = table.share(batch, rank, processes)
            assert torch.equal(images, whole[rank::processes])
            assert torch.equal(own, target[rank::processes])
