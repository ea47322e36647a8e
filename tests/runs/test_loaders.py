"""The part of a DataLoader that one of several processes evaluates."""

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from lit_models.runs.loaders import can_be_shared, shared

NUMBERS = TensorDataset(torch.arange(100.0)[:, None], torch.arange(100))


def part_of(loader: DataLoader[tuple[Tensor, ...]], num_processes: int) -> list[list[list[Tensor]]]:
    """The batches of each process."""
    return [list(shared(loader, rank=rank, num_processes=num_processes)) for rank in range(num_processes)]


@pytest.mark.parametrize("size", [1, 2, 5, 8, 9, 21])
@pytest.mark.parametrize("num_processes", [2, 3])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_each_sample_is_in_one_process_and_all_have_equally_many_batches(
    size: int, num_processes: int, batch_size: int
) -> None:
    samples = torch.utils.data.Subset(NUMBERS, range(size))
    parts = part_of(DataLoader(samples, batch_size=batch_size, shuffle=True), num_processes)
    assert len({len(batches) for batches in parts}) == 1
    seen = torch.cat([batch[1] for batches in parts for batch in batches])
    assert sorted(seen.tolist()) == list(range(size))
    for batch in (batch for batches in parts for batch in batches):
        assert batch[0].shape == (len(batch[1]), 1)
        assert batch[0].dtype == torch.float32
        assert batch[1].dtype == torch.int64


def test_workers_make_the_batches_too() -> None:
    loader = DataLoader(NUMBERS, batch_size=40, num_workers=1)
    assert [len(batch[1]) for batches in part_of(loader, 2) for batch in batches] == [40, 10, 40, 10]


def test_a_loader_that_drops_samples_or_has_a_class_of_its_own_is_left_to_lightning() -> None:
    class Own(DataLoader[tuple[Tensor, ...]]):
        pass

    batches = torch.utils.data.BatchSampler(RandomSampler(NUMBERS), 4, False)
    assert can_be_shared(DataLoader(NUMBERS, batch_size=4))
    assert not can_be_shared(Own(NUMBERS, batch_size=4))
    assert not can_be_shared(DataLoader(NUMBERS, batch_size=4, drop_last=True))
    assert not can_be_shared(DataLoader(NUMBERS, batch_size=None))
    assert not can_be_shared(DataLoader(NUMBERS, batch_sampler=batches))
