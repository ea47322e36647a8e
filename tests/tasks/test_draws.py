"""What training draws depends on seed, epoch, batch and a sample's place in it, in any number of processes."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, IterableDataset

from datamodules import DataModule, DataSpec, MNISTDataModule, TensorTable
from datamodules.mnist import ImageTable
from datamodules.words.tokens import TokenTable
from lit_models import LitBERT, LitCNN, LitMLP, LitRNN, LitTask, LitTransformer
from lit_models.tasks.windows import batch_sizes
from lit_models.testing.examples import quiet_trainer
from tests.programs import Programs, forked

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),  # fewer than Lightning's logging interval
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),  # no validation part
]
ROUNDING = 1e-12
"""Weights are about 1, float64 has 16 digits, and a few steps sum some hundred terms in another order."""
Make = Callable[[], LitTask]


class Texts(DataModule):
    """Token ids of 33 texts of 1 to 9 words; a batch is as wide as its longest text. 33 = 4 * 7 + 5."""

    kind = "tokens"

    def __init__(self, *, pad_front: bool = False, batch_size: int = 7) -> None:
        super().__init__(batch_size=batch_size, seed=3)
        self.pad_front = pad_front

    def spec(self) -> DataSpec:
        return DataSpec(vocab_size=20, max_length=9, num_classes=2)

    def setup(self, stage: str) -> None:
        rng = np.random.default_rng(0)
        rows = [rng.integers(1, 20, 1 + i % 9).tolist() for i in range(33)]
        self.train_table = TokenTable.from_chunks(
            [rows], rng.integers(0, 2, 33), max_length=9, padding_id=0, pad_front=self.pad_front
        )


class InOrder(Texts):
    """The same texts, in the same order in each epoch."""

    shuffle = False


def few_digits() -> DataModule:
    """Batches of 22 augmented digits; 67 = 3 * 22 + 1, so that processes have no sample in the last step."""
    data = MNISTDataModule(dataset="digits", augment=True, batch_size=22)
    data.setup("fit")
    table: Any = data.train_table
    table.inputs, table.target, table._len = table.inputs[:67], table.target[:67], 67
    return data


def trained(
    make: Make,
    data: Callable[[], Any],
    processes: int = 1,
    *,
    seed: int = 5,
    ckpt_path: Path | None = None,
    **settings: Any,
) -> dict[str, Tensor]:
    """The weights after two epochs."""
    L.seed_everything(seed, verbose=False)
    model = make().double()
    trainer = quiet_trainer(precision="64-true", **{"max_epochs": 2, **forked(processes), **settings})
    given = data()
    source = {"datamodule": given} if isinstance(given, DataModule) else {"train_dataloaders": given}
    trainer.fit(model, **source, ckpt_path=ckpt_path)
    return model.state_dict()


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference between two models' numbers."""
    assert one.keys() == other.keys()
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one)


def text_model(kind: type[LitTask], **settings: Any) -> Make:
    sizes: dict[str, Any] = {"vocab_size": 20, "num_classes": 2, "padding_id": 0, "optimizer": "sgd", "lr": 0.5}
    return lambda: kind(**sizes | settings)


