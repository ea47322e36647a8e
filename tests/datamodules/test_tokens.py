"""The table of token ids: padding, cutting, the file, and the cache."""

import pickle
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.tokens import TokenTable, cached_file, chunked, progress, read_metadata, write_rows

ROWS = [[1, 2, 3, 4, 5], [6], [], [7, 8, 9]]


def on_disk(path: Path, **padding: Any) -> TokenTable:
    write_rows(path, [(ROWS[:1], [0]), (ROWS[1:3], [1, 2]), (ROWS[3:], [3])], metadata={"words": ["ä"]})
    return TokenTable.open(path, **padding)


@pytest.mark.parametrize(
    ("pad_front", "keep_last", "expected"),
    [
        (True, True, [[3, 4, 5], [0, 0, 6], [0, 0, 0], [7, 8, 9]]),
        (False, False, [[1, 2, 3], [6, 0, 0], [0, 0, 0], [7, 8, 9]]),
        (True, False, [[1, 2, 3], [0, 0, 6], [0, 0, 0], [7, 8, 9]]),
    ],
)
@pytest.mark.parametrize("made", ["memory", "file"])
def test_rows_are_padded_and_cut(
    made: str, pad_front: bool, keep_last: bool, expected: list[list[int]], tmp_path: Path
) -> None:
    padding: dict[str, Any] = {"max_length": 3, "pad_front": pad_front, "keep_last": keep_last}
    if made == "memory":
        table = TokenTable.from_rows(ROWS, [0, 1, 2, 3], **padding)
    else:
        table = on_disk(tmp_path / "t.arrow", **padding)
    ids, target = table[torch.arange(4)]
    assert ids.dtype == target.dtype == torch.int64
    assert ids.tolist() == expected
    assert target.tolist() == [0, 1, 2, 3]
    assert table.lengths is not None
    assert table.lengths.tolist() == [3, 1, 0, 3]


def test_a_batch_is_as_wide_as_its_longest_row(tmp_path: Path) -> None:
    table = on_disk(tmp_path / "t.arrow", max_length=4, padding_id=99)
    assert table[torch.tensor([3, 1])][0].tolist() == [[7, 8, 9], [99, 99, 6]]
    assert table[torch.tensor([2])][0].tolist() == [[99]]  # a row of nothing still has one column
    assert table[torch.empty(0, dtype=torch.int64)][0].shape == (0, 1)


def test_a_fixed_table_has_one_width_and_no_lengths(tmp_path: Path) -> None:
    table = on_disk(tmp_path / "t.arrow", max_length=4, fixed=True)
    assert table[torch.tensor([1])][0].tolist() == [[0, 0, 0, 6]]
    assert table[torch.empty(0, dtype=torch.int64)][0].shape == (0, 4)
    assert table.lengths is None


def test_many_rows_equal_a_loop_over_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [random.integers(1, 1000, size=n).tolist() for n in random.integers(0, 40, size=2500)]
    write_rows(tmp_path / "t.arrow", ((c, [0] * len(c)) for c in chunked(rows)), metadata={})
    table = TokenTable.open(tmp_path / "t.arrow", max_length=30)
    order = torch.randperm(len(rows))
    ids, _ = table[order]
    for row, i in zip(ids.tolist(), order.tolist(), strict=True):
        kept = rows[i][-30:]
        assert row == [0] * (30 - len(kept)) + kept


def test_a_subset_and_its_copy_in_a_worker_map_the_same_file(tmp_path: Path) -> None:
    part = on_disk(tmp_path / "t.arrow", max_length=9).subset(torch.tensor([3, 0]))
    state = pickle.dumps(part)
    for table in (part, pickle.loads(state)):
        ids, target = table[torch.tensor([0, 1])]
        assert ids.tolist() == [[0, 0, 7, 8, 9], [1, 2, 3, 4, 5]]
        assert target.tolist() == [3, 0]
    assert len(pickle.dumps(on_disk(tmp_path / "t.arrow", max_length=9).subset(torch.tensor([1])))) < 2000
    in_memory = pickle.loads(pickle.dumps(TokenTable.from_rows(ROWS, max_length=9)))
    assert in_memory[torch.tensor([1])][0].tolist() == [[6]]
    assert in_memory.labels.tolist() == [-1] * 4


def test_a_file_without_rows_has_its_metadata(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.arrow", [], metadata={"words": ["ä"]})
    assert read_metadata(tmp_path / "t.arrow") == {"words": ["ä"]}
    assert len(TokenTable.open(tmp_path / "t.arrow", max_length=3)) == 0


def test_the_cache_builds_once_and_builds_a_damaged_file_again(own_cache: Path) -> None:
    built: list[Path] = []

    def build(path: Path) -> None:
        built.append(path)
        write_rows(path, [(ROWS, [0] * 4)], metadata={})

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
    with pytest.raises(ValueError, match=r"cannot write in the data cache .*: set LIT_MODELS_CACHE to another folder"):
        cached_file("kind", {}, lambda path: None)


def test_progress_in_a_log_is_two_lines_and_none_for_a_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(progress([1, 2], doing="tokenising", unit="texts", total=2)) == [1, 2]
    assert capsys.readouterr().err == ""
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert list(progress(range(50_000), doing="tokenising", unit="texts", total=50_000)) == list(range(50_000))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "tokenising 50,000 texts …"
    assert last.startswith("tokenising 50,000 texts took ")


def test_progress_on_a_terminal_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress([1, 2], doing="tokenising", unit="texts", total=2)) == [1, 2]
    assert "tokenising" in capsys.readouterr().err
