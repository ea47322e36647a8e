"""Image files of the user's: formats, colours, sizes, and files that cannot be read."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from PIL import Image
from torch import Tensor

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.image_files import (
    NO_IMAGE,
    Form,
    Header,
    read_header,
    read_image,
    read_images,
    read_input,
    read_pixels,
)
from datamodules.storage.inputs import Skipped
from tests.fuzz import mutated, read_or_refuse


def stroke(mode: str = "L", *, ink: int = 255, ground: int = 0, size: tuple[int, int] = (28, 28)) -> Image.Image:
    """A vertical bar in the middle third."""
    pixels = np.full(size[::-1], ground, dtype=np.uint8)
    pixels[size[1] // 4 : 3 * size[1] // 4, size[0] // 3 : 2 * size[0] // 3] = ink
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, path: Path, **settings: Any) -> Path:
    image.save(path, **settings)
    return path


def bar() -> Tensor:
    return torch.from_numpy(np.array(stroke()))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_a_light_stroke_on_dark_is_read_as_it_is(tmp_path: Path, mode: str) -> None:
    assert torch.equal(read_image(saved(stroke(mode), tmp_path / "a.png")), bar())


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_a_dark_stroke_on_light_is_inverted(tmp_path: Path, mode: str) -> None:
    path = saved(stroke(mode, ink=0, ground=255), tmp_path / "a.png")
    assert torch.equal(read_image(path), bar())


def test_a_dark_jpeg_stroke_on_light_is_inverted(tmp_path: Path) -> None:
    path = saved(stroke("RGB", ink=0, ground=255), tmp_path / "a.jpg", quality=100)
    difference = read_image(path).int() - bar().int()
    assert difference.abs().max() <= 8  # JPEG's rounding of coefficients, even at its best quality


def test_what_is_transparent_is_white_paper(tmp_path: Path) -> None:
    image = stroke("RGBA", ink=0)  # black on black
    image.putalpha(stroke())  # of which the bar alone is seen
    assert torch.equal(read_image(saved(image, tmp_path / "a.png")), bar())


def test_sixteen_bits_of_grey_are_scaled(tmp_path: Path) -> None:
    deep = np.arange(784, dtype=np.uint16).reshape(28, 28) * 70  # 0 to 54,810
    path = saved(Image.fromarray(deep), tmp_path / "a.png")
    # 65,535 / 257 = 255; the border's mean is below 127, so that nothing is inverted
    wanted = np.round(deep / 257).astype(np.uint8)
    np.testing.assert_array_equal(read_image(path).numpy(), wanted)


def test_another_size_is_scaled_and_padded_with_the_corners_grey(tmp_path: Path) -> None:
    path = saved(stroke(ink=250, ground=10, size=(56, 28)), tmp_path / "wide.png")
    pixels = read_image(path)
    assert pixels.shape == (28, 28)
    # 56 x 28 becomes 28 x 14, with 7 rows of ground above and below
    assert (pixels[:7] == 10).all()
    assert (pixels[21:] == 10).all()
    # rows 7 to 20 of the bar come out at 7 + 14 / 4 to 7 + 3 * 14 / 4, columns 18 to 36 at 9 to 18
    assert (pixels[12:16, 11:17] == 250).all()
    assert (pixels[:, :6] == 10).all()


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    lying = stroke().transpose(Image.Transpose.ROTATE_90)  # counter-clockwise
    assert torch.equal(read_image(saved(lying, tmp_path / "a.png", exif=exif)), bar())


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("not an image")
    with pytest.raises(UserError) as caught:
        read_image(path)
    assert str(caught.value) == f"{path} cannot be read as an image: cannot identify image file {str(path)!r}"


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif"])
def test_a_cut_image_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(256, size=(28, 28), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))} cannot be read as an image: .+"):
        read_image(path)


def test_an_image_larger_than_the_limit_is_refused_and_the_limit_can_be_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Image.MAX_IMAGE_PIXELS
    path = saved(stroke(size=(2000, 2000)), tmp_path / "a.png")  # 4 million pixels of 16 bytes: 61 MiB
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "0.25")  # an eighth: 32 MiB
    with pytest.raises(UserError) as caught:
        read_image(path)
    advice = "set LIT_MODELS_MAX_GB to a larger number if it is right"
    assert str(caught.value) == f"{path}: reading it takes more than 32 MiB of memory; {advice}"
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "0.5")
    assert read_image(path).shape == (28, 28)
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_photograph_may_take_more_than_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise of 2 million pixels fills 2 MB, and 100 times as much is more than its 30 MiB."""
    noise = np.random.default_rng(0).integers(256, size=(1400, 1400), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / "a.png")
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "0.2")  # an eighth: 25 MiB
    assert read_image(path).shape == (28, 28)


