"""Every way to train leads to other weights, and the data are prepared as the page says."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from scripts.porting.measures import weight_change
from scripts.porting.training import (
    CNN_WAYS,
    LSTM_WAYS,
    RNN_WAYS,
    Cell,
    initial_network,
    nudge,
    pad_at_end,
    reviews,
    sorted_by_class,
    train,
)


def texts() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(4, 10_000, (256, 5), generator=generator), torch.arange(256) % 2


def trained_weights(cell: Cell, way: Any) -> Tensor:
    """The weights after two steps."""
    network = initial_network(cell, seed=0)
    images = (torch.arange(128 * 784).reshape(128, 28, 28) * 37 % 256).to(torch.uint8), torch.arange(128) % 10
    data, samples = ("mnist", images) if cell == "cnn" else ("imdb", texts())
    train(network, way, samples, data=data, seed=0, steps=2)
    return torch.cat([w.detach().flatten() for w in network.parameters()])


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        *(("cnn", name) for name in CNN_WAYS if name != "keras"),
        *(("simple", name) for name in RNN_WAYS if name not in ("keras", "behind", "split")),
        ("lstm", "forget_bias"),
    ],
)
def test_another_way_gives_other_weights(cell: Cell, name: str) -> None:
    ways = {"cnn": CNN_WAYS, "simple": RNN_WAYS, "lstm": LSTM_WAYS}[cell]
    keras = trained_weights(cell, ways["keras"])
    assert torch.equal(trained_weights(cell, ways["keras"]), keras)
    assert not torch.equal(trained_weights(cell, ways[name]), keras)


def test_two_biases_move_twice_as_far_in_the_first_step() -> None:
    """In float64: rounding is about 1e-16, and a step moves 3e-3."""
    one, two = (
        weight_change("simple", RNN_WAYS[way], samples=texts(), data="imdb", seed=0, steps=1, only="bias")
        for way in ("keras", "bias")
    )
    assert len(one) == 2 * 32
    torch.testing.assert_close(two, 2 * one, rtol=1e-9, atol=0)


def test_nudged_weights_differ_by_a_millionth() -> None:
    network, same = initial_network("simple", seed=0), initial_network("simple", seed=0)
    nudge(network)
    for weight, before in zip(network.parameters(), same.parameters(), strict=True):
        assert (weight - before).abs().max() <= 6e-6 * before.abs().max()  # six standard deviations
    assert not torch.equal(next(network.parameters()), next(same.parameters()))


def test_padding_at_the_end_keeps_the_words() -> None:
    tokens = torch.tensor([[0, 0, 5, 8, 6], [1, 2, 3, 4, 5]])
    assert pad_at_end(tokens).tolist() == [[5, 8, 6, 0, 0], [1, 2, 3, 4, 5]]


def test_sorting_by_class_keeps_the_order_within_a_class() -> None:
    inputs, target = sorted_by_class((torch.arange(4), torch.tensor([1, 0, 1, 0])))
    assert inputs.tolist() == [1, 3, 0, 2]
    assert target.tolist() == [0, 0, 1, 1]


@pytest.mark.real_data
def test_the_last_fifth_of_the_files_is_positive() -> None:
    keras, filed = reviews(), reviews(by_file=True)
    assert filed.val is not None
    assert keras.val is not None
    assert filed.val[1].tolist() == [1] * 2_500
    sums = [torch.cat([parts.train[0], cast(Any, parts.val)[0]]).sum(dim=0) for parts in (keras, filed)]
    assert torch.equal(*sums)  # the same reviews
