"""Classic neural networks, each in one readable file, behind one PyTorch Lightning command line.

The public names are imported at their first use: `import lit_models` alone does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from datamodules.public_names import public_names

if TYPE_CHECKING:  # the table of public names; add a line for a new model
    from datamodules.errors import UserError as UserError
    from lit_models.bert import LitBERT as LitBERT
    from lit_models.cli.app import LitCLI as LitCLI
    from lit_models.cli.fitting import FitResult as FitResult
    from lit_models.cli.fitting import fit as fit
    from lit_models.cli.loading import LabelsPrediction as LabelsPrediction
    from lit_models.cli.loading import NumbersPrediction as NumbersPrediction
    from lit_models.cli.loading import Prediction as Prediction
    from lit_models.cli.loading import Predictor as Predictor
    from lit_models.cli.loading import load as load
    from lit_models.cnn import LitCNN as LitCNN
    from lit_models.mlp import LitMLP as LitMLP
    from lit_models.rnn import LitRNN as LitRNN
    from lit_models.tasks.keras_graph import LitKeras as LitKeras
    from lit_models.tasks.task import LitClassifier as LitClassifier
    from lit_models.tasks.task import LitTask as LitTask
    from lit_models.transformer import LitTransformer as LitTransformer

    __version__: str

NAMES = public_names(__file__)
"""The module of each public name."""
MODELS = {name: module for name, module in NAMES.items() if module.rpartition(".")[0] == __name__}
"""The models that `--model NAME` knows: the classes in files directly in this folder."""
__all__ = sorted(NAMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("lit_models.cli.metadata").version()
    if name in ("fit", "load"):  # Lightning's own import takes two to three times as long
        import_module("lit_models.startup.imports").import_lightning()
    if name in NAMES:
        return getattr(import_module(NAMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *NAMES, "__version__"])
