"""Images of one's own: layouts, parts, sizes, channels, damaged files, checkpoints and what is refused."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from datamodules import ImageFolderDataModule
from datamodules.errors import MissingFileError, UserError
from datamodules.pictures.tables import ImageFiles, PictureTable
from datamodules.spec import DataSpec
from tests.datamodules.image_folders import noise, write, write_classes


def small(folder: Path) -> list[dict[str, Any]]:
    """Settings of small data, which `tests/testing/test_data.py` checks."""
    root = write_classes(folder / "images", images=6)
    augment = ["flip", "crop"]
    return [
        {"root": str(root), "batch_size": 3, "val_fraction": 0.25, "test_fraction": 0.25},
        {"root": str(root), "batch_size": 3, "size": 4, "channels": 1, "augment": augment, "memory_gb": 0},
        {"root": str(root), "batch_size": 3, "inputs": str(root / "cat")},
    ]


def ready(*stages: str, **settings: Any) -> ImageFolderDataModule:
    data = ImageFolderDataModule(**settings)
    for stage in stages:
        data.setup(stage)
    return data


def pixels_of(table: Any) -> Tensor:
    assert isinstance(table, PictureTable)
    assert isinstance(table.pixels, Tensor)
    return table.pixels


def seeds_of(table: Any) -> list[int]:
    """The seed of each image, which `noise` puts into its first pixel."""
    return pixels_of(table)[:, 0, 0, 0].tolist()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "images", images=10)


def test_a_folder_a_class_is_split_and_each_image_keeps_its_class(root: Path) -> None:
    data = ready("fit", "test", root=str(root))
    tables = (data.train_table, data.val_table, data.test_table)
    assert [len(table or ()) for table in tables] == [16, 2, 2]  # a tenth of 20 each
    seeds = [seed for table in tables for seed in seeds_of(table)]
    assert sorted(seeds) == [*range(10), *range(100, 110)]
    for table in tables:
        assert isinstance(table, PictureTable)
        assert table.target.tolist() == [seed // 100 for seed in seeds_of(table)]
        assert sorted(set(table.target.tolist())) == [0, 1]


def test_the_spec_has_sizes_and_sorted_classes(root: Path) -> None:
    assert ImageFolderDataModule(root=str(root)).spec() == DataSpec(
        num_features=6 * 5 * 3, num_channels=3, image_size=[6, 5], num_classes=2, class_names=["cat", "dog"]
    )
    assert ImageFolderDataModule(root=str(root), size=8, channels=1).spec() == DataSpec(
        num_features=8 * 8, num_channels=1, image_size=8, num_classes=2, class_names=["cat", "dog"]
    )


def test_what_is_set_up_is_counted_with_its_form(root: Path) -> None:
    data = ready("fit", root=str(root))
    contents = data.contents(data.spec())
    assert [(part.name, part.rows) for part in contents.parts] == [("train", 16), ("val", 2), ("test", 2)]
    assert contents.parts[2].counts is None  # drawn, and not set up
    assert contents.parts[0].counts is not None
    assert contents.parts[0].counts.tolist() == [8, 8]
    assert contents.facts == (("height x width", "6 x 5, colour"),)


def test_all_images_are_looked_at_and_those_with_problems_are_mistakes(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "pets", images=4)
    write(root / "cat" / "copy.png", noise(0))
    write(root / "dog" / "large.png", noise(200, height=12, width=5, mode="L"))
    (root / "cat" / "damaged.png").write_bytes(b"no image")
    parts: dict[str, Any] = {"root": str(root), "val_fraction": 0, "test_fraction": 0}
    contents = ImageFolderDataModule(**parts).inspect()
    assert contents.facts == (("height x width", "6 x 5 (9), 12 x 5 (1)"), ("colours", "9 colour, 1 grey"))
    assert contents.notes == ("1 of 10 train images repeat an earlier one (cat/copy.png = cat/0.png)",)
    damaged, sizes = contents.mistakes
    assert damaged.startswith(f"{root}/cat/damaged.png cannot be read as an image")
    assert sizes.startswith("the training images have 2 sizes, the most common one is 6 x 5")
    assert {sample.label for sample in contents.samples} == {"cat", "dog"}
    assert contents.samples[0].pixels is not None
    assert np.array_equal(contents.samples[0].pixels, np.asarray(noise(0)))
    assert [histogram.title for histogram in contents.histograms] == ["height in pixels"]
    assert len(ImageFolderDataModule(**parts, size=6).inspect().mistakes) == 1


def test_the_parts_depend_on_split_seed_and_not_on_the_seed_of_the_run(root: Path) -> None:
    def tested(**settings: Any) -> list[int]:
        return seeds_of(ready("test", root=str(root), test_fraction=0.4, **settings).test_table)

    assert tested(seed=1) == tested(seed=2)
    assert tested(split_seed=1) != tested(split_seed=2)


def test_folders_of_splits_are_used_and_a_missing_one_is_drawn(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", images=10)
    write(tmp_path / "test" / "dog" / "x.png", noise(200))
    data = ready("fit", "test", root=str(tmp_path))
    assert seeds_of(data.test_table) == [200]
    assert data.predict_names() == ["test/dog/x.png"]
    assert [len(data.train_table or ()), len(data.val_table or ())] == [18, 2]
    assert data.has_validation
    none = ready("fit", root=str(tmp_path), val_fraction=0)
    assert none.val_table is None
    assert not none.has_validation
    write(tmp_path / "val" / "cat" / "y.png", noise(201))
    named = ready("fit", root=str(tmp_path), val_fraction=0)
    assert named.has_validation
    assert seeds_of(named.val_table) == [201]


def test_a_class_that_is_not_in_training_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", images=4)
    path = write(tmp_path / "test" / "cow" / "x.png", noise(0))
    with pytest.raises(UserError) as caught:
        ready("test", root=str(tmp_path), val_fraction=0)
    assert str(caught.value) == f"{path}: the class 'cow' is not among those of training: cat, dog"


def test_a_table_names_paths_labels_and_parts(root: Path, tmp_path: Path) -> None:
    rows = [f"{name}/{i}.png,{i % 2 + 9},{'test' if i > 7 else 'train'}" for name in ("cat", "dog") for i in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["file,stars,part", *rows]))
    columns = {"path_column": "file", "label_column": "stars", "split_column": "part"}
    data = ready("fit", "test", root=str(root), table=str(tmp_path / "t.csv"), **columns)
    assert data.spec().class_names == ["9", "10"]  # integers are sorted by value
    assert sorted(seeds_of(data.test_table)) == [8, 9, 108, 109]
    assert isinstance(data.test_table, PictureTable)
    assert data.test_table.target.tolist() == [seed % 2 for seed in seeds_of(data.test_table)]
    assert sorted(data.checksums()) == sorted([str(root), str(tmp_path / "t.csv")])


def test_grey_files_have_one_channel_and_one_colour_image_makes_three(root: Path) -> None:
    grey = write_classes(root.parent / "grey", images=4, mode="L")
    assert ImageFolderDataModule(root=str(grey)).spec().num_channels == 1
    assert ImageFolderDataModule(root=str(grey), channels=3).spec().num_channels == 3
    for i in range(4):
        write(grey / "cat" / f"{i}.png", noise(i))
    assert ImageFolderDataModule(root=str(grey)).spec().num_channels == 3


def test_images_of_several_sizes_need_a_size(root: Path) -> None:
    for i in range(10):
        write(root / "cat" / f"{i}.png", noise(i, height=9, width=7))
    with pytest.raises(UserError, match=r"^the training images have 2 sizes, .*: set --data\.size \"\[[69],[57]\]\"$"):
        ready("fit", root=str(root))
    data = ready("fit", root=str(root), size=[4, 8])
    assert pixels_of(data.train_table).shape == (16, 3, 4, 8)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_another_aspect_ratio_is_stretched_cropped_or_padded(tmp_path: Path, resize: Any) -> None:
    """Three bands, black, grey and white, of 4 x 4 pixels each, become 4 x 4 pixels."""
    bands = np.repeat(np.array([0, 128, 255], dtype=np.uint8), 4)[None].repeat(4, axis=0)  # (4, 12)
    path = write(tmp_path / "a.png", Image.fromarray(bands))
    data = ImageFolderDataModule(size=4, channels=1, resize=resize, inputs=str(path))
    data.setup("predict")
    (image,) = pixels_of(data.predict_table)
    assert image.shape == (1, 4, 4)
    if resize == "crop":
        assert (image == 128).all()
    elif resize == "stretch":
        assert (image[0, :, 0] < 10).all()
        assert (image[0, :, 3] > 245).all()
    else:  # 4 x 12 becomes 1 x 4, with black above and below
        assert (image == 0).all(dim=2).sum() == 3


def test_damaged_images_are_refused_by_name_before_training(root: Path) -> None:
    for name in ("cat/3.png", "dog/4.png"):
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: len(content) // 2])
    parts = {"val_fraction": 0, "test_fraction": 0}
    for settings in ({}, {"memory_gb": 0}):
        with pytest.raises(UserError) as caught:
            ready("fit", root=str(root), **parts, **settings)
        text = str(caught.value)
        assert text.startswith(f"2 of 20 images cannot be read: {root}/cat/3.png cannot be read as an image: ")
        assert f"; {root}/dog/4.png cannot be read as an image: " in text


def test_images_beyond_the_limit_are_decoded_in_each_epoch(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = 16 * 6 * 5 * 3 / 2**30  # the training part
    data = ready("fit", root=str(root), memory_gb=limit)
    in_memory = pixels_of(data.train_table)
    capsys.readouterr()
    data = ready("fit", root=str(root), memory_gb=limit * 0.99)
    assert isinstance(data.train_table, PictureTable)
    assert isinstance(data.train_table.pixels, ImageFiles)
    assert torch.equal(data.train_table.pixels[torch.arange(16)], in_memory)
    assert isinstance(pixels_of(data.val_table), Tensor)
    notes = capsys.readouterr().err.splitlines()
    assert [line for line in notes if line.startswith("note: 16 images take ")] == [
        "note: 16 images take 1.34e-06 GiB, more than --data.memory_gb 1.32769e-06: each epoch decodes them; "
        "--data.num_workers 4 uses more cores"
    ]


def test_a_checkpoint_predicts_without_the_training_images(root: Path, tmp_path: Path) -> None:
    trained = ready("fit", root=str(root), size=[4, 7], channels=1, resize="crop")
    trained.spec()
    data = ImageFolderDataModule(root="gone", resize="crop", inputs=[str(root / "dog" / "1.png")])
    data.load_state_dict(trained.state_dict())
    assert data.spec() == trained.spec()
    data.setup("predict")
    assert pixels_of(data.predict_table).shape == (1, 1, 4, 7)
    assert list(data.predict_names()) == [str(root / "dog" / "1.png")]
    other = ImageFolderDataModule(root=str(root), size=5)
    with pytest.raises(UserError) as caught:
        other.load_state_dict(trained.state_dict())
    sizes = "4 x 7 pixels and 1 channels"
    advice = "leave --data.size and --data.channels out"
    assert str(caught.value) == f"the checkpoint was trained with {sizes}: {advice}"


def test_a_module_without_images_has_no_state() -> None:
    data = ImageFolderDataModule(root="gone")
    assert data.state_dict() == {}
    data.load_state_dict({})
    assert data.checksums() == {}


def test_the_checksum_covers_names_and_content(root: Path) -> None:
    def checksum() -> str:
        (value,) = ready("fit", root=str(root)).checksums().values()
        return value

    names = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(10)]
    lines = [f"{name}\0{hashlib.sha256((root / name).read_bytes()).hexdigest()}\n" for name in sorted(names)]
    before = checksum()
    assert before == hashlib.sha256("".join(lines).encode()).hexdigest()
    (root / "cat" / "3.png").rename(root / "cat" / "33.png")
    assert checksum() != before


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no folder": ({}, "no images were given: use --data.root with a folder for each class, or --data.table"),
    "fractions": (
        {"val_fraction": 0.5, "test_fraction": 0.5},
        "val_fraction and test_fraction add up to 1, not below 1",
    ),
    "a fraction": ({"val_fraction": 1.0}, "val_fraction is a fraction, 0 or more and below 1, got 1.0"),
    "memory": ({"memory_gb": -1.0}, "memory_gb must be 0 or a positive number, got -1.0"),
    "a split without a table": (
        {"split_column": "part"},
        "split_column is a column of a table: give --data.table, or leave it out",
    ),
    "a size": ({"size": 0}, "size must be one number of pixels, or a list [height, width], got 0"),
    "three sizes": (
        {"size": [3, 4, 5]},
        "size must be one number of pixels, or a list [height, width], got [3, 4, 5]",
    ),
    "an augmentation": ({"augment": "spin"}, "augment has 'spin', expected flip, crop, zoom, rotate, jitter"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_cannot_be_are_refused(name: str) -> None:
    settings, text = REFUSED[name]
    with pytest.raises(UserError) as caught:
        ImageFolderDataModule(**settings).spec()
    assert str(caught.value) == text


def test_one_class_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path, images=3, classes=("cat",))
    with pytest.raises(UserError, match=r"^every image is of the class 'cat', expected at least two classes$"):
        ready("fit", root=str(tmp_path))


@pytest.mark.parametrize(
    ("stage", "folder", "text"),
    [
        ("fit", "test", "there is nothing to train on: {} has no train part"),
        ("predict", "", "there is nothing to test or predict: {} has no test part"),
    ],
)
def test_a_missing_part_is_refused(stage: str, folder: str, text: str, tmp_path: Path) -> None:
    write_classes(tmp_path / folder, images=2)
    with pytest.raises(UserError) as caught:
        ready(stage, root=str(tmp_path), val_fraction=0, test_fraction=0)
    assert str(caught.value) == text.format(tmp_path)


def test_a_missing_input_is_refused() -> None:
    with pytest.raises(MissingFileError, match=r"^no image or folder none\.png$"):
        ready("predict", size=4, channels=1, inputs="none.png")


def test_an_image_that_would_fill_the_memory_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root / "cat" / "0.png", Image.new("L", (2000, 2000)))  # 4 million pixels of 16 bytes: 61 MiB
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "0.25")  # an eighth: 32 MiB
    with pytest.raises(UserError, match=r"cat/0\.png: reading it takes more than 32 MiB of memory"):
        ready("fit", root=str(root), size=4, val_fraction=0, test_fraction=0)


def test_images_that_were_added_after_training_change_no_test_part_silently(root: Path) -> None:
    trained = ready("fit", root=str(root))
    again = ImageFolderDataModule(root=str(root))
    again.load_state_dict(trained.state_dict())
    again.setup("test")
    write(root / "cat" / "new.png", noise(7))
    changed = ImageFolderDataModule(root=str(root))
    changed.load_state_dict(trained.state_dict())
    with pytest.raises(UserError, match=r"images has changed since the training, so other samples are drawn"):
        changed.setup("test")


def test_a_checkpoint_without_a_validation_part_predicts_without_the_images(root: Path) -> None:
    data = ImageFolderDataModule(root="gone", val_fraction=0, inputs=[str(root / "dog" / "1.png")])
    assert not data.has_validation
    trained = ready("fit", root=str(root), val_fraction=0)
    data.load_state_dict(trained.state_dict())
    data.setup("predict")
    assert len(pixels_of(data.predict_table)) == 1


def test_classes_in_two_cases_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "pets", images=3, classes=("cat", "Cat", "dog"))
    with pytest.raises(UserError, match=r"^labels differ only in case or blanks: 'Cat' .* and 'cat' .*; write each"):
        ImageFolderDataModule(root=str(tmp_path / "pets")).setup("fit")


def test_the_same_column_for_path_and_label_is_refused() -> None:
    with pytest.raises(UserError, match=r"^path_column and label_column are both 'path': name the column"):
        ImageFolderDataModule(table="t.csv", label_column="path")
