"""The file of results: one line for each cell."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Record = dict[str, Any]
"""A line: device, size, workload, rival, repetition, and the numbers of the cell."""
Key = tuple[str, str, str, str, int]


def key(record: Record) -> Key:
    """The key of a line."""
    device, size, workload, rival = (str(record[name]) for name in ("device", "size", "workload", "rival"))
    return device, size, workload, rival, int(record["repetition"])


def read(path: Path) -> list[Record]:
    """The newest line of each cell. A line that an interrupted process left incomplete is skipped."""
    records: dict[Key, Record] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with contextlib.suppress(json.JSONDecodeError):
            record = json.loads(line)
            records[key(record)] = record
    return list(records.values())


def has_numbers(record: Record) -> bool:
    """Whether the cell has been computed."""
    return not record.keys() & {"missing", "failed"}


def append(path: Path, record: Record) -> None:
    """Adds a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * (not before.endswith("\n") and before != "") + json.dumps(record) + "\n")


def forget(path: Path, outdated: Callable[[Record], bool]) -> None:
    """Removes lines, so that their cells run again."""
    kept = [record for record in read(path) if not outdated(record)]
    if path.is_file():
        path.write_text("".join(f"{json.dumps(record)}\n" for record in kept), encoding="utf-8")
