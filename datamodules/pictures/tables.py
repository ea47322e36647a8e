"""Tables of images of one size, and the random changes of training images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from datamodules.base import Batch
from datamodules.seeds import seed_from
from datamodules.storage.image_files import Form, read_pixels

Augmentation = Literal["flip", "crop", "zoom", "rotate", "jitter"]


class ImageFiles:
    """Images that are decoded when they are needed.

    Args:
        paths: the image files.
        form: size and channels of each image.
    """

    def __init__(self, paths: Sequence[Path], form: Form) -> None:
        self.paths, self.form = [str(path) for path in paths], form

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """uint8 `(B, C, H, W)`."""
        pixels = torch.empty(len(indices), self.form.channels, self.form.height, self.form.width, dtype=torch.uint8)
        for row, i in zip(pixels, indices.tolist(), strict=True):
            row.copy_(read_pixels(Path(self.paths[i]), self.form))
        return pixels


class PictureTable:
    """Images of one size; a batch of them is float `(B, C, H, W)` in 0 to 1.

    Args:
        pixels: uint8 `(N, C, H, W)`, or the files.
        target: int64 `(N,)`, -1 where unknown.
        augment: names of random changes.
        seed: seed of the changes. Those of an image depend on it, on the samples of the batch, and on the image.
    """

    def __init__(
        self, pixels: Tensor | ImageFiles, target: Tensor, *, augment: Sequence[Augmentation] = (), seed: int = 0
    ) -> None:
        self.pixels, self.target, self.augment, self.seed = pixels, target, list(augment), seed

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, indices: Tensor, /) -> Batch:
        return self.share(indices, 0, 1)

    def share(self, indices: Tensor, rank: int, num_replicas: int) -> Batch:
        """The rows `rank`, `rank + num_replicas`, and so on, of the batch of the images `indices`."""
        own = indices[rank::num_replicas]
        pixels = self.pixels[own]
        if self.augment and len(own):
            pixels = self._augmented(pixels, own, seed_from(self.seed, *indices.tolist()))
        return pixels.to(torch.get_default_dtype()).div_(255), self.target[own]

    def unchanged(self) -> "PictureTable":
        """The images without augmentation."""
        return PictureTable(self.pixels, self.target)

    def targets_of(self, indices: Tensor) -> Tensor:
        """The classes of some images, without their pixels."""
        return self.target[indices]

    def _augmented(self, pixels: Tensor, indices: Tensor, seed: int) -> Tensor:
        change = augmentation(self.augment, height=pixels.shape[2], width=pixels.shape[3])
        changed = []
        with torch.random.fork_rng(devices=[]):  # the draws depend only on the seed and the image
            for image, i in zip(pixels, indices.tolist(), strict=True):
                torch.default_generator.manual_seed(seed_from(seed, i))  # `torch.manual_seed` would seed the GPU's too
                changed.append(change(image))
        return torch.stack(changed)


def augmentation(names: Sequence[Augmentation], *, height: int, width: int) -> Any:
    """The random change of one image, uint8 `(C, H, W)`. `ImageFolderDataModule` describes the names."""
    from torchvision.transforms import InterpolationMode, v2

    bilinear = InterpolationMode.BILINEAR
    changes = {
        "flip": v2.RandomHorizontalFlip(),
        "crop": v2.RandomCrop((height, width), padding=[width // 8, height // 8], padding_mode="edge"),
        "zoom": v2.RandomResizedCrop((height, width), scale=(0.5, 1.0)),
        "rotate": v2.RandomRotation(10, interpolation=bilinear),
        "jitter": v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
    }
    return v2.Compose([changes[name] for name in names])
