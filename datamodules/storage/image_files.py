"""Reads the user's image files: as small grey images, light on dark, or in any size, grey or in colour."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from datamodules.errors import UserError
from datamodules.storage.inputs import IMAGES, STANDARD_INPUT, Reads, Skipped, input_lines, items, kept
from datamodules.storage.limits import FACTOR, most_bytes
from datamodules.storage.lines import require_file
from datamodules.storage.progress import progress
from datamodules.storage.spool import TextSpool, spooled

SIDE = 28  # pixels
SMALLEST = SIDE // 4
"""Pixels of the longer side of an image that is still read. The digits of scikit-learn have 8."""
LEAST_SIDE = 4
"""Pixels of the shorter side of any other image that is predicted, unless the model reads smaller ones."""
READS = Reads("image", IMAGES)
NO_IMAGE = "inputs contain no image: give image files or folders"
"""The message if there is nothing to predict."""
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""Formats that are read, whatever the file's suffix. For other formats, Pillow may start a program: Ghostscript for
EPS."""
PIXEL_BYTES = 16  # bytes of memory per pixel while an image is read: four copies of four bytes
IMAGE_SHARE = 8  # an image may take 1/8 of the memory limit: 512 MiB by default
GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"}
ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 mean that the image lies on its side

Resize = Literal["stretch", "crop", "pad"]
"""How an image gets another aspect ratio: "stretch" changes it, "crop" cuts off the longer side's ends, "pad" adds
borders of the corner's colour."""


class Form(NamedTuple):
    """The form that all images of a dataset get.

    Args:
        height: pixels.
        width: pixels.
        channels: 1 for grey, 3 for red, green and blue.
        resize: how another aspect ratio is changed.
    """

    height: int
    width: int
    channels: int
    resize: Resize = "stretch"


class Header(NamedTuple):
    """What an image file says of itself: height and width when it stands upright, in pixels, and its channels."""

    height: int
    width: int
    channels: int


def read_images(inputs: Sequence[Any], skipped: Skipped, form: Form | None = None) -> tuple[TextSpool, Tensor]:
    """The images in `inputs`: their names, and their pixels in a temporary file: uint8 `(N, C, H, W)` of a form, or
    `(N, 28, 28)` as `read_image` reads them.

    Args:
        inputs: image files, folders or patterns of them, "-" for their paths on standard input, PIL images, or arrays
            (see `as_image`). Of a folder, all images are read, sorted by path.
        skipped: collects the inputs that cannot be read.
        form: size and channels of the images; if None, `read_image` reads them.
    """
    names = TextSpool()
    read = read_image if form is None else partial(read_input, form=form)
    shape = (SIDE, SIDE) if form is None else (form.channels, form.height, form.width)

    def pixels() -> Iterator[Any]:
        found = progress(_sources(inputs, skipped), doing="reading", unit="images")
        for i, (source, image) in enumerate(kept(found, read, skipped)):
            names.append(os.fsencode(source).decode(errors="replace") if isinstance(source, Path) else f"image[{i}]")
            yield image.numpy()

    return names, torch.from_numpy(spooled(pixels(), np.uint8, shape))


def _sources(inputs: Sequence[Any], skipped: Skipped) -> Iterator[Any]:
    for item in items(inputs, READS, skipped):
        if isinstance(item, str) and item == STANDARD_INPUT:
            yield from items((line for _, line in input_lines(skipped)), READS, skipped)
        else:
            yield item


def read_image(source: Any) -> Tensor:
    """An image as uint8 `(28, 28)`, grey, light on dark: an image whose border is light is inverted.

    Args:
        source: the path of a file, a PIL image, or an array (see `as_image`).

    Raises:
        MissingFileError: no such file.
        UserError: the file is not an image of a format in `FORMATS`, is damaged, takes too much memory, or is much
            smaller than 28 x 28 pixels.
    """
    if not isinstance(source, Path):
        return grey_pixels(as_image(source), "an image")
    require_file(source)
    with _limited(source):
        with Image.open(source, formats=FORMATS) as image:
            upright = ImageOps.exif_transpose(image)
        return grey_pixels(upright, str(source))


