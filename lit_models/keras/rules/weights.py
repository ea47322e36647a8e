"""Converts weights between the arrays of a Keras model and the parameters of a torch network.

Source: `get_weights` of the layers `Dense`, `Conv2D`, `Embedding`, `SimpleRNN`, `LSTM`, `GRU` and `Bidirectional` in
Keras 3.

| layer | arrays in Keras | parameters in torch |
| --- | --- | --- |
| Dense | kernel `(inputs, units)`, bias `(units,)` | weight `(units, inputs)`, bias |
| Dense after a map | kernel rows ordered height, width, channel | weight columns ordered channel, height, width |
| Conv2D | kernel `(height, width, in, out)`, bias | weight `(out, in, height, width)`, bias |
| Embedding | embeddings `(input_dim, output_dim)` | weight, the same |
| SimpleRNN | kernel `(inputs, H)`, recurrent kernel `(H, H)`, bias `(H,)` | transposed; the second bias is zero |
| LSTM | the same for four gates, columns i, f, c, o | rows i, f, g, o (c and g are the same gate); second bias zero |
| GRU | the same for three gates, columns z, r, h, bias `(2, 3 H)` | rows r, z, n; two biases |
| Bidirectional | arrays of the forward layer, then of the backward layer | the parameters with the suffix `_reverse` |
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules.errors import UserError

Array = NDArray[np.float32]


@runtime_checkable
class HasMapSize(Protocol):
    """A network that knows the height and width of its last map. Without it, the map is taken as square."""

    map_size: tuple[int, int]


class KerasArray(NamedTuple):
    """One array of a Keras model, as views of a network's parameters.

    Args:
        name: the module and Keras' name of the array, such as "convolutions.0/kernel".
        parts: views that hold the array's numbers in Keras' order when they are joined along the last axis.
        shape: shape of the array in Keras.
    """

    name: str
    parts: tuple[Tensor, ...]
    shape: tuple[int, ...]

    def read(self) -> Tensor:
        """The array in Keras' layout."""
        return torch.cat(self.parts, dim=-1).reshape(self.shape)

    def write(self, values: Tensor) -> None:
        """Copies an array in Keras' layout into the network."""
        *before, _ = self.parts[0].shape
        joined = values.reshape(*before, -1)
        for part, piece in zip(self.parts, torch.split(joined, [p.shape[-1] for p in self.parts], dim=-1), strict=True):
            part.copy_(piece)


def keras_arrays(network: nn.Module) -> list[KerasArray]:
    """The arrays of a network in the order of Keras' `get_weights`.

    The network consists of dense, convolution, embedding and recurrent layers, and defines them in the order in which
    it computes them. The table at the top of this file has the layouts.

    Raises:
        UserError: a layer with weights has no counterpart in Keras; names it.
    """
    arrays: list[KerasArray] = []
    channels = 0  # of the last convolution; 0 once a dense layer has read its flattened map
    size = network.map_size if isinstance(network, HasMapSize) else None
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            arrays += [_array(f"{name}/kernel", module.weight.permute(2, 3, 1, 0)), *_bias(name, module)]
            channels = module.out_channels
        elif isinstance(module, nn.Linear):
            arrays += [_dense_kernel(name, module, channels, size), *_bias(name, module)]
            channels = 0
        elif isinstance(module, nn.Embedding):
            arrays.append(_array(f"{name}/embeddings", module.weight))
        elif isinstance(module, nn.RNNBase):
            arrays += recurrent_arrays(name, module)
        elif any(True for _ in module.parameters(recurse=False)):
            raise UserError(f"{name} ({type(module).__name__}) has no counterpart in Keras")
    return arrays


@torch.no_grad()
def load_keras_weights(network: nn.Module, weights: Sequence[Array]) -> None:
    """Copies the weights of a Keras model into a network. `keras_arrays` states the layouts and the order of gates.

    Args:
        network: changed in place; a second bias that Keras' layer does not have is set to zero.
        weights: in the order of the Keras model's `get_weights`.

    Raises:
        UserError: the number of arrays or a shape differs; names the array.
    """
    arrays = keras_arrays(network)
    if len(arrays) != len(weights):
        raise UserError(f"the network has {len(arrays)} arrays of weights, but the Keras model has {len(weights)}")
    for array, values in zip(arrays, weights, strict=True):
        if tuple(values.shape) != array.shape:
            raise UserError(f"{array.name} has shape {array.shape}, but {tuple(values.shape)} in the Keras model")
        array.write(torch.from_numpy(np.ascontiguousarray(values)))
    for second in _second_biases(network):
        second.zero_()


