"""The convolution with pooling and activation against PyTorch's layers."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models import kernels
from lit_models.cnn import CNN
from lit_models.kernels import convolution
from lit_models.kernels.convolution import Convolution, slices
from lit_models.kernels.passes import addresses

SHAPES = [  # samples, channels, height, width, filters, kernel, padding, pool
    (9, 1, 28, 28, 32, 3, 0, 2),  # more samples than a call of a loop takes; one channel
    (1, 32, 13, 13, 64, 3, 0, 2),  # the last row and column are in no pooling
    (20, 64, 5, 5, 64, 3, 0, 1),  # several samples share a list
    (2, 3, 9, 12, 16, 3, 1, 2),  # not square, padding, three channels
    (3, 16, 7, 6, 16, 5, 2, 3),
    (2, 112, 4, 4, 48, 1, 0, 1),  # rows of seven vectors
    (2, 5, 6, 6, 16, 6, 0, 1),  # one pixel
    (3, 16, 11, 11, 32, 2, 0, 11 - 1),  # one pooling of 100 pixels
]


@pytest.fixture(autouse=True)
def automatic() -> Iterator[None]:
    kernels.choose("auto")
    yield
    kernels.choose("auto")


def layer_and_inputs(shape: tuple[int, ...], activation: type[nn.Module] = nn.ReLU) -> tuple[Convolution, Tensor]:
    torch.manual_seed(0)
    samples, channels, height, width, filters, kernel, padding, pool = shape
    layer = Convolution(channels, filters, kernel, padding=padding, pool=pool, activation=activation())
    return layer, torch.randn(samples, channels, height, width, requires_grad=channels % 16 == 0)


def plain(layer: Convolution, x: Tensor) -> Tensor:
    maps = F.max_pool2d(F.conv2d(x, layer.weight, layer.bias, padding=layer.padding), layer.pool)
    outputs: Tensor = layer.activation(maps)
    return outputs


def gradients(outputs: Tensor, x: Tensor, layer: nn.Module, grad: Tensor) -> list[Tensor]:
    inputs = [x, *layer.parameters()] if x.requires_grad else [*layer.parameters()]
    return list(torch.autograd.grad(outputs, inputs, grad.to(outputs.dtype)))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_equal_pytorchs(shape: tuple[int, ...], activation: type[nn.Module]) -> None:
    layer, x = layer_and_inputs(shape, activation)
    ours = layer(x)
    reference = copy.deepcopy(layer).double()
    x_reference = x.detach().double().requires_grad_(x.requires_grad)
    theirs = plain(reference, x_reference)
    assert kernels.used() == {"fast": ["Convolution"], "plain": {}}
    # numbers of order 1 in float32; a sum has up to 576 terms
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=5e-6)
    grad = torch.randn_like(ours)
    pairs = zip(gradients(ours, x, layer, grad), gradients(theirs, x_reference, reference, grad), strict=True)
    for our_grad, their_grad in pairs:
        error = (our_grad.double() - their_grad).abs().max() / their_grad.abs().max()
        assert error < 5e-6  # sums of up to 6,084 products of order 1 in float32


@pytest.mark.parametrize("shape", SHAPES)
def test_of_equal_values_the_first_gets_the_gradient_as_in_pytorch(shape: tuple[int, ...]) -> None:
    """Small whole numbers give equal values in a pooling, and float32 computes their sums without an error."""
    layer, x = layer_and_inputs(shape)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-1, 2, layer.weight.shape))
        assert layer.bias is not None
        layer.bias.copy_(torch.randint(-1, 2, layer.bias.shape))
        x.copy_(torch.randint(-1, 2, x.shape))
    ours, theirs = layer(x), plain(layer, x)
    assert torch.equal(ours, theirs)
    grad = torch.randint(-2, 3, ours.shape).float()
    pairs = zip(gradients(ours, x, layer, grad), gradients(theirs, x, layer, grad), strict=True)
    assert all(torch.equal(our_grad, their_grad) for our_grad, their_grad in pairs)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    layer, x = layer_and_inputs((30, 16, 9, 9, 32, 3, 0, 2))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            outputs = layer(x)
            results.append([outputs, *gradients(outputs, x, layer, torch.ones_like(outputs))])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_a_value_that_is_not_a_number_stays_visible() -> None:
    layer, x = layer_and_inputs((2, 16, 6, 6, 16, 3, 0, 2))
    for row in range(3):  # each place of the first pooling
        with torch.no_grad():
            x.zero_()
            x[0, 0, row, row] = torch.nan
        ours, theirs = layer(x), plain(layer, x)
        assert theirs.isnan().any()
        assert torch.equal(ours.isnan(), theirs.isnan())
        expected = gradients(theirs, x, layer, torch.ones_like(theirs))
        for our_grad, their_grad in zip(gradients(ours, x, layer, torch.ones_like(ours)), expected, strict=True):
            assert our_grad.isnan().any() == their_grad.isnan().any()


def test_only_wanted_gradients_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = layer_and_inputs(SHAPES[1])
    expected = gradients(layer(x).sum(), x, layer, torch.tensor(1.0))
    missing: list[set[str]] = []

    def note(**tensors: Tensor | None) -> dict[str, int]:
        missing.append({name for name, tensor in tensors.items() if tensor is None})
        return addresses(**tensors)

    monkeypatch.setattr(convolution, "addresses", note)
    layer.weight.requires_grad_(False)
    (grad,) = torch.autograd.grad(layer(x).sum(), x)
    assert torch.equal(grad, expected[0])
    assert missing == [set(), set(), {"grad_weight"}]  # forward, backward, its one part
    missing.clear()
    assert layer(x.detach()).requires_grad  # by the bias
    layer.weight.requires_grad_()
    layer(x.detach()).sum().backward()
    assert missing == [set(), set(), {"weight", "grad_x"}, set()]
    missing.clear()
    with torch.no_grad():
        outputs = layer(x)
    assert missing == [{"positions"}]
    assert torch.equal(outputs, layer(x.detach()))


def test_maps_may_have_any_order_in_memory() -> None:
    layer, x = layer_and_inputs(SHAPES[1])
    for inputs in (x, x.transpose(2, 3).contiguous().transpose(2, 3), x.repeat(2, 1, 1, 1)[::2]):
        outputs = layer(inputs)
        torch.testing.assert_close(outputs, plain(layer, inputs), rtol=0, atol=5e-6)
        grad = torch.ones(()).expand_as(outputs)
        expected = gradients(plain(layer, inputs), x, layer, grad)
        for ours, theirs in zip(gradients(outputs, x, layer, grad), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=5e-6)


def test_a_second_derivative_is_refused() -> None:
    layer, x = layer_and_inputs(SHAPES[1])
    with pytest.raises(RuntimeError, match=r"^Convolution has no second derivative: use nn\.Conv2d$"):
        torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)


def relu(*args: Any, **kwargs: Any) -> Convolution:
    return Convolution(*args, activation=nn.ReLU(), **kwargs)


CALLS: dict[str, Any] = {
    "numbers are not float32": lambda layer, x: copy.deepcopy(layer).double()(x.double()),
    "a setting of the layer is not supported": lambda layer, x: relu(16, 16, 3, stride=2)(x),
    "the filters are not a multiple of 16": lambda layer, x: relu(16, 5, 3)(x),
    "the activation is not ReLU, tanh or sigmoid": lambda layer, x: Convolution(16, 16, 3)(x),
    "the inputs are not a batch of images or maps": lambda layer, x: layer(x[:0]),
    "the gradient of these inputs is needed": lambda layer, x: relu(5, 16, 3)(x[:, :5]),
    "the pooling is too large": lambda layer, x: relu(16, 16, 3, pool=12)(x.repeat(1, 1, 3, 3)),
}


@pytest.mark.parametrize("reason", CALLS)
def test_calls_without_a_fast_path_name_the_reason(reason: str) -> None:
    layer, x = layer_and_inputs((2, 16, 6, 6, 16, 3, 0, 2))
    CALLS[reason](layer, x)
    assert kernels.used() == {"fast": [], "plain": {"Convolution": [reason]}}
    kernels.choose("plain")
    layer(x)
    assert kernels.used() == {"fast": [], "plain": {"Convolution": ["kernels are set to plain"]}}


def test_autocast_and_inputs_that_are_too_small_are_pytorchs() -> None:
    layer, x = layer_and_inputs((2, 16, 6, 6, 16, 3, 0, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with pytest.raises(RuntimeError, match="Output size is too small"):
        layer(x[:, :, :3, :3])
    assert kernels.used()["fast"] == []


def test_transforms_of_functions_and_graphs_are_pytorchs() -> None:
    layer, x = layer_and_inputs(SHAPES[1])
    expected = gradients(layer(x).sum(), x, layer, torch.tensor(1.0))[0]
    kernels.choose("auto")

    def total(inputs: Tensor) -> Tensor:
        outputs: Tensor = layer(inputs)
        return outputs.sum()

    grad = torch.func.grad(total)(x.detach())
    torch.testing.assert_close(grad, expected, rtol=0, atol=1e-5)
    assert kernels.used() == {"fast": [], "plain": {"Convolution": ["a transform of torch.func is on"]}}
    compiled: Any = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), plain(layer, x))


def test_without_pooling_and_activation_it_is_a_convolution() -> None:
    layer, x = layer_and_inputs(SHAPES[1])
    layer.pool, layer.activation = 1, nn.Identity()
    assert torch.equal(layer(x), F.conv2d(x, layer.weight, layer.bias))


@pytest.mark.parametrize("channels", [1, 15, 32])
def test_inputs_with_another_number_of_channels_are_an_error(channels: int) -> None:
    layer, _ = layer_and_inputs((2, 16, 6, 6, 16, 3, 0, 2))
    with pytest.raises(RuntimeError, match=f"to have 16 channels, but got {channels} channels"):
        layer(torch.randn(2, channels, 6, 6))


def test_saved_tensors_may_come_back_in_another_order_in_memory() -> None:
    """As those of `torch.autograd.graph.save_on_cpu(pin_memory=True)`."""
    layer, x = layer_and_inputs((2, 16, 8, 8, 16, 3, 0, 2))
    expected = gradients(layer(x).square().sum(), x, layer, torch.tensor(1.0))
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved.contiguous(), lambda saved: saved):
        outputs = layer(x)
    actual = gradients(outputs.square().sum(), x, layer, torch.tensor(1.0))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(actual, expected, strict=True))


def test_a_bias_may_be_a_column_of_a_table() -> None:
    layer, x = layer_and_inputs((2, 16, 6, 6, 16, 3, 0, 2))
    layer.bias = nn.Parameter(torch.randn(16, 9)[:, 0])
    assert not layer.bias.is_contiguous()
    torch.testing.assert_close(layer(x), plain(layer, x), rtol=0, atol=5e-6)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is")  # deprecated, but in use
def test_scripts_and_symbolic_traces_take_pytorchs_layers() -> None:
    layer, x = layer_and_inputs(SHAPES[1])
    scripted: Any = torch.jit.script(copy.deepcopy(layer))
    assert torch.equal(scripted(x), plain(layer, x))
    network, images = CNN(), torch.rand(3, 1, 28, 28)
    traced = torch.fx.symbolic_trace(network)
    kernels.choose("plain")
    assert torch.equal(traced(images), network(images))


def test_large_batches_take_limited_memory() -> None:
    """32 sums of the weights' gradient, whatever the number of samples."""
    for samples, parts in ((1, 1), (8, 1), (9, 2), (256, 32), (257, 29), (10_000, 32)):
        table = slices(samples)
        assert len(table) == parts  # 257 samples: 9 in each of 28 parts, 5 in the last
        assert table[0, 0] == 0
        assert table[-1, 1] == samples
        assert (table[1:, 0] == table[:-1, 1]).all()


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 32, 32), (3, 28, 20), (1, 96, 96)])
def test_the_network_uses_it_for_each_convolution_of_any_size(channels: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    network = CNN(channels, [height, width])
    images = torch.rand(3, channels, height, width)
    fast = network(images)
    assert kernels.used() == {"fast": ["Convolution"], "plain": {}}
    kernels.choose("plain")
    torch.testing.assert_close(fast, network(images), rtol=0, atol=2e-6)  # float32, logits below 1
