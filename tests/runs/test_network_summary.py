"""The summary of the network: shapes of a real step, all parameters, 80 columns."""

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitRNN, kernels
from lit_models.runs.network_summary import NetworkSummary, row, shape_of, with_batch
from lit_models.testing.examples import quiet_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
]


class Branches(L.LightningModule):
    """A module without `network`, whose layers return tensors, tuples and mappings."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5))
        self.cells = nn.LSTM(5, 3, batch_first=True)
        self.frozen = nn.Linear(3, 2).requires_grad_(False)
        self.unused = nn.Linear(7, 7)
        self.empty = nn.Dropout()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        states, _ = self.cells(self.encoder(batch[0])[:, None])
        loss: Tensor = self.frozen(self.empty(states)).sum()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def printed(module: L.LightningModule, batch: Tensor, capsys: pytest.CaptureFixture[str]) -> list[str]:
    loader = DataLoader(TensorDataset(batch, torch.zeros(len(batch), dtype=torch.int64)), batch_size=8)
    trainer = quiet_trainer(callbacks=[NetworkSummary()], max_epochs=1)
    capsys.readouterr()
    trainer.fit(module, loader)
    assert not any(layer._forward_hooks for layer in module.modules())
    return capsys.readouterr().out.splitlines()


def test_each_layer_with_parameters_is_a_line_with_its_shape(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(Branches(), torch.zeros(8, 4), capsys)
    assert (
        lines[0] == "Branches: 241 trainable parameters, 8 frozen"  # 30 + 35 + 120 + 56
    )  # (30 + 35) + (108 + 24 - 12... ) in the rows below
    assert [line.split("  ") for line in (" ".join(line.split()) for line in lines[2:])] == [
        ["encoder.0 (Linear) (B, 6) 30"],
        ["encoder.2 (Linear) (B, 5) 35"],
        ["cells (LSTM) (B, 1, 3) 120"],  # 4 gates * 3 units * (5 + 3 + 2)
        ["frozen (Linear) (B, 1, 2) 8"],
        ["unused (Linear) - 56"],
    ]
    assert max(map(len, lines)) <= 80


def test_layers_on_a_fast_path_have_the_shapes_of_pytorchs(capsys: pytest.CaptureFixture[str]) -> None:
    """The fast path of recurrent layers computes padding once, so that its tensors have other shapes."""
    module = LitRNN(vocab_size=9, num_classes=3, embedding_size=16, hidden_size=16, num_layers=1)
    before = kernels.used()
    tokens = torch.tensor([[0, 0, 1, 2, 3, 4]] * 8)
    lines = [" ".join(line.split()) for line in printed(module, tokens, capsys)]
    assert lines[2:] == [
        "embedding (Embedding) (B, 6, 16) 144",
        "cells (SimpleRNN) (B, 6, 16) 544",  # 16 * (16 + 16 + 2)
        "output (Linear) (B, 3) 51",
    ]
    assert "kernels are set to plain" not in str(kernels.used())
    assert kernels.chosen() == "auto"
    assert set(before["fast"]) <= set(kernels.used()["fast"])


def test_the_summary_changes_no_random_number(capsys: pytest.CaptureFixture[str]) -> None:
    weights = []
    for callbacks in ([], [NetworkSummary()]):
        L.seed_everything(0, verbose=False)
        module = LitRNN(vocab_size=9, num_classes=3, embedding_size=4, hidden_size=4, num_layers=1, dropout=0.5)
        loader = DataLoader(TensorDataset(torch.ones(8, 6, dtype=torch.int64), torch.arange(8) % 3), batch_size=4)
        quiet_trainer(callbacks=callbacks, max_epochs=2).fit(module, loader)
        assert module.training
        weights.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(*weights)


def test_long_names_and_shapes_stay_within_80_columns() -> None:
    assert (
        len(row("a_very_long_name_of_a_layer.0 (AVeryLongNameOfAClass)", "(B, 1024, 224, 224)", "1,234,567,890")) == 78
    )


def test_the_first_tensor_gives_the_shape() -> None:
    tensor = torch.zeros(2, 3)
    assert shape_of({"logits": tensor, "states": None}) == shape_of((tensor, None)) == (2, 3)
    assert shape_of(None) is shape_of(()) is None
    packed = nn.utils.rnn.pack_sequence([torch.zeros(3, 4), torch.zeros(2, 4)])
    assert shape_of(packed) == shape_of((packed, None)) == (2, 3, 4)


def test_only_the_batchs_own_size_is_its_letter() -> None:
    assert with_batch((8, 3), (8, 1)) == "(B, 3)"
    assert with_batch((5, 8), (8, 1)) == "(5, 8)"
    assert with_batch((), (8, 1)) == "()"
    assert with_batch(None, (8, 1)) == "-"
