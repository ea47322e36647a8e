"""The fast SimpleRNN and GRU against PyTorch's layers: outputs, hidden states, every gradient, and TorchScript."""

import copy
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from lit_models.kernels.recurrence import GRU, GRUFunction, RNNFunction, SimpleRNN

PAIRS = [(SimpleRNN, nn.RNN), (GRU, nn.GRU)]
STEPS, BATCH, INPUTS, UNITS = 7, 3, 5, 4
SIZES = [
    pytest.param(sizes, id="T{}-B{}-I{}-H{}".format(*sizes))
    for sizes in ((7, 3, 5, 4), (1, 3, 5, 4), (7, 1, 5, 4), (7, 3, 1, 4), (7, 3, 5, 1), (1, 1, 5, 4), (1, 1, 1, 1))
]
DROPOUTS = {1: 0.0, 2: 0.0, 3: 0.5, 4: 0.25}
"""Number of layers -> dropout between them."""
script = pytest.mark.filterwarnings("ignore:`torch.jit.script` is")  # deprecated, but in use


def pair(ours: Any, theirs: Any, *, inputs: int = INPUTS, units: int = UNITS, **settings: Any) -> tuple[Any, Any]:
    """Both layers in float64 with the same random parameters."""
    torch.manual_seed(0)
    layer, reference = (kind(inputs, units, **settings).double() for kind in (ours, theirs))
    layer.load_state_dict(reference.state_dict())
    return layer, reference


