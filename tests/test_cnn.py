"""The Keras convnet, held against the same network written plainly."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.cnn import CNN, LitCNN


def plain(network: CNN, images: Tensor) -> Tensor:
    """The Keras program's order, ReLU and then the pool, in torch's default layout."""
    w = {name: p.contiguous() for name, p in network.named_parameters()}
    x = images
    for name, pooled in (("conv1", True), ("conv2", True), ("conv3", False)):
        x = F.relu(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"]))
        x = F.max_pool2d(x, 2) if pooled else x
    x = F.relu(F.linear(x.reshape(len(x), -1), w["dense.weight"], w["dense.bias"]))
    return F.linear(x, w["output.weight"], w["output.bias"])


def test_the_parameters_are_93322() -> None:
    layers = {name: sum(p.numel() for p in layer.parameters()) for name, layer in LitCNN().network.named_children()}
    assert layers == {
        "conv1": 3 * 3 * 1 * 32 + 32,  # 320
        "conv2": 3 * 3 * 32 * 64 + 64,  # 18,496
        "conv3": 3 * 3 * 64 * 64 + 64,  # 36,928
        "dense": 3 * 3 * 64 * 64 + 64,  # 36,928
        "dropout": 0,
        "output": 64 * 10 + 10,  # 650
    }
    assert sum(layers.values()) == 320 + 18_496 + 36_928 + 36_928 + 650 == 93_322


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 18), (2, 21), (1, 33)])
def test_logits_and_gradients_are_those_of_the_plain_order_and_layout(channels: int, size: int) -> None:
    torch.manual_seed(0)
    network = CNN(channels, size, 10).double()
    images = torch.rand(3, channels, size, size, dtype=torch.float64)
    weights = list(network.parameters())
    ours, theirs = network(images), plain(network, images)
    # float64, sums of at most 576 terms of order 1 in another order: 576 * 1e-16 and a margin
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    target = torch.tensor([1, 0, 7])
    our_grads = torch.autograd.grad(F.cross_entropy(ours, target), weights)
    their_grads = torch.autograd.grad(F.cross_entropy(theirs, target), weights)
    torch.testing.assert_close(our_grads, their_grads, rtol=1e-10, atol=1e-13)  # as above, once more backwards


def test_the_dense_layer_reads_channel_height_width() -> None:
    network = CNN()
    images = torch.rand(2, 1, 28, 28)
    read: list[Tensor] = []
    network.dense.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    maps: list[Tensor] = []
    network.conv3.register_forward_hook(lambda *args: maps.append(args[2]))
    network(images)
    assert torch.equal(read[0], F.relu(maps[0]).contiguous().view(2, 64 * 3 * 3))


def test_the_convolutions_are_stored_channels_last() -> None:
    convolutions = [m for m in CNN().modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 3
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convolutions)


def test_a_network_starts_with_keras_weights() -> None:
    layers = {name: m for name, m in CNN().named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    fans = {  # inputs and outputs of a weight: Glorot counts the 9 places of a 3 x 3 kernel in both
        "conv1": 9 * 1 + 9 * 32,
        "conv2": 9 * 32 + 9 * 64,
        "conv3": 9 * 64 + 9 * 64,
        "dense": 576 + 64,
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


def test_the_smallest_image_has_18_pixels_a_side() -> None:
    network = LitCNN(image_size=18).network  # 18 -> 16 -> 8 -> 6 -> 3 -> 1
    assert isinstance(network, CNN)
    assert network.dense.in_features == 64 * 1 * 1
    with pytest.raises(ValueError, match=r"^images need a channel and 18 pixels a side, got 1 and 17$"):
        LitCNN(image_size=17)


def test_no_channel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^images need a channel and 18 pixels a side, got 0 and 28$"):
        LitCNN(num_channels=0)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_out_of_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match=f"^dropout must be 0 to below 1, got {dropout}$"):
        LitCNN(dropout=dropout)
