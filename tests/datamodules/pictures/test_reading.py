"""Many image files: all damaged ones are listed, and one size is found or asked for."""

import re
from pathlib import Path

import pytest

from datamodules.errors import UserError
from datamodules.pictures.reading import each_readable, the_size
from datamodules.storage.image_files import Header


def read(path: Path) -> str:
    if "bad" in path.name:
        raise UserError(f"{path}: damaged")
    return path.name


def test_each_file_is_read_in_order() -> None:
    assert list(each_readable([Path("b"), Path("a")], read, doing="reading")) == ["b", "a"]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a", "bad1", "b"], "bad1: damaged"),
        (["bad1", "a", "bad2"], "2 of 3 images cannot be read: bad1: damaged; bad2: damaged"),
        (
            [f"bad{i}" for i in range(7)],
            "7 of 7 images cannot be read: " + "; ".join(f"bad{i}: damaged" for i in range(5)) + "; and 2 more",
        ),
    ],
)
def test_damaged_files_are_listed_after_all_were_read(names: list[str], text: str) -> None:
    with pytest.raises(UserError) as caught:
        list(each_readable([Path(name) for name in names], read, doing="reading"))
    assert str(caught.value) == text


def test_images_of_one_size_have_it() -> None:
    assert the_size([Header(28, 20, 3), Header(28, 20, 1)]) == (28, 20)


def test_images_of_several_sizes_are_refused_with_the_most_common_one() -> None:
    text = (
        "the training images have 3 sizes, the most common one is 28 x 20 (height x width; 2 of 4): "
        'set --data.size "[28,20]"'
    )
    with pytest.raises(UserError, match=f"^{re.escape(text)}$"):
        the_size([Header(20, 28, 3), Header(28, 20, 3), Header(28, 20, 3), Header(1, 1, 3)])
