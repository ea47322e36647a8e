"""The Keras MNIST convnet: three convolutions, two poolings, two dense layers; 93,322 parameters at its defaults.

Source: F. Chollet, "Deep Learning with Python", section 5.1, as the ported Keras program has it. Layer by layer:
Conv2D(32, 3) relu, MaxPooling2D(2), Conv2D(64, 3) relu, MaxPooling2D(2), Conv2D(64, 3) relu, Flatten, Dense(64) relu,
Dense(num_classes) softmax.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.classifier import LitClassifier, OptimizerName, num_logits
from lit_models.keras.initializers import init_like_keras


class CNN(nn.Module):
    """Three 3 x 3 convolutions without padding, the first two each followed by 2 x 2 max pooling, then a dense layer.

    Two rewrites keep the function and save time: `relu(pool(x))` equals `pool(relu(x))` on a quarter of the numbers,
    and the channels-last layout is the one that the CPU's and the GPU's convolutions are fastest in.

    Args:
        num_channels: colour channels of an image.
        image_size: height and width of an image, in pixels, at least 18.
        num_outputs: logits.
        dropout: probability that a dense unit is dropped in training.
    """

    def __init__(
        self, num_channels: int = 1, image_size: int = 28, num_outputs: int = 10, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        side = ((image_size - 2) // 2 - 2) // 2 - 2  # 28 -> 26 -> 13 -> 11 -> 5 -> 3
        self.conv1 = nn.Conv2d(num_channels, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.dense = nn.Linear(64 * side * side, 64)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(64, num_outputs)
        self.apply(init_like_keras).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """`images`: float `(B, C, H, W)` in 0 to 1; returns logits `(B, num_outputs)`. Shapes below: 28 x 28 images."""
        x = images.contiguous(memory_format=torch.channels_last)
        x = F.relu(F.max_pool2d(self.conv1(x), 2))  # (B, 32, 13, 13)
        x = F.relu(F.max_pool2d(self.conv2(x), 2))  # (B, 64, 5, 5)
        x = F.relu(self.conv3(x))  # (B, 64, 3, 3)
        x = F.relu(self.dense(x.flatten(1)))  # (B, 576) -> (B, 64), flattened as channel, height, width
        logits: Tensor = self.output(self.dropout(x))
        return logits


class LitCNN(LitClassifier):
    """Convolutional network for small images; the defaults are the Keras MNIST program's.

    Keras' initial weights, cross-entropy, Keras' Adam at 0.001.

    Args:
        num_channels: colour channels; the data decides it.
        image_size: height and width in pixels, at least 18; the data decides it.
        num_classes: number of classes; the data decides it.
        dropout: probability that a dense unit is dropped in training, 0 to below 1.

    Raises:
        ValueError: a number out of its range.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"images"})

    def __init__(
        self,
        *,
        num_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        dropout: float = 0.0,
        optimizer: OptimizerName = "keras_adam",
        lr: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, optimizer=optimizer, lr=lr, **kwargs)
        if num_channels < 1 or image_size < 18:
            raise ValueError(f"images need a channel and 18 pixels a side, got {num_channels} and {image_size}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be 0 to below 1, got {dropout}")
        self.network = CNN(num_channels, image_size, num_logits(num_classes), dropout=dropout)