@torch.no_grad()
def to_keras_weights(network: nn.Module) -> list[Array]:
    """The weights of a network as a Keras model's `set_weights` takes them. `keras_arrays` states the layouts and the
    order of gates.

    Raises:
        UserError: a layer has no counterpart in Keras, or a second bias that Keras' layer does not have is not zero.
    """
    if any(bool(second.any()) for second in _second_biases(network)):
        raise UserError("a recurrent layer's second bias is not zero; Keras' SimpleRNN and LSTM have only one bias")
    return [array.read().cpu().numpy() for array in keras_arrays(network)]


def _array(name: str, *parts: Tensor) -> KerasArray:
    shape = (*parts[0].shape[:-1], sum(p.shape[-1] for p in parts))
    return KerasArray(name, parts, shape)


def _bias(name: str, module: nn.Linear | nn.Conv2d) -> list[KerasArray]:
    return [] if module.bias is None else [_array(f"{name}/bias", module.bias)]


def _dense_kernel(name: str, module: nn.Linear, channels: int, size: tuple[int, int] | None) -> KerasArray:
    """The kernel `(inputs, units)`. If the inputs are a flattened map of `channels` channels, torch orders them by
    channel, height, width, and Keras by height, width, channel."""
    shape = (module.in_features, module.out_features)
    if not channels:
        return KerasArray(f"{name}/kernel", (module.weight.T,), shape)
    side = round((module.in_features / channels) ** 0.5)
    height, width = size or (side, side)
    maps = module.weight.view(module.out_features, channels, height, width)  # (O, C * H * W) -> (O, C, H, W)
    return KerasArray(f"{name}/kernel", (maps.permute(2, 3, 1, 0),), shape)  # (H, W, C, O)


def recurrent_arrays(name: str, module: nn.RNNBase) -> Iterator[KerasArray]:
    """Kernel `(inputs, gates * H)`, recurrent kernel `(H, gates * H)` and bias of each layer and direction.

    Gates: Keras' LSTM has i, f, c, o, and torch's i, f, g, o, the same order. Keras' GRU has z, r, h, and torch's
    r, z, n.
    Biases: Keras' SimpleRNN and LSTM have one, torch's first. Keras' GRU has two, of the input and of the state.
    """
    h = module.hidden_size
    gru = isinstance(module, nn.GRU)
    for layer in range(module.num_layers):
        for direction in ("", "_reverse")[: 1 + module.bidirectional]:
            w_ih, w_hh, b_ih, b_hh = (
                getattr(module, f"{kind}_l{layer}{direction}", None)
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            assert w_ih is not None
            assert w_hh is not None
            place = f"{name}/layer{layer}{direction}"
            if gru:
                z_r_n = (slice(h, 2 * h), slice(0, h), slice(2 * h, 3 * h))  # Keras' order, in torch's rows
                yield _array(f"{place}/kernel", *(w_ih[gate].T for gate in z_r_n))
                yield _array(f"{place}/recurrent_kernel", *(w_hh[gate].T for gate in z_r_n))
                if b_ih is not None and b_hh is not None:
                    biases = tuple(bias[gate] for bias in (b_ih, b_hh) for gate in z_r_n)
                    yield KerasArray(f"{place}/bias", biases, (2, 3 * h))
            else:
                yield _array(f"{place}/kernel", w_ih.T)
                yield _array(f"{place}/recurrent_kernel", w_hh.T)
                if b_ih is not None:
                    yield _array(f"{place}/bias", b_ih)


def _second_biases(network: nn.Module) -> Iterator[Tensor]:
    """The second biases of torch's RNN and LSTM, which Keras' layers do not have."""
    for module in network.modules():
        if isinstance(module, nn.RNNBase) and not isinstance(module, nn.GRU):
            yield from (weight for name, weight in module.named_parameters() if name.startswith("bias_hh"))
