"""Draws a run's predictions on test images: the first images, then those with a wrong prediction.

python -m scripts.picture runs/digits_cnn/version_0/checkpoints/best.ckpt docs/digits.png
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import yaml

from datamodules import MNISTDataModule
from lit_models import LitCNN
from lit_models.runs.checkpoint_files import read_checkpoint

COLUMNS = 12


def main() -> None:
    """Loads the checkpoint and the data of its run, and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    config = yaml.safe_load(read_checkpoint(arguments.checkpoint)["config"])
    data = MNISTDataModule(**config["data"]["init_args"])
    data.prepare_data()
    data.setup("test")
    assert data.test_table is not None, "setup has filled it"
    images, labels = data.test_table[torch.arange(len(data.test_table))]
    module = LitCNN.load_from_checkpoint(arguments.checkpoint, map_location="cpu", weights_only=True).eval()
    with torch.no_grad():
        scores, predictions = module.predictions(module(images)).max(dim=1)
    wrong = (predictions != labels).nonzero()[:, 0]
    chosen = torch.cat([torch.arange(2 * COLUMNS), wrong[:COLUMNS]])
    figure, axes = plt.subplots(3, COLUMNS, figsize=(COLUMNS, 4.2))
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, chosen.tolist(), strict=False):
        axis.imshow(images[i, 0].numpy(), cmap="gray_r")
        correct = bool(predictions[i] == labels[i])
        title = f"{predictions[i]}  {scores[i]:.2f}" + ("" if correct else f"\n(is {labels[i]})")
        axis.set_title(title, fontsize=9, color="black" if correct else "crimson")
    accuracy = 1 - len(wrong) / len(labels)
    figure.suptitle(f"{len(labels):,} test images, {len(wrong)} wrong (accuracy {accuracy:.4f}); last row: wrong ones")
    figure.tight_layout()
    figure.savefig(arguments.picture, dpi=90)


if __name__ == "__main__":
    main()
