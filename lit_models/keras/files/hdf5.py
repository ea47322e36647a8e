"""Reads an HDF5 file in a separate process before it is read here: on some damaged files, the HDF5 library hangs or
crashes.
"""

import hashlib
import subprocess
import sys

from lit_models.keras.files.errors import KerasFileError

TIME_LIMIT = 20
"""Seconds that reading a file may take, plus one for each 20 MB."""
PROGRAM = """
import io, sys
import h5py

def look(name, item):
    list(item.attrs.items())
    if isinstance(item, h5py.Dataset) and item.nbytes <= 100 * size + 2**20:
        item[()]

content = sys.stdin.buffer.read()
size = len(content)
with h5py.File(io.BytesIO(content), "r") as file:
    look("", file)
    file.visititems(look)
"""


checked: set[bytes] = set()
"""SHA-256 of the files that were read to the end."""


def check_hdf5(content: bytes) -> None:
    """Checks that the HDF5 library neither hangs nor crashes on a file. It may still refuse the file later.

    Raises:
        KerasFileError: the library hangs or crashes.
    """
    digest = hashlib.sha256(content).digest()
    if digest in checked:
        return
    limit = TIME_LIMIT + len(content) / 2e7
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", PROGRAM], input=content, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise KerasFileError(f"the file is damaged: reading it did not end within {limit:.0f} s") from error
    if done.returncode < 0:
        raise KerasFileError("the file is damaged: reading it crashed")
    checked.add(digest)
