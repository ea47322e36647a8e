"""Order, slices and loaders: what every dataset here shares."""

import math
import re
from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.base import (
    Batch,
    DataModule,
    GlobalBatchSampler,
    TensorTable,
    split_validation,
)
from datamodules.errors import UserError
from datamodules.seeds import seed_from
from datamodules.spec import DataSpec, Kind

SIZES = [1, 2, 3, 5, 8, 9, 16, 17]
BATCH_SIZES = [1, 2, 3, 4, 8, 20]
RANKS = [1, 2, 3, 4]


def listed(batches: Any) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


class NumbersDataModule(DataModule):
    """The numbers from 0, as one feature; a sample's target is its place."""

    kind: ClassVar[Kind] = "features"

    def __init__(self, num_samples: int = 10, *, parts: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        table = TensorTable(torch.arange(num_samples).float()[:, None], torch.arange(num_samples))
        self.train_table = self.predict_table = table
        if parts:
            self.val_table = self.test_table = table

    def spec(self) -> DataSpec:
        return DataSpec(num_features=1)


def only(loader: DataLoader[Batch] | list[DataLoader[Batch]]) -> DataLoader[Batch]:
    assert isinstance(loader, DataLoader)
    return loader


@pytest.mark.parametrize("num_samples", SIZES)
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_an_unshuffled_order_is_the_tables(num_samples: int, batch_size: int) -> None:
    sampler = GlobalBatchSampler(num_samples, batch_size=batch_size)
    places = list(range(num_samples))
    assert listed(sampler) == [places[i : i + batch_size] for i in range(0, num_samples, batch_size)]


@pytest.mark.parametrize("num_samples", SIZES)
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_a_shuffled_epoch_has_every_sample_once_in_whole_batches(num_samples: int, batch_size: int) -> None:
    batches = listed(GlobalBatchSampler(num_samples, batch_size=batch_size, shuffle=True))
    assert sorted(i for batch in batches for i in batch) == list(range(num_samples))
    full, rest = divmod(num_samples, batch_size)
    assert [len(batch) for batch in batches] == [batch_size] * full + [rest] * (rest > 0)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("by_length", [True, False])
def test_the_batches_of_all_processes_are_those_of_one(train: bool, shuffle: bool, by_length: bool) -> None:
    for num_samples, batch_size, ranks in product(SIZES, BATCH_SIZES, RANKS):
        lengths = torch.arange(num_samples) % 5 if by_length else None

        def sampler(
            rank: int,
            replicas: int,
            total: int = num_samples,
            size: int = batch_size,
            given: Tensor | None = lengths,
        ) -> GlobalBatchSampler:
            return GlobalBatchSampler(
                total,
                batch_size=size,
                train=train,
                shuffle=shuffle,
                seed=3,
                rank=rank,
                num_replicas=replicas,
                lengths=given,
            )

        alone = listed(sampler(0, 1))
        slices = [listed(sampler(rank, ranks)) for rank in range(ranks)]
        assert slices == [listed(sampler(0, ranks).batches_of(rank)) for rank in range(ranks)]
        assert [len(sampler(rank, ranks)) for rank in range(ranks)] == [len(part) for part in slices]
        if train:  # every process takes part in every step
            assert {len(part) for part in slices} == {len(alone)}
            for step, batch in enumerate(alone):
                assert sorted(i for part in slices for i in part[step]) == sorted(batch)
        else:  # whole batches, so that a sample's batch is the same; a process without any has an empty one
            for rank, part in enumerate(slices):
                assert part == (alone[rank::ranks] or [[]] * bool(num_samples))


def test_an_empty_split_has_no_batch_to_evaluate() -> None:
    sampler = GlobalBatchSampler(0, batch_size=4)
    assert (listed(sampler), len(sampler)) == ([], 0)


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        torch.manual_seed(len(orders))  # whatever state the other generators are in
        sampler = GlobalBatchSampler(50, batch_size=8, shuffle=True, seed=seed)
        for earlier in (7, epoch):  # whatever epoch came before
            sampler.set_epoch(earlier)
            batches = listed(sampler)
        return batches

    orders: dict[tuple[int, int], list[list[int]]] = {}
    pairs = list(product([0, 1, 2, 2**32 - 1], [0, 1, 2]))
    for pair in pairs:
        orders[pair] = order(*pair)
    assert {pair: order(*pair) for pair in reversed(pairs)} == orders
    assert len({str(batches) for batches in orders.values()}) == len(pairs)


def test_every_number_changes_a_seed_and_a_seed_fits_into_32_bits() -> None:
    seeds = [seed_from(*numbers) for numbers in [(0,), (1,), (0, 0), (0, 1), (1, 0), (2**32, 0), (-1, 0)]]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    # torch's CPU generator tells seeds apart by these bits alone, so that a shifted seed would be lost
    same = [torch.Generator().manual_seed(seed) for seed in (3, (1 << 32) + 3)]
    assert torch.equal(*(torch.rand(4, generator=g) for g in same))


def test_an_unshuffled_order_is_the_same_in_every_epoch() -> None:
    sampler = GlobalBatchSampler(10, batch_size=4)
    first = listed(sampler)
    sampler.set_epoch(1)
    assert listed(sampler) == first


def test_samples_of_like_length_share_a_batch() -> None:
    """Up to 50 batches are one pool: with all lengths different, each batch is a run of the sorted lengths."""
    lengths = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    sampler = GlobalBatchSampler(400, batch_size=8, shuffle=True, lengths=lengths)
    runs = sorted(lengths[batch].tolist() for batch in sampler)
    assert runs == [list(range(i, i + 8)) for i in range(0, 400, 8)]
    assert [run[0] for run in (lengths[batch].tolist() for batch in sampler)] != list(range(0, 400, 8))  # mixed


def test_batches_of_like_length_still_differ_from_epoch_to_epoch() -> None:
    lengths = torch.arange(1000)  # three pools of 50 batches of 8, the last not full
    sampler = GlobalBatchSampler(1000, batch_size=8, shuffle=True, lengths=lengths)
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        epochs.append(listed(sampler))
        assert sorted(i for batch in epochs[-1] for i in batch) == list(range(1000))
        # 8 neighbours in a pool of 400 of the 1,000 lengths span about 20; 8 drawn at large span 1000 * 7 / 9 = 778.
        assert sum(max(b) - min(b) for b in epochs[-1]) / len(epochs[-1]) < 80
    assert {frozenset(batch) for batch in epochs[0]} != {frozenset(batch) for batch in epochs[1]}


def test_evaluation_goes_from_the_longest_to_the_shortest() -> None:
    lengths = torch.tensor([3, 9, 3, 5, 9])
    batches = listed(GlobalBatchSampler(5, batch_size=2, lengths=lengths))
    assert batches == [[1, 4], [3, 0], [2]]  # equal lengths in the table's order


def test_a_table_without_targets_says_minus_one() -> None:
    table = TensorTable(torch.arange(6).reshape(3, 2))
    inputs, target = table[torch.tensor([2, 0])]
    assert (inputs.tolist(), target.tolist(), target.dtype) == ([[4, 5], [0, 1]], [-1, -1], torch.int64)
    assert len(table) == 3


@pytest.mark.parametrize(
    "target",
    [
        torch.tensor([0, -1, 1]),
        torch.tensor([[1.0, 0.0], [0.0, 0.0], [math.nan, math.nan]]),
        torch.tensor([[0.5], [2.0], [-1.0]], dtype=torch.float64),
    ],
    ids=["classes", "labels", "numbers"],
)
def test_targets_are_gathered_as_they_are(target: Tensor) -> None:
    indices = torch.tensor([2, 0])
    gathered = TensorTable(torch.arange(3), target)[indices][1]
    assert gathered.dtype == target.dtype
    assert torch.equal(gathered.nan_to_num(9), target[indices].nan_to_num(9))


def test_inputs_may_be_a_mapping_of_tensors() -> None:
    ids, mask = torch.arange(6).reshape(3, 2), torch.tensor([True, False, True])
    table = TensorTable({"ids": ids, "mask": mask}, torch.tensor([4, 5, 6]))
    inputs, target = table[torch.tensor([2, 1])]
    assert {name: part.tolist() for name, part in inputs.items()} == {"ids": [[4, 5], [2, 3]], "mask": [True, False]}
    assert target.tolist() == [6, 5]
    assert len(table) == 3
    data = NumbersDataModule(batch_size=2)
    data.test_table = table
    shapes = [(inputs["ids"].shape, target.shape) for inputs, target in only(data.test_dataloader())]
    assert shapes == [((2, 2), (2,)), ((1, 2), (1,))]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            torch.zeros(3),
            "the target is float32 (3,), expected classes, int64 (N,), or labels or numbers, float (N, L)",
        ),
        (torch.zeros(3, dtype=torch.int32), "the target is int32 (3,), expected classes, int64 (N,), or labels or "),
        (torch.zeros(3, 2, dtype=torch.int64), "the target is int64 (3, 2), expected classes, int64 (N,), or labels "),
        (torch.zeros(4, dtype=torch.int64), "there are 4 targets for 3 samples, expected one for each"),
    ],
)
def test_a_target_of_another_type_is_refused(target: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        TensorTable(torch.arange(3), target)


def test_inputs_of_several_sizes_are_refused() -> None:
    with pytest.raises(UserError, match=r"^the inputs must have the same number of samples, got \[2, 3\]$"):
        TensorTable({"a": torch.arange(3), "b": torch.arange(2)})


def test_a_table_with_lengths_decides_the_order() -> None:
    class Lengths(TensorTable):
        lengths = torch.tensor([1, 3, 2])

    data = NumbersDataModule(batch_size=2)
    data.test_table = Lengths(torch.arange(3))
    assert [inputs.tolist() for inputs, _ in only(data.test_dataloader())] == [[1, 2], [0]]


def test_a_split_without_a_table_is_one_line() -> None:
    data = NumbersDataModule(batch_size=2)
    data.predict_table = None
    wanted = r"^NumbersDataModule has no data for this command: its setup fills no table for it$"
    with pytest.raises(UserError, match=wanted):
        data.predict_dataloader()


def test_one_input_is_a_list_of_one() -> None:
    assert NumbersDataModule(batch_size=2).inputs is None
    assert NumbersDataModule(batch_size=2, inputs="a").inputs == ["a"]
    assert NumbersDataModule(batch_size=2, inputs=["a", "b"]).inputs == ["a", "b"]


def test_loaders_give_whole_batches_in_the_samplers_order() -> None:
    data = NumbersDataModule(10, batch_size=4, seed=5)
    sampler = GlobalBatchSampler(10, batch_size=4, train=True, shuffle=True, seed=5)
    for loader, places in (
        (data.train_dataloader(), listed(sampler)),
        (only(data.val_dataloader()), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
        (only(data.test_dataloader()), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
        (data.predict_dataloader(), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
    ):
        assert len(loader) == len(places)
        seen = list(loader)
        assert [target.tolist() for _, target in seen] == places
        assert [inputs[:, 0].tolist() for inputs, _ in seen] == places


def test_a_part_that_is_not_there_has_no_loader() -> None:
    data = NumbersDataModule(parts=False, batch_size=4)
    assert (data.val_dataloader(), data.test_dataloader()) == ([], [])


def test_a_new_epoch_is_a_new_order_and_lightning_sets_it() -> None:
    loader = NumbersDataModule(10, batch_size=4).train_dataloader()
    sampler = loader.sampler
    assert isinstance(sampler, GlobalBatchSampler)
    first = [target.tolist() for _, target in loader]
    sampler.set_epoch(1)
    assert [target.tolist() for _, target in loader] != first


@pytest.mark.parametrize("world_size", [2, 3])
def test_each_process_loads_its_slice(world_size: int) -> None:
    slices = []
    for rank in range(world_size):
        data = NumbersDataModule(7, batch_size=4)
        data.trainer = cast(L.Trainer, SimpleNamespace(global_rank=rank, world_size=world_size))
        slices.append([target.tolist() for _, target in data.train_dataloader()])
    alone = [target.tolist() for _, target in NumbersDataModule(7, batch_size=4).train_dataloader()]
    assert slices == [[batch[rank::world_size] for batch in alone] for rank in range(world_size)]


def test_loaders_draw_nothing_from_the_models_generator() -> None:
    data = NumbersDataModule(10, batch_size=4)
    before = torch.get_rng_state()
    for loader in (data.train_dataloader(), only(data.val_dataloader()), data.predict_dataloader()):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


# Python 3.12 warns of a fork beside other threads; the worker reads a tensor and nothing else
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_worker_process_changes_nothing() -> None:
    alone = list(NumbersDataModule(10, batch_size=4, seed=5).train_dataloader())
    before = torch.get_rng_state()
    helped = list(NumbersDataModule(10, batch_size=4, seed=5, num_workers=1).train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)
    assert [[part.tolist() for part in batch] for batch in helped] == [
        [part.tolist() for part in batch] for batch in alone
    ]


def test_a_predictions_name_is_its_place_in_the_test_split() -> None:
    assert NumbersDataModule(3, batch_size=4).predict_names() == ["test[0]", "test[1]", "test[2]"]


def test_by_default_there_is_a_validation_part_and_no_file() -> None:
    data = NumbersDataModule(batch_size=4)
    assert data.has_validation
    assert data.checksums() == {}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: NumbersDataModule(batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: NumbersDataModule(batch_size=-3), "batch_size must be at least 1, got -3"),
        (lambda: NumbersDataModule(batch_size=1, num_workers=-1), "num_workers must be at least 0, got -1"),
        (
            lambda: split_validation(5, num_val=5, seed=0),
            "a validation part of 5 samples leaves none of 5 for training: make it smaller",
        ),
    ],
)
def test_a_number_out_of_its_range_is_refused(made: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        made()
    assert str(caught.value) == message


@pytest.mark.parametrize("num_val", [0, 1, 30, 99])
def test_the_validation_part_and_the_training_part_are_all_in_rising_order(num_val: int) -> None:
    before = torch.get_rng_state()
    train, val = split_validation(100, num_val=num_val, seed=1)
    assert len(val) == num_val
    assert sorted(train.tolist() + val.tolist()) == list(range(100))
    for part in (train, val):
        assert torch.equal(part, part.sort().values)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_validation_part_follows_the_seed() -> None:
    parts = [split_validation(100, num_val=30, seed=seed)[1].tolist() for seed in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]


def test_a_pool_of_batches_has_the_next_samples_of_the_table() -> None:
    lengths = torch.arange(220) % 7
    sampler = GlobalBatchSampler(220, batch_size=2, lengths=lengths, pooled=True)
    batches = list(sampler.global_batches())
    assert [len(batch) for batch in batches] == [2] * 110
    for start in (0, 50, 100):
        pool = torch.cat(batches[start : start + 50])
        assert pool.sort().values.tolist() == list(range(2 * start, min(2 * start + 100, 220)))
        assert lengths[pool].diff().min() >= 0
