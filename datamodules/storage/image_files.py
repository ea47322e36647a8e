"""Image files of the user's: found in folders, and read as small grey images, light on dark."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.limits import FACTOR, most_bytes
from datamodules.storage.lines import require_file

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
"""What an image may be, whatever its name says. Pillow reads others with the help of programs: EPS with Ghostscript."""
PIXEL_BYTES = 16  # memory of a pixel while an image is read: four copies of four bytes
IMAGE_SHARE = 8  # an image may take this fraction of the limit, however small its file: 512 MiB by default


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
        MissingFileError: no such file.
        UserError: the file is not an image of a format in `FORMATS`, is damaged, or takes too much memory.
    """
    require_file(path)
    with _limited(path):
        with Image.open(path, formats=FORMATS) as image:
            upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16 bits of grey, which `convert` would clip at 255
            upright = Image.fromarray(((np.asarray(upright).astype(np.int32) + 128) // 257).astype(np.uint8))
        upright = upright.convert("RGBA")
        ground = Image.new("RGBA", upright.size, "white")  # behind transparent parts, as a viewer shows them
        grey = Image.alpha_composite(ground, upright).convert("L")
        square = ImageOps.pad(grey, (28, 28), color=int(np.asarray(grey)[0, 0]))
    pixels = torch.from_numpy(np.array(square))
    border = torch.cat([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return 255 - pixels if border.float().mean() > 127 else pixels


@contextmanager
def _limited(path: Path) -> Iterator[None]:
    """Sets Pillow's own limit of pixels to what the file may take, and turns its errors into a UserError."""
    most = most_bytes()
    largest = min(max(path.stat().st_size * FACTOR, most // IMAGE_SHARE), most)
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, largest // PIXEL_BYTES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        much = f"reading it takes more than {largest / 2**20:.0f} MiB of memory"
        raise UserError(f"{path}: {much}; set LIT_MODELS_MAX_GB to a larger number if it is right") from error
    except Exception as error:  # a damaged image can fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read as an image: {reason}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = before
