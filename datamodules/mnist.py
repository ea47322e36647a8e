"""Small grey images of ten classes: MNIST, Fashion-MNIST, KMNIST, and the digits that scikit-learn carries.

Sources: LeCun, Cortes and Burges (MNIST); Xiao et al., arXiv:1708.07747 (Fashion-MNIST); Clanuwat et al.,
arXiv:1812.01718 (KMNIST); E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (digits).
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.base import Batch, DataModule, TensorTable, array_checksum, seed_from, split_validation
from datamodules.sources import default_data_dir, sha256

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
FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}  # torchvision's class, and its folder
RAW_BYTES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}


class ImageTable(TensorTable):
    """Images held as bytes; a batch of them is float in 0 to 1, `(B, 1, 28, 28)`.

    Args:
        inputs: uint8 `(N, 28, 28)`.
        target: int64 `(N,)`.
        augment: turn, shift and scale each image a little, anew each time that it is asked for.
        seed: of the augmentation, with the batch's indices.
    """

    def __init__(self, inputs: Tensor, target: Tensor | None = None, *, augment: bool = False, seed: int = 0) -> None:
        super().__init__(inputs, target)
        self.augment, self.seed = augment, seed

    def __getitem__(self, indices: Tensor, /) -> Batch:
        pixels, target = super().__getitem__(indices)
        images = pixels[:, None].to(torch.get_default_dtype()).div_(255)  # (B, 28, 28) -> (B, 1, 28, 28)
        return self._augmented(images, indices) if self.augment and len(images) else images, target

    def _augmented(self, images: Tensor, indices: Tensor) -> Tensor:
        from torchvision.transforms import v2

        change = v2.RandomAffine(degrees=10, translate=(0.1, 0.1), scale=(0.9, 1.1))
        with torch.random.fork_rng(devices=[]):  # the draws depend on the batch alone, and disturb no other generator
            seed = seed_from(self.seed, *indices.tolist())
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would seed the GPU's too, for good
            return torch.stack([change(image) for image in images])


class MNISTDataModule(DataModule):
    """Small grey images of ten classes: MNIST, Fashion-MNIST, KMNIST or scikit-learn's digits.

    Pixels are in 0 to 1. As in the Keras program, all training images train and there is no validation part, unless
    `num_val` asks for one. `digits` needs no download: 1,797 images of 8 x 8 pixels, scaled up to 28 x 28, of which 360
    are the test split, always the same.

    Args:
        dataset: which images.
        data_dir: folder that holds `MNIST/raw/…` (or `FashionMNIST`, `KMNIST`); `LIT_MODELS_DATA` or the cache when
            not given. What is missing is downloaded there.
        num_val: images of the training part that are set aside for validation, drawn by `seed`.
        augment: turn (up to 10 degrees), shift (10 %) and scale (10 %) the training images.
        batch_size: images in a step, over all processes, at least 1.
        seed: of the order, the validation part and augmentation; the command line passes `--seed_everything`.
        num_workers: processes that prepare batches beside the training process.
        inputs: image files or folders of them to predict; the test split when not given. Light strokes on a dark
            ground are expected; a dark-on-light picture is inverted.

    Raises:
        ValueError: a number out of its range, or a damaged file.
        FileNotFoundError: files that are missing and cannot be downloaded.
    """

    kind: ClassVar[str] = "images"

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
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers)
        if num_val < 0:
            raise ValueError(f"num_val must be 0 or more images, got {num_val}")
        self.dataset, self.num_val, self.augment = dataset, num_val, augment
        self.data_dir = Path(data_dir).expanduser() if data_dir else default_data_dir()
        self.inputs = [inputs] if isinstance(inputs, str) else inputs
        self._names: list[str] | None = None

    def model_args(self) -> dict[str, Any]:
        names = CLASSES[self.dataset]
        return {"num_features": 784, "num_channels": 1, "image_size": 28, "num_classes": 10, "class_names": names}

    @property
    def has_validation(self) -> bool:
        return self.num_val > 0

    def prepare_data(self) -> None:
        if self.dataset != "digits" and not self._predicts_files() and any(not f.is_file() for f in self._raw_files()):
            self._download()

    def setup(self, stage: str) -> None:
        if self._predicts_files() and stage == "predict":
            paths = image_files(self.inputs or [])
            self._names = [str(p) for p in paths]
            self.predict_table = ImageTable(torch.stack([read_image(p) for p in paths]))
            return
        if self.test_table is not None:
            return
        (images, labels), (test_images, test_labels) = self._digits() if self.dataset == "digits" else self._read()
        train, val = split_validation(len(images), num_val=self.num_val, seed=self.seed)
        self.train_table = ImageTable(images[train], labels[train], augment=self.augment, seed=self.seed)
        self.val_table = ImageTable(images[val], labels[val]) if len(val) else None
        self.test_table = self.predict_table = ImageTable(test_images, test_labels)

    def predict_names(self) -> list[str]:
        return self._names if self._names is not None else list(super().predict_names())

    def checksums(self) -> dict[str, str]:
        if self.dataset != "digits":
            return {f.name: sha256(f) for f in self._raw_files() if f.is_file()}
        (images, labels), (test_images, test_labels) = self._digits()
        return {"digits": array_checksum(images, labels, test_images, test_labels)}

    def _predicts_files(self) -> bool:
        return self.inputs is not None

    def _raw_files(self) -> list[Path]:
        return [self.data_dir / FOLDERS[self.dataset] / "raw" / name for name in RAW_BYTES]

    def _download(self) -> None:
        import torchvision.datasets

        try:
            getattr(torchvision.datasets, FOLDERS[self.dataset])(str(self.data_dir), download=True)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"cannot download {FOLDERS[self.dataset]} (no network?): {self._what_to_do()}"
            ) from error

    def _what_to_do(self) -> str:
        place = f"{FOLDERS[self.dataset]}/raw"
        files = ", ".join(RAW_BYTES)
        return f"put {files} into {self.data_dir / place}, or set LIT_MODELS_DATA to a folder that has {place}"

    def _read(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        import torchvision.datasets

        for file in self._raw_files():
            if not file.is_file():  # with files to predict, nothing is downloaded for other commands
                raise FileNotFoundError(f"{FOLDERS[self.dataset]} is not there: {self._what_to_do()}")
            expected = RAW_BYTES[file.name]
            if (size := file.stat().st_size) != expected:
                raise ValueError(
                    f"{file} is damaged: {size:,} bytes, expected {expected:,}; delete it to download it again"
                )
        made = getattr(torchvision.datasets, FOLDERS[self.dataset])
        parts = [made(str(self.data_dir), train=train) for train in (True, False)]
        for part in parts:
            if not 0 <= int(part.targets.min()) <= int(part.targets.max()) < 10:
                raise ValueError(f"{self._raw_files()[0].parent}: a label is not 0 to 9; the label files are damaged")
        return (parts[0].data, parts[0].targets), (parts[1].data, parts[1].targets)

    @staticmethod
    def _digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        from sklearn.datasets import load_digits

        raw = load_digits()
        small = torch.tensor(raw.images, dtype=torch.float32)[:, None] / 16  # (1797, 1, 8, 8) in 0 to 1
        large = F.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
        images, labels = (large[:, 0] * 255).round().to(torch.uint8), torch.tensor(raw.target, dtype=torch.int64)
        train, test = split_validation(len(images), num_val=360, seed=0)
        return (images[train], labels[train]), (images[test], labels[test])


def image_files(inputs: list[str]) -> list[Path]:
    """The image files that `inputs` name, folders opened and sorted.

    Raises:
        FileNotFoundError: a path that does not exist.
        ValueError: a folder without images, or nothing named.
    """
    found: list[Path] = []
    for name in inputs:
        path = Path(name).expanduser()
        if not path.exists():
            raise FileNotFoundError(f"no image or folder {name}")
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"no image in {name} (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
        found += inside
    if not found:
        raise ValueError("inputs name no image")
    return found


def read_image(path: Path) -> Tensor:
    """An image file as uint8 `(28, 28)`, grey, light on dark: an image whose border is light is inverted.

    Raises:
        ValueError: the file is no image that can be read.
    """
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits of grey, which `convert` would clip at 255
            upright = Image.fromarray((np.asarray(upright) / 257).round().astype(np.uint8))
        upright = upright.convert("RGBA")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no image that can be read: {error}") from error
    ground = Image.new("RGBA", upright.size, "white")  # under transparent parts, as a viewer shows them
    grey = Image.alpha_composite(ground, upright).convert("L")
    square = ImageOps.pad(grey, (28, 28), color=int(np.asarray(grey)[0, 0]))
    pixels = torch.from_numpy(np.array(square))
    border = torch.cat([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return 255 - pixels if border.float().mean() > 127 else pixels