def random_inputs(steps: int = STEPS, batch: int = BATCH, size: int = INPUTS, *, batch_first: bool = False) -> Tensor:
    shape = (batch, steps, size) if batch_first else (steps, batch, size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def results(layer: Any, inputs: Tensor) -> dict[str, Tensor]:
    """Outputs, hidden states, and the gradients of a random linear function of both. Dropout draws from seed 2."""
    inputs = inputs.clone().requires_grad_()
    layer.zero_grad()
    torch.manual_seed(2)
    outputs, last = layer(inputs)
    generator = torch.Generator().manual_seed(1)
    terms = [(x * torch.randn(x.shape, generator=generator, dtype=x.dtype)).sum() for x in (outputs, last)]
    (terms[0] + terms[1]).backward()
    gradients = {name.removeprefix("layer."): p.grad for name, p in layer.named_parameters()}
    assert inputs.grad is not None
    return {"outputs": outputs.detach(), "last": last.detach(), "inputs": inputs.grad, **gradients}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    # float64, and sums of about ten terms of order 1 over at most 28 steps: rounding stays below 1e-13
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def uses_fast_path(layer: Any, *arguments: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    run = Mock(wraps=layer.run)
    monkeypatch.setattr(layer, "run", run)
    layer(*arguments)
    return run.called


@pytest.mark.parametrize("batch_first", [False, True], ids=["TB", "BT"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("layers", DROPOUTS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_outputs_and_gradients_equal_those_of_pytorchs_layer(
    ours: Any, theirs: Any, sizes: tuple[int, ...], layers: int, bidirectional: bool, batch_first: bool
) -> None:
    steps, batch, inputs, units = sizes
    settings: Any = {"num_layers": layers, "dropout": DROPOUTS[layers], "bidirectional": bidirectional}
    layer, reference = pair(ours, theirs, inputs=inputs, units=units, batch_first=batch_first, **settings)
    x = random_inputs(steps, batch, inputs, batch_first=batch_first)
    assert layer.is_fast(x)
    assert_equal(results(layer, x), results(reference, x))


@pytest.mark.parametrize("function", [RNNFunction, GRUFunction])
@pytest.mark.parametrize("sizes", SIZES)
def test_gradients_equal_finite_differences(function: Any, sizes: tuple[int, ...]) -> None:
    steps, batch, inputs, units = sizes
    gates = units * (1 if function is RNNFunction else 3)
    torch.manual_seed(0)
    shapes = [(steps, batch, inputs), (gates, inputs), (gates, units), (gates,), (gates,)]
    arguments = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(function.apply, arguments)


@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_dropout_acts_below_every_layer_but_the_first(ours: Any, theirs: Any, layers: int) -> None:
    """The reference is a loop over single layers, with dropout before each layer but the first."""
    layer, _ = pair(ours, theirs, num_layers=layers, dropout=0.5)
    singles = [theirs(INPUTS if i == 0 else UNITS, UNITS).double() for i in range(layers)]
    for i, single in enumerate(singles):
        single.load_state_dict({name: getattr(layer, name.replace("l0", f"l{i}")) for name in single.state_dict()})
    torch.manual_seed(2)
    x = random_inputs()
    for i, single in enumerate(singles):
        x = single(nn.functional.dropout(x, 0.5) if i else x)[0]
    torch.manual_seed(2)
    torch.testing.assert_close(layer(random_inputs())[0], x, rtol=1e-11, atol=1e-13)  # as in assert_equal


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_dropout_is_off_in_evaluation_mode(ours: Any, theirs: Any) -> None:
    layer, reference = pair(ours, theirs, num_layers=3, dropout=0.5)
    assert not torch.equal(layer(random_inputs())[0], layer(random_inputs())[0])
    assert_equal(results(layer.eval(), random_inputs()), results(reference.eval(), random_inputs()))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_second_derivative_is_refused(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs)
    inputs = random_inputs().requires_grad_()
    message = "^SimpleRNN and GRU have no second derivative: use nn.RNN or nn.GRU$"
    with pytest.raises(RuntimeError, match=message):
        torch.autograd.grad(layer(inputs)[0].sum(), inputs, create_graph=True)


def test_gradients_of_the_two_biases_share_no_memory() -> None:
    layer = SimpleRNN(INPUTS, UNITS)
    biases = list(layer.parameters())[2:]
    gradients = torch.autograd.grad(layer(torch.randn(STEPS, BATCH, INPUTS))[0].sum(), biases)
    assert len(gradients) == 2
    assert torch.equal(*gradients)
    assert gradients[0].data_ptr() != gradients[1].data_ptr()


def test_a_frozen_bias_gets_no_gradient() -> None:
    layer = SimpleRNN(INPUTS, UNITS)
    layer.bias_hh_l0.requires_grad_(False)
    layer(torch.randn(STEPS, BATCH, INPUTS))[0].sum().backward()
    assert layer.bias_hh_l0.grad is None
    assert layer.bias_ih_l0.grad is not None


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_only_plain_training_on_a_cpu_uses_the_fast_path(
    ours: Any, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, _ = pair(ours, theirs)
    inputs = random_inputs()
    state = torch.zeros(1, BATCH, UNITS, dtype=torch.float64)
    assert uses_fast_path(layer, inputs, monkeypatch=monkeypatch)
    assert not uses_fast_path(layer, inputs, state, monkeypatch=monkeypatch)
    assert not uses_fast_path(layer, inputs[:, 0], monkeypatch=monkeypatch)  # one sequence without a batch dimension
    assert not uses_fast_path(layer, pack_sequence([inputs[:, 0], inputs[:3, 0]]), monkeypatch=monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about tracing
        traced: Any = torch.jit.trace(layer, inputs)  # type: ignore[no-untyped-call]
        assert traced(inputs)[0].shape == (STEPS, BATCH, UNITS)
    with torch.no_grad():
        assert not uses_fast_path(layer, inputs, monkeypatch=monkeypatch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not uses_fast_path(layer.float(), inputs.float(), monkeypatch=monkeypatch)


@pytest.mark.parametrize(
    "build", [lambda: SimpleRNN(INPUTS, UNITS, nonlinearity="relu"), lambda: GRU(INPUTS, UNITS, bias=False)]
)
def test_settings_without_a_fast_path_use_pytorchs_layer(
    build: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not uses_fast_path(build(), torch.randn(STEPS, BATCH, INPUTS), monkeypatch=monkeypatch)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_inputs_of_a_wrong_size_or_dtype_get_pytorchs_message(ours: Any, theirs: Any) -> None:
    with pytest.raises(RuntimeError, match="must be equal to input_size"):
        ours(INPUTS, UNITS)(torch.randn(STEPS, BATCH, INPUTS + 1))
    with pytest.raises(ValueError, match="does not match weight dtype"):
        ours(INPUTS, UNITS)(random_inputs())


class Wrapper(nn.Module):
    """A module around a layer: TorchScript gives PyTorch's recurrent layers no `forward` of their own."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        outputs, last = self.layer(inputs)
        return outputs, last


class TextNetwork(nn.Module):
    """Embedding, two recurrent layers and an output layer, as a user would script them."""

    def __init__(self, kind: type[SimpleRNN | GRU]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, INPUTS)
        self.lower = kind(INPUTS, UNITS, 2, batch_first=True, bidirectional=True)
        self.upper = kind(2 * UNITS, UNITS, batch_first=True)
        self.output = nn.Linear(UNITS, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        x, _ = self.lower(self.embedding(tokens))
        x, last = self.upper(x)
        logits: Tensor = self.output(last[-1])
        return logits


@script
@pytest.mark.parametrize("batch_first", [False, True], ids=["TB", "BT"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("layers", DROPOUTS)
@pytest.mark.parametrize("kind", [SimpleRNN, GRU])
def test_a_scripted_layer_equals_the_eager_layer(
    kind: Any, layers: int, bidirectional: bool, batch_first: bool
) -> None:
    settings: Any = {"num_layers": layers, "dropout": DROPOUTS[layers], "bidirectional": bidirectional}
    layer, _ = pair(kind, kind, batch_first=batch_first, **settings)
    inputs = random_inputs(batch_first=batch_first)
    scripted: Any = torch.jit.script(Wrapper(copy.deepcopy(layer)))
    assert_equal(results(scripted, inputs), results(layer, inputs))
    assert_equal(results(scripted.eval(), inputs), results(layer.eval(), inputs))


@script
@pytest.mark.parametrize("kind", [SimpleRNN, GRU])
def test_a_scripted_network_shares_the_parameters_and_equals_the_eager_network(kind: Any) -> None:
    network = TextNetwork(kind).double()
    tokens = torch.randint(20, (BATCH, STEPS), generator=torch.Generator().manual_seed(0))
    eager = network(tokens)
    scripted: Any = torch.jit.script(network)
    assert [p.data_ptr() for p in scripted.parameters()] == [p.data_ptr() for p in network.parameters()]
    torch.testing.assert_close(scripted(tokens), eager, rtol=1e-11, atol=1e-13)  # as in assert_equal
    torch.testing.assert_close(network(tokens), eager, rtol=1e-11, atol=1e-13)


@script
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_layer_can_be_scripted_alone_and_stays_itself(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs)
    scripted: Any = torch.jit.script(layer)
    assert scripted.original_name == theirs.__name__
    assert type(layer) is ours
    outputs, last = scripted.forward__0(random_inputs())  # TorchScript's name of the overload for tensors
    assert torch.equal(outputs[-1:], last)
    torch.testing.assert_close(outputs, layer(random_inputs())[0], rtol=1e-11, atol=1e-13)  # as in assert_equal