class Torch(nn.Module):
    """PyTorch's own encoder, whose attention drops weights too, and dropout of flattened and inner dimensions."""

    def __init__(self, num_outputs: int = 1, *, vocab_size: int = 20) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.output = nn.Linear(8, num_outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.layer(self.embedding(tokens), src_key_padding_mask=tokens == 0)  # (B, T, E)
        x = F.dropout(x.flatten(0, 1), 0.2, self.training).reshape(*tokens.shape, -1)
        x = checkpoint(self.part, x, use_reentrant=False)
        outputs: Tensor = self.output(x.mean(dim=1))
        return outputs

    def part(self, x: Tensor) -> Tensor:
        """Runs again in the backward pass, and must drop the same values there."""
        return F.dropout(x, 0.4, self.training).sin()


class LitTorch(LitTask, network=Torch):
    """The encoder above."""


BERT = {"hidden_size": 8, "num_layers": 1, "num_heads": 2, "max_length": 9, "lr": 0.1}  # its dropout is 0.1
CASES: dict[str, tuple[Make, Callable[[], DataModule]]] = {
    "cnn": (lambda: LitCNN(dropout=0.3, pool_dropout=0.2, filters=[4, 4, 4], optimizer="sgd", lr=0.1), few_digits),
    "mlp": (lambda: LitMLP(dropout=0.3, hidden_sizes=[8, 8], optimizer="sgd", lr=0.1), few_digits),
    "simple": (text_model(LitRNN, dropout=0.3, upper_sizes=[4, 4]), Texts),
    "gru": (text_model(LitRNN, dropout=0.3, cell="gru", bidirectional=True, mask_padding=True), Texts),
    "lstm": (text_model(LitRNN, dropout=0.3, cell="lstm", upper_sizes=[4, 4]), Texts),
    "packed": (
        text_model(LitRNN, dropout=0.3, cell="lstm", upper_sizes=[4], mask_padding=True),
        lambda: Texts(pad_front=True),
    ),
    "transformer": (text_model(LitTransformer, dropout=0.3, width=8, num_heads=2), Texts),
    "bert": (text_model(LitBERT, **BERT), Texts),
    "torch": (lambda: LitTorch(optimizer="sgd", lr=0.5), Texts),
}


def trained_case(case: str, processes: int) -> dict[str, Tensor]:
    return trained(*CASES[case], processes)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_drop_and_augment_as_one(case: str, tmp_path: Path, programs: Programs) -> None:
    assert apart(*(programs.call(trained_case, case, n, folder=tmp_path) for n in (1, 2))) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("processes", [3, 4])
def test_more_processes_drop_and_augment_as_one(case: str, processes: int, tmp_path: Path, programs: Programs) -> None:
    assert apart(*(programs.call(trained_case, case, n, folder=tmp_path) for n in (1, processes))) < ROUNDING


def test_augmentation_and_dropout_do_draw() -> None:
    make, data = CASES["mlp"]

    def plain() -> DataModule:
        given = few_digits()
        assert isinstance(given.train_table, ImageTable)
        given.train_table.augment = False
        return given

    drawn = trained(make, data, max_epochs=1)
    assert (
        apart(drawn, trained(lambda: LitMLP(hidden_sizes=[8, 8], optimizer="sgd", lr=0.1), data, max_epochs=1)) > 1e-3
    )
    assert apart(drawn, trained(make, plain, max_epochs=1)) > 1e-3


def test_each_step_draws_anew_and_the_process_keeps_its_generator() -> None:
    class Watch(nn.Module):
        def __init__(self, num_outputs: int = 1) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))
            self.seen: list[Tensor] = []

        def forward(self, inputs: Tensor) -> Tensor:
            self.seen.append(F.dropout(torch.ones(64), 0.5))
            outputs: Tensor = inputs * self.weight
            return outputs

    class LitWatch(LitTask, network=Watch, num_classes=3):
        pass

    def masks(seed: int, **settings: Any) -> list[list[float]]:
        model = LitWatch()
        trained(lambda: model, lambda: Numbers(9), seed=seed, **settings)
        assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(seed)))  # undisturbed
        assert isinstance(model.network, Watch)
        return [mask.tolist() for mask in model.network.seen]

    first = masks(1)
    assert len({str(mask) for mask in first}) == len(first) == 6  # 9 = 2 * 4 + 1: three steps in each of two epochs
    assert masks(1) == first
    assert len({str(mask) for mask in masks(1, accumulate_grad_batches=2)}) == 6  # batches of one step differ too
    assert not {str(mask) for mask in masks(2)} & {str(mask) for mask in first}


