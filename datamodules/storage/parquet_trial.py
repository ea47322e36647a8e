"""Reads a Parquet file in a separate process first, because a damaged file can fill the memory or crash pyarrow.

If the sizes that the file states are false, pyarrow unpacks pages of any size.
"""

import subprocess
import sys
from pathlib import Path

from datamodules.errors import UserError
from datamodules.storage.limits import SMALL, most_bytes

SPARE_BYTES = 2**27
"""Memory for pyarrow itself in that process."""
SECONDS, BYTES_A_SECOND = 60, 10**6
"""Time limit for reading: this many seconds, and one more for each `BYTES_A_SECOND` bytes of the file."""
TOO_MUCH_MEMORY = 77
"""Exit status of that process if the memory is too small."""
PROGRAM = """
import sys
import pyarrow as pa
import pyarrow.parquet as pq
path, num_bytes, num_rows, *columns = sys.argv[1:]
pa.set_memory_pool(pa.system_memory_pool())
if sys.platform == "linux":
    import resource
    lines = open("/proc/self/status").read().splitlines()
    used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize:"))
    resource.setrlimit(resource.RLIMIT_AS, (used + int(num_bytes), resource.RLIM_INFINITY))
try:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        names = [name for name in file.schema_arrow.names if name in columns]
        for batch in file.iter_batches(batch_size=int(num_rows), columns=names, use_threads=False):
            pass
except MemoryError:
    sys.exit(77)
except Exception:
    pass  # it is reported where the file is read
"""
passed: set[tuple[str | int, ...]] = set()
"""Files that were read completely: path, size, time of the last change, inode, and columns."""


def check_parquet(path: Path, columns: list[str], *, factor: int, batch_rows: int) -> None:
    """Checks that some columns of a Parquet file can be read within limits of time and memory. Other damage is reported
    later, when the file is read.

    Args:
        path: the file.
        columns: names of the columns to read.
        factor: allowed bytes of memory for each byte of the file; 64 MiB are always allowed.
        batch_rows: number of rows in memory at once.

    Raises:
        UserError: reading takes too much memory or time, or pyarrow crashes.
    """
    status = path.stat()
    key: tuple[str | int, ...] = (str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino, *columns)
    if key in passed:
        return
    num_bytes = min(max(status.st_size * factor, SMALL), most_bytes())
    seconds = SECONDS + status.st_size / BYTES_A_SECOND
    words = [str(path), str(num_bytes + SPARE_BYTES), str(batch_rows), *columns]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", PROGRAM, *words], capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{path} is damaged: reading it did not end within {seconds:.0f} s") from error
    if done.returncode == TOO_MUCH_MEMORY:
        much = f"more than {num_bytes / 2**20:.0f} MiB of memory, from a file of {status.st_size:,} bytes"
        raise UserError(f"{path}: reading it takes {much}; it is damaged, or made to fill the memory")
    if done.returncode < 0:
        raise UserError(f"{path} is damaged: reading it crashed")
    passed.add(key)
