"""Image files of the user's: found in folders, and read as small grey images, light on dark."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from datamodules.errors import MissingFileError, UserError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}


def image_files(inputs: list[str]) -> list[Path]:
    """The image files that `inputs` name; a folder stands for all images in it, sorted by path.

    Raises:
        MissingFileError: a path that does not exist.
        UserError: a folder without images, or no input at all.
    """
    files: list[Path] = []
    for name in inputs:
        path = Path(name).expanduser()
        if not path.exists():
            raise MissingFileError(f"no image or folder {name}")
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"no image in {name}: expected files {', '.join(sorted(IMAGE_SUFFIXES))}")
        files += inside
    if not files:
        raise UserError("inputs contain no image: give image files or folders")
    return files


def read_image(path: Path) -> Tensor:
    """An image file as uint8 `(28, 28)`, grey, light on dark: an image whose border is light is inverted.

    Raises:
        UserError: the file cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits of grey, which `convert` would clip at 255
            upright = Image.fromarray((np.asarray(upright) / 257).round().astype(np.uint8))
        upright = upright.convert("RGBA")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image: {error}") from error
    ground = Image.new("RGBA", upright.size, "white")  # behind transparent parts, as a viewer shows them
    grey = Image.alpha_composite(ground, upright).convert("L")
    square = ImageOps.pad(grey, (28, 28), color=int(np.asarray(grey)[0, 0]))
    pixels = torch.from_numpy(np.array(square))
    border = torch.cat([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return 255 - pixels if border.float().mean() > 127 else pixels
