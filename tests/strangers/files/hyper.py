"""Modules with settings that are not plain values, with late layers, and with states of their own."""

# mypy: disable-error-code="misc"

from enum import Enum
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from plain import Plain, Trained  # type: ignore[import-not-found]
from points import Points  # type: ignore[import-not-found]
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lit_models import LitTask


class Color(Enum):
    """Two colors."""

    RED = "r"
    BLUE = "b"


class Backbone(nn.Module):
    """A layer."""

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(size, size)


class Colored(Trained):
    """A setting that is a member of an Enum."""

    def __init__(self, color: Color = Color.RED) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.color = color

    def on_test_start(self) -> None:
        print(repr(self.color))


class Chosen(Plain):
    """A setting that is a function."""

    def __init__(self, optimizer: OptimizerCallable = torch.optim.Adam) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.chosen = optimizer

    def configure_optimizers(self) -> Any:
        return self.chosen(self.parameters())


class Wrapper(Trained):
    """A setting that is a module."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.backbone = backbone


class Folder(Points):
    """A setting that is a path."""

    def __init__(self, folder: Path = Path()) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.folder = folder


class Stateful(Trained):
    """Saves something that is not plain."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mine"] = {"colors": [Color.RED]}


class Watcher(L.Callback):
    """Its state has a function."""

    def state_dict(self) -> dict[str, Any]:
        return {"seen": 1, "function": lambda: None}


class LateSetup(Trained):
    """Builds a layer in `setup`."""

    def setup(self, stage: str) -> None:
        self.late = nn.Linear(2, 2)


class LateModel(Trained):
    """Builds a layer in `configure_model`.

    Args:
        size: outputs of the layer.
    """

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        self.size = size

    def configure_model(self) -> None:
        if not hasattr(self, "late"):
            self.late = nn.Linear(2, self.size)


class Renamed(Trained):
    """Saves its weights under other names, and renames them when they are loaded."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"] = {f"old.{name}": value for name, value in checkpoint["state_dict"].items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"] = {name[4:]: value for name, value in checkpoint["state_dict"].items()}


class Faulty(Trained):
    """Has a fault in a hook that reads a checkpoint."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        raise KeyError("my own fault")


class Counting(Points):
    """A state that exists after `setup` alone."""

    def setup(self, stage: str) -> None:
        self.counter = torch.zeros(1)

    def state_dict(self) -> dict[str, Any]:
        return {"counter": self.counter + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.counter.copy_(state_dict["counter"])
        print("counter", self.counter.item())


class Asked(Trained):
    """Its `task` has a meaning of its own."""

    def __init__(self, task: Literal["binary", "multiclass"] = "binary") -> None:
        super().__init__()
        self.task = task

    def on_fit_start(self) -> None:
        print("task", self.task)


class Twice(Trained):
    """Logs one metric under two names."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log_dict({"val_acc": 0.25, "val/acc": 0.5})


class Opens(Trained):
    """Opens a folder as a file."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        Path.cwd().open()


class Greedy(L.Trainer):
    """A Trainer with a fault in its constructor."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        len(5)  # type: ignore[arg-type]


class Normed(nn.Module):
    """A linear layer on normalised inputs; DDP sends the buffers of its BatchNorm in each step."""

    def __init__(self, num_features: int = 2, num_outputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(num_features), nn.Linear(num_features, num_outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs`: float `(B, num_features)`; returns `(B, num_outputs)`."""
        outputs: Tensor = self.layers(inputs)
        return outputs


class LitNormed(LitTask, network=Normed):
    """A task of a stranger's."""


class Late(Points):
    """Points of a fourth class at the end."""

    def split(self, size: int, seed: int) -> TensorDataset:
        points, target = super().split(size, seed).tensors
        target[-1] = 3
        return TensorDataset(points, target)


class Sized(Points):
    """Says its batch size."""

    def setup(self, stage: str) -> None:
        print("batches of", self.batch_size)


class Own(DataLoader[Any]):
    """Takes the batch size under two names."""

    def __init__(self, dataset: TensorDataset, size: int, **settings: Any) -> None:
        super().__init__(dataset, size, **settings)


class Ambiguous(Points):
    """Predicts with such a loader."""

    def predict_dataloader(self) -> Own:
        return Own(self.split(21, 2), 8)
