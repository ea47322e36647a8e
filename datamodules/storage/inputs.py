"""What a user gives to predict: texts, files, folders, glob patterns, and standard input.

A word that names a file, or looks like the path of one, is never a text. Inputs that cannot be read are named, and the
others are used.
"""

import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.checksums import note
from datamodules.storage.limits import longest_line
from datamodules.storage.lines import suffix_of

SHOWN_LINES = 5  # maximum number of lines that a note lists
STANDARD_INPUT = "-"
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
TABLES = frozenset({".txt", ".csv", ".csv.gz", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"})
OTHERS = frozenset({".ckpt", ".docx", ".gz", ".h5", ".html", ".keras", ".npy", ".npz", ".pdf", ".pt", ".xlsx", ".zip"})
KNOWN = IMAGES | TABLES | OTHERS
"""A word without a blank that ends in one of these is the path of a file."""
SHOWN = 10
"""Most inputs that are named because they cannot be read."""


class Text(str):
    """A text that is never taken for a path, whatever it looks like."""

    __slots__ = ()


@dataclass(frozen=True)
class Reads:
    """What a dataset reads as inputs.

    Args:
        name: one of its files in words, such as "image".
        suffixes: of its files, in lower case.
        texts: whether a word that does not look like a path is an input, too.
    """

    name: str
    suffixes: frozenset[str]
    texts: bool = False

    @property
    def expected(self) -> str:
        """What is read, for a message."""
        *first, last = sorted(self.suffixes)
        return f"{'sentences, or ' if self.texts else ''}files {', '.join(first)} or {last}"


class Skipped:
    """The inputs that cannot be read.

    Args:
        strict: raise the problem of the first one.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict, self.count = strict, 0
        self._problems: list[UserError] = []

    def add(self, problem: UserError) -> None:
        """Adds the problem of an input.

        Raises:
            UserError: the problem, if `strict`.
        """
        if self.strict:
            raise problem
        self.count += 1
        if len(self._problems) < SHOWN:
            self._problems.append(problem)

    def report(self, *, found: bool, nothing: str) -> None:
        """Names these inputs on standard error, in the first process only.

        Args:
            found: whether there is a sample that can be predicted.
            nothing: the message if the inputs contain nothing at all.

        Raises:
            UserError: no sample can be predicted.
        """
        if not found:
            if not self._problems:
                raise UserError(nothing)
            others = self.count - 1
            more = f" ({others:,} more input{'s' * (others > 1)} cannot be read)" if others else ""
            raise type(self._problems[0])(f"{self._problems[0]}{more}")
        for problem in self._problems:
            _say(f"skipped: {problem}")
        if self.count > len(self._problems):
            _say(f"skipped: {self.count - len(self._problems):,} more")


@rank_zero_only
def _say(text: str) -> None:
    print(" ".join(text.split()), file=sys.stderr, flush=True)


def items(inputs: Iterable[Any], reads: Reads, skipped: Skipped) -> Iterator[Any]:
    """The files and the texts that the inputs name, in order: a Path, a text, or `STANDARD_INPUT`. Values that are not
    strings are yielded as they are.

    Args:
        inputs: see the head of this file. A folder means all files in it that are read, sorted by path.
        reads: what is read.
        skipped: collects the inputs that cannot be read.
    """
    for item in inputs:
        if isinstance(item, Text) or not isinstance(item, str | Path) or item == STANDARD_INPUT:
            yield item
            continue
        try:
            yield from _paths_or_text(item, reads)
        except UserError as problem:
            skipped.add(problem)


def _paths_or_text(item: str | Path, reads: Reads) -> Iterator[Path | str]:
    place = os.path.expanduser(item)
    path_like = isinstance(item, Path) or not reads.texts
    if reads.texts and not str(item).strip():
        yield str(item)
    elif str(item).strip() and os.path.lexists(place):
        yield from _files(Path(place), reads)
    elif _has_pattern(str(item)) and (matches := sorted(glob.glob(place, recursive=True))):
        for match in matches:
            if os.path.isdir(match) or suffix_of(Path(match)) in reads.suffixes:
                yield from _files(Path(match), reads)
    elif path_like or looks_like_path(str(item)):
        raise MissingFileError(_missing(str(item), reads))
    else:
        yield str(item)


def looks_like_path(text: str) -> bool:
    """Whether a text without blanks has a separator, or ends as the name of a file."""
    if re.search(r"\s", text):
        return False
    return "/" in text or os.sep in text or _ends_as_a_file(text)


def _has_pattern(text: str) -> bool:
    return glob.has_magic(text) and ("/" in text or os.sep in text or _ends_as_a_file(text))


def _ends_as_a_file(text: str) -> bool:
    return Path(text).suffix.lower() in KNOWN


def _missing(item: str, reads: Reads) -> str:
    if _has_pattern(item):
        return f"no file matches {item}{as_text(reads)}"
    what = f"no {reads.name} or folder {item}" if not reads.texts else f"{item}: no such file"
    return f"{what}{as_text(reads)}"


def as_text(reads: Reads) -> str:
    """Advice on how to predict a text that looks like a path; empty if texts are not read."""
    return "; if it is a text, pipe it in: echo TEXT | … --inputs -" if reads.texts else ""


def _files(path: Path, reads: Reads) -> Iterator[Path]:
    """A file, or all files in a folder that are read, sorted by path. Hidden files in it are left out."""
    if not path.is_dir():
        yield _checked(path, reads)
        return
    problems: list[OSError] = []
    files: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=problems.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(folder, name) for name in names if not name.startswith(".")]
        files += [file for file in paths if suffix_of(file) in reads.suffixes]
    yield from sorted(files)
    if problems:
        raise UserError(f"{problems[0].filename}: the folder cannot be read: {problems[0].strerror}")
    if not files:
        raise UserError(f"no {reads.name} in {path}: expected {reads.expected}")


def _checked(path: Path, reads: Reads) -> Path:
    if not path.exists():
        raise MissingFileError(f"{path} is a link to a file that does not exist")
    if not path.is_file():
        raise UserError(f"{path} is a pipe or a device, expected a file; - reads standard input")
    suffix = suffix_of(path)
    if reads.texts and suffix not in reads.suffixes:  # an image is recognised by its content
        kind = "an image" if suffix in IMAGES else f"a file {suffix}" if suffix else "a file without a suffix"
        raise UserError(f"{path} is {kind}, expected {reads.expected}{as_text(reads)}")
    return path


def input_lines(skipped: Skipped) -> Iterator[tuple[str, str]]:
    """The lines of standard input that are not blank: the place of each for messages, and its text. Lines that are not
    UTF-8 or too long are skipped."""
    stream, longest, number = sys.stdin.buffer, longest_line(), 0
    blank: list[int] = []
    whole = True  # whether the last part ended its line
    while line := stream.readline(longest + 1):
        begins, whole = whole, line.endswith(b"\n")
        if not begins:
            continue
        number += 1
        place = f"standard input, line {number}"
        if len(line) > longest:
            skipped.add(UserError(f"{place}: more than {longest:,} bytes; set LIT_MODELS_MAX_GB to a larger number"))
            continue
        try:
            text = line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode().rstrip("\r\n")
        except UnicodeDecodeError:
            skipped.add(UserError(f"{place}: not UTF-8"))
            continue
        if "\0" in text:
            skipped.add(UserError(f"{place}: a NUL byte, expected UTF-8 text"))
        elif text.strip():
            yield place, text
        else:
            blank.append(number)
    if blank:
        note_blank("standard input", blank)


def note_blank(file: str, lines: list[int]) -> None:
    """Prints which lines of a file are blank."""
    shown = ", ".join(map(str, lines[:SHOWN_LINES]))
    more = f" and {len(lines) - SHOWN_LINES:,} more" if len(lines) > SHOWN_LINES else ""
    s = "s" if len(lines) > 1 else ""
    note(f"{file}: {len(lines):,} blank line{s} left out (line{s} {shown}{more})")


def kept(values: Iterator[Any], read: Callable[[Any], Any], skipped: Skipped) -> Iterator[tuple[Any, Any]]:
    """Pairs of a value and what `read` makes of it. Values that it refuses are skipped."""
    for value in values:
        try:
            content = read(value)
        except UserError as problem:
            skipped.add(problem)
            continue
        yield value, content
