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
from datamodules.storage.image_files import image_files, read_image
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


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
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
    (path,) = image_files([str(tmp_path if inside else tmp_path / "a.png")])
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))} is a pipe or a device, expected a file$"):
        read_image(path)


@pytest.mark.fuzz
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
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


def test_folders_are_opened_and_sorted_and_files_stay_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "sub/c.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = image_files([str(tmp_path / "b.PNG"), str(tmp_path)])
    assert found == [tmp_path / name for name in ("b.PNG", "a.jpeg", "b.PNG", "sub/c.webp")]


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.png")
    with pytest.raises(MissingFileError, match=rf"^no image or folder {re.escape(missing)}$"):
        image_files([missing])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError) as caught:
        image_files([str(tmp_path)])
    assert str(caught.value) == f"no image in {tmp_path}: expected files .bmp, .gif, .jpeg, .jpg, .png, .webp"


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(UserError, match=r"^inputs contain no image: give image files or folders$"):
        image_files([])
