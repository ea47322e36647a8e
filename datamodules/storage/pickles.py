"""Checks untrusted pickles of plain values: computes the memory that a pickle takes before it is loaded.

A pickle of a few bytes can take gigabytes: by a large index in its table of objects, by many copies of one object, or
    by lists that contain the same list many times. Source: `pickletools`, which reads the operations without running
    them.
"""

import pickletools
import re
from io import BytesIO
from typing import NamedTuple

from datamodules.storage.limits import Budget

NUMBERS = re.compile(rb"(?>(?:K.|M..|J....){4,})", re.DOTALL)
"""Consecutive small integers, such as token ids. Each one is an operation with an argument of one, two or four
bytes."""
NUMBER_BYTES, OBJECT_BYTES, CONTAINER_BYTES = 40, 80, 250
"""Bytes of memory for a number in a list, for the object of another operation, and for a container with its first
items."""
CALLS = {"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"}
PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
GETS = {"GET", "BINGET", "LONG_BINGET"}
TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
MAPPINGS = {"EMPTY_DICT", "DICT", "EMPTY_SET", "FROZENSET"}
CONTAINERS = {"EMPTY_LIST", "LIST", *TUPLES, *MAPPINGS}
REFUSED = {"DUP", "EXT1", "EXT2", "EXT4", "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"}


WORDS = {
    "shared": "the same list or mapping in many places",
    "copies": "the same object in many places",
    "mappings": "many mappings or sets",
    "tuples": "many tuples",
}
"""Description of each field of `Bounds`, for the error message."""


class TooLarge(Exception):
    """A pickle does something that no file of arrays or words needs."""


class Bounds(NamedTuple):
    """How often a pickle may use operations that cost more memory or time than their bytes.

    Args:
        shared: repeated uses of the same list, mapping or tuple.
        copies: repeated uses of the same object that a function has created.
        mappings: mappings and sets.
        tuples: nested tuples, which may be keys.
    """

    shared: float
    copies: float
    mappings: float
    tuples: float


def check_pickle(content: bytes, start: int, budget: Budget, bounds: Bounds) -> int:
    """Reads the operations of a pickle and counts the memory of its objects. Returns the position of its end.

    Args:
        content: the pickle, and the bytes after it.
        start: position of its first byte.
        budget: memory budget of the file.
        bounds: limits for the operations.

    Raises:
        UserError: the objects take too much memory.
        TooLarge: the pickle exceeds `bounds`.
        ValueError: the content is not a pickle.
    """
    stream, place, num_operations = BytesIO(content), start, 0
    kinds: dict[int | None, str] = {}  # the kind of each object in the pickle's table
    used = dict.fromkeys(Bounds._fields, 0)
    produced = ""  # the kind of object that the last operation has created, as a field of `Bounds`
    while True:
        if run := NUMBERS.match(content, place):
            budget.spend((run.end() - place) // 2 * NUMBER_BYTES)
            place = run.end()
        stream.seek(place)
        operation, argument, _ = next(pickletools.genops(stream))
        name, before, place = operation.name, place, stream.tell()
        num_operations += 1
        if name == "STOP":
            return place
        if name in REFUSED or (name in PUTS and argument is not None and argument > num_operations):
            raise TooLarge(f"the operation {name}")
        if name in PUTS:
            kinds[len(kinds) if argument is None else argument] = produced
        produced = produced if name in PUTS else "shared" if name in CONTAINERS else "copies" if name in CALLS else ""
        _count(used, bounds, kinds.get(argument, "") if name in GETS else "")
        _count(used, bounds, "mappings" if name in MAPPINGS else "tuples" if name in TUPLES else "")
        container = name in CONTAINERS or name in CALLS
        budget.spend(4 * (place - before) + (CONTAINER_BYTES if container else OBJECT_BYTES))


def _count(used: dict[str, int], bounds: Bounds, field: str) -> None:
    if field:
        used[field] += 1
        if used[field] > getattr(bounds, field):
            raise TooLarge(WORDS[field])