def test_a_page_of_another_program_is_no_image_and_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow would give PostScript to the program `gs`, whatever the name of the file is."""
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'touched'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(UserError, match=r"a\.png cannot be read as an image: cannot identify image file"):
        read_image(path)
    assert not (tmp_path / "touched").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("inside", [True, False])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, inside: bool) -> None:
    os.mkfifo(tmp_path / "a.png")
    path = tmp_path if inside else tmp_path / "a.png"
    advice = "" if inside else "; - reads standard input"
    with pytest.raises(UserError, match=rf"^{re.escape(str(tmp_path))}/a.png is a pipe or a device, .* file{advice}$"):
        names_of(str(path))


@pytest.mark.fuzz
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif"])
def test_damaged_images(tmp_path: Path, suffix: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(9, 9), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if suffix in ("png", "jpg", "webp") else {}
    path = tmp_path / f"f.{suffix}"
    valid = saved(noise, path, **options).read_bytes()
    assert read_or_refuse(read_image, path, valid) is None

    @given(mutated([valid], [b"\xff\xff\xff\x7f", b"\0\0\0\0", b"Exif\0\0", b"%!PS-Adobe"]))
    def damaged(content: bytes) -> None:
        read_or_refuse(read_image, path, content)

    damaged()


def names_of(*inputs: Any) -> list[str]:
    """The names of images that can all be read."""
    skipped = Skipped()
    names, pixels = read_images(inputs, skipped)
    skipped.report(found=len(pixels) > 0, nothing=NO_IMAGE)
    assert (len(pixels), pixels.dtype, skipped.count) == (len(names), torch.uint8, 0)
    return list(names)


def colours(*, height: int = 4, width: int = 6) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8))


def as_pixels(path: Path, channels: int, *, height: int = 4, width: int = 6) -> Any:
    return read_pixels(path, Form(height, width, channels)).numpy()


GREYS = [i // 3 for i in range(768)]
MODES = {  # how an image is saved: mode, suffix, and channels of the file
    "colour": ("RGB", "png", 3),
    "grey": ("L", "png", 1),
    "black and white": ("1", "tif", 1),
    "palette of colours": ("P", "gif", 3),
    "grey with alpha": ("LA", "png", 1),
    "colour with alpha": ("RGBA", "webp", 3),
    "print colours": ("CMYK", "tif", 3),
}


@pytest.mark.parametrize("name", MODES)
def test_each_mode_has_its_channels_and_is_read_as_grey_or_colour(tmp_path: Path, name: str) -> None:
    mode, suffix, channels = MODES[name]
    image = colours().convert(mode)
    lossless = {"lossless": True} if suffix == "webp" else {}
    path = saved(image, tmp_path / f"a.{suffix}", **lossless)
    assert read_header(path) == Header(4, 6, channels)
    opaque = image.convert("RGB")  # no pixel is transparent
    assert np.array_equal(as_pixels(path, 3), np.asarray(opaque).transpose(2, 0, 1))
    assert np.array_equal(as_pixels(path, 1), np.asarray(opaque.convert("L"))[None])


def test_a_palette_of_greys_is_grey(tmp_path: Path) -> None:
    image = colours().convert("L").convert("P")
    image.putpalette(GREYS)
    path = saved(image, tmp_path / "a.png")
    assert read_header(path) == Header(4, 6, 1)
    assert np.array_equal(as_pixels(path, 1)[0], np.asarray(colours().convert("L")))


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    image = colours().convert("RGBA")
    image.putalpha(Image.new("L", (6, 4), 0))
    assert (as_pixels(saved(image, tmp_path / "a.png"), 3) == 255).all()
    keyed = saved(Image.new("RGB", (6, 4), (1, 2, 3)), tmp_path / "b.png", transparency=(1, 2, 3))
    assert (as_pixels(keyed, 3) == 255).all()


def test_an_image_on_its_side_is_turned_and_its_header_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8  # turn by 90 degrees counter-clockwise to see it upright
    lying = colours().transpose(Image.Transpose.ROTATE_270)
    path = saved(lying, tmp_path / "a.png", exif=exif)
    assert read_header(path) == Header(4, 6, 3)
    assert np.array_equal(as_pixels(path, 3), np.asarray(colours()).transpose(2, 0, 1))


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    first, second = Image.new("L", (6, 4), 10), Image.new("L", (6, 4), 200)
    for suffix in ("gif", "tif"):
        path = saved(first, tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
        assert (as_pixels(path, 1) == 10).all()


def test_a_large_jpeg_is_read_in_a_smaller_size(tmp_path: Path) -> None:
    """Left half black, right half white; JPEG and scaling change only pixels near the middle."""
    halves = np.repeat(np.array([0, 255], dtype=np.uint8), 400)[None].repeat(400, axis=0)  # (400, 800)
    pixels = as_pixels(saved(Image.fromarray(halves), tmp_path / "a.jpg"), 1, height=10, width=20)
    assert pixels.shape == (1, 10, 20)
    assert (pixels[..., :9] < 8).all()
    assert (pixels[..., 11:] > 247).all()


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        (np.full((4, 6), 0.5, dtype=np.float32), "its pixels are floating-point numbers, expected whole numbers"),
        (np.full((4, 6), 70_000, dtype=np.int32), "its pixels have 32 bits, expected at most 16"),
        (np.full((4, 6), -1, dtype=np.int32), "its pixels have 32 bits, expected at most 16"),
    ],
)
def test_numbers_that_are_no_brightness_are_refused(tmp_path: Path, numbers: Any, text: str) -> None:
    path = saved(Image.fromarray(numbers), tmp_path / "a.tif")
    with pytest.raises(UserError) as caught:
        read_pixels(path, Form(4, 6, 1))
    assert str(caught.value) == f"{path} cannot be read as an image: {text}"


def test_folders_are_opened_and_sorted_and_files_stay_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "sub/c.webp", "d.tif", "sub/e.tiff", ".hidden/f.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        saved(stroke(), tmp_path / name)
    (tmp_path / "notes.txt").touch()
    found = names_of(str(tmp_path / "b.PNG"), str(tmp_path))
    wanted = ("b.PNG", "a.jpeg", "b.PNG", "d.tif", "sub/c.webp", "sub/e.tiff")
    assert found == [str(tmp_path / name) for name in wanted]
    assert names_of(str(tmp_path / "*.[tP]*"), tmp_path / "a.jpeg") == [
        str(tmp_path / name) for name in ("b.PNG", "d.tif", "a.jpeg")
    ]


def test_images_and_arrays_have_the_pixels_of_their_files(tmp_path: Path) -> None:
    image = stroke()
    array = np.asarray(image)
    colours = np.stack([array] * 3)
    given = [saved(image, tmp_path / "a.png"), image, array, array / 255, torch.from_numpy(array.copy())]
    given += [array[None], colours, colours.transpose(1, 2, 0)]
    names, pixels = read_images(given, Skipped())
    assert list(names)[1:] == [f"image[{i}]" for i in range(1, len(given))]
    assert torch.equal(pixels, bar().expand(len(given), -1, -1))


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (np.zeros((28, 28), dtype=np.int64), "int64 (28, 28)"),
        (np.full((28, 28), 1.5), "float64 (28, 28)"),
        (np.zeros(28, dtype=np.uint8), "uint8 (28,)"),
        (np.zeros((0, 28), dtype=np.uint8), "uint8 (0, 28)"),
    ],
)
def test_an_array_that_is_no_image_is_refused(value: Any, got: str) -> None:
    with pytest.raises(UserError) as caught:
        names_of(value)
    expected = "expected a path, a PIL image, or an array (H, W) or (H, W, 3), uint8 or floats in 0 to 1"
    assert str(caught.value) == f"an input is {got}, {expected}"


@pytest.mark.parametrize("size", [(1, 1), (6, 6), (6, 2), (1, 29), (300, 10)])
def test_an_image_much_smaller_than_the_models_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = saved(Image.new("L", size, 9), tmp_path / "a.png")
    with pytest.raises(UserError) as caught:
        read_image(path)
    pixels = f"{size[1]} x {size[0]} pixels (height x width)"
    assert str(caught.value) == f"{path} has {pixels}, too few for a model that reads 28 x 28"


@pytest.mark.parametrize("size", [(7, 7), (8, 8), (2, 7), (1, 28), (280, 10)])
def test_a_small_image_is_enlarged(tmp_path: Path, size: tuple[int, int]) -> None:
    assert read_image(saved(Image.new("L", size, 9), tmp_path / "a.png")).shape == (28, 28)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.png")
    with pytest.raises(MissingFileError, match=rf"^no image or folder {re.escape(missing)}$"):
        names_of(missing)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError) as caught:
        names_of(str(tmp_path))
    assert str(caught.value).startswith(f"no image in {tmp_path}: expected files .bmp, .gif, ")


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(UserError, match=r"^inputs contain no image: give image files or folders$"):
        names_of()


def test_an_image_to_predict_has_four_pixels_a_side_unless_the_model_reads_smaller_ones(tmp_path: Path) -> None:
    path = saved(colours(height=3, width=9), tmp_path / "a.png")
    for source, name in ((path, str(path)), (colours(height=3, width=9), "an image")):
        with pytest.raises(UserError) as caught:
            read_input(source, Form(8, 8, 3))
        pixels = "3 x 9 pixels (height x width)"
        assert str(caught.value) == f"{name} has {pixels}, too few for a model that reads 8 x 8"
        assert torch.equal(read_input(source, Form(3, 9, 3)), read_pixels(path, Form(3, 9, 3)))


def test_images_in_a_form_come_from_files_and_from_python(tmp_path: Path) -> None:
    path = saved(colours(), tmp_path / "a.png")
    skipped = Skipped()
    names, pixels = read_images([str(path), colours(), np.asarray(colours()), "gone.png"], skipped, Form(4, 6, 3))
    assert list(names) == [str(path), "image[1]", "image[2]"]
    assert torch.equal(pixels, read_pixels(path, Form(4, 6, 3)).expand(3, -1, -1, -1))
    assert skipped.count == 1
