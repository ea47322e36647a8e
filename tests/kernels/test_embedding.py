"""The embedding with a compiled gradient against PyTorch's."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from lit_models import kernels
from lit_models.kernels.embedding import Embedding


@pytest.fixture(autouse=True)
def automatic() -> Iterator[None]:
    kernels.choose("auto")
    yield
    kernels.choose("auto")


def table(width: int = 32) -> Embedding:
    torch.manual_seed(0)
    return Embedding(20, width)


@pytest.mark.parametrize("shape", [(1,), (500,), (7, 30), (3, 0)])
@pytest.mark.parametrize("width", [16, 48])
def test_rows_and_gradients_equal_pytorchs(width: int, shape: tuple[int, ...]) -> None:
    layer, reference = table(width), nn.Embedding(20, width).double()
    reference.load_state_dict(layer.state_dict())
    tokens = torch.randint(20, shape).flip(0)
    grad = torch.randn(*shape, width)
    for network in (layer, reference):
        network(tokens).backward(grad.to(network.weight.dtype))
    assert kernels.used() == {"fast": ["Embedding"], "plain": {}}
    assert torch.equal(layer(tokens).double(), reference(tokens))
    assert layer.weight.grad is not None
    assert reference.weight.grad is not None
    # sums of up to 50 numbers of order 1 in float32
    torch.testing.assert_close(layer.weight.grad.double(), reference.weight.grad, rtol=0, atol=2e-5)


def test_the_gradient_may_have_any_order_in_memory() -> None:
    layer = table()
    tokens = torch.randint(20, (5, 6)).T
    rows = layer(tokens)
    rows.sum(dim=0).sum().backward()  # an expanded gradient
    expected = tokens.flatten().bincount(minlength=20).float()[:, None].expand(20, 32)
    assert layer.weight.grad is not None
    assert torch.equal(layer.weight.grad, expected)


def test_a_second_derivative_is_refused() -> None:
    layer = table()
    with pytest.raises(RuntimeError, match=r"^Embedding has no second derivative: use nn\.Embedding$"):
        torch.autograd.grad(layer(torch.tensor([1])).square().sum(), layer.weight, create_graph=True)


def test_an_id_beyond_the_table_gets_pytorchs_message() -> None:
    with pytest.raises(IndexError, match="index out of range"):
        table()(torch.tensor([20]))


def test_calls_without_a_fast_path_name_the_reason() -> None:
    tokens = torch.tensor([1, 2])
    table(5)(tokens)
    table().double()(tokens)
    table()(tokens.int())
    Embedding(20, 16, padding_idx=0)(tokens)
    reasons = [
        "a setting of the layer is not supported",
        "ids are not int64",
        "numbers are not float32",
        "the size is not a multiple of 16",
    ]
    assert kernels.used() == {"fast": [], "plain": {"Embedding": reasons}}
    kernels.choose("plain")
    table()(tokens)
    assert kernels.used() == {"fast": [], "plain": {"Embedding": ["kernels are set to plain"]}}
