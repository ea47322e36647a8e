"""Lines of UTF-8 text files; a mistake is reported with its line."""

from collections.abc import Iterator
from pathlib import Path

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.limits import longest_line


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file with their ends, each with its number from 1. A byte order mark is removed.

    Raises:
        MissingFileError: no such file.
        UserError: the path is a folder, a pipe or a device, or the file cannot be read, is not UTF-8, contains a NUL
            byte, or has a line of more than 16 MiB (see `longest_line`).
    """
    require_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read: {error.strerror}") from error
    with file:
        longest = longest_line()
        for number, line in enumerate(iter(lambda: file.readline(longest + 1), b""), start=1):
            if len(line) > longest:
                raise UserError(
                    f"{path}:{number}: a line of more than {longest:,} bytes; set LIT_MODELS_MAX_GB to a larger number "
                    "if it is right"
                )
            raw = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = f"byte 0x{raw[error.start]:02x} at position {error.start + 1} of the line"
                raise UserError(f"{path}:{number}: not UTF-8 ({byte}); save the file as UTF-8") from error
            if "\0" in text:
                raise UserError(f"{path}:{number}: a NUL byte, expected UTF-8 text")
            yield number, text


def require_file(path: Path) -> None:
    """Checks that a path leads to a file. A pipe or a device is none: reading it might never end.

    Raises:
        MissingFileError: it does not exist.
        UserError: it is something else.
    """
    if path.is_file():
        return
    if path.exists():
        raise UserError(f"{path} is a {'folder' if path.is_dir() else 'pipe or a device'}, expected a file")
    raise MissingFileError(f"{path}: no such file")


def require_utf8(text: str, place: str) -> str:
    """Returns the text, unless it contains half of a surrogate pair, which no tokenizer can read.

    Raises:
        UserError: it does; the message begins with `place`.
    """
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UserError(f"{place}: the text is not UTF-8 (U+{ord(text[error.start]):04X} alone)") from error
    return text
