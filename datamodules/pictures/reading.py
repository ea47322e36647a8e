"""Reads many image files, and lists those that cannot be read."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from datamodules.errors import UserError
from datamodules.storage.image_files import Header
from datamodules.storage.progress import progress

SHOWN = 5
Item = TypeVar("Item")


def each_readable(paths: Sequence[Path], read: Callable[[Path], Item], *, doing: str) -> Iterator[Item]:
    """What `read` returns for each file. All files are read before damaged ones are refused.

    Args:
        paths: the image files.
        read: reads one file.
        doing: name of the work, for the progress bar.

    Raises:
        UserError: some files cannot be read; the message has the first five, and their number.
    """
    failed: list[str] = []
    for path in progress(paths, doing=doing, unit="images", total=len(paths)):
        try:
            item = read(path)
        except UserError as error:
            failed.append(str(error))
            continue
        if not failed:
            yield item
    if len(failed) == 1:
        raise UserError(failed[0])
    if failed:
        more = f"; and {len(failed) - SHOWN:,} more" if len(failed) > SHOWN else ""
        raise UserError(f"{len(failed):,} of {len(paths):,} images cannot be read: {'; '.join(failed[:SHOWN])}{more}")


def the_size(headers: Sequence[Header]) -> tuple[int, int]:
    """Height and width of all images.

    Raises:
        UserError: they differ; the message has the most common size, and the flag that sets it.
    """
    sizes = Counter((header.height, header.width) for header in headers)
    ((height, width), times), *others = sizes.most_common()
    if others:
        often = f"the most common one is {height} x {width} (height x width; {times:,} of {len(headers):,})"
        raise UserError(f'the training images have {len(sizes):,} sizes, {often}: set --data.size "[{height},{width}]"')
    return height, width
