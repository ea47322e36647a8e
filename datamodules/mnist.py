"""Small grey images of ten classes: MNIST, Fashion-MNIST, KMNIST, and the digits that come with scikit-learn.

Sources: LeCun, Cortes and Burges (MNIST); Xiao et al., arXiv:1708.07747 (Fashion-MNIST); Clanuwat et al.,
arXiv:1812.01718 (KMNIST); E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (digits).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.base import Batch, DataModule, TensorTable, split_validation
from datamodules.errors import MissingFileError, require_at_least
from datamodules.preprocessing import Preprocessing, of_images
from datamodules.seeds import seed_from
from datamodules.spec import DataSpec, Kind
from datamodules.storage.checksums import array_checksum, note, recorded_sha256
from datamodules.storage.idx import SHAPES, download_idx, is_published, read_idx
from datamodules.storage.image_files import NO_IMAGE, SIDE, read_images
from datamodules.storage.inputs import Skipped
from datamodules.storage.locations import resolve_data_dir

DIGITS = [str(i) for i in range(10)]
CLASSES: dict[str, list[str]] = {
    "mnist": DIGITS,
    "digits": DIGITS,
    "fashion_mnist": [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ],
    "kmnist": ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
}
FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}  # as torchvision names them


class ImageTable(TensorTable):
    """Images stored as bytes; a batch of them is float `(B, 1, 28, 28)` in 0 to 1.

    Args:
        inputs: uint8 `(N, 28, 28)`.
        target: int64 `(N,)`, -1 where unknown.
        augment: rotate, shift and scale each image a little, in a different way in each batch.
        seed: seed of the augmentation, together with the batch's indices.
    """

    def __init__(self, inputs: Tensor, target: Tensor | None = None, *, augment: bool = False, seed: int = 0) -> None:
        super().__init__(inputs, target)
        self.augment, self.seed = augment, seed

    def __getitem__(self, indices: Tensor, /) -> Batch:
        return self.share(indices, 0, 1)

    def share(self, indices: Tensor, rank: int, num_replicas: int) -> Batch:
        """The rows `rank`, `rank + num_replicas`, and so on, of the batch of the images `indices`. The augmentation of
        an image depends on the whole batch, and not on the number of processes."""
        pixels, target = super().__getitem__(indices[rank::num_replicas])
        images = pixels[:, None].to(torch.get_default_dtype()).div_(255)  # (B, 28, 28) -> (B, 1, 28, 28)
        if not self.augment or not len(images):
            return images, target
        return self._augmented(images, seed_from(self.seed, *indices.tolist()), rank, num_replicas), target

    def unchanged(self) -> "ImageTable":
        """The images without augmentation."""
        return ImageTable(self.inputs, self.target)

    def _augmented(self, images: Tensor, seed: int, rank: int, num_replicas: int) -> Tensor:
        from torchvision.transforms import v2

        change = v2.RandomAffine(degrees=10, translate=(0.1, 0.1), scale=(0.9, 1.1))
        changed: list[Tensor] = []
        with torch.random.fork_rng(devices=[]):  # the draws depend only on the seed
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would seed the GPU's too
            for image in images:
                before = rank if not changed else num_replicas - 1  # images of other processes, whose draws are skipped
                for _ in range(before):
                    change.make_params([image])
                changed.append(change(image))
        return torch.stack(changed)


class MNISTDataModule(DataModule):
    """Small grey images of ten classes: MNIST, Fashion-MNIST, KMNIST or scikit-learn's digits.

    Pixels are in 0 to 1. As in the Keras program, all training images are used for training; `num_val` takes some of
    them for validation. `digits` needs no download: 1,797 images of 8 x 8 pixels, enlarged to 28 x 28,
    of which 360 are the test split, always the same.

    Args:
        dataset: name of the dataset.
        data_dir: folder that contains `MNIST/raw/…` (or `FashionMNIST`, `KMNIST`). Missing files are downloaded to it.
            If not given, `LIT_MODELS_DATA` or the cache.
        num_val: number of training images that are used for validation instead, drawn by `seed`, 0 or more.
        augment: rotate (up to 10 degrees), shift (10 %) and scale (10 %) the training images.
        batch_size: images in a step, over all processes, at least 1.
        seed: seed of the order, the validation part and augmentation; the command line passes `--seed_everything`.
        num_workers: worker processes that prepare batches, 0 or more; with 0, the training process prepares them.
        inputs: image files to predict, folders or patterns of them, or "-" for their paths on standard input; from
            Python also PIL images and arrays. The test split if not given. The strokes should be light on a dark
            background; an image whose border is light is inverted.

    Raises:
        UserError: a number out of its range, or a damaged file.
        MissingFileError: files are missing and cannot be downloaded.
    """

    kind: ClassVar[Kind] = "images"

    def __init__(
        self,
        *,
        dataset: Literal["mnist", "fashion_mnist", "kmnist", "digits"] = "mnist",
        data_dir: str | None = None,
        num_val: int = 0,
        augment: bool = False,
        batch_size: int = 64,
        seed: int = 0,
        num_workers: int = 0,
        inputs: str | list[str] | None = None,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers, inputs=inputs)
        require_at_least(0, num_val=num_val)
        self.dataset, self.num_val, self.augment = dataset, num_val, augment
        self.data_dir = resolve_data_dir(data_dir)

    def spec(self) -> DataSpec:
        names = CLASSES[self.dataset]
        return DataSpec(num_features=784, num_channels=1, image_size=28, num_classes=10, class_names=names)

    @property
    def has_validation(self) -> bool:
        return self.num_val > 0

    def prepare_data(self) -> None:
        if self.dataset != "digits" and self.inputs is None and any(not f.is_file() for f in self._raw_files()):
            download_idx(FOLDERS[self.dataset], self._raw, remedy=self._what_to_do())

    def setup(self, stage: str) -> None:
        if self.inputs is not None and stage == "predict":
            if self.input_names is None:
                skipped = Skipped(strict=self.strict_inputs)
                self.input_names, pixels = read_images(self.inputs, skipped)
                skipped.report(found=len(pixels) > 0, nothing=NO_IMAGE)
                self.predict_table, self.num_skipped = ImageTable(pixels), skipped.count
            return
        if self.test_table is not None:
            return
        (images, labels), (test_images, test_labels) = self._digits() if self.dataset == "digits" else self._read()
        train, val = split_validation(len(images), num_val=self.num_val, seed=self.seed)
        self.train_table = ImageTable(images[train], labels[train], augment=self.augment, seed=self.seed)
        self.val_table = ImageTable(images[val], labels[val]) if len(val) else None
        self.test_table = self.predict_table = ImageTable(test_images, test_labels)

    def predict_names(self) -> Sequence[str]:
        return self.input_names if self.input_names is not None else super().predict_names()

    def preprocessing(self) -> Preprocessing:
        return of_images(height=SIDE, width=SIDE, channels=1, note="The strokes are light on a dark background.")

    def checksums(self) -> dict[str, str]:
        if self.dataset != "digits":
            return {f.name: recorded_sha256(f) for f in self._raw_files() if f.is_file()}
        (images, labels), (test_images, test_labels) = self._digits()
        return {"digits": array_checksum(images, labels, test_images, test_labels)}

    @property
    def _raw(self) -> Path:
        return self.data_dir / FOLDERS[self.dataset] / "raw"

    def _raw_files(self) -> list[Path]:
        return [self._raw / name for name in SHAPES]

    def _what_to_do(self) -> str:
        folder = f"{FOLDERS[self.dataset]}/raw"
        return f"put {', '.join(SHAPES)} into {self._raw}, or set LIT_MODELS_DATA to a folder that contains {folder}"

    def _read(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        name, files = FOLDERS[self.dataset], self._raw_files()
        if not all(
            file.is_file() for file in files
        ):  # with images to predict, nothing is downloaded for other commands
            raise MissingFileError(f"{name} is missing: {self._what_to_do()}")
        train, labels, test, test_labels = map(read_idx, files)
        if others := [file.name for file in files if not is_published(name, file)]:
            is_not = "is not" if len(others) == 1 else "are not"
            note(f"{self._raw}: {', '.join(others)} {is_not} the published {name}; results.json has the checksums")
        return (train, labels.long()), (test, test_labels.long())

    @staticmethod
    def _digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        from sklearn.datasets import load_digits

        raw = load_digits()
        small = torch.tensor(raw.images, dtype=torch.float32)[:, None] / 16  # (1797, 1, 8, 8) in 0 to 1
        large = F.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
        images, labels = (large[:, 0] * 255).round().to(torch.uint8), torch.tensor(raw.target, dtype=torch.int64)
        train, test = split_validation(len(images), num_val=360, seed=0)
        return (images[train], labels[train]), (images[test], labels[test])
