"""The Keras convnet, held against the same network written plainly."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.cnn import CNN, LitCNN

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}

SMALL: list[dict[str, Any]] = [
    {"num_channels": 1, "image_size": 18, "num_classes": 3},
    {"num_channels": 3, "image_size": [19, 26], "num_classes": 2},
]
"""Settings of small models, which `tests/test_models.py` checks."""


def plain(network: CNN, images: Tensor, pools: Sequence[int] = (2, 2, 1), activation: str = "relu") -> Tensor:
    """The Keras program's order, activation and then the pool, in torch's default layout."""
    w = {name: p.contiguous() for name, p in network.named_parameters()}
    act, x = ACTIVATIONS[activation], images
    for i, pool in enumerate(pools):
        kernel = w[f"convolutions.{i}.weight"]
        convolution = network.convolutions[i]
        assert isinstance(convolution, nn.Conv2d)
        x = F.pad(x, [kernel.shape[-1] // 2] * 4) if convolution.padding != (0, 0) else x
        x = F.max_pool2d(act(F.conv2d(x, kernel, w[f"convolutions.{i}.bias"])), pool)
    x = x.reshape(len(x), -1)
    for i in range(len(network.dense)):
        x = act(F.linear(x, w[f"dense.{i}.weight"], w[f"dense.{i}.bias"]))
    return F.linear(x, w["output.weight"], w["output.bias"])


def test_the_parameters_are_93322() -> None:
    layers = {name: sum(p.numel() for p in layer.parameters()) for name, layer in LitCNN().network.named_children()}
    convolutions = [
        3 * 3 * 1 * 32 + 32,  # 320
        3 * 3 * 32 * 64 + 64,  # 18,496
        3 * 3 * 64 * 64 + 64,  # 36,928
    ]
    assert {name: count for name, count in layers.items() if count} == {
        "convolutions": sum(convolutions),
        "dense": 3 * 3 * 64 * 64 + 64,  # 36,928
        "output": 64 * 10 + 10,  # 650
    }
    assert sum(layers.values()) == 320 + 18_496 + 36_928 + 36_928 + 650 == 93_322


@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 28, 28), (3, 18, 18), (2, 21, 21), (1, 33, 33), (3, 28, 20), (1, 18, 41)]
)
def test_logits_and_gradients_are_those_of_the_plain_order_and_layout(channels: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    network = CNN(channels, height if height == width else [height, width], 10).double()
    images = torch.rand(3, channels, height, width, dtype=torch.float64)
    weights = list(network.parameters())
    ours, theirs = network(images), plain(network, images)
    # float64, sums of at most 576 terms of order 1 in another order: 576 * 1e-16 and a margin
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    target = torch.tensor([1, 0, 7])
    our_grads = torch.autograd.grad(F.cross_entropy(ours, target), weights)
    their_grads = torch.autograd.grad(F.cross_entropy(theirs, target), weights)
    torch.testing.assert_close(our_grads, their_grads, rtol=1e-10, atol=1e-13)  # as above, once more backwards


STACKS: dict[str, dict[str, Any]] = {
    "one convolution and no dense layer": {"filters": [5], "pool_size": 1, "dense_sizes": []},
    "LeNet": {"filters": [6, 16], "kernel_size": 5, "pool_size": 2, "dense_sizes": [12, 8], "activation": "tanh"},
    "the same size throughout": {"filters": [4, 4], "padding": "same", "pool_size": [1, 3], "activation": "sigmoid"},
    "a list for each": {"filters": [4, 5], "kernel_size": [5, 1], "padding": ["same", "valid"], "pool_size": [3, 2]},
}


@pytest.mark.parametrize("name", STACKS)
def test_other_stacks_are_those_of_the_plain_order_and_layout(name: str) -> None:
    torch.manual_seed(0)
    stack = STACKS[name]
    network = CNN(2, 23, 4, **stack).double()
    images = torch.rand(3, 2, 23, 23, dtype=torch.float64)
    pools = stack["pool_size"] if isinstance(stack["pool_size"], list) else [stack["pool_size"]] * len(stack["filters"])
    theirs = plain(network, images, pools, stack.get("activation", "relu"))
    torch.testing.assert_close(network(images), theirs, rtol=1e-11, atol=1e-12)  # as above
    sizes = [(m.in_channels, m.out_channels) for m in network.convolutions if isinstance(m, nn.Conv2d)]
    assert [n for _, n in sizes] == stack["filters"]
    assert [m.out_features for m in network.dense if isinstance(m, nn.Linear)] == stack.get("dense_sizes", [64])


def test_the_dense_layer_reads_channel_height_width() -> None:
    network = CNN()
    images = torch.rand(2, 1, 28, 28)
    read: list[Tensor] = []
    network.dense[0].register_forward_pre_hook(lambda _, args: read.append(args[0]))
    maps: list[Tensor] = []
    network.convolutions[2].register_forward_hook(lambda *args: maps.append(args[2]))
    network(images)
    assert torch.equal(read[0], F.relu(maps[0]).contiguous().view(2, 64 * 3 * 3))


def test_the_convolutions_are_stored_channels_last() -> None:
    convolutions = [m for m in CNN().modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 3
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convolutions)


def test_a_network_starts_with_keras_weights() -> None:
    layers = {name: m for name, m in CNN().named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    fans = {  # inputs and outputs of a weight: Glorot counts the 9 places of a 3 x 3 kernel in both
        "convolutions.0": 9 * 1 + 9 * 32,
        "convolutions.1": 9 * 32 + 9 * 64,
        "convolutions.2": 9 * 64 + 9 * 64,
        "dense.0": 576 + 64,
        "output": 64 + 10,
    }
    assert layers.keys() == fans.keys()
    for name, layer in layers.items():
        limit = math.sqrt(6 / fans[name])
        # the largest of 288 uniform draws, the fewest here, is below 0.9 of the limit once in 1 / 0.9^288 = 1.5e13
        assert 0.9 * limit < layer.weight.abs().max().item() <= limit * (1 + 1e-6), name  # the limit is a float32
        assert layer.bias is not None
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))


def test_two_classes_have_one_logit() -> None:
    assert LitCNN(num_classes=2)(torch.zeros(5, 1, 28, 28)).shape == (5, 1)


def test_dropout_is_active_in_training_only() -> None:
    network = CNN(dropout=0.5).double()
    images = torch.rand(4, 1, 28, 28, dtype=torch.float64)
    assert not torch.equal(network(images), network(images))
    torch.testing.assert_close(network.eval()(images), plain(network, images), rtol=1e-11, atol=1e-12)  # as above


def test_pooled_maps_are_dropped_in_training_only() -> None:
    torch.manual_seed(0)
    network = CNN(pool_dropout=0.5)
    maps: list[Tensor] = []
    network.convolutions[1].register_forward_pre_hook(lambda _, args: maps.append(args[0]))
    images = torch.rand(8, 1, 28, 28)
    network(images)
    network.eval()(images)
    dropped, whole = maps
    alive = whole > 0
    # each of the n numbers is dropped with probability 1/2, and a kept one is doubled; 5 standard deviations
    n = int(alive.sum())
    assert abs(int((dropped[alive] == 0).sum()) - n / 2) < 5 * math.sqrt(n / 4)
    torch.testing.assert_close(dropped[dropped > 0], 2 * whole[dropped > 0], rtol=1e-6, atol=0)  # float32


def test_without_dense_layers_the_last_map_is_dropped() -> None:
    network = CNN(filters=[4], pool_size=1, dense_sizes=[], dropout=0.5)
    read: list[Tensor] = []
    network.output.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    network(torch.rand(4, 1, 28, 28))
    network.eval()(torch.rand(4, 1, 28, 28))
    assert (read[0] == 0).float().mean() > (read[1] == 0).float().mean() + 0.1


def test_the_smallest_image_has_18_pixels_a_side() -> None:
    network = LitCNN(image_size=18).network  # 18 -> 16 -> 8 -> 6 -> 3 -> 1
    assert isinstance(network, CNN)
    assert isinstance(network.dense[0], nn.Linear)
    assert network.dense[0].in_features == 64 * 1 * 1
    with pytest.raises(ValueError, match=r"^images need a channel and 18 pixels a side, got 1 and 17: "):
        LitCNN(image_size=17)


@pytest.mark.parametrize(
    ("stack", "smallest"),
    [
        ({"filters": [2], "kernel_size": 5, "pool_size": 1}, 5),
        ({"filters": [2, 2], "kernel_size": [5, 3], "pool_size": [3, 2]}, (2 + 2) * 3 + 4),  # 16 -> 12 -> 4 -> 2 -> 1
        ({"filters": [2, 2], "padding": "same", "pool_size": [2, 3]}, 6),
    ],
)
def test_the_smallest_image_of_other_stacks_leaves_one_pixel(stack: dict[str, Any], smallest: int) -> None:
    network = LitCNN(image_size=smallest, dense_sizes=[], **stack).network
    assert isinstance(network, CNN)
    assert network.output.in_features == 2
    with pytest.raises(ValueError, match=f"^images need a channel and {smallest} pixels a side, got 1 and "):
        LitCNN(image_size=smallest - 1, dense_sizes=[], **stack)


@pytest.mark.parametrize(
    ("stack", "text"),
    [
        ({"filters": []}, "pool_size has 3 values for 0 filters: [2, 2, 1] and []"),
        ({"filters": [8, 8]}, "pool_size has 3 values for 2 filters: [2, 2, 1] and [8, 8]"),
        ({"kernel_size": [3]}, "kernel_size has 1 values for 3 filters: [3] and [32, 64, 64]"),
        ({"padding": ["same"]}, "padding has 1 values for 3 filters: ['same'] and [32, 64, 64]"),
        (
            {"filters": [], "pool_size": 1},
            "filters, kernel_size, pool_size and dense_sizes must be at least 1, got [], 3, 1 and [64]",
        ),
        (
            {"filters": [8, 0, 8]},
            "filters, kernel_size, pool_size and dense_sizes must be at least 1, got [8, 0, 8], 3, [2, 2, 1] and [64]",
        ),
        (
            {"pool_size": 0},
            "filters, kernel_size, pool_size and dense_sizes must be at least 1, got [32, 64, 64], 3, 0 and [64]",
        ),
        (
            {"dense_sizes": [64, 0]},
            "filters, kernel_size, pool_size and dense_sizes must be at least 1, got [32, 64, 64], 3, [2, 2, 1] and "
            "[64, 0]",
        ),
        ({"kernel_size": 4, "padding": "same"}, "padding same needs an odd kernel_size, got 4"),
    ],
)
def test_layers_that_cannot_be_are_refused(stack: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        LitCNN(**stack)
    assert str(caught.value) == text


@pytest.mark.parametrize("size", [[17, 40], [40, 17]])
def test_an_image_with_one_side_too_small_is_refused_with_what_to_do(size: list[int]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        LitCNN(num_channels=3, image_size=size)
    assert str(caught.value) == (
        f"images need a channel and 18 pixels a side, got 3 and {size}: "
        "make them larger, or give fewer filters or a smaller pool_size"
    )


@pytest.mark.parametrize("size", [[28], [28, 28, 1], []])
def test_an_image_size_that_is_no_height_and_width_is_refused(size: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^image_size must be one number, or a list \[height, width\], got \["):
        LitCNN(image_size=size)


def test_a_list_of_equal_sides_is_the_same_network_as_one_number() -> None:
    torch.manual_seed(0)
    ours = CNN(image_size=[28, 28])
    torch.manual_seed(0)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), CNN().parameters(), strict=True))


def test_no_channel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^images need a channel and 18 pixels a side, got 0 and 28: "):
        LitCNN(num_channels=0)


@pytest.mark.parametrize("name", ["dropout", "pool_dropout"])
@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_out_of_range_is_refused(name: str, dropout: float) -> None:
    rate: dict[str, Any] = {name: dropout}
    with pytest.raises(ValueError, match=f"^{name} must be 0 to below 1, got {dropout}$"):
        LitCNN(**rate)
