"""Fuzzing of the readers of files: what Hypothesis changes in valid files, and how many examples it tries.

A test of this kind is marked `fuzz`. `make test` tries 200 examples, always the same ones; `make fuzz` sets
LIT_MODELS_FUZZ to the number of examples, and draws new ones each time.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from datamodules.errors import UserError

EXAMPLES = 200
LONG = os.environ.get("LIT_MODELS_FUZZ")

for name, examples in (("default", EXAMPLES), ("long", int(LONG or 20_000))):
    settings.register_profile(
        name,
        max_examples=examples,
        derandomize=name == "default",
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
settings.load_profile("long" if LONG else "default")


@st.composite
def mutated(draw: st.DrawFn, valid: Sequence[bytes], tokens: Sequence[bytes] = ()) -> bytes:
    """One of the valid files with one to four changes, or random bytes.

    Args:
        draw: given by Hypothesis.
        valid: contents of valid files.
        tokens: bytes that mean something in this format; they are inserted too.
    """
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    content = bytearray(draw(st.sampled_from(valid)))
    inserted = st.one_of(st.binary(min_size=1, max_size=8), *([st.sampled_from(tokens)] if tokens else []))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["flip", "cut", "insert", "overwrite", "repeat"])):
            case "flip" if place < len(content):
                content[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del content[place : place + draw(st.one_of(st.integers(1, 16), st.just(len(content))))]
            case "insert":
                content[place:place] = draw(inserted)
            case "overwrite":
                new = draw(inserted)
                content[place : place + len(new)] = new
            case "repeat":
                content[place:place] = content[place : place + draw(st.integers(1, 64))]
    return bytes(content)


def read_or_refuse(read: Callable[[Path], object], path: Path, content: bytes) -> UserError | None:
    """Writes `content` to `path` and reads it. Returns the `UserError` that the reader raised, or None; the test fails
    if the reader raises anything else, or an error of several lines, or one that does not name the file."""
    path.write_bytes(content)
    refusal = None
    try:
        read(path)
    except UserError as error:
        refusal = error
    if refusal is not None:
        assert "\n" not in str(refusal), refusal
        assert str(path) in str(refusal), refusal
    return refusal
