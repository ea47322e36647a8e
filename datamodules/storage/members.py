"""Files inside zip archives, unpacked within the memory that the archive may take."""

import zipfile

from datamodules.storage.limits import Budget

METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # others cannot be unpacked in small pieces


def read_member(archive: zipfile.ZipFile, name: str, budget: Budget) -> bytes:
    """The content of a file in an archive. No more than its stated size is unpacked.

    Raises:
        UserError: it takes too much memory.
        BadZipFile: it is damaged, or packed in an unusual way.
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
