"""The outputs for a text depend neither on its padding nor on the other texts of its batch."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lit_models.bert import BERT
from lit_models.rnn import RNN
from lit_models.transformer import Transformer

TEXTS = [[3], [4, 5, 6, 7, 8, 9, 3], [5, 5], [9, 8, 7, 6], [7, 3, 7, 4, 5]]
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "simple": lambda: RNN(12, mask_padding=True),
    "gru": lambda: RNN(12, cell="gru", bidirectional=True, mask_padding=True),
    "lstm": lambda: RNN(12, cell="lstm", upper_sizes=[6], mask_padding=True),
    "transformer": lambda: Transformer(12, 16),
    "bert": lambda: BERT(vocab_size=12, max_length=16, hidden_size=16),
}


def padded(rows: list[list[int]], width: int, *, front: bool) -> Tensor:
    """The texts as `(B, width)`, padded with 0."""
    table = torch.zeros(len(rows), width, dtype=torch.int64)
    for line, row in zip(table, rows, strict=True):
        line[width - len(row) if front else 0 :][: len(row)] = torch.tensor(row)
    return table


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_text_alone_in_a_batch_and_in_a_wider_batch_gives_the_same(name: str, front: bool) -> None:
    if name == "bert" and front:
        pytest.skip("BERT counts positions from the first token, so padding in front is another text")
    torch.manual_seed(0)
    network = NETWORKS[name]().double().eval()
    with torch.no_grad():
        alone = torch.cat([network(padded([row], len(row), front=front)) for row in TEXTS])
        for width in (7, 8, 13):
            for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
                batch = network(padded([TEXTS[i] for i in order], width, front=front))
                # float64: matrix products of other sizes sum in another order
                torch.testing.assert_close(batch, alone[order], rtol=1e-12, atol=1e-12)


def test_a_gpt2_checkpoint_reads_its_last_real_token(gpt2_checkpoint: Path) -> None:
    network = BERT(checkpoint=str(gpt2_checkpoint), padding_id=0).double().eval()
    with torch.no_grad():
        alone = torch.cat([network(padded([row], len(row), front=False)) for row in TEXTS])
        batch = network(padded(TEXTS, 13, front=False))
    torch.testing.assert_close(batch, alone, rtol=1e-12, atol=1e-12)


def test_keras_recurrence_runs_over_padding_and_so_depends_on_it() -> None:
    torch.manual_seed(0)
    network = RNN(12).double().eval()
    with torch.no_grad():
        narrow, wide = (network(padded(TEXTS, width, front=True)) for width in (7, 13))
    assert (narrow - wide).abs().max() > 1e-6
