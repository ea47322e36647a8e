"""A multilayer perceptron: dense layers with an activation between them.

Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323, 1986. The
numpy XOR program is `configs/xor_mlp.yaml`.
"""

from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.rules.initializers import init_like_keras
from lit_models.tasks.task import LitTask

ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


class MLP(nn.Module):
    """Dense layers with an activation between them; inputs of any shape are flattened.

    Args:
        num_features: numbers in one sample, over all its dimensions, at least 1; set by the data.
        hidden_sizes: units of each hidden layer, in order, at least 1 each; an empty list means logistic regression.
        num_outputs: outputs of the last layer.
        activation: activation of the hidden units.
        dropout: probability that a hidden unit is dropped in training, 0 to below 1.
        init: initial weights: "keras" is Glorot uniform with zero biases; "normal" is N(0, 1) for weights and biases,
            as in the numpy program.

    Raises:
        UserError: a number out of its range.
    """

    def __init__(
        self,
        num_features: int = 784,
        hidden_sizes: list[int] = [256, 128],  # noqa: B006  (read, never changed)
        num_outputs: int = 10,
        *,
        activation: Literal["sigmoid", "tanh", "relu"] = "relu",
        dropout: float = 0.0,
        init: Literal["normal", "keras"] = "keras",
    ) -> None:
        super().__init__()
        if min([num_features, *hidden_sizes]) < 1:
            raise UserError(f"num_features and hidden_sizes must be at least 1, got {num_features} and {hidden_sizes}")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be 0 to below 1, got {dropout}")
        sizes = [num_features, *hidden_sizes]
        self.hidden = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sizes[-1], num_outputs)
        self.apply(init_normal if init == "normal" else init_like_keras)

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs`: float `(B, ...)` with `num_features` numbers per sample; returns `(B, num_outputs)`."""
        x = inputs.flatten(1)  # (B, F)
        for layer in self.hidden:
            x = self.dropout(self.activation(layer(x)))  # (B, H)
        outputs: Tensor = self.output(x)
        return outputs


def init_normal(module: nn.Module) -> None:
    """Draws weights and biases from N(0, 1), as the numpy program does."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight)
        nn.init.normal_(module.bias)


class LitMLP(LitTask, network=MLP, num_classes=10):
    """Multilayer perceptron for plain numbers and small images."""

    accepts: ClassVar[frozenset[str]] = frozenset({"features", "images"})