def grey_pixels(image: Image.Image, name: str) -> Tensor:
    """The pixels of an image, see `read_image`.

    Raises:
        UserError: the image is much smaller than 28 x 28 pixels; the message begins with `name`.
    """
    width, height = image.size
    if max(width, height) < SMALLEST or min(width, height) * SIDE < max(width, height):
        size = f"{height} x {width} pixels (height x width)"
        raise UserError(f"{name} has {size}, too few for a model that reads {SIDE} x {SIDE}")
    grey = _on_white(image, "L", name)
    square = ImageOps.pad(grey, (SIDE, SIDE), color=int(np.asarray(grey)[0, 0]))
    pixels = torch.from_numpy(np.array(square))
    border = torch.cat([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return 255 - pixels if border.float().mean() > 127 else pixels


def read_header(path: Path) -> Header:
    """Size and channels of an image file. Its pixels are not read.

    Raises:
        MissingFileError: no such file.
        UserError: the file is not an image of a format in `FORMATS`, or takes too much memory.
    """
    require_file(path)
    with _limited(path), Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        if image.getexif().get(ORIENTATION, 1) >= 5:
            width, height = height, width
        return Header(height, width, 1 if _is_grey(image) else 3)


def read_pixels(source: Any, form: Form) -> Tensor:
    """The first frame of an image, upright, on white where it is transparent, as uint8 `(C, H, W)`.

    Args:
        source: the path of a file, a PIL image, or an array (see `as_image`).
        form: the size and the channels of the result.

    Raises:
        MissingFileError: no such file.
        UserError: the file is not an image of a format in `FORMATS`, is damaged, or takes too much memory.
    """
    if not isinstance(source, Path):
        return _in_form(as_image(source), form, "an image")
    require_file(source)
    with _limited(source), Image.open(source, formats=FORMATS) as file:
        longest = 2 * max(form.width, form.height)
        file.draft(file.mode, (longest, longest))  # a large JPEG is unpacked at a half or less
        return _in_form(ImageOps.exif_transpose(file), form, str(source))


def read_input(source: Any, form: Form) -> Tensor:
    """An image to predict, see `read_pixels`.

    Raises:
        UserError: as `read_pixels`, or a side of the image has less than four pixels, and the model reads larger ones.
    """
    if isinstance(source, Path):
        height, width, _ = read_header(source)
    else:
        width, height = as_image(source).size
    if min(height, width) < min(LEAST_SIDE, form.height, form.width):
        name = source if isinstance(source, Path) else "an image"
        reads = f"{form.height} x {form.width}"
        size = f"{height} x {width} pixels (height x width)"
        raise UserError(f"{name} has {size}, too few for a model that reads {reads}")
    return read_pixels(source, form)


def _in_form(image: Image.Image, form: Form, name: str) -> Tensor:
    size, bilinear = (form.width, form.height), Image.Resampling.BILINEAR
    image = _on_white(image, "L" if form.channels == 1 else "RGB", name)
    if image.size != size:
        if form.resize == "stretch":
            image = image.resize(size, bilinear)
        elif form.resize == "crop":
            image = ImageOps.fit(image, size, bilinear)
        else:
            image = ImageOps.pad(image, size, bilinear, color=image.getpixel((0, 0)))  # type: ignore[arg-type]
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if form.channels == 1 else pixels.permute(2, 0, 1).contiguous()  # (H, W, 3) -> (3, H, W)


def _on_white(image: Image.Image, mode: Literal["L", "RGB"], name: str) -> Image.Image:
    """An image in grey or colour, with 8 bits per channel. White is behind transparent parts, as in a viewer."""
    problem = f"{name} cannot be read as an image: its pixels"
    if image.mode == "F":
        raise UserError(f"{problem} are floating-point numbers, expected whole numbers")
    if image.mode.startswith("I"):  # 16 bits of grey, which `convert` would clip at 255
        numbers = np.asarray(image).astype(np.int64)
        if numbers.min() < 0 or numbers.max() > 0xFFFF:
            raise UserError(f"{problem} have 32 bits, expected at most 16")
        image = Image.fromarray(((numbers + 128) // 257).astype(np.uint8))
    if image.mode not in ("L", "RGB") or "transparency" in image.info:
        upper = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper)
    return image.convert(mode)


def as_image(source: Any) -> Image.Image:
    """A PIL image of an array or a tensor: `(H, W)`, `(H, W, 3)`, `(1, H, W)` or `(3, H, W)`, as uint8, or as floats in
    0 to 1.

    Raises:
        UserError: the value is not an image.
    """
    if isinstance(source, Image.Image):
        return ImageOps.exif_transpose(source)
    expected = "expected a path, a PIL image, or an array (H, W) or (H, W, 3), uint8 or floats in 0 to 1"
    try:
        array = np.asarray(source)
        if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
            array = array.transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        fits = array.size > 0 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3))
        if np.issubdtype(array.dtype, np.floating) and fits and 0 <= array.min() <= array.max() <= 1:
            array = (array * 255).round().astype(np.uint8)
    except (TypeError, ValueError) as error:
        raise UserError(f"an input is a {type(source).__name__}, {expected}") from error
    if not fits or array.dtype != np.uint8:
        raise UserError(f"an input is {array.dtype} {array.shape}, {expected}")
    return Image.fromarray(array)


def _is_grey(image: Image.Image) -> bool:
    """Whether the file stores grey: by its mode, or by a palette of greys."""
    if image.mode != "P":
        return image.mode in GREY_MODES
    palette = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)  # (colours, 3)
    return bool((palette == palette[:, :1]).all())


@contextmanager
def _limited(path: Path) -> Iterator[None]:
    """Sets Pillow's limit of pixels to what fits into the memory limit, and turns Pillow's errors into a UserError."""
    most = most_bytes()
    largest = min(max(path.stat().st_size * FACTOR, most // IMAGE_SHARE), most)
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, largest // PIXEL_BYTES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of unknown tags; what cannot be read is an error
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UserError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        much = f"reading it takes more than {largest / 2**20:.0f} MiB of memory"
        raise UserError(f"{path}: {much}; set LIT_MODELS_MAX_GB to a larger number if it is right") from error
    except Exception as error:  # a damaged image can fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read as an image: {reason}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = before
