"""Weights in and out: the arrays of a Keras model beside the parameters of a network here.

Sources: `get_weights` of Keras 3's layers `Dense`, `Conv2D`, `Embedding`, `SimpleRNN`, `LSTM`, `GRU`, `Bidirectional`.
Layouts: a dense kernel is `(inputs, units)`, a convolution's `(height, width, in, out)`. Flatten puts the channel last,
so the kernel after it is ordered height, width, channel. Gates are i, f, c, o in an LSTM (torch's i, f, g, o) and
z, r, h in a GRU (torch's r, z, n). SimpleRNN and LSTM have one bias, GRU has two, `(2, units)`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float32]


class KerasArray(NamedTuple):
    """One array of a Keras model, as views of a network's parameters.

    Args:
        name: the module and the Keras name of the array, such as "convolutions.0/kernel".
        parts: views that, joined along the last axis, hold the array's numbers in its order.
        shape: of the array in Keras.
    """

    name: str
    parts: tuple[Tensor, ...]
    shape: tuple[int, ...]

    def read(self) -> Tensor:
        """The array as Keras has it."""
        return torch.cat(self.parts, dim=-1).reshape(self.shape)

    def write(self, values: Tensor) -> None:
        """Copies the array into the network."""
        *before, _ = self.parts[0].shape
        joined = values.reshape(*before, -1)
        for part, piece in zip(self.parts, torch.split(joined, [p.shape[-1] for p in self.parts], dim=-1), strict=True):
            part.copy_(piece)


def keras_arrays(network: nn.Module) -> list[KerasArray]:
    """The arrays in the order of Keras' `get_weights`, for networks of dense, convolution, embedding and recurrent
    layers that are defined in the order in which they are computed.

    Raises:
        ValueError: a layer that has weights and no counterpart in Keras; names it.
    """
    arrays: list[KerasArray] = []
    channels = 0  # of the last convolution, until a dense layer has flattened it
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            arrays += [_array(f"{name}/kernel", module.weight.permute(2, 3, 1, 0)), *_bias(name, module)]
            channels = module.out_channels
        elif isinstance(module, nn.Linear):
            arrays += [_dense_kernel(name, module, channels), *_bias(name, module)]
            channels = 0
        elif isinstance(module, nn.Embedding):
            arrays.append(_array(f"{name}/embeddings", module.weight))
        elif isinstance(module, nn.RNNBase):
            arrays += _recurrent(name, module)
        elif any(True for _ in module.parameters(recurse=False)):
            raise ValueError(f"{name} ({type(module).__name__}) has no counterpart in Keras")
    return arrays


@torch.no_grad()
def load_keras_weights(network: nn.Module, weights: Sequence[Array]) -> None:
    """Copies the weights of a Keras model, in the order of its `get_weights`, into a network.

    Raises:
        ValueError: another number of arrays, or an array of another shape; names it.
    """
    arrays = keras_arrays(network)
    if len(arrays) != len(weights):
        raise ValueError(f"{len(weights)} arrays of weights for a network that has {len(arrays)}")
    for array, values in zip(arrays, weights, strict=True):
        if tuple(values.shape) != array.shape:
            raise ValueError(f"{array.name} is {array.shape} here and {tuple(values.shape)} in the Keras model")
        array.write(torch.from_numpy(np.ascontiguousarray(values)))
    for second in _second_biases(network):
        second.zero_()


@torch.no_grad()
def to_keras_weights(network: nn.Module) -> list[Array]:
    """The weights of a network as a Keras model's `set_weights` takes them.

    Raises:
        ValueError: a layer that has no counterpart in Keras, or a second bias that Keras' layer does not have.
    """
    if any(bool(second.any()) for second in _second_biases(network)):
        raise ValueError("a second recurrent bias is not zero, and Keras' SimpleRNN and LSTM have one only")
    return [array.read().cpu().numpy() for array in keras_arrays(network)]


def _array(name: str, *parts: Tensor) -> KerasArray:
    shape = (*parts[0].shape[:-1], sum(p.shape[-1] for p in parts))
    return KerasArray(name, parts, shape)


def _bias(name: str, module: nn.Linear | nn.Conv2d) -> list[KerasArray]:
    return [] if module.bias is None else [_array(f"{name}/bias", module.bias)]


def _dense_kernel(name: str, module: nn.Linear, channels: int) -> KerasArray:
    """The kernel `(inputs, units)`. Where the inputs are a square map of `channels`, torch's are ordered channel,
    height, width, and Keras' height, width, channel."""
    shape = (module.in_features, module.out_features)
    if not channels:
        return KerasArray(f"{name}/kernel", (module.weight.T,), shape)
    side = round((module.in_features / channels) ** 0.5)
    maps = module.weight.view(module.out_features, channels, side, side)  # (O, C * H * W) -> (O, C, H, W)
    return KerasArray(f"{name}/kernel", (maps.permute(2, 3, 1, 0),), shape)  # (H, W, C, O)


def _recurrent(name: str, module: nn.RNNBase) -> Iterator[KerasArray]:
    """Kernel `(inputs, gates * H)`, recurrent kernel `(H, gates * H)` and bias of each layer and direction."""
    h = module.hidden_size
    gru = isinstance(module, nn.GRU)
    for layer in range(module.num_layers):
        for direction in ("", "_reverse")[: 1 + module.bidirectional]:
            w_ih, w_hh, b_ih, b_hh = (
                getattr(module, f"{kind}_l{layer}{direction}")
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            place = f"{name}/layer{layer}{direction}"
            if gru:
                z_r_n = (slice(h, 2 * h), slice(0, h), slice(2 * h, 3 * h))  # Keras' order, in torch's rows
                yield _array(f"{place}/kernel", *(w_ih[gate].T for gate in z_r_n))
                yield _array(f"{place}/recurrent_kernel", *(w_hh[gate].T for gate in z_r_n))
                biases = tuple(bias[gate] for bias in (b_ih, b_hh) for gate in z_r_n)
                yield KerasArray(f"{place}/bias", biases, (2, 3 * h))
            else:
                yield _array(f"{place}/kernel", w_ih.T)
                yield _array(f"{place}/recurrent_kernel", w_hh.T)
                yield _array(f"{place}/bias", b_ih)


def _second_biases(network: nn.Module) -> Iterator[Tensor]:
    """The biases that torch's RNN and LSTM have and Keras' do not."""
    for module in network.modules():
        if isinstance(module, nn.RNNBase) and not isinstance(module, nn.GRU):
            yield from (weight for name, weight in module.named_parameters() if name.startswith("bias_hh"))
