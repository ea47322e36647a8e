"""Small models to export, and the outputs that a file must give."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from lit_models.export.source import Source, make_source


def source_of(module: L.LightningModule) -> Source:
    """A model to export without data, with weights that are not the initial ones, so that biases count, too."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return make_source(module, None)


def texts(batch: int, length: int, *, vocab_size: int = 30) -> Tensor:
    """Token ids `(B, T)` with padding at the front of some texts, at the end of others, and everywhere in the first."""
    tokens = torch.randint(
        1, vocab_size, (batch, length), generator=torch.Generator().manual_seed(batch * 100 + length)
    )
    for row in range(batch):
        size = row * length // batch
        place = slice(0, length - size) if row % 2 == 0 else slice(size, length)
        tokens[row, place] = 0
    return tokens


def predicted(module: Any, inputs: Tensor) -> list[Tensor]:
    """The probabilities and logits of a LitTask."""
    with torch.no_grad():
        logits = module(inputs)
        return [module.predictions(logits), logits]


SIZES = [(1, 1), (2, 1), (1, 9), (3, 4), (7, 23)]
"""Numbers of samples, and lengths."""
