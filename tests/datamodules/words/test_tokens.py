"""The table of token ids: padding, cutting, targets and the file."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.words.tokens import TokenTable, chunked, read_metadata, write_rows

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
        table = TokenTable.from_chunks([ROWS], np.arange(4), **padding)
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
    in_memory = pickle.loads(pickle.dumps(TokenTable.from_chunks([ROWS], max_length=9)))
    assert in_memory[torch.tensor([1])][0].tolist() == [[6]]
    assert in_memory.targets(np.arange(4)).tolist() == [-1] * 4


def test_a_file_without_rows_has_its_metadata(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.arrow", [], metadata={"words": ["ä"]})
    assert read_metadata(tmp_path / "t.arrow") == {"words": ["ä"]}
    assert len(TokenTable.open(tmp_path / "t.arrow", max_length=3)) == 0


@pytest.mark.parametrize("num_labels", [2, 8, 9, 17])
def test_sets_of_labels_are_rows_of_zeros_and_ones(num_labels: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    wanted = random.integers(2, size=(1500, num_labels))
    wanted[0] = 0  # the empty set
    sets = [np.flatnonzero(row).tolist() for row in wanted]
    chunks = (([[7]] * len(chunk), chunk) for chunk in chunked(sets))
    write_rows(tmp_path / "t.arrow", chunks, metadata={}, num_labels=num_labels)
    table = TokenTable.open(tmp_path / "t.arrow", max_length=3)
    order = torch.randperm(1500)
    ids, target = table[order]
    assert (ids.shape, target.shape, target.dtype) == ((1500, 1), (1500, num_labels), torch.float32)
    np.testing.assert_array_equal(target.numpy(), wanted[order.numpy()])
    part = pickle.loads(pickle.dumps(table.subset(order[:9])))
    assert torch.equal(part[torch.arange(9)][1], target[:9])
    assert part[torch.empty(0, dtype=torch.int64)][1].shape == (0, num_labels)


def test_sets_of_labels_without_rows_have_their_width(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.arrow", [], metadata={}, num_labels=9)
    table = TokenTable.open(tmp_path / "t.arrow", max_length=3)
    assert len(table) == 0
    assert table.targets(np.empty(0, dtype=np.int64)).shape == (0, 9)


def test_unknown_sets_of_labels_are_nan() -> None:
    table = TokenTable.from_chunks([ROWS], np.full((4, 2), np.nan), max_length=3)
    target = table[torch.tensor([1, 0])][1]
    assert (target.shape, target.dtype) == ((2, 2), torch.float32)
    assert target.isnan().all()
