"""Tables of token ids: rows of any length in a memory-mapped Arrow file, read as padded batches."""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from datamodules.base import Batch
from datamodules.storage.spool import spooled

Item = TypeVar("Item")
Ids = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
Labels = npt.NDArray[Any]
"""The targets of a table: classes, int64 `(N,)`, -1 where unknown; sets of labels, float `(N, L)` of 0 and 1, NaN where
unknown; or such sets packed, uint8 `(N, ceil(L / 8))`, one bit for each label."""
Rows = tuple[Sequence[Any], Sequence[Any]]
"""Some rows to write: the token ids of each row, and its class or the numbers of its labels."""

CHUNK_ROWS = 1000


class TokenTable:
    """Rows of token ids. A batch is int64 `(B, T)`, padded, with the target int64 `(B,)` or float `(B, L)`.

    Args:
        ids: int32, the ids of every row, one row after the other; anything may lie between rows.
        starts: int64 `(N,)`, where each row begins in `ids`.
        sizes: int64 `(N,)`, number of ids in each row.
        labels: the targets, see `Labels`.
        num_labels: number of labels, if `labels` are packed sets.
        max_length: tokens of a row that are used, at least 1.
        padding_id: the id of the padding token.
        pad_front: put padding before a row; otherwise after it.
        keep_last: cut a long row at its front; otherwise at its end.
        fixed: every batch is `max_length` wide. Otherwise a batch is as wide as its longest row, and rows of similar
            length should share a batch.
        path: the file that `ids` is a view of.
    """

    def __init__(
        self,
        ids: Ids,
        starts: Positions,
        sizes: Positions,
        labels: Labels,
        *,
        num_labels: int | None = None,
        max_length: int,
        padding_id: int = 0,
        pad_front: bool = True,
        keep_last: bool = True,
        fixed: bool = False,
        path: Path | None = None,
    ) -> None:
        self._ids, self._starts, self._sizes, self._labels = ids, starts, sizes, labels
        self.num_labels, self.max_length, self.padding_id = num_labels, max_length, padding_id
        self.pad_front, self.keep_last, self.fixed, self.path = pad_front, keep_last, fixed, path

    @classmethod
    def from_chunks(
        cls, chunks: Iterable[Sequence[Sequence[int]]], labels: Labels | None = None, **padding: Any
    ) -> "TokenTable":
        """A table of the rows in all chunks, whose ids are in a temporary file; every class is -1 if `labels` are not
        given."""
        lengths = array("q")

        def ids() -> Iterator[npt.NDArray[Any]]:
            for rows in chunks:
                lengths.extend(map(len, rows))
                yield np.fromiter((i for row in rows for i in row), dtype=np.int32)

        joined = spooled(ids(), np.int32)
        sizes = np.array(lengths, dtype=np.int64)
        known = np.full(len(sizes), -1, dtype=np.int64) if labels is None else labels
        return cls(joined, sizes.cumsum() - sizes, sizes, known, **padding)

    @classmethod
    def open(cls, path: Path, **padding: Any) -> "TokenTable":
        """The table in a file that `write_rows` wrote, memory-mapped."""
        ids, reader = _map(path)
        num_labels = json.loads(reader.schema.metadata[b"num_labels"])
        width = 0 if num_labels is None else _packed_width(num_labels)
        starts, sizes = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        labels: list[Labels] = [np.empty(0, np.int64) if num_labels is None else np.empty((0, width), np.uint8)]
        for batch in map(reader.get_batch, range(reader.num_record_batches)):
            offsets, base = _offsets(batch.column("tokens"), ids)
            starts.append(base + offsets[:-1])
            sizes.append(np.diff(offsets))
            column = batch.column("label")
            labels.append(column.to_numpy() if num_labels is None else column.flatten().to_numpy().reshape(-1, width))
        padding |= {"num_labels": num_labels, "path": path}
        return cls(ids, np.concatenate(starts), np.concatenate(sizes), np.concatenate(labels), **padding)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def lengths(self) -> Tensor | None:
        """Number of tokens of each row after cutting, int64 `(N,)`; None if every batch has the same width."""
        return None if self.fixed else torch.from_numpy(np.minimum(self._sizes, self.max_length))

    @property
    def sizes(self) -> Positions:
        """Number of tokens of each row before cutting, int64 `(N,)`."""
        return self._sizes

    def whole(self, row: int) -> Ids:
        """The ids of a row before cutting."""
        return self._ids[self._starts[row] : self._starts[row] + self._sizes[row]]

    def subset(self, indices: Tensor) -> "TokenTable":
        """A table of the rows `indices`, in that order."""
        i = indices.numpy()
        settings = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return TokenTable(self._ids, self._starts[i], self._sizes[i], self._labels[i], **settings)

    def __getitem__(self, indices: Tensor, /) -> Batch:
        return self.share(indices, 0, 1)

    def share(self, indices: Tensor, rank: int, num_replicas: int) -> Batch:
        """The rows `rank`, `rank + num_replicas`, and so on, of the batch of the rows `indices`. They are padded to the
        width of the whole batch, because dropout draws a number for each position."""
        rows = indices.numpy()
        own = rows[rank::num_replicas]
        return torch.from_numpy(self.gather(own, self.width_of(rows)).astype(np.int64)), self.targets(own)

    def width_of(self, rows: Positions) -> int:
        """The width T of a batch of `rows`."""
        if self.fixed:
            return self.max_length
        return max(min(int(self._sizes[rows].max(initial=1)), self.max_length), 1)

    def gather(self, rows: Positions, width: int | None = None) -> Ids:
        """The ids of `rows`, `(B, T)`, padded to `width`, or to the width of a batch of them."""
        whole = self._sizes[rows]
        sizes = np.minimum(whole, self.max_length)  # (B,)
        starts = self._starts[rows] + (whole - sizes if self.keep_last else 0)  # (B,)
        width = self.width_of(rows) if width is None else width
        batch = np.full((len(rows), width), self.padding_id, dtype=np.int32)  # (B, T)
        # Copying a slice for each row takes half the time of one index of int64 positions for the whole batch.
        for row, start, size in zip(batch, starts.tolist(), sizes.tolist(), strict=True):
            place = slice(width - size, width) if self.pad_front else slice(0, size)
            row[place] = self._ids[start : start + size]
        return batch

    def targets_of(self, indices: Tensor) -> Tensor:
        """The targets of the rows `indices`, without their tokens."""
        return self.targets(indices.numpy())

    def targets(self, rows: Positions) -> Tensor:
        """The targets of `rows`: classes, int64 `(B,)`, or sets of labels, float `(B, L)`."""
        labels = self._labels[rows]
        if labels.ndim == 1:
            return torch.from_numpy(labels)
        if self.num_labels is not None:
            labels = np.unpackbits(labels, axis=1, count=self.num_labels)  # (B, ceil(L / 8)) -> (B, L)
        return torch.from_numpy(labels).to(torch.get_default_dtype())

    def __getstate__(self) -> dict[str, Any]:
        """A table from a file is sent to a worker without its ids, because the worker maps the file itself."""
        return {**vars(self), "_ids": self._ids if self.path is None else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.path is not None:
            self._ids = _map(self.path)[0]


def write_rows(path: Path, chunks: Iterable[Rows], *, metadata: dict[str, Any], num_labels: int | None = None) -> None:
    """Writes rows to an Arrow file, one record batch for each chunk, so that only one chunk is in memory.

    Args:
        path: path of the file.
        chunks: the rows.
        metadata: values that JSON can hold; `read_metadata` returns them.
        num_labels: number of labels if a row has a set of labels; None if a row has one class.
    """
    label = pa.int64() if num_labels is None else pa.list_(pa.uint8(), _packed_width(num_labels))
    about = {"lit_models": json.dumps(metadata), "num_labels": json.dumps(num_labels)}
    schema = pa.schema([("tokens", pa.list_(pa.int32())), ("label", label)], metadata=about)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for ids, labels in chunks:
            cells = labels if num_labels is None else _pack(labels, num_labels).tolist()
            columns = [pa.array(ids, type=schema.field(0).type), pa.array(cells, type=label)]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a file that `write_rows` wrote."""
    with pa.memory_map(str(path)) as source:
        metadata: dict[str, Any] = json.loads(pa.ipc.open_file(source).schema.metadata[b"lit_models"])
    return metadata


def chunked(items: Iterable[Item], size: int = CHUNK_ROWS) -> Iterator[list[Item]]:
    """Lists of `size` items; the last one may be shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _packed_width(num_labels: int) -> int:
    """Number of bytes with one bit for each label."""
    return -(-num_labels // 8)


def _pack(label_sets: Sequence[Sequence[int]], num_labels: int) -> npt.NDArray[np.uint8]:
    """Sets of label numbers as uint8 `(N, ceil(L / 8))`, one bit for each label."""
    sets = np.zeros((len(label_sets), num_labels), dtype=np.uint8)  # (N, L)
    for row, numbers in zip(sets, label_sets, strict=True):
        row[list(numbers)] = 1
    return np.packbits(sets, axis=1)


def _map(path: Path) -> tuple[Ids, Any]:
    """Maps a file into memory without reading it. Returns the file as int32, and a reader of its record batches, which
    are views of the same memory."""
    buffer = pa.memory_map(str(path)).read_buffer()
    ids = np.frombuffer(buffer, dtype=np.int32, count=buffer.size // 4)
    return ids, pa.ipc.open_file(buffer)


def _offsets(column: Any, ids: Ids) -> tuple[Positions, int]:
    """The offsets of a column's rows in its values, int64 `(n + 1,)`, and the position of these values in `ids`. Arrow
    puts every buffer at a multiple of 8 bytes."""
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int32, count=len(column) + 1).astype(np.int64)
    values = column.values.buffers()[1]
    return offsets, (values.address - ids.ctypes.data) // 4 if values is not None and values.size else 0
