"""A picture of a run's predictions on the test images: the first ones in order, then those it got wrong.

python scripts/picture.py runs/digits_cnn/version_0/checkpoints/best.ckpt docs/digits.png
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import yaml

from datamodules import MNISTDataModule
from lit_models import LitCNN
from lit_models.runs.checkpoints import read_checkpoint

COLUMNS = 12


def main() -> None:
    """Reads the checkpoint and the data that its run names, and draws."""
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
        scores, guesses = module.probabilities(module(images)).max(dim=1)
    wrong = (guesses != labels).nonzero()[:, 0]
    chosen = torch.cat([torch.arange(2 * COLUMNS), wrong[:COLUMNS]])
    figure, axes = plt.subplots(3, COLUMNS, figsize=(COLUMNS, 4.2))
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, chosen.tolist(), strict=False):
        axis.imshow(images[i, 0].numpy(), cmap="gray_r")
        right = bool(guesses[i] == labels[i])
        title = f"{guesses[i]}  {scores[i]:.2f}" if right else f"{guesses[i]}  {scores[i]:.2f}\n(is {labels[i]})"
        axis.set_title(title, fontsize=9, color="black" if right else "crimson")
    accuracy = 1 - len(wrong) / len(labels)
    figure.suptitle(f"{len(labels):,} test images, {len(wrong)} wrong (accuracy {accuracy:.4f}); last row: wrong ones")
    figure.tight_layout()
    figure.savefig(arguments.picture, dpi=90)


if __name__ == "__main__":
    main()
