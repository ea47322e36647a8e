"""The comparison of an exported file with the model."""

import torch
from torch import Tensor

from lit_models import LitMLP
from lit_models.export.comparison import compare
from tests.export.sources import predicted, source_of


def test_a_model_that_gives_nan_is_named() -> None:
    module = LitMLP(num_features=2, num_classes=3, hidden_sizes=[])
    source = source_of(module)

    def run(tensors: dict[str, Tensor]) -> list[object]:
        return [output.numpy() for output in predicted(module, tensors["inputs"])]

    def lines() -> list[str]:
        return compare(source, run, lengths=False, shapes=True, where="PyTorch")  # type: ignore[arg-type]

    assert not any("NaN" in line for line in lines())
    with torch.no_grad():
        list(module.parameters())[-1].fill_(float("nan"))
    assert "note: the model itself gives NaN for some samples: probabilities, logits" in lines()
