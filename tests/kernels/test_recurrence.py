"""SimpleRNN, GRU and LSTM against PyTorch's layers: outputs, last states, every gradient, and TorchScript."""

import contextlib
import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from lit_models import kernels
from lit_models.kernels.recurrence import GRU, LSTM, SimpleRNN
from lit_models.rnn import RNN

PAIRS = [
    pytest.param(SimpleRNN, nn.RNN, id="SimpleRNN"),
    pytest.param(GRU, nn.GRU, id="GRU"),
    pytest.param(LSTM, nn.LSTM, id="LSTM"),
]
STEPS, BATCH, INPUTS, UNITS = 7, 3, 5, 4
SIZES = [
    pytest.param(sizes, id="T{}-B{}-I{}-H{}".format(*sizes))
    for sizes in (
        *((7, 3, 5, 4), (1, 3, 5, 4), (7, 1, 5, 4), (7, 3, 1, 4), (7, 3, 5, 1), (1, 1, 5, 4), (1, 1, 1, 1)),
        *((3, 25, 16, 32), (2, 29, 33, 17), (4, 50, 15, 48)),  # more than one slice, tiles of each height, wide layers
    )
]
DROPOUTS = {1: 0.0, 2: 0.0, 3: 0.5, 4: 0.25}
"""Number of layers -> dropout between them."""
script = pytest.mark.filterwarnings("ignore:`torch.jit.script` is")  # deprecated, but in use


@pytest.fixture(autouse=True)
def automatic() -> Iterator[None]:
    """Each test starts with the fast paths on and with nothing counted."""
    kernels.choose("auto")
    yield
    kernels.choose("auto")


def pair(ours: Any, theirs: Any, *, inputs: int = INPUTS, units: int = UNITS, **settings: Any) -> tuple[Any, Any]:
    """Our layer in float32, and PyTorch's in float64 with the same random parameters."""
    torch.manual_seed(0)
    layer, reference = (kind(inputs, units, **settings) for kind in (ours, theirs))
    layer.load_state_dict(reference.state_dict())
    return layer, reference.double()


