"""Image files of the user's: formats, colours, sizes, and files that cannot be read."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.image_files import image_files, read_image


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


def test_a_huge_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # 28 * 28 is more than twice as many: Pillow's error
    path = saved(stroke(), tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png cannot be read as an image: Image size \(784 pixels\)"):
        read_image(path)


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
