"""Finds the labelled images of a dataset: in a folder for each class, or in a table of paths and labels.

Names that begin with a dot, and `__MACOSX`, are left out. Links to images and to the folders of classes are followed;
other links to folders are not, because a folder could contain itself.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import MissingFileError, UserError, listed
from datamodules.splits import SPLIT_NAMES, Split
from datamodules.storage.checksums import note
from datamodules.storage.inputs import IMAGES
from datamodules.storage.table_files import read_rows
from datamodules.words.labels import read_label

SUFFIXES = ", ".join(sorted(IMAGES))
LAYOUTS = "expected a folder for each class, or folders train, val and test with a folder for each class in them"


class LabelledImage(NamedTuple):
    """An image file, its class, and its split if the folder or the table names one."""

    path: Path
    label: str
    split: Split | None = None


def read_folder(root: Path) -> list[LabelledImage]:
    """The images in `root/CLASS/…` or in `root/train/CLASS/…`, sorted by path.

    Raises:
        MissingFileError: the folder does not exist.
        UserError: the folder has neither form, or a class has no images.
    """
    if not root.is_dir():
        raise MissingFileError(f"{root} is a file, expected a folder" if root.exists() else f"no folder {root}")
    folders = _folders(root)
    splits = {folder: SPLIT_NAMES[folder.name.lower()] for folder in folders if _is_split(folder)}
    if not splits:
        return list(_classes(root, folders, None))
    if others := [folder.name for folder in folders if folder not in splits]:
        beside = ", ".join(folder.name for folder in splits)
        raise UserError(f"{root} has the folders {listed(others)} beside {beside}: {LAYOUTS}")
    doubled, times = Counter(splits.values()).most_common(1)[0]
    if times > 1:
        names = " and ".join(folder.name for folder, split in splits.items() if split == doubled)
        raise UserError(f"{root} has the folders {names}, which mean the same: keep one of them")
    return [image for folder, split in splits.items() for image in _classes(folder, _folders(folder), split)]


def read_table(
    table: Path, *, root: Path | None, path_column: str, label_column: str, split_column: str | None
) -> list[LabelledImage]:
    """The images of a table, in its order.

    Args:
        table: a file that `read_rows` reads.
        root: folder of relative paths; that of the table if None.
        path_column: name of the column with the path.
        label_column: name of the column with the class.
        split_column: name of the column with "train", "val" or "test"; None if the table has none.

    Raises:
        MissingFileError: the table or an image does not exist.
        UserError: a mistake in the table, with its line.
    """
    folder = table.parent if root is None else root
    names = [path_column, label_column, *([split_column] if split_column else [])]
    images = []
    places: dict[Path, str] = {}
    for line, (path, label, *split) in read_rows(table, names):
        place = f"{table}:{line}"
        if not isinstance(path, str) or not path.strip():
            raise UserError(f"{place}: the column {path_column!r} does not contain text, expected the path of an image")
        image = folder / path.strip()
        if not os.path.exists(image):  # False for names that are too long, too
            raise MissingFileError(f"{place}: no image {image}: set --data.root to the folder that contains it")
        images.append(LabelledImage(image, read_label(label, place), _split(split[0], place) if split else None))
        if (first := places.setdefault(image, place)) != place:
            raise UserError(f"{place}: {image} is already in {first}: keep one of the two rows")
    return images


def _split(cell: object, place: str) -> Split:
    name = SPLIT_NAMES.get(str(cell).strip().lower())
    if name is None:
        raise UserError(f"{place}: the split is {cell!r}, expected train, val or test")
    return name


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not _is_hidden(path.name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_split(folder: Path) -> bool:
    """Whether a folder is a split: by its name, and because it has folders and no images. A class may be "train"."""
    if folder.name.lower() not in SPLIT_NAMES:
        return False
    return bool(_folders(folder)) and not any(path.suffix.lower() in IMAGES for path in folder.iterdir())


def _classes(root: Path, folders: list[Path], split: Split | None) -> Iterator[LabelledImage]:
    if not folders:
        loose = " has images that are in no folder" if any(_images(root, [])) else " has no folders"
        raise UserError(f"{root}{loose}: {LAYOUTS}, or give a table of paths and labels with --data.table")
    others: list[str] = []
    for folder in folders:
        images = sorted(_images(folder, others))
        if not images:
            raise UserError(f"{folder} has no images: expected files {SUFFIXES}; remove an empty folder")
        yield from (LabelledImage(image, folder.name, split) for image in images)
    if others:
        note(f"{root}: other files than images are left out ({len(others):,}): {listed(sorted(others))}")


def _images(folder: Path, others: list[str]) -> Iterator[Path]:
    """The images in a folder and the folders in it. The names of other files are added to `others`.

    Raises:
        UserError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: the folder cannot be read: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            if Path(name).suffix.lower() in IMAGES and not _is_hidden(name):
                yield Path(place, name)
            elif not _is_hidden(name) and name.lower() not in ("thumbs.db", "desktop.ini"):
                others.append(name)
