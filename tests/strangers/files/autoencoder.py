"""An autoencoder of small images: plain LightningModule, plain LightningDataModule, plain DataLoaders."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Autoencoder(L.LightningModule):
    """Encodes images to a few numbers and decodes these."""

    def __init__(self, code_size: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, code_size))
        self.decoder = nn.Sequential(nn.Linear(code_size, 64), nn.Unflatten(1, (1, 8, 8)))

    def forward(self, images: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(self.encoder(images))
        return decoded

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = F.mse_loss(self(batch[0]), batch[0])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val/loss", F.mse_loss(self(batch[0]), batch[0]))

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("test/loss", F.mse_loss(self(batch[0]), batch[0]))

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        decoded: Tensor = self(batch[0])
        return decoded

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Images(L.LightningDataModule):
    """Images of one grey each."""

    def __init__(self) -> None:
        super().__init__()

    def loader(self, size: int, shuffle: bool = False) -> DataLoader[tuple[Tensor, ...]]:
        greys = torch.linspace(0, 1, size)
        return DataLoader(TensorDataset(greys[:, None, None, None].expand(size, 1, 8, 8)), 4, shuffle)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(64, True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(10)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(10)

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(10)
