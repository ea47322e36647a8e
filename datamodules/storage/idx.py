"""The IDX files of MNIST, Fashion-MNIST and KMNIST: their addresses and checksums, and how they are unpacked and read.

The SHA-256 values belong to the `.gz` files whose MD5 the publishers and torchvision state.
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.checksums import recorded_sha256
from datamodules.storage.downloads import Published, fetch
from datamodules.storage.writing import disk_problem, part_of, publish

SHAPES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
MOST_BYTES = 2**25  # maximum of a `.gz` file; the largest has 26,421,880
ADDRESSES = {
    "MNIST": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "FashionMNIST": (
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    "KMNIST": ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
}
PACKED_SHA256 = {
    "MNIST": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "FashionMNIST": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    "KMNIST": (
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ),
}
"""Checksums of the `.gz` files, in the order of `SHAPES`."""
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Checksums of MNIST's unpacked files. Files of the other two datasets are compared with the `.gz` file beside them."""


def download_idx(dataset: str, raw: Path, *, remedy: str) -> None:
    """Downloads and unpacks the files that are missing in the folder `raw`. The `.gz` files are kept.

    Args:
        dataset: "MNIST", "FashionMNIST" or "KMNIST".
        raw: the folder.
        remedy: what a user can do without a network.

    Raises:
        MissingFileError: a file cannot be downloaded.
        UserError: a downloaded file is not the published one, or cannot be written.
    """
    for name in SHAPES:
        if (raw / name).is_file():
            continue
        packed = raw / f"{name}.gz"
        try:
            fetch(published(dataset, name), packed, remedy=remedy)
            _unpack(packed, raw / name)
        except MissingFileError as error:
            raise MissingFileError(f"{dataset} is missing: {error}") from error


def published(dataset: str, name: str) -> Published:
    """Addresses and checksum of the `.gz` file of an IDX file."""
    urls = tuple(f"{address}{name}.gz" for address in ADDRESSES[dataset])
    return Published(urls, MOST_BYTES, PACKED_SHA256[dataset][list(SHAPES).index(name)])


def is_published(dataset: str, path: Path) -> bool:
    """Whether an unpacked file is known to be the published one."""
    checksum = recorded_sha256(path)
    if dataset == "MNIST":
        return checksum == SHA256[path.name]
    packed = path.with_name(f"{path.name}.gz")
    if not packed.is_file() or recorded_sha256(packed) != published(dataset, path.name).sha256:
        return False
    return checksum == hashlib.sha256(_content(packed, path.name)).hexdigest()


def read_idx(path: Path) -> Tensor:
    """The values of an IDX file as uint8, in the shape that `SHAPES` gives for its name.

    Raises:
        MissingFileError: no such file.
        UserError: the file has another size or another header, or all of its values are the same.
    """
    shape = SHAPES[path.name]
    header = idx_header(shape)
    expected = len(header) + math.prod(shape)
    again = "delete it to download it again"
    try:
        if (size := path.stat().st_size) != expected:
            raise UserError(f"{path} is damaged: {size:,} bytes, expected {expected:,}; {again}")
        content = np.fromfile(path, dtype=np.uint8, count=expected)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read: {error.strerror}") from error
    if content[: len(header)].tobytes() != header:
        sizes = " x ".join(map(str, shape))
        raise UserError(f"{path} is damaged: its header is not that of {sizes} bytes; {again}")
    values = content[len(header) :]
    if (values == values[0]).all():
        raise UserError(f"{path} is damaged: each of its values is {values[0]}; {again}")
    if len(shape) == 1 and values.max() > 9:
        raise UserError(f"{path} is damaged: it has the label {values.max()}, expected 0 to 9; {again}")
    return torch.from_numpy(values.reshape(shape))


def idx_header(shape: tuple[int, ...]) -> bytes:
    """The first bytes of an IDX file of uint8 values: two zeros, 8, the number of dimensions, and each size."""
    return bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)


def _content(packed: Path, name: str) -> bytes:
    """The content of a `.gz` file. At most the size of the IDX file `name` is unpacked.

    Raises:
        UserError: the file is damaged, or its content has another size.
    """
    expected = len(idx_header(SHAPES[name])) + math.prod(SHAPES[name])
    try:
        with gzip.open(packed) as file:
            content = file.read(expected)
            if len(content) < expected or file.read(1):
                raise EOFError(f"it does not contain {expected:,} bytes")
    except (EOFError, zlib.error, OSError) as error:
        raise UserError(f"{packed} is damaged ({error}); delete it to download it again") from error
    return content


def _unpack(packed: Path, target: Path) -> None:
    """Unpacks a `.gz` file to `target`, completely or not at all."""
    try:
        with part_of(target) as part:
            if not target.is_file():  # another process may have unpacked it
                part.write_bytes(_content(packed, target.name))
                publish(part, target)
    except UserError:
        raise
    except OSError as error:
        move = "set LIT_MODELS_DATA to another folder"
        raise disk_problem(error, target.parent, place="the data folder", remedy=move) or error from error
