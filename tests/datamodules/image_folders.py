"""Small image files for the tests."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def noise(seed: int, *, height: int = 6, width: int = 5, mode: str = "RGB") -> Image.Image:
    """An image whose pixels are all different, with the seed in the first one."""
    shape = (height, width) if mode == "L" else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)
    pixels[0, 0] = seed
    return Image.fromarray(pixels)


def write(path: Path, image: Image.Image, **settings: Any) -> Path:
    """Saves an image, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **settings)
    return path


def write_classes(root: Path, *, images: int, classes: tuple[str, ...] = ("cat", "dog"), **form: Any) -> Path:
    """`root/CLASS/0.png` and so on; image i of class c has the seed 100 c + i."""
    for number, name in enumerate(classes):
        for i in range(images):
            write(root / name / f"{i}.png", noise(100 * number + i, **form))
    return root
