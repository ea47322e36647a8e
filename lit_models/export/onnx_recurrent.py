"""The recurrent layers of an exported graph as ONNX's operators RNN, GRU and LSTM.

Source: the definitions of these operators, opset 18. ONNX has the gates of a GRU in the order z, r, n (PyTorch r, z, n)
and those of an LSTM in the order i, o, f, g (PyTorch i, f, g, o).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lit_models.export.recurrent import OPERATIONS

GATES = {"rnn_tanh": [0], "rnn_relu": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}
"""Where each of ONNX's gates is among PyTorch's."""


def translations() -> dict[Any, Callable[..., Any]]:
    """The function that writes each operation in ONNX's operators, for `torch.onnx.export`."""
    return {operation: partial(_layers, name) for name, operation in OPERATIONS.items()}


def _layers(
    name: str,
    input: Any,
    hx: Any,
    params: Sequence[Any],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Any, ...]:
    """All layers of a module, with the arguments and results of PyTorch's operation. Dropout is left out, because
    an exported module is in evaluation mode."""
    op = _operators()
    directions, each = 2 if bidirectional else 1, 4 if has_biases else 2  # parameters of one direction
    operator = _operator(op, name, directions, hidden_size=params[1].shape[1])
    x = op.Transpose(input, perm=[1, 0, 2]) if batch_first else input  # (T, B, I)
    initial = list(hx) if name == "lstm" else [hx]
    last: list[list[Any]] = []
    for layer in range(num_layers):
        own = params[layer * each * directions :][: each * directions]
        weights = [_weights(name, own[i::each]) for i in range(each)]
        biases = op.Concat(*weights[2:], axis=1) if has_biases else None  # (D, 2 * gates * H)
        states = [op.Slice(h, [layer * directions], [(layer + 1) * directions], [0]) for h in initial]  # each (D, B, H)
        y, *ends = operator(x, *weights[:2], biases, None, *states)
        x = op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), [0, 0, -1])  # (T, D, B, H) -> (T, B, D * H)
        last.append(ends)
    outputs = op.Transpose(x, perm=[1, 0, 2]) if batch_first else x
    joined = (op.Concat(*ends, axis=0) if num_layers > 1 else ends[0] for ends in zip(*last, strict=True))
    return outputs, *joined


def _operators() -> Any:
    """ONNX's operators. Their types do not know that a list of numbers becomes a constant."""
    from onnxscript import opset18

    return opset18


def _operator(op: Any, name: str, directions: int, *, hidden_size: int) -> Callable[..., Any]:
    """The operator of a layer, with its settings."""
    settings: dict[str, Any] = {"direction": "bidirectional" if directions == 2 else "forward"}
    settings["hidden_size"] = hidden_size
    if name == "gru":
        return partial(op.GRU, linear_before_reset=1, **settings)
    if name == "lstm":
        return partial(op.LSTM, **settings)
    return partial(op.RNN, activations=[name.removeprefix("rnn_").capitalize()] * directions, **settings)


def _weights(name: str, directions: Sequence[Any]) -> Any:
    """A parameter of each direction, with ONNX's order of gates: `(D, gates * H, …)`."""
    op, ordered = _operators(), []
    for weight in directions:
        size = weight.shape[0] // len(GATES[name])
        rows = [gate * size + i for gate in GATES[name] for i in range(size)]
        moved = weight if len(GATES[name]) == 1 else op.Gather(weight, rows, axis=0)
        ordered.append(op.Unsqueeze(moved, [0]))
    return op.Concat(*ordered, axis=0) if len(ordered) > 1 else ordered[0]
