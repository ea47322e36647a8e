"""A GAN with manual optimisation, after the example in Lightning's documentation. It has no validation."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class GAN(L.LightningModule):
    """Draws points from noise until a discriminator takes them for real ones."""

    def __init__(self, noise_size: int = 3) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.noise_size = noise_size
        self.generator = nn.Sequential(nn.Linear(noise_size, 8), nn.ReLU(), nn.Linear(8, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))

    def loss_of(self, points: Tensor, *, real: bool) -> Tensor:
        outputs = self.discriminator(points)
        return F.binary_cross_entropy_with_logits(outputs, torch.full_like(outputs, float(real)))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        of_generator, of_discriminator = self.optimizers()  # type: ignore[attr-defined]
        drawn = self.generator(torch.randn(len(batch[0]), self.noise_size))

        self.toggle_optimizer(of_generator)
        generator_loss = self.loss_of(drawn, real=True)
        of_generator.zero_grad()
        self.manual_backward(generator_loss)
        of_generator.step()
        self.untoggle_optimizer(of_generator)

        self.toggle_optimizer(of_discriminator)
        discriminator_loss = (self.loss_of(batch[0], real=True) + self.loss_of(drawn.detach(), real=False)) / 2
        of_discriminator.zero_grad()
        self.manual_backward(discriminator_loss)
        of_discriminator.step()
        self.untoggle_optimizer(of_discriminator)
        self.log_dict({"g_loss": generator_loss, "d_loss": discriminator_loss}, prog_bar=True)

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("test/real_loss", self.loss_of(batch[0], real=True))

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        drawn = self.generator(batch[0].new_ones(len(batch[0]), self.noise_size))
        return {"real": batch[0], "drawn": drawn, "score": self.discriminator(drawn)[:, 0]}

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(part.parameters(), lr=0.01) for part in (self.generator, self.discriminator)]


class RealPoints(L.LightningDataModule):
    """Points on a line."""

    def loader(self, size: int) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(torch.arange(2.0 * size).reshape(size, 2) / size), batch_size=4)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(32)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(10)

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(10)
