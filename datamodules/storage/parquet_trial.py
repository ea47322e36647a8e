"""Reads a Parquet file in a process of its own before it is read here. The sizes that a file states may be false: then
pyarrow unpacks a page of any size, as some damaged files can also end its process.
"""

import subprocess
import sys
from pathlib import Path

from datamodules.errors import UserError
from datamodules.storage.limits import SMALL, most_bytes

SPARE_BYTES = 2**27
"""Memory that pyarrow itself may take in that process."""
SECONDS, BYTES_A_SECOND = 60, 10**6
"""Reading may take this long, and a second more for each of these bytes."""
TOO_MUCH_MEMORY = 77
"""The exit status of the program."""
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
passed: set[tuple[str, int, int, int]] = set()
"""Files that were read to the end: path, size, time of the last change, and inode."""


def check_parquet(path: Path, columns: list[str], *, factor: int, batch_rows: int) -> None:
    """Checks that reading some columns of a Parquet file ends, and takes little memory. Whether the file is damaged is
    found out later.

    Args:
        path: the file.
        columns: which columns are read.
        factor: memory that is allowed, in bytes for each byte of the file; 64 MiB are always allowed.
        batch_rows: rows that are in memory at once.

    Raises:
        UserError: it takes too much memory or time, or pyarrow crashes.
    """
    status = path.stat()
    key = (str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino)
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
