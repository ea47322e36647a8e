"""Folders and tables of images: which images are found, with which class and split, and what is refused."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from datamodules.errors import MissingFileError, UserError
from datamodules.pictures.folders import LAYOUTS, SUFFIXES, LabelledImage, read_folder, read_table
from datamodules.splits import Split


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path) -> list[tuple[str, str, Split | None]]:
    return [(image.path.relative_to(root).as_posix(), image.label, image.split) for image in read_folder(root)]


def test_a_folder_is_a_class_and_deeper_folders_belong_to_it(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.PNG", "dog/a.jpeg", "cat/2021/may/c.tif", "cat/z.bmp")
    assert found(tmp_path) == [
        ("cat/2021/may/c.tif", "cat", None),
        ("cat/z.bmp", "cat", None),
        ("dog/a.jpeg", "dog", None),
        ("dog/b.PNG", "dog", None),
    ]


def test_folders_of_splits_have_folders_of_classes(tmp_path: Path) -> None:
    touch(tmp_path, "Train/cat/a.png", "Train/dog/a.png", "valid/dog/b.png", "test/cat/c.png")
    assert found(tmp_path) == [
        ("Train/cat/a.png", "cat", "train"),
        ("Train/dog/a.png", "dog", "train"),
        ("test/cat/c.png", "cat", "test"),
        ("valid/dog/b.png", "dog", "val"),
    ]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "bus/a.png", "train/b.png", "train/steam/c.png")
    assert [(name, label) for name, label, _ in found(tmp_path)] == [
        ("bus/a.png", "bus"),
        ("train/b.png", "train"),
        ("train/steam/c.png", "train"),
    ]


def test_hidden_names_are_left_out_and_other_files_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touch(tmp_path, "cat/a.png", "cat/._a.png", "cat/.DS_Store", "cat/Thumbs.db", ".git/x.png", "__MACOSX/cat/a.png")
    touch(tmp_path, "dog/b.png", "dog/.cache/c.png", "dog/notes.txt")
    assert [name for name, _, _ in found(tmp_path)] == ["cat/a.png", "dog/b.png"]
    note = f"note: {tmp_path}: other files than images are left out (1): notes.txt\n"
    assert capsys.readouterr().err == note


def test_links_to_images_and_classes_are_followed_and_deeper_folders_are_not(tmp_path: Path) -> None:
    touch(tmp_path / "store", "a.png", "more/b.png")
    touch(tmp_path / "root", "cat/c.png")
    (tmp_path / "root" / "dog").symlink_to(tmp_path / "store")
    (tmp_path / "root" / "cat" / "d.png").symlink_to(tmp_path / "store" / "a.png")
    (tmp_path / "root" / "cat" / "again").symlink_to(tmp_path / "root")  # contains itself
    names = [name for name, _, _ in found(tmp_path / "root")]
    assert names == ["cat/c.png", "cat/d.png", "dog/a.png", "dog/more/b.png"]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "{root} has no folders: {layouts}, or give a table of paths and labels with --data.table"),
        (
            ["a.png"],
            "{root} has images that are in no folder: {layouts}, or give a table of paths and labels with --data.table",
        ),
        (
            ["cat/a.png", "dog/notes.txt"],
            "{root}/dog has no images: expected files {suffixes}; remove an empty folder",
        ),
        (["cat/a.png", "test/cat/b.png"], "{root} has the folders cat beside test: {layouts}"),
        (
            ["train/cat/a.png", "val/cat/a.png", "valid/cat/a.png"],
            "{root} has the folders val and valid, which mean the same: keep one of them",
        ),
    ],
)
def test_folders_of_another_form_are_refused(names: list[str], text: str, tmp_path: Path) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UserError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == text.format(root=tmp_path, layouts=LAYOUTS, suffixes=SUFFIXES)


def test_a_missing_folder_or_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=rf"^no folder {re.escape(str(tmp_path / 'no'))}$"):
        read_folder(tmp_path / "no")
    touch(tmp_path, "a.zip")
    with pytest.raises(MissingFileError, match=r"a\.zip is a file, expected a folder$"):
        read_folder(tmp_path / "a.zip")


def table(path: Path, *, root: Path | None = None, split_column: str | None = None) -> list[LabelledImage]:
    return read_table(path, root=root, path_column="path", label_column="label", split_column=split_column)


def test_a_table_has_paths_from_its_own_folder_or_from_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "here/a.png", "there/a.png")
    path = tmp_path / "here" / "t.csv"
    path.write_text(f"path,label\na.png,cat\n{tmp_path}/there/a.png,dog\n")
    assert table(path) == [
        LabelledImage(tmp_path / "here" / "a.png", "cat"),
        LabelledImage(tmp_path / "there" / "a.png", "dog"),
    ]
    path.write_text("path,label\na.png,cat\n")
    assert table(path, root=tmp_path / "there")[0].path == tmp_path / "there" / "a.png"


def test_a_table_may_name_the_splits(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "t.csv").write_text("path,label,part\na.png,1,train\nb.png,0,Valid\nc.png,1, TEST\n")
    assert [(image.label, image.split) for image in table(tmp_path / "t.csv", split_column="part")] == [
        ("1", "train"),
        ("0", "val"),
        ("1", "test"),
    ]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("b.png,cat,train", "no image {root}/b.png: set --data.root to the folder that contains it"),
        (" ,cat,train", "the column 'path' does not contain text, expected the path of an image"),
        ("a.png,,train", "the label is empty, expected a class name or a number"),
        ("a.png,cat,holdout", "the split is 'holdout', expected train, val or test"),
    ],
)
def test_a_mistake_in_a_table_is_refused_with_its_line(row: str, text: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "t.csv").write_text(f"path,label,part\na.png,cat,train\n{row}\n")
    with pytest.raises(UserError) as caught:
        table(tmp_path / "t.csv", split_column="part")
    assert str(caught.value) == f"{tmp_path}/t.csv:3: {text.format(root=tmp_path)}"


def test_an_image_that_a_table_names_twice_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "t.csv").write_text("path,label\na.png,x\n./a.png,x\n")
    with pytest.raises(UserError) as caught:
        table(tmp_path / "t.csv")
    first = f"{tmp_path}/t.csv:2"
    assert str(caught.value) == f"{tmp_path}/t.csv:3: {tmp_path}/a.png is already in {first}: keep one of the two rows"


@pytest.mark.parametrize("name", ["~old.png", "a" * 300])
def test_a_name_that_cannot_be_is_a_missing_image(name: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"path,label\n{name},x\n")
    with pytest.raises(MissingFileError, match=r"t\.csv:2: no image "):
        table(tmp_path / "t.csv")


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "x/a.png", "y/b.png")
    walk = os.walk

    def refusing(folder: Path, onerror: Any = None) -> Any:
        onerror(PermissionError(13, "Permission denied", str(folder / "more")))  # root can read every folder
        return walk(folder)

    monkeypatch.setattr(os, "walk", refusing)
    with pytest.raises(UserError, match=r"x/more: the folder cannot be read: Permission denied$"):
        read_folder(tmp_path)
