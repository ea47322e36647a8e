"""Classic neural networks, each in one readable file, behind one PyTorch Lightning command line.

The public names are imported when they are first used: `import lit_models` alone does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lit_models.bert import LitBERT
    from lit_models.classifier import LitClassifier
    from lit_models.cnn import LitCNN
    from lit_models.mlp import LitMLP
    from lit_models.rnn import LitRNN
    from lit_models.transformer import LitTransformer

    __version__: str

__all__ = ["LitBERT", "LitCNN", "LitClassifier", "LitMLP", "LitRNN", "LitTransformer"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("lit_models.metadata").version()
    if name in __all__:
        return getattr(import_module(f"lit_models.{name.removeprefix('Lit').lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
