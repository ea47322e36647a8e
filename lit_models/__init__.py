"""Classic neural networks, each in one readable file, behind one PyTorch Lightning command line.

The public names are imported at their first use: `import lit_models` alone does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.errors import UserError
    from lit_models.bert import LitBERT
    from lit_models.cli.app import LitCLI
    from lit_models.cnn import LitCNN
    from lit_models.mlp import LitMLP
    from lit_models.rnn import LitRNN
    from lit_models.tasks.task import LitClassifier, LitTask
    from lit_models.transformer import LitTransformer

    __version__: str

MODELS = {
    "LitBERT": "lit_models.bert",
    "LitCNN": "lit_models.cnn",
    "LitMLP": "lit_models.mlp",
    "LitRNN": "lit_models.rnn",
    "LitTransformer": "lit_models.transformer",
}
"""The models that `--model NAME` knows, and the module of each. A new model is one line here."""
OTHERS = {
    "LitCLI": "lit_models.cli.app",
    "LitClassifier": "lit_models.tasks.task",
    "LitTask": "lit_models.tasks.task",
    "UserError": "datamodules.errors",
}

__all__ = [
    "LitBERT",
    "LitCLI",
    "LitCNN",
    "LitClassifier",
    "LitMLP",
    "LitRNN",
    "LitTask",
    "LitTransformer",
    "UserError",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("lit_models.cli.metadata").version()
    if name in __all__:
        return getattr(import_module((MODELS | OTHERS)[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
