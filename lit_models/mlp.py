"""A multilayer perceptron, as the numpy XOR program has it: dense layers with sigmoid units.

Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323, 1986.
"""

from itertools import pairwise
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from lit_models.classifier import LitClassifier, LossName, OptimizerName, num_logits
from lit_models.keras.initializers import init_like_keras

ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


class MLP(nn.Module):
    """Dense layers with an activation between them; inputs of any shape are flattened.

    Args:
        num_features: inputs a sample, over all its dimensions.
        hidden_sizes: units of each hidden layer, in order; an empty list is logistic regression.
        num_outputs: logits.
        activation: "sigmoid", "tanh" or "relu".
        dropout: probability that a hidden unit is dropped in training.
    """

    def __init__(
        self,
        num_features: int,
        hidden_sizes: list[int],
        num_outputs: int,
        *,
        activation: str = "sigmoid",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = [num_features, *hidden_sizes]
        self.hidden = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sizes[-1], num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs`: float `(B, ...)` of `num_features` numbers a sample; returns logits `(B, num_outputs)`."""
        x = inputs.flatten(1)  # (B, F)
        for layer in self.hidden:
            x = self.dropout(self.activation(layer(x)))  # (B, H)
        logits: Tensor = self.output(x)
        return logits


def init_normal(module: nn.Module) -> None:
    """Draws weights and biases from N(0, 1), as the numpy program does."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight)
        nn.init.normal_(module.bias)


class LitMLP(LitClassifier):
    """Multilayer perceptron; the defaults are the numpy XOR program's.

    That is one hidden layer of 4 sigmoid units, N(0, 1) weights and biases, half squared error summed over the batch,
    plain gradient descent at rate 0.1. For images, see `configs/mnist_mlp.yaml`.

    Args:
        num_features: inputs a sample; the data decides it.
        num_classes: number of classes; the data decides it.
        hidden_sizes: units of each hidden layer, in order, each at least 1.
        activation: of the hidden units.
        dropout: probability that a hidden unit is dropped in training, 0 to below 1.
        init: "normal" is N(0, 1) everywhere; "keras" is Glorot uniform with zero biases.

    Raises:
        ValueError: a number out of its range.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"features", "images"})

    def __init__(
        self,
        *,
        num_features: int = 2,
        num_classes: int = 2,
        hidden_sizes: list[int] = [4],  # noqa: B006  (read, never changed)
        activation: Literal["sigmoid", "tanh", "relu"] = "sigmoid",
        dropout: float = 0.0,
        init: Literal["normal", "keras"] = "normal",
        loss: LossName = "half_squared_error",
        optimizer: OptimizerName = "sgd",
        lr: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, loss=loss, optimizer=optimizer, lr=lr, **kwargs)
        if min([num_features, *hidden_sizes]) < 1:
            raise ValueError(f"num_features and hidden_sizes must be at least 1, got {num_features} and {hidden_sizes}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be 0 to below 1, got {dropout}")
        self.network = MLP(num_features, hidden_sizes, num_logits(num_classes), activation=activation, dropout=dropout)
        self.network.apply(init_normal if init == "normal" else init_like_keras)
