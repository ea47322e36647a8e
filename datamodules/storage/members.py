"""Reads files in zip archives within a memory limit."""

import zipfile

from datamodules.storage.limits import Budget

METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # other methods cannot be unpacked in small pieces


def read_member(archive: zipfile.ZipFile, name: str, budget: Budget) -> bytes:
    """The content of a file in an archive. At most the size that the archive states is unpacked.

    Raises:
        UserError: the content takes too much memory.
        BadZipFile: the file is damaged, or compressed by an unusual method.
    """
    info = archive.getinfo(name)
    if info.compress_type not in METHODS:
        raise zipfile.BadZipFile(f"{name} is packed by the method {info.compress_type}, expected 0 or 8")
    budget.spend(info.file_size)
    with archive.open(info) as file:
        content = file.read(info.file_size)
    if len(content) < info.file_size:
        raise zipfile.BadZipFile(f"{name} has {len(content):,} bytes, expected {info.file_size:,}")
    return content