def test_a_run_that_continues_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    make, data = CASES["lstm"][0], InOrder
    whole = trained(make, data, max_epochs=3)

    class Save(Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    trained(make, data, max_epochs=3, callbacks=[Save()])
    # Another seed of the process: that of the checkpoint counts.
    again = trained(make, data, max_epochs=3, seed=77, ckpt_path=tmp_path / "0.ckpt")
    assert apart(whole, again) == 0


class Numbers(DataModule):
    """Samples of three numbers, in a new order in each epoch."""

    kind = "features"

    def __init__(self, num_samples: int, *, batch_size: int = 4, kind: str = "classes") -> None:
        super().__init__(batch_size=batch_size, seed=2)
        self.num_samples, self.target_kind = num_samples, kind

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(self.num_samples, 3, generator=generator, dtype=torch.float64)
        classes = torch.randint(3, (self.num_samples,), generator=generator)
        numbers = torch.randn(self.num_samples, 2, generator=generator, dtype=torch.float64)
        targets = {"classes": classes, "labels": (numbers > 0).double(), "numbers": numbers}
        self.train_table = TensorTable(inputs, targets[self.target_kind])


LOSSES: dict[str, Callable[[], LitTask]] = {
    "cross_entropy": lambda: LitMLP(num_features=3, hidden_sizes=[4], num_classes=3, optimizer="sgd", lr=0.5),
    "half_squared_error": lambda: LitMLP(
        num_features=3, hidden_sizes=[4], num_classes=3, loss="half_squared_error", optimizer="sgd", lr=0.1
    ),
    "multilabel": lambda: LitMLP(
        num_features=3, hidden_sizes=[4], task="multilabel", num_classes=2, optimizer="sgd", lr=0.5
    ),
    "huber": lambda: LitMLP(
        num_features=3, hidden_sizes=[4], task="regression", num_targets=2, loss="huber", optimizer="sgd", lr=0.5
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("num_samples", "size", "count"), [(32, 4, 2), (33, 4, 2), (37, 4, 3), (9, 2, 4), (5, 4, 8)])
def test_accumulated_batches_equal_one_batch(loss: str, num_samples: int, size: int, count: int) -> None:
    kind = {"huber": "numbers", "multilabel": "labels"}.get(loss, "classes")
    whole = trained(LOSSES[loss], lambda: Numbers(num_samples, batch_size=size * count, kind=kind))
    parts = trained(
        LOSSES[loss], lambda: Numbers(num_samples, batch_size=size, kind=kind), accumulate_grad_batches=count
    )
    assert apart(whole, parts) < ROUNDING


def trained_in_parts(loss: str) -> dict[str, Tensor]:
    """Two processes, each with a half of each batch of 4, and steps of three batches."""
    return trained(LOSSES[loss], lambda: Numbers(37, batch_size=4), 2, accumulate_grad_batches=3)


@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
def test_accumulated_batches_of_two_processes_equal_one_batch_of_one(
    loss: str, tmp_path: Path, programs: Programs
) -> None:
    whole = trained(LOSSES[loss], lambda: Numbers(37, batch_size=12))
    assert apart(whole, programs.call(trained_in_parts, loss, folder=tmp_path)) < ROUNDING


def test_texts_of_similar_length_accumulate_with_the_short_batch_anywhere() -> None:
    """A window's gradient is that of its samples: 33 = 4 * 7 + 5, and the batch of 5 is not the last one."""
    make = text_model(LitTransformer, dropout=0.0, width=8, num_heads=2)

    class Steps(Callback):
        def __init__(self) -> None:
            self.batches: list[Any] = []
            self.steps: list[tuple[dict[str, Tensor], list[Any], list[Tensor]]] = []

        def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, idx: int) -> None:
            self.batches.append(batch)

        def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
            state = {name: value.clone() for name, value in pl_module.state_dict().items()}
            grads = [p.grad.clone() for p in pl_module.parameters() if p.grad is not None]
            self.steps.append((state, self.batches, grads))
            self.batches = []

    seen = Steps()
    trained(make, Texts, max_epochs=2, accumulate_grad_batches=2, callbacks=[seen])
    assert [[len(target) for _, target in batches] for _, batches, _ in seen.steps] != [[7, 7], [7, 7], [5]] * 2
    for state, batches, grads in seen.steps:
        model = make().double()
        model.load_state_dict(state)
        losses = [model.target.sample_losses(model(tokens), target) for tokens, target in batches]
        wanted = torch.autograd.grad(torch.cat(losses).mean(), list(model.parameters()))
        torch.testing.assert_close(grads, list(wanted), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_plain_loader_accumulates_by_samples_too(drop_last: bool) -> None:
    data = Numbers(37)
    data.setup("fit")
    table: Any = data.train_table
    samples: Any = list(zip(table.inputs, table.target, strict=True))[: 36 if drop_last else 37]

    def loader(size: int) -> Any:
        return DataLoader(samples, batch_size=size, drop_last=drop_last)

    whole = trained(LOSSES["cross_entropy"], lambda: loader(12))
    assert apart(whole, trained(LOSSES["cross_entropy"], lambda: loader(4), accumulate_grad_batches=3)) < ROUNDING


def test_batches_of_unknown_sizes_count_as_equal() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            data = Numbers(5)
            data.setup("fit")
            assert isinstance(data.train_table, TensorTable)
            return iter([data.train_table[torch.tensor(rows)] for rows in ([0, 1], [2])])

    loader: Any = DataLoader(Stream(), batch_size=None)
    assert batch_sizes(loader, 1) is None
    model = LOSSES["cross_entropy"]()
    first = {name: weight.detach().double() for name, weight in model.named_parameters()}
    got = trained(lambda: deepcopy(model), lambda: loader, max_epochs=1, accumulate_grad_batches=2)
    model.double()
    losses = [model.target.sample_losses(model(x), y).mean() for x, y in loader]
    grads = torch.autograd.grad(torch.stack(losses).mean(), list(model.parameters()))
    wanted = {n: first[n] - 0.5 * g for (n, _), g in zip(model.named_parameters(), grads, strict=True)}
    assert apart({name: got[name] for name in wanted}, wanted) < ROUNDING


def test_a_second_fit_of_a_model_has_its_own_batches() -> None:
    """Batches of 4 samples in the first fit and of 2 in the second, both in windows of two."""
    model = LOSSES["cross_entropy"]()
    trained(lambda: model, lambda: Numbers(8, batch_size=4), max_epochs=1, accumulate_grad_batches=2)
    again = deepcopy(model)
    assert all(type(value) is not L.Trainer for value in vars(model._windows).values())
    got = trained(lambda: model, lambda: Numbers(7, batch_size=4), max_epochs=1, accumulate_grad_batches=2)
    assert apart(got, trained(lambda: again, lambda: Numbers(7, batch_size=7), max_epochs=1)) < ROUNDING
