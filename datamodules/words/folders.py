"""Texts in a folder for each class, such as `neg/*.txt` and `pos/*.txt`."""

from collections.abc import Iterator
from pathlib import Path

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.checksums import note
from datamodules.storage.lines import numbered_lines

UNLABELLED = "unsup"
"""The folder of IMDB's texts without a class."""
LAYOUT = "expected a table, or a folder with a folder of .txt files for each class, such as neg and pos"


def class_files(root: Path) -> Iterator[tuple[str, Path]]:
    """The class and the path of each text in a folder, sorted by path. Hidden files are left out.

    Raises:
        MissingFileError: no such folder.
        UserError: the folder has another form.
    """
    if not root.is_dir():
        raise MissingFileError(f"{root}: no such folder")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if any(path.name == UNLABELLED for path in folders) and len(folders) > 2:
        note(f"{root}: the folder {UNLABELLED} is left out, because its texts have no class")
        folders = [path for path in folders if path.name != UNLABELLED]
    found = {folder: sorted(file for file in folder.glob("*.txt") if file.name[0] != ".") for folder in folders}
    if not any(found.values()):
        raise UserError(f"{root} is a folder, {LAYOUT}")
    for folder, files in found.items():
        if not files:
            raise UserError(f"{folder} has no .txt files, {LAYOUT}; remove an empty folder")
        yield from ((folder.name, file) for file in files)


def read_text(path: Path) -> str:
    """A whole text file, without the line breaks at its end.

    Raises:
        UserError: the file is not UTF-8, or is too long.
    """
    return "".join(line for _, line in numbered_lines(path)).rstrip("\r\n")