def random_inputs(steps: int = STEPS, batch: int = BATCH, size: int = INPUTS, *, batch_first: bool = False) -> Tensor:
    shape = (batch, steps, size) if batch_first else (steps, batch, size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def data_of(x: Tensor | PackedSequence) -> Tensor:
    return x.data if isinstance(x, PackedSequence) else x


def results(layer: Any, inputs: Any) -> dict[str, Tensor]:
    """Outputs, last states, and the gradients of a random linear function of all of them, in float64. Dropout draws
    from seed 2."""
    dtype = next(layer.parameters()).dtype
    inputs = inputs.to(dtype)
    data = data_of(inputs).clone().requires_grad_()
    inputs = inputs._replace(data=data) if isinstance(inputs, PackedSequence) else data
    layer.zero_grad()
    torch.manual_seed(2)
    outputs, last = layer(inputs)
    states = last if isinstance(last, tuple) else (last,)
    parts = [data_of(outputs), *states]
    generator = torch.Generator().manual_seed(1)
    terms = [part * torch.randn(part.shape, generator=generator) for part in parts]
    torch.autograd.backward([term.sum() for term in terms])
    found = dict(zip(("outputs", "last", "cells"), parts, strict=False)) | {"inputs": data.grad}
    found |= {name.removeprefix("layer."): p.grad for name, p in layer.named_parameters()}
    return {name: value.detach().double() for name, value in found.items() if value is not None}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    # float32 rounds by 6e-8 and tanh by 3e-7; sums of up to 50 terms of order 1 over up to 28 steps
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        error = (ours[name] - value).abs().max() / max(1.0, float(value.abs().max()))
        assert error < 1e-5, f"{name} differs by {error:.1e}"


def ran_fast() -> bool:
    """Whether all calls since the last one have used the fast path."""
    used = kernels.used()
    kernels.choose("auto")
    return bool(used["fast"]) and not used["plain"]


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_outputs_and_gradients_of_all_sizes_equal_those_of_pytorchs_layer(
    ours: Any, theirs: Any, sizes: tuple[int, ...], bidirectional: bool
) -> None:
    steps, batch, inputs, units = sizes
    layer, reference = pair(ours, theirs, inputs=inputs, units=units, num_layers=2, bidirectional=bidirectional)
    found = results(layer, random_inputs(steps, batch, inputs))
    assert ran_fast()
    assert_equal(found, results(reference, random_inputs(steps, batch, inputs)))


@pytest.mark.parametrize("batch_first", [False, True], ids=["TB", "BT"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("layers", DROPOUTS)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_outputs_and_gradients_of_several_layers_equal_those_of_pytorchs_layer(
    ours: Any, theirs: Any, layers: int, bidirectional: bool, batch_first: bool
) -> None:
    settings: Any = {"num_layers": layers, "dropout": DROPOUTS[layers], "bidirectional": bidirectional}
    layer, reference = pair(ours, theirs, batch_first=batch_first, **settings)
    found = results(layer, random_inputs(batch_first=batch_first))
    assert ran_fast()
    assert_equal(found, results(reference, random_inputs(batch_first=batch_first)))


@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_dropout_acts_below_every_layer_but_the_first(ours: Any, theirs: Any, layers: int) -> None:
    """The reference is a loop over single layers, with dropout before each layer but the first."""
    layer, _ = pair(ours, theirs, num_layers=layers, dropout=0.5)
    singles = [theirs(INPUTS if i == 0 else UNITS, UNITS) for i in range(layers)]
    for i, single in enumerate(singles):
        single.load_state_dict({name: getattr(layer, name.replace("l0", f"l{i}")) for name in single.state_dict()})
    torch.manual_seed(2)
    x = random_inputs()
    for i, single in enumerate(singles):
        x = single(nn.functional.dropout(x, 0.5) if i else x)[0]
    torch.manual_seed(2)
    torch.testing.assert_close(layer(random_inputs())[0], x, rtol=0, atol=1e-6)  # float32, numbers below 1


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_dropout_is_off_in_evaluation_mode(ours: Any, theirs: Any) -> None:
    layer, reference = pair(ours, theirs, num_layers=3, dropout=0.5)
    assert not torch.equal(layer(random_inputs())[0], layer(random_inputs())[0])
    assert_equal(results(layer.eval(), random_inputs()), results(reference.eval(), random_inputs()))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_second_derivative_is_refused(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs)
    inputs = random_inputs().requires_grad_()
    message = "^SimpleRNN, GRU and LSTM have no second derivative: use nn.RNN, nn.GRU or nn.LSTM$"
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


def reason(layer: Any, *arguments: Any) -> str | None:
    """Why a call went to PyTorch's layer; None if it did not."""
    kernels.choose("auto")
    layer(*arguments)
    used = kernels.used()
    name = type(layer).__name__
    assert used in ({"fast": [name], "plain": {}}, {"fast": [], "plain": {name: [*used["plain"].get(name, [])]}})
    return next(iter(used["plain"].get(name, [])), None)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_calls_without_a_fast_path_name_the_reason(ours: Any, theirs: Any) -> None:
    layer = ours(INPUTS, UNITS)
    inputs = random_inputs()
    state = torch.zeros(1, BATCH, UNITS)
    assert reason(layer, inputs) is None
    assert reason(layer, inputs, (state, state) if ours is LSTM else state) == "an initial state is given"
    unlike = "the inputs are not a float32 batch of this size on a CPU"
    assert reason(layer, inputs[:, 0]) == unlike  # a sequence without a batch dimension
    assert reason(layer, pack_sequence([inputs[:, 0], inputs[:3, 0]])) is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about tracing
        traced: Any = torch.jit.trace(layer, inputs)  # type: ignore[no-untyped-call]
        assert traced(inputs[:3])[0].shape == (3, BATCH, UNITS)
    assert kernels.used()["plain"] == {ours.__name__: ["a graph is compiled or traced"]}
    with torch.no_grad():
        assert reason(layer, inputs) is None
        with torch.autograd.forward_ad.dual_level():
            assert reason(layer, inputs) == "forward-mode derivatives are on"
    if ours is not LSTM:  # oneDNN's LSTM computes in bfloat16 on some processors only
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert reason(layer, inputs) == "autocast is on"
    assert reason(ours(INPUTS, UNITS, bias=False), inputs) == "the layer has no bias"
    assert reason(layer.double(), inputs.double()) == "numbers are not float32"


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_settings_without_a_fast_path_name_the_reason() -> None:
    assert reason(SimpleRNN(INPUTS, UNITS, nonlinearity="relu"), random_inputs()) == "the nonlinearity is not tanh"
    assert reason(LSTM(INPUTS, UNITS, proj_size=2), random_inputs()) == "the layer has a projection"


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_plain_kernels_are_pytorchs_layer(ours: Any, theirs: Any) -> None:
    layer, reference = pair(ours, theirs, num_layers=2)
    kernels.choose("plain")
    found = results(layer, random_inputs())
    assert kernels.used() == {"fast": [], "plain": {ours.__name__: ["kernels are set to plain"]}}
    expected = results(reference.float(), random_inputs())
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "both-ways"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_packed_sequences_equal_those_of_pytorchs_layer(
    ours: Any, theirs: Any, layers: int, bidirectional: bool
) -> None:
    layer, reference = pair(ours, theirs, num_layers=layers, bidirectional=bidirectional)
    lengths = [3, 9, 1, 9, 5, *range(1, 28)]
    x = pack_sequence([random_inputs(length, 1)[:, 0] for length in lengths], enforce_sorted=False)
    found = results(layer, x)
    assert ran_fast()
    assert_equal(found, results(reference, x))


@pytest.mark.parametrize("size", [5, 16])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_packed_sequence_may_have_any_order_in_memory(ours: Any, theirs: Any, size: int) -> None:
    layer, reference = pair(ours, theirs, inputs=size)
    x = pack_sequence([random_inputs(length, 1, size)[:, 0] for length in (4, 3, 3)])
    turned = x._replace(data=x.data.T.contiguous().T)
    found = results(layer, turned)
    assert ran_fast()
    assert_equal(found, results(reference, x))


@pytest.mark.parametrize("sizes", [[2, 4, 3], [4, 3, 3], [4, 3, 1], [9, 0]])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_packed_sequence_that_is_not_sound_goes_to_pytorchs_layer(ours: Any, theirs: Any, sizes: list[int]) -> None:
    layer = ours(INPUTS, UNITS)
    with contextlib.suppress(RuntimeError):  # PyTorch's layer refuses most of them
        layer(PackedSequence(torch.randn(9, INPUTS), torch.tensor(sizes)))
    assert kernels.used()["plain"] == {ours.__name__: ["the packed sequence is not valid"]}


def test_weights_of_two_types_go_to_pytorchs_layer() -> None:
    layer = LSTM(INPUTS, UNITS)
    layer.weight_hh_l0 = nn.Parameter(layer.get_parameter("weight_hh_l0").double())
    with pytest.raises(RuntimeError):
        layer(random_inputs())
    assert kernels.used()["plain"] == {"LSTM": ["numbers are not float32"]}


@pytest.mark.parametrize("part", ["outputs", "last", "an early output"])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_gradients_of_a_part_of_the_results(ours: Any, theirs: Any, part: str) -> None:
    found = []
    for layer in pair(ours, theirs, num_layers=2):
        outputs, last = layer(random_inputs().to(layer.weight_ih_l0.dtype))
        state = last[1] if isinstance(last, tuple) else last
        {"outputs": outputs, "last": state, "an early output": outputs[1]}[part].sum().backward()
        found.append({name: p.grad.double() for name, p in layer.named_parameters()})
    assert_equal(found[0], found[1])


@pytest.mark.parametrize("needed", ["inputs", "weight_ih_l0", "weight_hh_l1", "bias_ih_l0", "bias_hh_l1"])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_gradient_of_one_tensor_alone(ours: Any, theirs: Any, needed: str) -> None:
    found = []
    for layer in pair(ours, theirs, num_layers=2):
        inputs = random_inputs().to(layer.weight_ih_l0.dtype)
        tensors = {"inputs": inputs, **dict(layer.named_parameters())}
        for name, tensor in tensors.items():
            tensor.requires_grad_(name == needed)
        layer(inputs)[0].sum().backward()
        assert [name for name, tensor in tensors.items() if tensor.grad is not None] == [needed]
        gradient = tensors[needed].grad
        assert gradient is not None
        found.append({needed: gradient.double()})
    assert_equal(found[0], found[1])


INPUTS_IN_MEMORY: dict[str, Callable[[Tensor], Tensor]] = {
    "every second feature": lambda x: x.repeat_interleave(2, dim=2)[..., ::2],
    "every second step": lambda x: x.repeat_interleave(2, dim=0)[::2],
    "one sample for all": lambda x: x[:, :1].expand(-1, BATCH, -1),
    "features first": lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "samples first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
}


@pytest.mark.parametrize("size", [5, 16])
@pytest.mark.parametrize("memory", INPUTS_IN_MEMORY)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_inputs_may_have_any_order_in_memory(ours: Any, theirs: Any, memory: str, size: int) -> None:
    layer, reference = pair(ours, theirs, inputs=size)
    found = []
    for network in (layer, reference):
        x = random_inputs(size=size).to(network.weight_ih_l0.dtype).requires_grad_()
        outputs, _ = network(INPUTS_IN_MEMORY[memory](x))
        outputs.square().sum().backward()
        assert x.grad is not None
        found.append({"outputs": outputs.detach().double(), "inputs": x.grad.double()})
    assert ran_fast()
    assert_equal(found[0], found[1])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_gradients_of_results_may_have_any_order_in_memory(ours: Any, theirs: Any) -> None:
    found = []
    for layer in pair(ours, theirs, units=16):
        outputs, last = layer(random_inputs().to(layer.weight_ih_l0.dtype))
        for result in (outputs, *(last if isinstance(last, tuple) else (last,))):
            factors = torch.randn(result.mT.shape, generator=torch.Generator().manual_seed(4))
            (result.mT * factors).sum().backward(retain_graph=True)  # the gradient's units are its first dimension
        found.append({name: p.grad.double() for name, p in layer.named_parameters()})
    assert_equal(found[0], found[1])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_evaluation_without_gradients_equals_training(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs, num_layers=2, bidirectional=True)
    expected, _ = layer(random_inputs())
    with torch.no_grad():
        assert torch.equal(layer(random_inputs())[0], expected)
    assert ran_fast()


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_changed_outputs_are_refused_in_the_backward_pass(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs, units=16)  # the outputs are the memory that the backward pass reads
    outputs, _ = layer(random_inputs())
    outputs.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()
    layer, _ = pair(ours, theirs)  # they are a part of it
    outputs, _ = layer(random_inputs())
    with pytest.raises(RuntimeError, match="is being modified inplace"):
        outputs.mul_(2)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_number_that_is_not_finite_stays_visible(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs, num_layers=2)
    inputs = random_inputs()
    inputs[2, 1, 0] = torch.nan
    outputs, _ = layer(inputs)
    assert outputs[2:, 1].isnan().all()
    assert outputs[:, [0, 2]].isfinite().all()


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_copies_compute_the_same(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs, num_layers=2)
    expected, _ = layer(random_inputs())
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(random_inputs())[0], expected)
    assert ran_fast()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # of torch's compiler
def test_a_compiled_network_equals_the_eager_network() -> None:
    torch.manual_seed(0)
    network = RNN(20, embedding_size=INPUTS, hidden_size=UNITS)
    tokens = torch.randint(20, (BATCH, STEPS))
    compiled = torch.compile(network, backend="eager")  # traces as usual, and needs no C++ compiler
    torch.testing.assert_close(compiled(tokens), network(tokens), rtol=0, atol=1e-6)  # float32, numbers below 1


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_an_empty_batch_goes_to_pytorchs_layer(ours: Any, theirs: Any) -> None:
    layer, reference = pair(ours, theirs)
    outputs, _ = layer(torch.zeros(STEPS, 0, INPUTS))
    assert outputs.shape == reference(torch.zeros(STEPS, 0, INPUTS).double())[0].shape == (STEPS, 0, UNITS)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_inputs_of_a_wrong_size_or_dtype_get_pytorchs_message(ours: Any, theirs: Any) -> None:
    with pytest.raises(RuntimeError, match="must be equal to input_size"):
        ours(INPUTS, UNITS)(torch.randn(STEPS, BATCH, INPUTS + 1))
    with pytest.raises(ValueError, match="does not match weight dtype"):
        ours(INPUTS, UNITS)(random_inputs().double())


class Wrapper(nn.Module):
    """A module around a layer: TorchScript gives PyTorch's recurrent layers no `forward` of their own."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        outputs, last = self.layer(inputs)
        return outputs, last


class LSTMWrapper(nn.Module):
    """The same for a layer with two last states."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        outputs, (last, cells) = self.layer(inputs)
        return outputs, (last, cells)


class TextNetwork(nn.Module):
    """Embedding, two recurrent layers and an output layer, as a user would script them."""

    def __init__(self, kind: Any) -> None:
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
@pytest.mark.parametrize("kind", [SimpleRNN, GRU, LSTM])
def test_a_scripted_layer_equals_the_eager_layer(
    kind: Any, layers: int, bidirectional: bool, batch_first: bool
) -> None:
    settings: Any = {"num_layers": layers, "dropout": DROPOUTS[layers], "bidirectional": bidirectional}
    layer, _ = pair(kind, kind, batch_first=batch_first, **settings)
    inputs = random_inputs(batch_first=batch_first)
    wrapper = LSTMWrapper if kind is LSTM else Wrapper
    scripted: Any = torch.jit.script(wrapper(copy.deepcopy(layer)))
    assert_equal(results(scripted, inputs), results(layer, inputs))
    assert_equal(results(scripted.eval(), inputs), results(layer.eval(), inputs))


@script
@pytest.mark.parametrize("kind", [SimpleRNN, GRU])
def test_a_scripted_network_shares_the_parameters_and_equals_the_eager_network(kind: Any) -> None:
    network = TextNetwork(kind)
    tokens = torch.randint(20, (BATCH, STEPS), generator=torch.Generator().manual_seed(0))
    eager = network(tokens)
    scripted: Any = torch.jit.script(network)
    assert [p.data_ptr() for p in scripted.parameters()] == [p.data_ptr() for p in network.parameters()]
    torch.testing.assert_close(scripted(tokens), eager, rtol=0, atol=1e-6)  # float32, numbers below 1
    torch.testing.assert_close(network(tokens), eager, rtol=0, atol=1e-6)


@script
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_layer_can_be_scripted_alone_and_stays_itself(ours: Any, theirs: Any) -> None:
    layer, _ = pair(ours, theirs)
    scripted: Any = torch.jit.script(layer)
    assert scripted.original_name == theirs.__name__
    assert type(layer) is ours
    outputs, last = scripted.forward__0(random_inputs())  # TorchScript's name of the overload for tensors
    assert torch.equal(outputs[-1:], last[0] if isinstance(last, tuple) else last)
    torch.testing.assert_close(outputs, layer(random_inputs())[0], rtol=0, atol=1e-6)  # float32, numbers below 1
