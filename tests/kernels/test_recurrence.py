"""The short ways beside torch's own layers: outputs, last states, every gradient, and when they are taken."""

import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from lit_models.kernels.recurrence import GRU, GRUSteps, SimpleRNN, SimpleSteps

PAIRS = [(SimpleRNN, nn.RNN), (GRU, nn.GRU)]
STEPS, BATCH, INPUTS, UNITS = 7, 3, 5, 4


def pair(ours: Any, theirs: Any, **settings: Any) -> tuple[Any, Any]:
    """Both layers with the same random weights, in float64."""
    torch.manual_seed(0)
    made = [kind(INPUTS, UNITS, **settings).double() for kind in (ours, theirs)]
    made[0].load_state_dict(made[1].state_dict())
    return made[0], made[1]


def trained(layer: Any, inputs: Tensor) -> list[Tensor]:
    """Outputs, last states, and the gradients of a random function of both: of the inputs and of each weight."""
    inputs = inputs.clone().requires_grad_()
    outputs, last = layer(inputs)
    generator = torch.Generator().manual_seed(1)
    parts = [(x * torch.randn(x.shape, generator=generator, dtype=x.dtype)).sum() for x in (outputs, last)]
    (parts[0] + parts[1]).backward()
    assert inputs.grad is not None
    return [outputs.detach(), last.detach(), inputs.grad, *(w.grad for w in layer.parameters())]


def taken(layer: Any, *arguments: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a call goes the short way."""
    run = Mock(wraps=layer.run)
    monkeypatch.setattr(layer, "run", run)
    layer(*arguments)
    return run.called


@pytest.mark.parametrize(
    "settings", [{}, {"num_layers": 2, "batch_first": True}, {"num_layers": 2, "bidirectional": True}]
)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_outputs_and_gradients_are_those_of_torchs_layer(ours: Any, theirs: Any, settings: dict[str, Any]) -> None:
    layers = pair(ours, theirs, **settings)
    inputs = torch.randn(STEPS, BATCH, INPUTS, dtype=torch.float64)
    for found, wanted in zip(*(trained(layer, inputs) for layer in layers), strict=True):
        # float64, and sums of some ten terms of order 1 over at most 14 steps: rounding stays below 1e-14
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("steps", [SimpleSteps, GRUSteps])
def test_gradients_are_those_of_finite_differences(steps: Any) -> None:
    gates = UNITS * (1 if steps is SimpleSteps else 3)
    torch.manual_seed(0)
    shapes = [(STEPS, BATCH, INPUTS), (gates, INPUTS), (gates, UNITS), (gates,), (gates,)]
    arguments = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(steps.apply, arguments)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_dropout_between_layers_drops_in_training_alone(ours: Any, theirs: Any) -> None:
    layer, plain = pair(ours, theirs, num_layers=2, dropout=0.5)
    inputs = torch.randn(STEPS, BATCH, INPUTS, dtype=torch.float64)
    found = []
    for each in (layer, plain):
        torch.manual_seed(2)
        found.append(each(inputs)[0])
    torch.testing.assert_close(*found)  # the same numbers are dropped
    assert not torch.equal(layer(inputs)[0], found[0])
    torch.testing.assert_close(layer.eval()(inputs)[0], plain.eval()(inputs)[0])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_second_derivative_is_refused_and_not_wrong(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs)
    inputs = torch.randn(STEPS, BATCH, INPUTS, dtype=torch.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(layer(inputs)[0].sum(), inputs, create_graph=True)


def test_gradients_of_two_biases_share_no_memory() -> None:
    layer = SimpleRNN(INPUTS, UNITS)
    biases = list(layer.parameters())[2:]
    found = torch.autograd.grad(layer(torch.randn(STEPS, BATCH, INPUTS))[0].sum(), biases)
    assert len(found) == 2
    assert torch.equal(*found)
    assert found[0].data_ptr() != found[1].data_ptr()


def test_a_frozen_bias_gets_no_gradient() -> None:
    layer = SimpleRNN(INPUTS, UNITS)
    layer.bias_hh_l0.requires_grad_(False)
    layer(torch.randn(STEPS, BATCH, INPUTS))[0].sum().backward()
    assert layer.bias_hh_l0.grad is None
    assert layer.bias_ih_l0.grad is not None


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_short_way_is_taken_in_training_alone(ours: Any, theirs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, _ = pair(ours, theirs)
    inputs = torch.randn(STEPS, BATCH, INPUTS, dtype=torch.float64)
    state = torch.zeros(1, BATCH, UNITS, dtype=torch.float64)
    assert taken(layer, inputs, monkeypatch=monkeypatch)
    assert not taken(layer, inputs, state, monkeypatch=monkeypatch)
    assert not taken(layer, inputs[:, 0], monkeypatch=monkeypatch)  # one text without a batch
    assert not taken(layer, pack_sequence([inputs[:, 0], inputs[:3, 0]]), monkeypatch=monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about tracing
        traced: Any = torch.jit.trace(layer, inputs)  # type: ignore[no-untyped-call]
        assert traced(inputs)[0].shape == (STEPS, BATCH, UNITS)
    with torch.no_grad():
        assert not taken(layer, inputs, monkeypatch=monkeypatch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not taken(layer.float(), inputs.float(), monkeypatch=monkeypatch)


@pytest.mark.parametrize(
    "make", [lambda: SimpleRNN(INPUTS, UNITS, nonlinearity="relu"), lambda: GRU(INPUTS, UNITS, bias=False)]
)
def test_layers_without_a_short_way_are_torchs(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not taken(make(), torch.randn(STEPS, BATCH, INPUTS), monkeypatch=monkeypatch)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_inputs_of_a_wrong_size_or_type_are_refused_by_torch(ours: Any, theirs: Any) -> None:
    with pytest.raises(RuntimeError, match="must be equal to input_size"):
        ours(INPUTS, UNITS)(torch.randn(STEPS, BATCH, INPUTS + 1))
    with pytest.raises(ValueError, match="does not match weight dtype"):
        ours(INPUTS, UNITS)(torch.randn(STEPS, BATCH, INPUTS, dtype=torch.float64))
