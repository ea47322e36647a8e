"""The data cache: files are made once, verified, and made again when they are damaged."""

from pathlib import Path

import pytest

from datamodules.errors import UserError
from datamodules.storage.cache import cached_file


def test_the_cache_builds_once_and_builds_a_damaged_file_again(own_cache: Path) -> None:
    built: list[Path] = []

    def build(path: Path) -> None:
        built.append(path)
        path.write_bytes(bytes(range(256)) * 4)

    first = cached_file("kind", {"a": 1}, build)
    whole = first.read_bytes()
    assert cached_file("kind", {"a": 1}, build) == first
    assert len(built) == 1
    for damaged in (whole[:-10], b"", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        first.write_bytes(damaged)
        assert cached_file("kind", {"a": 1}, build) == first
        assert first.read_bytes() == whole
    assert len(built) == 4
    assert cached_file("kind", {"a": 2}, build) != first
    assert sorted(p.suffix for p in (own_cache / "tokens").iterdir()) == [".arrow", ".arrow"]


def test_a_build_that_fails_leaves_nothing(own_cache: Path) -> None:
    def build(path: Path) -> None:
        path.write_text("half")
        raise ValueError("stop")

    with pytest.raises(ValueError, match=r"stop"):
        cached_file("kind", {}, build)
    assert list((own_cache / "tokens").iterdir()) == []


def test_a_cache_that_cannot_be_written_says_so(own_cache: Path) -> None:
    own_cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write to the data cache .*: set LIT_MODELS_CACHE to another folder"):
        cached_file("kind", {}, lambda path: None)
