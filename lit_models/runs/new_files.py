"""Paths of new files, so that nothing is overwritten."""

from pathlib import Path

from datamodules.errors import MissingFileError, UserError


def file_name(output: str) -> Path:
    """The path that `--output` names.

    Raises:
        UserError: it is "-", which means standard output for other commands.
    """
    if output == "-":
        raise UserError("--output -: this command does not write to standard output; name a file")
    return Path(output).expanduser()


def named_file(output: str) -> Path:
    """The path of a new file that `--output` names.

    Raises:
        UserError: it exists already, or is "-".
        MissingFileError: its folder does not exist.
    """
    path = file_name(output)
    if path.exists():
        raise UserError(f"{path} exists already and is not overwritten; give --output another name")
    if not path.parent.is_dir():
        raise MissingFileError(f"no folder {path.parent} for {path.name}; create it, or give --output another path")
    return path


def new_file(folder: Path, name: str) -> Path:
    """The path `folder/name`, or with the next free number before the suffix, so that nothing is overwritten."""
    wanted = folder / name
    number = 1
    while wanted.exists():
        number += 1
        wanted = folder / f"{Path(name).stem}_{number}{Path(name).suffix}"
    return wanted
