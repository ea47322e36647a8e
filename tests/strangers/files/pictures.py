"""Images of 3 x 32 x 32 in a plain LightningDataModule, which says nothing of their shape."""

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


class Pictures(L.LightningDataModule):
    """Three classes; class 1 is red, class 2 is bright."""

    def loader(self, size: int) -> DataLoader[tuple[Tensor, ...]]:
        target = torch.arange(size) % 3
        images = torch.rand(size, 3, 32, 32, generator=torch.Generator().manual_seed(size)) / 2
        images[target == 1, 0] += 0.5
        images[target == 2] += 0.5
        return DataLoader(TensorDataset(images, target), batch_size=8)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(48)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(12)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(13)

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(13)
