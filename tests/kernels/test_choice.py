"""Which kernels run, and what `kernels.used` says about it."""

import pytest
import torch

from lit_models import kernels
from lit_models.kernels.recurrence import GRU, SimpleRNN


def test_used_names_fast_paths_and_reasons_until_the_next_choice() -> None:
    kernels.choose("auto")
    inputs = torch.randn(2, 3, 4)
    SimpleRNN(4, 5)(inputs)
    GRU(4, 5, bias=False)(inputs)
    GRU(4, 5)(inputs, torch.zeros(1, 3, 5))
    reasons = ["an initial state is given", "the layer has no bias"]
    assert kernels.used() == {"fast": ["SimpleRNN"], "plain": {"GRU": reasons}}
    kernels.choose("plain")
    assert kernels.used() == {"fast": [], "plain": {}}
    assert kernels.chosen() == "plain"
    kernels.choose("auto")


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match=r'^kernels must be "auto" or "plain", got \'fast\'$'):
        kernels.choose("fast")  # type: ignore[arg-type]
    assert kernels.chosen() == "auto"
