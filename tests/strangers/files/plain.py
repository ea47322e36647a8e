"""Plain modules: without an optimizer, with unusual logging, with names that the program uses too, with mistakes."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Plain(L.LightningModule):
    """A linear classifier without an optimizer.

    Args:
        num_classes: number of classes.
        batch_size: samples in a step; not used.
    """

    def __init__(self, num_classes: int = 2, batch_size: int = 0) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(2, num_classes)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_loss", F.cross_entropy(self.layer(batch[0]), batch[1]))

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("test_loss", F.cross_entropy(self.layer(batch[0]), batch[1]))

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        outputs: Tensor = self.layer(batch[0])
        return outputs


class Trained(Plain):
    """The same with an optimizer."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Loose(Trained):
    """Its test_step calls its validation_step; names have more slashes, or say no split."""

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val/loss/kl", 0.25)

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)
        self.log("accuracy", 0.5)


class Silent(Trained):
    """Logs nothing when it is evaluated."""

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.layer(batch[0])

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.layer(batch[0])


class Several(Trained):
    """Reads several dataloaders."""

    def validation_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        super().validation_step(batch, batch_idx)

    def test_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        super().test_step(batch, batch_idx)

    def predict_step(self, batch: list[Tensor], batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        return batch[0]


class Namesakes(Trained):
    """Settings and attributes with names that the program uses too, for other things."""

    def __init__(self, config: str, checkpoint: str = "best", tokenizer: str = "none", accepts: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.config, self.checkpoint, self.tokenizer, self.accepts = config, checkpoint, tokenizer, accepts
        self.network, self.target, self.monitor = "linear", nn.Linear(2, 2), None

    def on_fit_start(self) -> None:
        print(f"config {self.config}, checkpoint {self.checkpoint}, tokenizer {self.tokenizer}, accepts {self.accepts}")


class Sized(Trained):
    """Refuses a size that cannot be."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")


class Broken(Trained):
    """Has a fault in it.

    Args:
        fault: which one.
    """

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        if fault == "AttributeError":
            self.layer.nothing  # noqa: B018
        if fault == "KeyError":
            raise KeyError("rate")

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        raise ValueError("a value is wrong in here")


class Predicts(Trained):
    """Predicts in one of several forms.

    Args:
        form: of the predictions.
    """

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        forms: dict[str, Any] = {
            "arrays": {"points": batch[0].numpy(), "place": [str(i) for i in range(len(batch[0]))]},
            "batches": {"points": batch[0], "mean": batch[0].mean()},
            "module": self,
            "nothing": None,
        }
        return forms[self.form]
