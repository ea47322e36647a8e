"""Recurrent layers in an exported graph: any length, the same numbers, and only PyTorch's operations in the file."""

from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.errors import UserError
from lit_models import LitRNN
from lit_models.export.recurrent import MaskedRNN, moved_to_front, whole_layers
from lit_models.export.torch_export import write
from lit_models.rnn import left_align
from tests.export.sources import SIZES, source_of, texts


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["simple", "lstm", "gru"])
def test_a_masked_network_is_the_same_without_packed_sequences(cell: Any, bidirectional: bool) -> None:
    settings: dict[str, Any] = {
        "upper_sizes": [5],
        "dense_sizes": [4],
        "embedding_size": 6,
        "hidden_size": 7,
        "mask_padding": True,
    }
    module = LitRNN(vocab_size=30, cell=cell, bidirectional=bidirectional, **settings).double().eval()
    for batch, length in SIZES:
        tokens = texts(batch, length)
        with torch.no_grad():
            ours, theirs = MaskedRNN(module.network)(tokens), module.network(tokens)  # type: ignore[arg-type]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)  # the order of sums in float64


def test_padding_is_moved_as_the_network_does_it() -> None:
    tokens = texts(6, 11)
    for ours, theirs in zip(moved_to_front(tokens, 0), left_align(tokens, 0), strict=True):
        assert torch.equal(ours, theirs)


def test_a_packed_sequence_and_a_projection_are_refused() -> None:
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(3, 4), torch.ones(2, 4)])
    with (
        whole_layers(),
        pytest.raises(UserError, match="gru of packed sequences has no counterpart in an exported file"),
    ):
        torch.nn.GRU(4, 5)(packed)
    with whole_layers(), pytest.raises(UserError, match=r"lstm with a projection \(proj_size\) has no counterpart"):
        torch.nn.LSTM(4, 5, proj_size=2)(torch.ones(2, 3, 4))


def test_the_file_is_compared_with_the_model_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not with the network that was traced in its place."""
    monkeypatch.setattr(
        "lit_models.export.recurrent.moved_to_front", lambda tokens, padding_id: (tokens, tokens[:, 0] * 0 + 1)
    )
    module = LitRNN(vocab_size=30, cell="gru", embedding_size=6, hidden_size=7, mask_padding=True)
    with pytest.raises(UserError, match="the outputs of the file differ from the model's on inputs"):
        write(source_of(module), tmp_path / "model")
    assert not list(tmp_path.iterdir())
