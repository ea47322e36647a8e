"""Networks of a stranger's on our LitTask and LitClassifier."""

from typing import Any, ClassVar

from torch import Tensor, nn

from lit_models import LitClassifier, LitTask


class Mine(nn.Module):
    """One hidden layer.

    Args:
        num_features: numbers in one sample; set by the data.
        num_outputs: outputs of the last layer.
        hidden_size: units of the hidden layer.
    """

    def __init__(self, num_features: int = 2, num_outputs: int = 2, *, hidden_size: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(num_features, hidden_size), nn.ReLU(), nn.Linear(hidden_size, num_outputs)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers(inputs)
        return outputs


class LitMine(LitTask, network=Mine, lr=0.01):
    """One hidden layer, for any task."""

    accepts: ClassVar[frozenset[str]] = frozenset({"features", "images"})


class LitByHand(LitClassifier):
    """One hidden layer, for classes.

    Args:
        num_features: numbers in one sample; set by the data.
        num_classes: number of classes; set by the data.
        hidden_size: units of the hidden layer.
    """

    def __init__(self, *, num_features: int = 2, num_classes: int = 2, hidden_size: int = 16, **kwargs: Any) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.save_hyperparameters()
        self.network = Mine(num_features, self.num_outputs, hidden_size=hidden_size)
