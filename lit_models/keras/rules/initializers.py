"""Keras' default initial weights for torch modules.

Source: `keras/src/initializers/random_initializers.py` and the layers' defaults in Keras 3.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


@torch.no_grad()
def init_like_keras(module: nn.Module) -> None:
    """Draws the parameters of one module as Keras would; for `network.apply(init_like_keras)`.

    Kernels are Glorot uniform, recurrent kernels orthogonal, biases zero, embeddings uniform(-0.05, 0.05). An LSTM's
    forget gates have bias 1. Keras' SimpleRNN and LSTM have one bias vector, torch's have two. Here the second one is
    zero and frozen; otherwise each optimizer step would move the sum of both twice as far. Keras' GRU has two as well.
    """
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.uniform_(module.weight, -0.05, 0.05)
    elif isinstance(module, nn.RNNBase):
        for name, weight in module.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)  # (gates * H, I): Glorot's fan-out is gates * H, as in Keras
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)  # (gates * H, H): one orthogonal matrix over all gates
            else:
                nn.init.zeros_(weight)
            if name.startswith("bias_hh") and not isinstance(module, nn.GRU):
                weight.requires_grad_(False)
            if name.startswith("bias_ih") and isinstance(module, nn.LSTM):
                weight[module.hidden_size : 2 * module.hidden_size] = 1.0  # gates i, f, g, o


@torch.no_grad()
def glorot_uniform_(weight: Tensor, shape: Sequence[int]) -> None:
    """Draws a weight as Keras' Glorot uniform does for a kernel of `shape` in Keras' layout.

    The last two sizes of a kernel are its inputs and outputs, and all others are places of a window.
    """
    places = math.prod(shape[:-2])
    limit = math.sqrt(6 / (places * (shape[-2] + shape[-1])))
    nn.init.uniform_(weight, -limit, limit)
