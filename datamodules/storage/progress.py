"""Shows the progress of a long pass over data: a bar on a terminal, two lines in a log. A quiet program hides it, and
the notes about data."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

QUIET_SECONDS = 0.5  # a shorter pass prints nothing to a log

_hidden: ContextVar[bool] = ContextVar("hidden", default=False)


def hide_messages(hidden: bool) -> None:
    """Hides progress and notes from now on, or shows them again."""
    _hidden.set(hidden)


def are_hidden() -> bool:
    """Whether progress and notes are hidden."""
    return _hidden.get()


def progress(items: Iterable[Item], *, doing: str, unit: str, total: int | None = None) -> Iterator[Item]:
    """Yields the items, and shows the progress on standard error.

    Args:
        items: the items, which are yielded unchanged.
        doing: name of the work, such as "tokenizing".
        unit: name of the items, such as "texts".
        total: number of items, if known.
    """
    if are_hidden():
        yield from items
        return
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=doing, unit=f" {unit}", total=total, leave=False)
        return
    start, reported, count = time.perf_counter(), False, 0
    for item in items:
        count += 1
        if not reported and time.perf_counter() - start > QUIET_SECONDS:
            reported = True
            print(f"{doing} {f'{total:,} ' if total else ''}{unit} …", file=sys.stderr, flush=True)
        yield item
    if reported:
        print(f"{doing} {count:,} {unit} took {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
