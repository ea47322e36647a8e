"""Sequences that may be larger than memory: their content is kept in a temporary file without a name.

The system removes such a file when it is closed, also after a crash.
"""

import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, overload

import numpy as np
import numpy.typing as npt

from datamodules.errors import UserError

IN_MEMORY = 2**24
"""Bytes of texts that are kept in memory before a file is used."""


class TextSpool(Sequence[str]):
    """Texts that are appended one after the other, and read by their position. Only 8 bytes a text are in memory, after
    the first 16 MiB."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  (open as long as the object)
        weakref.finalize(self, self._file.close)
        self._ends = array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Adds a text at the end.

        Raises:
            UserError: the disk is full.
        """
        with _writing():
            self._file.seek(self._ends[-1])
            self._file.write(text.encode())
        self._ends.append(self._file.tell())

    def truncate(self, size: int) -> None:
        """Keeps the first `size` texts."""
        del self._ends[size + 1 :]

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        start, end = self._ends[position], self._ends[position + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode()

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))


def spooled(parts: Iterable[npt.NDArray[Any]], dtype: type, shape: tuple[int, ...] = ()) -> npt.NDArray[Any]:
    """Arrays joined along their first dimension, memory-mapped.

    Args:
        parts: arrays `(n, *shape)`.
        dtype: type of the numbers.
        shape: the other dimensions.

    Raises:
        UserError: the disk is full.
    """
    with tempfile.TemporaryFile() as file:
        for part in parts:
            with _writing():
                file.write(np.ascontiguousarray(part, dtype=dtype).data)
        with _writing():
            file.flush()
        return _mapped(file, dtype, shape)


def _mapped(file: IO[bytes], dtype: type, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The content of a file as an array. The memory map keeps the file after it is closed."""
    rows = file.tell() // (np.dtype(dtype).itemsize * int(np.prod(shape)))
    if rows == 0:  # an empty file cannot be mapped
        return np.empty((0, *shape), dtype=dtype)
    return np.asarray(np.memmap(file, dtype=dtype, mode="r+", shape=(rows, *shape)))


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"the temporary folder {tempfile.gettempdir()} cannot be written: {error.strerror}"
        raise UserError(f"{text}; set TMPDIR to another folder") from error
