"""Arrays of an `.npz` file that could contain anything: no code in the file is run."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

from datamodules.errors import UserError


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz` file, by name. Arrays of lists are pickled in the file; the unpickler used here accepts
    arrays, lists and plain values, and nothing that could run.

    Raises:
        UserError: the file is damaged or contains something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            return {n.removesuffix(".npy"): _read_npy(io.BytesIO(archive.read(n))) for n in names}
    except _Forbidden as error:
        raise UserError(
            f"{path} contains {error}, which does not belong in a file of arrays; it was not run"
        ) from error
    except Exception as error:  # a damaged pickle can fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is damaged: {reason}") from error


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
        raise UserError("an array does not match its header")
    return array


class _Forbidden(Exception):
    """A pickle asks for something that is neither an array nor a plain value."""


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays of lists and numbers. It knows only the names that numpy writes for an array, and replaces them by
    functions that make an empty array or a dtype, and do nothing else."""

    def find_class(self, module: str, name: str, /) -> Any:
        import numpy as np

        match module.replace("numpy.core", "numpy._core"), name:
            case "numpy._core.multiarray", "_reconstruct":
                return lambda subtype, shape, dtype: np.empty(0, dtype=np.int8)  # __setstate__ sets its content
            case "numpy", "ndarray":
                return "ndarray"  # only ever an argument
            case "numpy", "dtype":
                return np.dtype
            case "_codecs", "encode":
                return lambda text, encoding: text.encode("latin1")
        raise _Forbidden(f"{module}.{name}")
