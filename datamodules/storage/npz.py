"""Reads the arrays of an untrusted `.npz` file: no code in the file is run, and it cannot fill the memory."""

import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.errors import UserError
from datamodules.storage.limits import Budget
from datamodules.storage.lines import require_file
from datamodules.storage.members import read_member
from datamodules.storage.pickles import Bounds, TooLarge, check_pickle

BOUNDS = Bounds(shared=0, copies=math.inf, mappings=0, tuples=math.inf)
"""Arrays of lists need no shared lists and no mappings, but the arrays share one dtype."""
LONGEST_NAME = 64  # maximum characters of a dtype's name


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz` file, by name. Arrays of lists are pickled in the file. The unpickler here accepts only
    arrays, lists and plain values, none of which can run code.

    Raises:
        MissingFileError: no such file.
        UserError: the file is damaged, contains something else, or takes too much memory.
    """
    require_file(path)
    try:
        budget = Budget(path)
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            return {n.removesuffix(".npy"): _read_npy(read_member(archive, n, budget), budget) for n in names}
    except UserError:
        raise
    except (_Forbidden, TooLarge) as error:
        raise UserError(
            f"{path} contains {error}, which does not belong in a file of arrays; it was not run"
        ) from error
    except Exception as error:  # a damaged pickle can fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is damaged: {reason}") from error


def _read_npy(content: bytes, budget: Budget) -> npt.NDArray[Any]:
    from numpy.lib import format as npy

    file = io.BytesIO(content)
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(file)
    start = file.tell()
    if not dtype.hasobject:
        _require_size(shape, dtype, len(content) - start)
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)
    end = check_pickle(content, start, budget, BOUNDS)
    array = _ArrayUnpickler(io.BytesIO(content[start:end]), budget).load()
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError("an array does not match its header")
    return np.asarray(array)


def _require_size(shape: tuple[int, ...], dtype: np.dtype[Any], num_bytes: int) -> None:
    if min(shape, default=0) < 0 or dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != num_bytes:
        raise ValueError(f"{num_bytes:,} bytes are not an array {shape} of {dtype}")


class _Forbidden(Exception):
    """A pickle contains something that is neither an array nor a plain value."""


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays of lists and numbers. It accepts only the names that numpy writes for an array, and replaces them by
    functions that create an empty array or a dtype."""

    def __init__(self, file: io.BytesIO, budget: Budget) -> None:
        super().__init__(file)
        self.budget = budget

    def find_class(self, module: str, name: str, /) -> Any:
        match module.replace("numpy.core", "numpy._core"), name:
            case "numpy._core.multiarray", "_reconstruct":
                return self._empty_array
            case "numpy", "ndarray":
                return "ndarray"  # used as an argument only
            case "numpy", "dtype":
                return _dtype
            case "_codecs", "encode":
                return _encode
        raise _Forbidden(f"{module}.{name}")

    def _empty_array(self, subtype: Any, shape: Any, dtype: Any) -> Any:
        array = np.empty(0, dtype=np.int8).view(_Array)
        array.budget = self.budget
        return array


class _Array(np.ndarray[Any, Any]):
    """An array whose content a pickle sets, within the memory limit of the file."""

    budget: Budget | None = None

    def __setstate__(self, state: Any, /) -> None:
        _, shape, dtype, _, content = state
        assert self.budget is not None
        self.budget.spend(len(content))
        if dtype.hasobject:
            if math.prod(shape) != len(content) or not isinstance(content, list):
                raise ValueError("an array does not match its content")
        else:
            _require_size(shape, dtype, len(content))
        super().__setstate__(state)


def _dtype(name: Any, align: Any = False, copy: Any = False) -> np.dtype[Any]:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise ValueError("a dtype has no name")
    return np.dtype(name)


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or len(text) > LONGEST_NAME:
        raise ValueError("a name is too long")
    return text.encode("latin1")
