"""Small files that ask for much memory or time, one function for each. Each is named after the reader it is for."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MANY = 10**8


def write_npy(array_pickle: bytes, shape: tuple[int, ...]) -> bytes:
    """An `.npy` file of objects whose pickle is given."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": shape})
    return file.getvalue() + array_pickle


def write_zip(path: Path, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        archive.writestr(name, content)


def laughs(*, levels: int, make: Callable[[object], object]) -> object:
    """An object that contains itself twice, level after level."""
    value = make("x")
    for _ in range(levels):
        value = make(value)
    return value


def pickles() -> dict[str, bytes]:
    """Pickles for the readers of vocabularies."""
    many = {f"w{i}": i for i in range(30_000)}
    begin = pickle.dumps(many, protocol=2)[:-1]  # the mapping is object 0
    copies = begin + b"(" + b"ccollections\nOrderedDict\nh\x00\x85R" * 5_000 + b"l."
    tuples = b"".join(b"h%c\x86q%c" % (i, i + 1) for i in range(60))  # each holds the one before it twice
    return {
        "a number in the table of objects": b"\x80\x02Nr" + struct.pack("<I", 2**31 - 1) + b".",
        "lists of lists": pickle.dumps(laughs(levels=40, make=lambda v: [v, v])),
        "a key of tuples": b"\x80\x02})q\x00" + tuples + b"K\x01s.",
        "tuples inside tuples": b"\x80\x02}N" + b"\x85" * 2_000_000 + b"K\x01s.",
        "a text of huge length": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"a.",
        "a byte array of huge length": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"a.",
        "a mapping copied again and again": copies,
        "an id of many digits": pickle.dumps({"<unk>": 1 << 400_000, "a": 1 << 400_000}),
        "many sets": b"\x80\x04(" + b"\x8f" * 20_000_000 + b"l.",
    }


def write_pickles(folder: Path) -> list[Path]:
    paths = []
    for i, content in enumerate(pickles().values()):
        path = folder / f"vocab{i}.pkl"
        path.write_bytes(content)
        paths.append(path)
    write_zip(folder / "zeros.pt", "vocab/data.pkl", b"\x80\x02]" + bytes(MANY))
    write_zip(folder / "lists.pt", "vocab/data.pkl", b"\x80\x02(" + b"]" * (MANY // 10) + b"l.")
    return [*paths, folder / "zeros.pt", folder / "lists.pt"]


def write_npzs(folder: Path) -> list[Path]:
    np.savez_compressed(folder / "zeros.npz", x_train=np.zeros(MANY, dtype=np.uint8))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (10**12,)})
    write_zip(folder / "claims.npz", "x.npy", header.getvalue() + b"few")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|V0", "fortran_order": False, "shape": (10**12,)})
    write_zip(folder / "nothing.npz", "x.npy", header.getvalue())
    rows = np.empty(2, dtype=object)
    rows[:] = [[1], [2]]
    rows[0] = laughs(levels=40, make=lambda v: [v, v])
    write_zip(folder / "laughs.npz", "x.npy", write_npy(pickle.dumps(rows), (2,)))
    write_zip(folder / "lists.npz", "x.npy", write_npy(b"\x80\x02(" + b"]" * (MANY // 10) + b"l.", (1,)))
    write_zip(folder / "table.npz", "x.npy", write_npy(pickles()["a number in the table of objects"], (1,)))
    write_zip(folder / "bzip2.npz", "x.npy", bytes(MANY // 10), zipfile.ZIP_BZIP2)
    write_zip(folder / "copies.npz", "x.npy", write_npy(copied_bytes(), (1,)))
    names = ("zeros", "claims", "nothing", "laughs", "lists", "table", "bzip2", "copies")
    return [folder / f"{name}.npz" for name in names]


def copied_bytes() -> bytes:
    """A pickle of a list of arrays, each of which copies the same million bytes."""
    make = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    fill = b"(K\x01J\x40\x42\x0f\x00\x85cnumpy\ndtype\n(X\x02\x00\x00\x00u1\x89\x88tR\x89h\x00tb"
    return b"\x80\x04B" + struct.pack("<I", 10**6) + bytes(10**6) + b"q\x000(" + (make + fill) * 2_000 + b"l."


def write_archives(folder: Path) -> list[Path]:
    """Archives in place of the reviews', each in a folder of its own."""
    paths = []
    for name in ("zeros", "holes", "headers"):
        (folder / name).mkdir()
        path = folder / name / "aclImdb_v1.tar.gz"
        paths.append(path)
        if name == "headers":  # a note of 100 MB about a member
            info = tarfile.TarInfo("aclImdb/train/pos/0_1.txt")
            info.pax_headers = {"comment": "a" * MANY}
            with gzip.open(path, "wb", compresslevel=1) as file:
                file.write(info.tobuf(tarfile.PAX_FORMAT))
            continue
        info = tarfile.TarInfo("aclImdb/train/pos/0_1.txt")
        info.size = MANY
        content = bytes(MANY)
        if name == "holes":  # a file of 8 TB without a single byte of data
            info.size, info.type, content = 0, tarfile.GNUTYPE_SPARSE, b""
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        if name == "holes":
            header[386:410] = b"%011o\0%011o\0" % (0, 0)
            header[483:495] = b"\x80" + (2**43).to_bytes(11, "big")
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(bytes(header) + content + bytes(-len(content) % 512 + 1024))
    return paths


def write_parquets(folder: Path) -> list[Path]:
    long = pa.table({"text": pa.array(["a" * MANY], pa.large_string()), "label": [0]})
    pq.write_table(long, folder / "long.parquet", compression="brotli", use_dictionary=False, write_statistics=False)
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["a" * 2**22]))
    same = pa.table({"text": texts, "label": [0] * 100_000})
    pq.write_table(same, folder / "same.parquet", compression="brotli", write_statistics=False)
    empty = pa.table({"text": pa.nulls(MANY // 10, pa.string()), "label": pa.nulls(MANY // 10, pa.int32())})
    pq.write_table(empty, folder / "empty.parquet", row_group_size=MANY // 10, compression="zstd")
    (folder / "false.parquet").write_bytes(false_sizes(3 * MANY))
    return [folder / f"{name}.parquet" for name in ("long", "same", "empty", "false")]


def false_sizes(num_bytes: int) -> bytes:
    """A Parquet file whose one text has so many bytes, and whose footer says that it has 2,000."""
    file = io.BytesIO()
    table = pa.table({"text": pa.array(["a" * num_bytes], pa.large_string()), "label": [0]})
    pq.write_table(table, file, compression="zstd", use_dictionary=False, write_statistics=False)
    content = file.getvalue()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    group = pq.read_metadata(file).row_group(0)
    changed = content[footer:]
    for stated in (group.total_byte_size, group.column(0).total_uncompressed_size):
        size = thrift_number(stated)
        assert changed.count(size) == 1
        changed = changed.replace(size, thrift_number(2000, width=len(size)))
    return content[:footer] + changed


def thrift_number(number: int, width: int = 1) -> bytes:
    """A positive number as Thrift's compact protocol writes it, in at least `width` bytes: seven bits in each, from the
    lowest, and the eighth bit in all but the last."""
    left = 2 * number  # the lowest bit is the sign
    parts: list[int] = []
    while left or len(parts) < width:
        parts.append(left & 127)
        left >>= 7
    return bytes([*(part | 128 for part in parts[:-1]), parts[-1]])
