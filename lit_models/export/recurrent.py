"""Recurrent layers in an exported graph.

While a graph is traced, PyTorch computes a recurrent layer step by step, so that the graph holds one length of text
only. Here each layer is one operation of the graph instead, with the arguments and results of PyTorch's own operation.

Letters: B samples, T steps, H units, D directions.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

from datamodules.errors import UserError
from lit_models.kernels.recurrence import Recurrence
from lit_models.rnn import RNN

NAMESPACE = "lit_models_export"
LAYERS = {"lstm": torch.ops.aten.lstm.input, "gru": torch.ops.aten.gru.input, "rnn_tanh": torch.ops.aten.rnn_tanh.input}
LAYERS["rnn_relu"] = torch.ops.aten.rnn_relu.input
"""PyTorch's operation of each kind of layer."""
_SETTINGS = "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional"


def _shapes(inputs: Tensor, hx: Any, batch_first: bool, bidirectional: bool) -> tuple[Tensor, ...]:
    """Empty results of a layer: outputs `(B, T, D * H)`, and the last states, shaped as the first ones."""
    states = hx if isinstance(hx, list) else [hx]
    width = states[0].shape[-1] * (2 if bidirectional else 1)
    return inputs.new_empty(*inputs.shape[:2], width), *(torch.empty_like(state) for state in states)


def _define(name: str) -> Any:
    """Registers the operation that stands for a layer while a graph is traced."""
    states = 2 if name == "lstm" else 1
    hx = "Tensor[] hx" if name == "lstm" else "Tensor hx"
    results = ", ".join(["Tensor"] * (1 + states))
    schema = f"(Tensor input, {hx}, {_SETTINGS}, bool batch_first) -> ({results})"
    torch.library.define(f"{NAMESPACE}::{name}", schema)
    torch.library.impl(f"{NAMESPACE}::{name}", "CompositeExplicitAutograd", LAYERS[name])

    def shapes(inputs: Tensor, hx: Any, *settings: Any) -> tuple[Tensor, ...]:
        *_, bidirectional, batch_first = settings
        return _shapes(inputs, hx, batch_first, bidirectional)

    torch.library.register_fake(f"{NAMESPACE}::{name}", shapes)
    return getattr(getattr(torch.ops, NAMESPACE), name).default


OPERATIONS = {name: _define(name) for name in LAYERS}
"""The operation that stands for each kind of layer."""


def _checked(name: str) -> Callable[..., Any]:
    """The function that a layer calls while a graph is traced.

    Raises:
        UserError: the layer reads packed sequences, or has a projection.
    """

    def call(*arguments: Any) -> Any:
        if not isinstance(arguments[3], bool):  # the second argument is the batch sizes
            raise UserError(f"{name} of packed sequences has no counterpart in an exported file")
        params, has_biases = arguments[2], arguments[3]
        if len(params) % (4 if has_biases else 2) or (
            name == "lstm" and arguments[1][0].shape != arguments[1][1].shape
        ):
            raise UserError(f"{name} with a projection (proj_size) has no counterpart in an exported file")
        return OPERATIONS[name](*arguments[:2], list(params), *arguments[3:])

    return call


@contextmanager
def whole_layers() -> Iterator[None]:
    """While this is active, each recurrent layer of PyTorch is one operation of a traced graph."""
    with ExitStack() as stack:
        for name in LAYERS:
            stack.enter_context(patch.object(cast(Any, torch)._VF, name, _checked(name), create=True))
        yield


def with_torch_operations(program: ExportedProgram) -> ExportedProgram:
    """The program with PyTorch's own operations, so that it runs where this package is not installed. It is changed in
    place."""
    own = {OPERATIONS[name]: operation for name, operation in LAYERS.items()}
    for node in program.graph.nodes:
        if node.target in own:
            node.target = own[node.target]
    program.graph_module.recompile()
    return program


class MaskedRNN(nn.Module):
    """An RNN with `mask_padding` that computes the same without packed sequences, which an exported graph cannot have.

    Each text is moved to the front. A layer then runs over the padding after the text, and the last state is read at
    the last word. The second direction reads each text in reverse order, also moved to the front.

    Args:
        network: the network, with weights that this one shares.
    """

    def __init__(self, network: RNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens`: int64 `(B, T)`; returns `(B, num_outputs)`."""
        network = self.network
        empty = (tokens == network.padding_id).all(dim=1, keepdim=True)  # (B, 1)
        aligned, lengths = moved_to_front(tokens, network.padding_id)
        steps = torch.arange(tokens.shape[1], device=tokens.device)  # (T,)
        reverse = (lengths[:, None] - 1 - steps).clamp(min=0)  # (B, T), the place that is read at each step
        x = F.embedding(aligned, network.embedding.weight)  # (B, T, E)
        for cells in (network.cells, *network.upper):
            x, last = _masked_cells(cast(Recurrence, cells), x, lengths, reverse)
        last = last.masked_fill(empty, 0)  # (B, D * H)
        for dense in network.dense:
            last = F.relu(dense(last))
        outputs: Tensor = network.output(last)
        return outputs


def moved_to_front(tokens: Tensor, padding_id: int) -> tuple[Tensor, Tensor]:
    """The same as `rnn.left_align`, without sorting, which has no counterpart in ONNX that keeps the order.

    Returns:
        Tokens `(B, T)` with each row's padding behind them, and lengths `(B,)`, at least 1.
    """
    real = tokens != padding_id
    counts = real.sum(dim=1, keepdim=True)  # (B, 1)
    places = torch.where(real, real.cumsum(dim=1), counts + (~real).cumsum(dim=1)) - 1  # (B, T), each place once
    return torch.zeros_like(tokens).scatter(1, places, tokens), counts[:, 0].clamp(min=1)


def _masked_cells(cells: Recurrence, x: Tensor, lengths: Tensor, reverse: Tensor) -> tuple[Tensor, Tensor]:
    """The layers of `cells`: their outputs `(B, T, D * H)`, and the last states of the top one, `(B, D * H)`."""
    for layer in range(cells.num_layers):
        ways = []
        for direction, weights in enumerate(cells.weights_of(layer)):
            way = x if direction == 0 else _at(x, reverse)
            zeros = x.new_zeros(1, x.shape[0], cells.hidden_size)  # (1, B, H)
            name = "rnn_tanh" if cells.mode == "RNN_TANH" else cells.mode.lower()
            states = [zeros, zeros] if name == "lstm" else zeros
            outputs = OPERATIONS[name](way, states, weights, cells.bias, 1, 0.0, False, False, True)[0]  # (B, T, H)
            ways.append(outputs)
        last = torch.cat([_at(way, (lengths - 1)[:, None])[:, 0] for way in ways], dim=1)  # (B, D * H)
        x = torch.cat([way if i == 0 else _at(way, reverse) for i, way in enumerate(ways)], dim=2)
    return x, last


def _at(x: Tensor, places: Tensor) -> Tensor:
    """The steps `places` `(B, S)` of `x` `(B, T, H)`: `(B, S, H)`."""
    return x.gather(1, places[:, :, None].expand(-1, -1, x.shape[2]))
