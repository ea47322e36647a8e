"""A split of token ids: rows of any length in a memory-mapped Arrow file, gathered as whole padded batches."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from datamodules.base import Batch
from datamodules.sources import data_cache, part_of, sha256

Item = TypeVar("Item")
Ids = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Rows = tuple[Sequence[Any], Sequence[int]]
"""Some rows of a table: the ids of each, and the label of each."""

FORMAT = 1
CHUNK_ROWS = 1000


class TokenTable:
    """Rows of token ids; a batch of them is int64 `(B, T)`, padded, with target int64 `(B,)`.

    Args:
        ids: int32, every row's ids one after the other; between rows anything may stand.
        starts: int64 `(N,)`, where each row begins in `ids`.
        sizes: int64 `(N,)`, ids of each row.
        labels: int64 `(N,)`, -1 where unknown.
        max_length: tokens that are kept of a row, at least 1.
        padding_id: the token that pads.
        pad_front: padding stands before the row, and not behind it.
        keep_last: a row is cut at its front, and not at its end.
        fixed: every batch is `max_length` wide; otherwise as wide as its longest row, and rows of like length are to
            share a batch.
        path: the file that `ids` is a view of.
    """

    def __init__(
        self,
        ids: Ids,
        starts: Places,
        sizes: Places,
        labels: Places,
        *,
        max_length: int,
        padding_id: int = 0,
        pad_front: bool = True,
        keep_last: bool = True,
        fixed: bool = False,
        path: Path | None = None,
    ) -> None:
        self._ids, self._starts, self._sizes, self._labels = ids, starts, sizes, labels
        self.max_length, self.padding_id = max_length, padding_id
        self.pad_front, self.keep_last, self.fixed, self.path = pad_front, keep_last, fixed, path

    @classmethod
    def from_rows(
        cls, rows: Sequence[Sequence[int]], labels: Sequence[int] | None = None, **padding: Any
    ) -> "TokenTable":
        """A table in memory; labels are -1 when not given."""
        sizes = np.array([len(row) for row in rows], dtype=np.int64)
        ids = np.fromiter((i for row in rows for i in row), dtype=np.int32, count=int(sizes.sum()))
        known = np.full(len(rows), -1, dtype=np.int64) if labels is None else np.array(labels, dtype=np.int64)
        return cls(ids, sizes.cumsum() - sizes, sizes, known, **padding)

    @classmethod
    def open(cls, path: Path, **padding: Any) -> "TokenTable":
        """The table in a file that `write_rows` wrote, memory-mapped."""
        ids, batches = _map(path)
        starts, sizes, labels = [], [], []
        for batch in batches:
            offsets, base = _offsets(batch.column("tokens"), ids)
            starts.append(base + offsets[:-1])
            sizes.append(np.diff(offsets))
            labels.append(batch.column("label").to_numpy())
        none = [np.empty(0, dtype=np.int64)]
        whole = [np.concatenate(none + parts) for parts in (starts, sizes, labels)]
        return cls(ids, *whole, path=path, **padding)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def lengths(self) -> Tensor | None:
        """Tokens of each row as it is used, int64 `(N,)`; None when every batch has the same width."""
        return None if self.fixed else torch.from_numpy(np.minimum(self._sizes, self.max_length))

    @property
    def labels(self) -> Tensor:
        """int64 `(N,)`."""
        return torch.from_numpy(self._labels.copy())

    def subset(self, indices: Tensor) -> "TokenTable":
        """The rows `indices`, in that order, of the same file."""
        i = indices.numpy()
        padding = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return TokenTable(self._ids, self._starts[i], self._sizes[i], self._labels[i], **padding)

    def __getitem__(self, indices: Tensor, /) -> Batch:
        rows = indices.numpy()
        return torch.from_numpy(self.gather(rows).astype(np.int64)), torch.from_numpy(self._labels[rows])

    def gather(self, rows: Places) -> Ids:
        """The ids of `rows`, `(B, T)`, padded."""
        whole = self._sizes[rows]
        sizes = np.minimum(whole, self.max_length)  # (B,)
        starts = self._starts[rows] + (whole - sizes if self.keep_last else 0)  # (B,)
        width = self.max_length if self.fixed else max(int(sizes.max(initial=1)), 1)
        batch = np.full((len(rows), width), self.padding_id, dtype=np.int32)  # (B, T)
        # A slice a row is one copy of memory: measured at half the time of a whole-batch index of int64 places.
        for row, start, size in zip(batch, starts.tolist(), sizes.tolist(), strict=True):
            place = slice(width - size, width) if self.pad_front else slice(0, size)
            row[place] = self._ids[start : start + size]
        return batch

    def __getstate__(self) -> dict[str, Any]:
        """A table of a file travels to a worker without its ids, and maps the file there."""
        return {**vars(self), "_ids": self._ids if self.path is None else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.path is not None:
            self._ids = _map(self.path)[0]


def write_rows(path: Path, chunks: Iterable[Rows], *, metadata: dict[str, Any]) -> None:
    """Writes rows to an Arrow file, a record batch a chunk, so that no more than a chunk is in memory."""
    schema = pa.schema(
        [("tokens", pa.list_(pa.int32())), ("label", pa.int64())], metadata={"lit_models": json.dumps(metadata)}
    )
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for ids, labels in chunks:
            columns = [pa.array(ids, type=schema.field(0).type), pa.array(labels, type=pa.int64())]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def read_metadata(path: Path) -> dict[str, Any]:
    """What was written beside the rows."""
    with pa.memory_map(str(path)) as source:
        found: dict[str, Any] = json.loads(pa.ipc.open_file(source).schema.metadata[b"lit_models"])
    return found


def cached_file(kind: str, settings: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """The file in the data cache that `build` makes from `settings`, which name all that its content depends on.

    Its name ends in the SHA-256 of its content. A file that no longer has that content is made again.

    Raises:
        ValueError: the data cache cannot be written.
    """
    text = json.dumps({"format": FORMAT, **settings}, sort_keys=True)
    stem = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    folder = data_cache() / "tokens"
    for found in sorted(folder.glob(f"{stem}-*.arrow")):
        if sha256(found) == found.stem.rpartition("-")[2]:
            return found
        found.unlink(missing_ok=True)
    try:
        with part_of(folder / f"{stem}.arrow") as part:
            build(part)
            made = folder / f"{stem}-{sha256(part)}.arrow"
            os.replace(part, made)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"cannot write in the data cache {folder}: set LIT_MODELS_CACHE to another folder") from error
    return made


def chunked(items: Iterable[Item], size: int = CHUNK_ROWS) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def progress(items: Iterable[Item], *, doing: str, unit: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar on a terminal; in a log, a line when it takes longer than a moment, and one at its end."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=doing, unit=f" {unit}", total=total, leave=False)
        return
    start, said, count = time.perf_counter(), False, 0
    for item in items:
        count += 1
        if not said and time.perf_counter() - start > 0.5:
            said = True
            print(f"{doing} {f'{total:,} ' if total else ''}{unit} …", file=sys.stderr, flush=True)
        yield item
    if said:
        print(f"{doing} {count:,} {unit} took {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)


def _map(path: Path) -> tuple[Ids, list[Any]]:
    """The whole file as int32, without reading it, and its record batches, which are views of the same memory."""
    buffer = pa.memory_map(str(path)).read_buffer()
    reader = pa.ipc.open_file(buffer)
    ids = np.frombuffer(buffer, dtype=np.int32, count=buffer.size // 4)
    return ids, [reader.get_batch(i) for i in range(reader.num_record_batches)]


def _offsets(column: Any, ids: Ids) -> tuple[Places, int]:
    """Offsets of a column's rows in its values, int64 `(n + 1,)`, and where these values begin in `ids`. Arrow places
    every buffer at a multiple of 8 bytes."""
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int32, count=len(column) + 1).astype(np.int64)
    values = column.values.buffers()[1]
    return offsets, (values.address - ids.ctypes.data) // 4 if values is not None and values.size else 0
