"""Sequences in temporary files: what is written is what is read, and a full disk is one line."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import UserError
from datamodules.storage import spool
from datamodules.storage.spool import TextSpool, spooled

TEXTS = ["a", "", "two\nlines", "草 🍀", "b"]


@pytest.mark.parametrize("in_memory", [2**24, 1])
def test_texts_are_read_by_their_position(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", in_memory)
    texts = TextSpool(TEXTS)
    assert list(texts) == TEXTS
    assert (texts[3], texts[-1], texts[1:3], len(texts)) == ("草 🍀", "b", ["", "two\nlines"], 5)
    with pytest.raises(IndexError):
        texts[5]


def test_texts_after_a_place_can_be_dropped() -> None:
    texts = TextSpool(TEXTS)
    texts.truncate(2)
    texts.append("longer than before")
    assert list(texts) == ["a", "", "longer than before"]


def test_arrays_are_joined() -> None:
    parts = [np.arange(12).reshape(2, 2, 3), np.arange(6).reshape(1, 2, 3)]
    joined = spooled(iter(parts), np.uint8, (2, 3))
    np.testing.assert_array_equal(joined, np.concatenate(parts))
    assert joined.dtype == np.uint8
    assert spooled([], np.int32, (2, 3)).shape == (0, 2, 3)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(UserError) as caught:
        TextSpool(TEXTS)
    reason = "cannot be written: No such file or directory; set TMPDIR to another folder"
    assert str(caught.value) == f"the temporary folder {tmp_path / 'none'} {reason}"
