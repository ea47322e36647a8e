"""Pickles of values that could contain anything: the memory that one takes is known before it is loaded.

A pickle of a few bytes can ask for gigabytes: by a number in its table of objects, by copying one object many times, or
by lists of the same lists. Source: `pickletools`, which reads the operations and runs none.
"""

import pickletools
import re
from io import BytesIO
from typing import NamedTuple

from datamodules.storage.limits import Budget

NUMBERS = re.compile(rb"(?>(?:K.|M..|J....){4,})", re.DOTALL)
"""A run of small integers, such as token ids: each is an operation with an argument of one, two or four bytes."""
NUMBER_BYTES, OBJECT_BYTES, CONTAINER_BYTES = 40, 80, 250
"""Memory of a number in a list, of another operation's object, and of an empty container with its first items."""
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
"""What a pickle contains if it exceeds a field of `Bounds`."""


class TooLarge(Exception):
    """A pickle uses an operation that no file of arrays or words needs."""


class Bounds(NamedTuple):
    """How often a pickle may do what costs more memory or time than its bytes.

    Args:
        shared: uses of a list, mapping or tuple that was made before.
        copies: uses of an object that a function has made before.
        mappings: mappings and sets.
        tuples: tuples, which may be keys, inside each other.
    """

    shared: float
    copies: float
    mappings: float
    tuples: float


def check_pickle(content: bytes, start: int, budget: Budget, bounds: Bounds) -> int:
    """Reads the operations of a pickle and spends the memory that its objects will take. Returns where it ends.

    Args:
        content: the pickle, and what comes after it.
        start: where it begins.
        budget: of the file.
        bounds: what it may do.

    Raises:
        UserError: it takes too much memory.
        TooLarge: it does something that values of arrays and words never need.
        ValueError: it is not a pickle.
    """
    stream, place, num_operations = BytesIO(content), start, 0
    kinds: dict[int | None, str] = {}  # what the objects in the pickle's table are
    used = dict.fromkeys(Bounds._fields, 0)
    made = ""  # what the last operation has made, as a field of `Bounds`
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
            kinds[len(kinds) if argument is None else argument] = made
        made = made if name in PUTS else "shared" if name in CONTAINERS else "copies" if name in CALLS else ""
        _count(used, bounds, kinds.get(argument, "") if name in GETS else "")
        _count(used, bounds, "mappings" if name in MAPPINGS else "tuples" if name in TUPLES else "")
        container = name in CONTAINERS or name in CALLS
        budget.spend(4 * (place - before) + (CONTAINER_BYTES if container else OBJECT_BYTES))


def _count(used: dict[str, int], bounds: Bounds, what: str) -> None:
    if what:
        used[what] += 1
        if used[what] > getattr(bounds, what):
            raise TooLarge(WORDS[what])
