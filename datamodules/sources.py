"""Files in: where data lie, downloads, checksums, and arrays out of files that could hold anything."""

import hashlib
import io
import os
import pickle
import socket
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

import platformdirs

DOWNLOAD_TIMEOUT = 30  # seconds without an answer


def data_cache() -> Path:
    """The folder for what is made from data: `LIT_MODELS_CACHE`, or `lit-models` in the user's cache. It exists once
    something was written."""
    named = os.environ.get("LIT_MODELS_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("lit-models")


def default_data_dir() -> Path:
    """The folder where data are looked for: `LIT_MODELS_DATA`, or `data` in the cache."""
    named = os.environ.get("LIT_MODELS_DATA")
    return Path(named).expanduser() if named else data_cache() / "data"


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, target: Path, *, md5: str) -> None:
    """Downloads `url` to `target`, whole or not at all. A file that lies there already is accepted as it is.

    Raises:
        FileNotFoundError: it cannot be downloaded.
        ValueError: what came is not the published file.
    """
    if target.is_file():
        return
    from torchvision.datasets.utils import download_url

    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        download_url(url, str(part.parent), filename=part.name, md5=md5)
        os.replace(part, target)
    except (OSError, HTTPException) as error:
        raise FileNotFoundError(f"cannot download {url} (no network?): put the file at {target}") from error
    except RuntimeError as error:  # torchvision's word for a wrong checksum
        raise ValueError(f"{url} came with a wrong checksum: try again, or put the file at {target}") from error
    finally:
        socket.setdefaulttimeout(timeout)
        part.unlink(missing_ok=True)


@contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """Gives a temporary path beside `target`, to be renamed when the file is complete; otherwise it is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz`, by name. Arrays of lists are pickled in it; they are read by an unpickler that admits
    arrays, lists and plain values, and nothing that could run.

    Raises:
        ValueError: the file is damaged, or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            return {n.removesuffix(".npy"): _read_npy(io.BytesIO(archive.read(n))) for n in names}
    except _Forbidden as error:
        raise ValueError(f"{path} holds {error}, which an array file has no use for; it was not run") from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise ValueError(
            f"{path} is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error


def _read_npy(file: IO[bytes]) -> Any:
    import numpy as np
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if not dtype.hasobject:
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)
    array = _ArrayUnpickler(file).load()
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError("an array is not what its header says")
    return array


class _Forbidden(Exception):
    """A pickle asks for something that is neither an array nor a plain value."""


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays of lists and numbers. Of the names that a pickle may ask for, it knows those that numpy writes for
    an array, and answers with functions of its own that make an empty array or a dtype, and do nothing else."""

    def find_class(self, module: str, name: str, /) -> Any:
        import numpy as np

        match module.replace("numpy.core", "numpy._core"), name:
            case "numpy._core.multiarray", "_reconstruct":
                return lambda subtype, shape, dtype: np.empty(0, dtype=np.int8)  # its content comes by __setstate__
            case "numpy", "ndarray":
                return "ndarray"  # only ever an argument
            case "numpy", "dtype":
                return np.dtype
            case "_codecs", "encode":
                return lambda text, encoding: text.encode("latin1")
        raise _Forbidden(f"{module}.{name}")
